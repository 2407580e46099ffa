"""What was probably meant by a word of the command line that the configuration does not have."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from invariantnets.cli.notes import Composed, compose, joined, read_header, read_notes
from invariantnets.cli.usage import parent_of

__all__ = ["explain", "explain_flag"]

NOTHING = "--help and --cfg job list what there is"
# What other programs call it: a key, or whole overrides.
WORDS = {
    "epochs": "trainer.max_epochs",
    "num_epochs": "trainer.max_epochs",
    "n_epochs": "trainer.max_epochs",
    "steps": "data.epoch_batches",
    "learning_rate": "model.optimizer.lr",
    "batch": "data.batch_size",
    "bs": "data.batch_size",
    "bsz": "data.batch_size",
    "wd": "model.optimizer.weight_decay",
    "gpus": "trainer.devices",
    "gpu": "trainer.devices",
    "num_gpus": "trainer.devices",
    "num_processes": "trainer.devices",
    "fp16": "trainer.precision=16-mixed",
    "bf16": "trainer.precision=bf16-mixed",
    "amp": "trainer.precision=bf16-mixed",
    "grad_clip": "trainer.gradient_clip_val",
    "clip_grad_norm": "trainer.gradient_clip_val",
    "checkpoint": "ckpt_path",
    "ckpt": "ckpt_path",
    "weights": "ckpt_path",
    "resume": "ckpt_path=last",
    "resume_from": "ckpt_path",
    "pretrained": "model.init_from",
    "table": "features",
    "embeddings": "features",
    "dataset": "data",
    "network": "model",
    "net": "model",
    "arch": "model",
    "backbone": "model",
    "loss": "+constraint",
    "output_dir": "hydra.run.dir",
    "out": "hydra.run.dir",
    "out_dir": "hydra.run.dir",
    "save_dir": "hydra.run.dir",
    "log_dir": "paths.log_dir",
    "data_dir": "paths.data_dir",
    "data_path": "paths.data_dir",
    "data_root": "paths.data_dir",
    "random_seed": "seed",
    "random_state": "seed",
    "wandb": "logger=wandb",
    "use_wandb": "logger=wandb",
    "tensorboard": "logger=tensorboard",
    "early_stopping": "callbacks.early_stopping",
    "patience": "callbacks.early_stopping.patience",
}
# What train.py is asked for, and evaluate.py has.
OF_EVALUATE = ("features", "sweep", "backbone", "nuisances")
# What it does not have, and why.
NOT_HAD = {
    "num_workers": "images are held in memory, and no processes read them",
    "workers": "images are held in memory, and no processes read them",
}


def explain(conf: Path, overrides: Sequence[str], own: Path | None = None) -> str | None:
    """The first word of a command line that the program cannot understand, and what was probably meant.

    Args:
        conf: the program's configuration file.
        overrides: the command line without flags.
        own: a folder of further choices.

    Returns:
        A line; None if it is not for a key, a choice or a ``=`` that is not there.
    """
    parser = OverridesParser.create()
    program = compose(conf, (), own)
    parsed: list[Override] = []
    for text in overrides:
        if "=" not in text and not text.startswith("~"):
            return _without_sign(text, overrides, program)
        try:
            parsed.append(parser.parse_override(text))
        except HydraException:
            return None
    # Keys are looked for in what is chosen, as far as it can be.
    chosen = [
        override.input_line or ""
        for override in parsed
        if (names := program.groups.get(override.key_or_group)) and override.value() in names
    ]
    with contextlib.suppress(HydraException):
        program = compose(conf, chosen, own)
    return next(filter(None, (_wrong_choice(each, program) or _wrong_key(each, program) for each in parsed)), None)


def explain_flag(conf: Path, flag: str, following: str | None) -> str:
    """A flag that Hydra does not have: ``--epochs 3`` and ``--epochs=3`` are written ``trainer.max_epochs=3``."""
    name, sign, value = flag.lstrip("-").replace("-", "_").partition("=")
    if not sign and following is not None and not re.search(r"=|^-\D", following):
        value = following
    meant = _meant(name, value or "…", compose(conf))
    return f"there is no flag {flag.partition('=')[0]!r}; keys are set as key=value{meant}"


def _without_sign(text: str, overrides: Sequence[str], program: Composed) -> str:
    """``model lenet``, or a word that is only a choice."""
    place = list(overrides).index(text)
    near = [*overrides[place + 1 : place + 2], "…"]
    if "features" in program.values and Path(text).is_file():
        return (
            f"{text!r} is not key=value. Did you mean {'ckpt_path' if text.endswith('.ckpt') else 'features'}={text}?"
        )
    if text in program.groups or text in program.values:
        return f"{text!r} lacks a value. Did you mean {text}={near[0]}?"
    for typed, names in _typed(program).items():
        if text in names:
            return f"{text!r} is not key=value. Did you mean {typed}={text}?"
    return f"{text!r} is not key=value{_meant(text, near[0], program)}"


def _typed(program: Composed) -> dict[str, list[str]]:
    """What one types before ``=`` to choose, and its choices; the groups that a program has, and no others."""
    typed = {name: program.groups[name.partition("@")[0]] for name in program.choices if "/" not in name}
    for group, names in program.groups.items():
        parent = parent_of(program, group)
        if parent is not None:
            typed = {name: found for name, found in typed.items() if name.partition("@")[0] != group}
            if parent in program.values:
                typed[f"+{group}"] = names
    return typed


def _wrong_choice(override: Override, program: Composed) -> str | None:
    """A choice that its group does not have, or a group that is written otherwise."""
    group, value = override.key_or_group, override.value()
    if group not in program.groups or override.is_delete() or value is None or isinstance(value, dict | list):
        return None
    typed = _typed(program)
    written = f"+{group}" if override.is_add() else group if override.package is None else override.get_key_element()
    names = list(map(str, override.sweep_string_iterator())) if override.is_sweep_override() else [str(value)]
    places = [place for place in typed if place.lstrip("+").partition("@")[0] == group]
    for name in names:
        if name in program.groups[group]:
            if written not in typed and places and override.package is None:
                return f"there is no group {written!r} by itself. Did you mean {places[0]}={name}?"
            continue
        if group in program.values and not places:
            continue
        others = [place for place, known in typed.items() if name in known]
        if len(others) == 1:  # not those that many groups have: none, default
            return f"{group} has no choice {name!r}. Did you mean {others[0]}={name}?"
        if close := difflib.get_close_matches(name, program.groups[group], 1):
            return f"{group} has no choice {name!r}. Did you mean {written}={close[0]}?"
        return f"{group} has no choice {name!r}; it has {', '.join(program.groups[group])}"
    return None


def _wrong_key(override: Override, program: Composed) -> str | None:
    """A key that is not there, and is not to be added."""
    key = override.key_or_group
    if key in program.values or key in program.groups or override.is_add() or re.match(r"hydra\b", key):
        return None
    if any(
        isinstance(value, dict) and key.startswith(f"{name}.") and name in program.notes.inline
        for name, value in program.values.items()
    ):
        return None
    _, sign, value = (override.input_line or "").partition("=")
    return f"there is no key {key!r}{_meant(key, value if sign else None, program)}"


def _meant(key: str, value: str | None, program: Composed) -> str:
    """What a wrong key may stand for: another word's, the end of a dotted key, or something spelt like it."""

    def write(found: str) -> str:
        return found if "=" in found or value is None else f"{found}={value}"

    if (word := WORDS.get(key.lower())) and _exists(word, program):
        return f". Did you mean {write(word)}?"
    if key in OF_EVALUATE and key not in program.values:
        return f": it is of evaluate.py, which measures what exists: python evaluate.py {write(key)}"
    if key in NOT_HAD:
        return f": {NOT_HAD[key]}"
    top = [name for name in program.values if "." not in name]
    if close := difflib.get_close_matches(key, top, 1, 0.9):  # a letter more or less of what both programs have
        return f". Did you mean {write(close[0])}?"
    if found := _ending(key, program):
        if found[0] == (key, found[0][1]):
            return f" here; it is one of {found[0][1]}"
        meant = " or ".join(write(name) + (f", with {choice}" if choice else "") for name, choice in found)
        return f". Did you mean {meant}?"
    for typed, names in _typed(program).items():
        if key in names:
            return f". Did you mean {typed}={key}?"
    known = [name for name in program.values if not name.startswith("recipes.")]
    if close := difflib.get_close_matches(key, known, 1, 0.7):
        return f". Did you mean {write(close[0])}?"
    ends = {name.rpartition(".")[2]: name for name in reversed(known)}
    if close := difflib.get_close_matches(key.rpartition(".")[2], [*ends, *WORDS], 1, 0.75):
        word = ends.get(close[0]) or WORDS[close[0]]
        return f". Did you mean {write(word)}?" if _exists(word, program) else f". {NOTHING}"
    return f". {NOTHING}"


def _exists(word: str, program: Composed) -> bool:
    key = word.partition("=")[0]
    return key in program.values or key in _typed(program) or key.startswith("hydra.")


def _ending(key: str, program: Composed) -> list[tuple[str, str]]:
    """Keys whose last word is that of one, and the choice that they come with, empty if it holds already.

    At most three: those that share most words with it, and of these the ones that are there, the shortest first.
    """
    words = set(key.split("."))
    leaf = key.rpartition(".")[2]
    known: list[tuple[str, str]] = [*((name, "") for name in program.values), *_elsewhere(leaf, program)]
    found = [item for item in known if item[0].rpartition(".")[2] == leaf and not item[0].startswith("recipes.")]
    most = max((len(words & set(name.split("."))) for name, _ in found), default=0)
    best = [item for item in found if len(words & set(item[0].split("."))) == most]
    here = [item for item in best if not item[1]]
    return sorted(here, key=lambda item: item[0].count("."))[:3] or best[:1]


def _elsewhere(leaf: str, program: Composed) -> Iterator[tuple[str, str]]:
    """The keys that another choice of a group would bring, and that choice; of groups that are in use first."""
    for typed, names in sorted(_typed(program).items(), key=lambda item: program.choices.get(item[0]) is None):
        group, _, package = typed.lstrip("+").partition("@")
        for name in names:
            path = program.path(f"{group}/{name}")
            text = path.read_text(encoding="utf-8")
            if re.search(rf"^ *{re.escape(leaf)}: *[^ #]", text, re.MULTILINE):
                own, _ = read_header(text.splitlines())
                base = package or (group if own is None else own.replace("_global_", ""))
                yield from ((joined(base, key), f"{typed}={name}") for key in read_notes(path).names)
