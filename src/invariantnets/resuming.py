"""Going on with a run: as what it was, where it was, and as far as it had come."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from invariantnets.checkpoint import load_checkpoint
from invariantnets.errors import InvariantNetsError
from invariantnets.provenance import moved, plain
from invariantnets.trust import check_paths, named_places, of_this_machine

__all__ = ["check_continues", "continued"]

log = logging.getLogger(__name__)
Key = tuple[str, ...]
# What cannot be changed midway: a network of half this and half that would be neither's.
FIXED = ("choices", "model", "data", "seed", "views", "pairs")
# Of this machine or of this command; recipes are of networks that are trained already.
ANEW = ("paths", "logger", "ckpt_path", "device", "recipes")
# Keys that name what is read or written, and are never taken out of a file where that would write.
_PLACES = re.compile(
    r"(data_dir|cache_dir|cache|device|on_device|folder|pictures|table|root|teacher|init_from|features_from"
    r"|dirpath|filename|default_root_dir|path|lists?|download)"
)
_ABSENT = object()


def leaves(node: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every value by its path; lists are values, and an empty mapping is one."""
    if isinstance(node, Mapping) and node:
        for name, value in node.items():
            yield from leaves(value, (*key, str(name)))
    else:
        yield key, node


def continued(cfg: DictConfig, folder: Path, path: Path) -> tuple[DictConfig, list[str]]:
    """The configuration of a run that goes on: what the checkpoint says, but for what was typed.

    Args:
        cfg: as composed from the command line.
        folder: where the run goes on.
        path: of its checkpoint.

    Returns:
        The configuration, and the words of the command line that made it: those of before that still hold, and these.

    Raises:
        InvariantNetsError: something was typed that cannot be changed midway, or must be typed again; or what the
            checkpoint raises.
    """
    checkpoint = load_checkpoint(path)
    words = _words(checkpoint["invariantnets"].get("overrides", ()), HydraConfig.get().overrides.task)
    cfg = cfg.copy()
    with open_dict(cfg):
        cfg.paths.output_dir = str(folder)
    new = dict(leaves(plain(cfg)))
    old = dict(leaves(_here(checkpoint["invariantnets"]["config"], path, cfg)))
    typed, kept = _typed(new), {}
    for key, was in old.items():
        now = new.get(key, _ABSENT)
        if key[0] in ANEW or was == now:
            continue
        if key[0] in FIXED:
            if typed(key) and not _place(key):
                raise InvariantNetsError(_refusal(path, key, was, now))
        elif typed(key):
            log.info("goes on with %s, which was %s", _said(key, now), _shown(was))
        elif _place(key):
            continue
        elif _plain(key, was) and (was is None or now is not _ABSENT):
            kept[key] = was
        else:
            raise InvariantNetsError(
                f"{path}: the run had {_said(key, was)}, which is not taken out of a file: type it again, or what "
                "is to be in its place"
            )
    for key, now in new.items():
        if key not in old and key[0] in FIXED and typed(key) and not _place(key) and now is not None:
            raise InvariantNetsError(_refusal(path, key, _ABSENT, now))
    places = {key: now for key, now in new.items() if typed(key) and _place(key)}
    fixed = _nested({**old, **places})
    named = [str(value) for key, value in places.items() if key[0] == "data" and value]
    check_paths(fixed["data"], [*named_places(cfg.paths, path), *named], str(path))
    if not typed(("choices", "data")):
        fixed["data"] = of_this_machine(fixed["data"], cfg.paths.cache_dir)
    with open_dict(cfg):
        for part in (part for part in FIXED if part in fixed):
            cfg[part] = fixed[part]
        for key, value in kept.items():
            OmegaConf.update(cfg, ".".join(key), value)
    return cfg, words


def check_continues(config: Mapping[str, Any], checkpoint: Mapping[str, Any], path: Path) -> None:
    """Refuse to continue a run as another one: of another network, loss, solver, seed or other data.

    Args:
        config: of the run that is to go on, resolved.
        checkpoint: to go on from.
        path: of it.

    Raises:
        InvariantNetsError: naming the first difference and how to go on.
    """
    if lacking := [key for key in ("optimizer_states", "lr_schedulers", "loops") if key not in checkpoint]:
        raise InvariantNetsError(
            f"{path}: holds no {lacking[0]}, so that training cannot go on from it; evaluate.py can probe it, and "
            "model.init_from= start from its layers"
        )
    old, new = (
        {key: value for key, value in leaves(side) if key[0] in FIXED and not _place(key) and value is not None}
        for side in (checkpoint["invariantnets"]["config"], config)
    )
    parts = {key[0] for key in old}  # an older version knew fewer
    for key in dict.fromkeys([*old, *new]):
        was, now = old.get(key, _ABSENT), new.get(key, _ABSENT)
        if was != now and key[0] in parts:
            raise InvariantNetsError(_refusal(path, key, was, now))


def _here(config: Mapping[str, Any], path: Path, cfg: DictConfig) -> Any:
    """A configuration with the paths of this machine, and of the folder that the run lies in now."""
    before = config.get("paths", {})
    for key in ("data_dir", "cache_dir"):
        config = moved(config, before.get(key), cfg.paths[key])
    return moved(config, before.get("output_dir"), str(path.resolve().parents[1]))


def _typed(new: Mapping[Key, Any]) -> Callable[[Key], bool]:
    """Whether a key, what it is in or something in it was set on the command line, by itself or by a group's choice."""
    hydra = HydraConfig.get()
    groups = [(_key(word), word) for word in hydra.overrides.task]
    named = {key for key, _ in groups}
    base = GlobalHydra.instance().config_loader().load_configuration(
        hydra.job.config_name, [word for key, word in groups if key in ("model", "data")], RunMode.RUN
    )  # fmt: skip
    chosen = base.hydra.runtime.choices
    with open_dict(base):
        del base["hydra"]
    plainly = dict(leaves(plain(base)))
    keys = {key for key in (*new, *plainly) if key[0] != "choices" and new.get(key) != plainly.get(key)}
    keys |= {tuple(key.split(".")) for key in named - {"model", "data"}}
    keys |= {
        ("choices", part) for part in ("model", "data") if part in named or chosen[part] != hydra.runtime.choices[part]
    }
    return lambda key: any(key[: len(one)] == one[: len(key)] for one in keys)


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0].partition("@")[0].replace("/", ".")


def _words(before: Sequence[str], now: Sequence[str]) -> list[str]:
    named = {_key(word) for word in now}
    every = [*(word for word in map(str, before) if _key(word) not in named), *now]
    return [word for word in every if _key(word) != "ckpt_path"]


def _place(key: Key) -> bool:
    return bool(_PLACES.fullmatch(key[-1]))


def _plain(key: Key, value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return not any(part.startswith("_") for part in key) and not any(isinstance(x, dict | list) for x in values)


def _nested(flat: Mapping[Key, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in flat.items():
        node = found
        for part in key[:-1]:
            node = node.setdefault(part, {})
        node[key[-1]] = value
    return found


def _refusal(path: Path, key: Key, was: Any, now: Any) -> str:
    before, here = (_said(key, side).removeprefix("choices.") for side in (was, now))
    return (
        f"{path}: cannot be continued so: it was trained with {before}, this run has {here}. Give what it was "
        "trained with, or start anew, without ckpt_path="
    )


def _said(key: Key, value: Any) -> str:
    name = ".".join(key[:-1] if key[-1] == "_target_" else key)
    return f"no {name}" if value is _ABSENT else f"{name}={_shown(value)}"


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "not there"
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else "null" if value is None else str(value)
