"""What a configuration out of a file may be, call, read and write: nothing that its reader has not named."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch.optim import lr_scheduler

from invariantnets import backbones, constraints, data, module, muon
from invariantnets.data import sources
from invariantnets.errors import InvariantNetsError

__all__ = ["allow_modules", "check_paths", "check_plain", "check_targets", "named_places", "of_this_machine", "targets"]

# The parts of a configuration that are made out of a file, and whose public names each may call.
ROOMS: dict[str, tuple[ModuleType, ...]] = {
    "model": (backbones, constraints, module, muon),
    "data": (data, sources),
    "choices": (),
}
# Of torch, solvers and schedules alone.
TORCH = ((torch.optim, torch.optim.Optimizer), (lr_scheduler, lr_scheduler.LRScheduler))
# Arguments of data that name what is read, and those that name something below `root`.
READ, BELOW_ROOT = ("table", "root", "pictures"), ("images", "train_people")
FETCHES = "invariantnets.data.sources.torchvision_digits"
# Ours hold some 300 values, six deep.
_NOT_LOADED = "so it was not loaded"
DEEPEST, MOST, LONGEST = 32, 100_000, 100_000
_named: set[str] = set()  # modules that the user of this process has named


def allow_modules(names: Iterable[str]) -> None:
    """Let configurations out of files call what these modules hold, too, in this process.

    For constraints and networks of one's own, as `torch.serialization.add_safe_globals` is for tensors' classes.

    Args:
        names: e.g. ``["my_module"]``; of this package and of torch stays what is public.
    """
    _named.update(name for name in names if name.partition(".")[0] not in ("invariantnets", "torch"))


@cache
def offered(part: str) -> frozenset[str]:
    """The names that a part of a configuration may call."""
    names = {f"{room.__name__}.{name}" for room in ROOMS[part] for name in room.__all__ if callable(vars(room)[name])}
    if part == "model":
        for place, kind in TORCH:
            found = {name: value for name, value in vars(place).items() if not name.startswith("_")}
            names |= {f"{place.__name__}.{n}" for n, v in found.items() if isinstance(v, type) and issubclass(v, kind)}
    return frozenset(names)


def targets(node: Any) -> Iterator[str]:
    """Every ``_target_`` in a nested configuration."""
    for part in _mappings(node):
        if "_target_" in part:
            yield str(part["_target_"])


def _mappings(node: Any) -> Iterator[Mapping[str, Any]]:
    """A nested configuration's mappings, outermost first."""
    if isinstance(node, Mapping):
        yield node
        node = list(node.values())
    if isinstance(node, list | tuple):
        for value in node:
            yield from _mappings(value)


def _texts(node: Any) -> Iterator[str]:
    """Its texts, those of keys too."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        yield from _texts([*node.keys(), *node.values()])
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _texts(value)


def check_plain(config: Any, owner: str) -> None:
    """Refuse what is no configuration: other values than plain ones, or more than anybody would write.

    Raises:
        InvariantNetsError: naming what was found.
    """
    left, seen = [(config, 0)], 0
    while left:
        node, depth = left.pop()
        seen += 1
        if isinstance(node, dict | list | tuple):
            inside = [*node.keys(), *node.values()] if isinstance(node, dict) else node
            left += [(value, depth + 1) for value in inside]
            wrong = f"more than {DEEPEST} levels or {MOST:,} values" if depth > DEEPEST or len(left) > MOST else ""
        elif isinstance(node, str):
            wrong = f"{len(node):,} letters in one value" if len(node) > LONGEST else ""
        else:
            wrong = "" if node is None or isinstance(node, float) or _whole(node) else f"a {type(node).__name__}"
        if wrong or seen > MOST:
            raise InvariantNetsError(
                f"{owner}: its configuration holds {wrong or f'more than {MOST:,} values'}, {_NOT_LOADED}"
            )


def _whole(node: Any) -> bool:
    return isinstance(node, int) and abs(node) < 1 << 63


def check_targets(config: Any, owner: str, parts: Collection[str] = tuple(ROOMS)) -> None:
    """Refuse a configuration that would call anything but public names.

    Args:
        config: any part of one.
        owner: begins the message.
        parts: of `ROOMS`, whose names may be called.

    Raises:
        InvariantNetsError: naming the target; or a key or an interpolation, of which our resolved configurations hold
            none, by which other things could be called than are seen.
    """
    for text in _texts(config):
        if "${" in text or text == "???":
            raise InvariantNetsError(f"{owner}: its configuration holds the interpolation {text!r}, {_NOT_LOADED}")
    names = frozenset[str]().union(*map(offered, parts))
    for node in _mappings(config):
        for key, value in node.items():
            if str(key).startswith("_") and key != "_target_" and not (key == "_partial_" and value is True):
                raise InvariantNetsError(f"{owner}: its configuration holds the key {key!r}, {_NOT_LOADED}")
        if "_target_" in node and node["_target_"] not in names and _module(node["_target_"]) not in _named:
            raise InvariantNetsError(f"{owner}: {_why_not(str(node['_target_']), parts)}")


def _module(target: Any) -> str:
    return str(target).rpartition(".")[0]


def _why_not(target: str, parts: Collection[str]) -> str:
    room, _, name = target.rpartition(".")
    rooms = [place.__name__ for part in parts for place in ROOMS[part]]
    if room in rooms and name.isidentifier():
        return f"its target {target} does not exist here ({room} offers no such name); use the version that wrote it"
    rooms += ["torch.optim"] * ("model" in parts)
    return (
        f"its configuration names {target}, which is outside {', '.join(rooms) or 'all that may be called'}; a "
        f"checkpoint must not call anything else, {_NOT_LOADED}"
        + (f"; if {room} is code of yours, add paths.allow=[{room}]" if room else "")
    )


def of_this_machine(node: Any, cache_dir: str) -> Any:
    """A configuration of data that writes into this machine's cache alone, and fetches nothing from a network."""
    if isinstance(node, list | tuple):
        return [of_this_machine(value, cache_dir) for value in node]
    if not isinstance(node, Mapping):
        return node
    found = {key: of_this_machine(value, cache_dir) for key, value in node.items()}
    if "cache_dir" in found:
        found["cache_dir"] = cache_dir
    if found.get("_target_") == FETCHES:
        found["download"] = False
    return found


def named_places(paths: Mapping[str, Any], checkpoint: Path) -> list[str | Path]:
    """The files and folders that a command names: where it runs, its paths, and the run of its checkpoint.

    Args:
        paths: ``paths`` of the command's configuration.
        checkpoint: ``<run>/checkpoints/<name>.ckpt``; of one that lies elsewhere, no folder of a run is known.
    """
    own = checkpoint.resolve().parent
    run = [own.parent] if own.name == "checkpoints" else []
    return [Path.cwd(), paths["data_dir"], paths["cache_dir"], *paths.get("allow", ()), *run]


def check_paths(config: Any, allowed: Iterable[str | Path], owner: str) -> None:
    """Refuse to read what a configuration out of a file names, unless it lies in what its reader named.

    Args:
        config: of data.
        allowed: files and folders; links and ``..`` are followed on both sides.
        owner: begins the message.

    Raises:
        InvariantNetsError: naming each path, and the word that allows it.
    """
    named = [Path(path).expanduser().resolve() for path in allowed]
    outside = {}
    for node in _mappings(config):
        for key in (*READ, *BELOW_ROOT):
            if isinstance(value := node.get(key), str):
                path = os.path.join(str(node.get("root", "")), value) if key in BELOW_ROOT else value
                if not _inside(path, named):
                    outside[key] = path
    if outside:
        read = " and ".join(f"data.{key}={path!r}" for key, path in outside.items())
        word = f"paths.allow=[{','.join(map(_quoted, dict.fromkeys(outside.values())))}]"
        raise InvariantNetsError(
            f"{owner}: its data would be read from {read}, which this command does not name; if you want that, add "
            f"{shlex.quote(word)}"
        )


def _inside(path: str, named: Collection[Path]) -> bool:
    try:  # of what is read, some is read with ~ as the home
        found = [Path(path).resolve(), Path(path).expanduser().resolve()]
    except (OSError, ValueError, RuntimeError):  # a loop of links, or what is no path
        return False
    return all(any(one.is_relative_to(place) for place in named) for one in found)


def _quoted(path: str) -> str:
    """As a value of Hydra's command line, where a backslash is one but before a quote."""
    return "'" + re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), path) + "'"
