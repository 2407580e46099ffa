"""Reading what a run left in its folder, and grouping the runs of a sweep."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invariantnets.errors import InvariantNetsError
from invariantnets.results.result import Result, check_own, read_jsonl
from invariantnets.results.select import LABEL, at_layer

# What a job writes before it has results; where only these are found, the job did not finish.
_TRACES = (".hydra", "checkpoints", "provenance.json")
# Overrides that say where or how to run, or which repetition it is, not what.
_NOT_THE_EXPERIMENT = ("seed", "hydra", "paths", "logger", "model", "data", "backbone.name")
# What of a configuration made the network.
_TRAINING = ("choices", "method", "views", "pairs", "model", "data", "trainer", "recipes")

# What of the provenance is read as more than text.
_KINDS = {"units": dict, "config": dict, "versions": dict, "data_checksum": dict, "overrides": list, "remarks": list}


@dataclass(frozen=True)
class Run:
    """What one run left.

    Attributes:
        folder: where.
        results: those of ``results.jsonl`` that are of what was evaluated.
        provenance: ``provenance.json``.
        figures: ``figures/figures.json``, empty if there is none.
        beside: the results of what is set beside it.
    """

    folder: Path
    results: list[Result]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    figures: list[dict[str, str]] = field(default_factory=list)
    beside: list[Result] = field(default_factory=list)

    @property
    def layer(self) -> str:
        """The layer the report speaks of: the one the figures were drawn for, else the last that was probed."""
        drawn = [f["layer"] for f in self.figures if "layer" in f]
        return drawn[0] if drawn else [r for r in self.results if r.target != LABEL or r.probe != "softmax"][-1].layer

    @property
    def here(self) -> list[Result]:
        """The results of that layer."""
        return at_layer(self.results, self.layer)

    @property
    def units(self) -> Mapping[str, str]:
        """Nuisance → unit, where the provenance tells."""
        return self.provenance.get("units") or {}

    @property
    def seeds(self) -> tuple[Any, Any]:
        """Of the reading, and of the training, where the configuration tells."""
        return self.provenance.get("seed"), self.setting("seed")

    def setting(self, *keys: str) -> Any:
        """The value of a key of its configuration, e.g. ``setting("data", "by")``; None where it has no such key."""
        node = self.provenance.get("config")
        for key in keys:
            node = node.get(key) if isinstance(node, Mapping) else None
        return node


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone.

    Attributes:
        name: short, unlike that of any other.
        model: the network.
        data: what it was looked at on.
        runs: of it.
        release: what was done to its features, where that is what groups differ in and none has a method.
    """

    name: str
    model: str
    data: str
    runs: list[Run]
    release: str = ""

    @property
    def method(self) -> str:
        """What it is compared by: its configuration's ``method``, else its release; empty if it has neither.

        A network of some method that was released afterwards is named by both.
        """
        own, words = self.setting("method"), _release(_overrides(self.runs[0]))
        return f"{own}, released: {words}" if own and words not in ("", "none", "null") else str(own or self.release)

    @property
    def network(self) -> str:
        """The network and the data it was looked at on."""
        return f"{self.model} on {self.data}"

    def setting(self, *keys: str) -> Any:
        """`Run.setting` of its first run."""
        return self.runs[0].setting(*keys)


@dataclass(frozen=True)
class Sweep:
    """All runs below a folder.

    Attributes:
        groups: those that can be read, in order of their folders.
        missing: folder (relative) → why its run is not among them.
    """

    groups: list[Group]
    missing: dict[str, str]


def read_run(folder: Path) -> Run:
    """What ``evaluate.py`` left in a folder.

    Raises:
        InvariantNetsError: results, provenance or the list of figures are missing or unreadable.
    """
    every = read_jsonl(folder / "results.jsonl")
    results = [r for r in every if not r.subject]
    if not any(r.probe != "softmax" for r in results):
        raise InvariantNetsError(f"{folder / 'results.jsonl'}: holds no probe's result; run evaluate.py again")
    if not all(isinstance(r.value, int | float) for r in every):
        raise InvariantNetsError(f"{folder / 'results.jsonl'}: a value is not a number; run evaluate.py again")
    provenance = read_json(folder / "provenance.json", dict)
    for key, kind in _KINDS.items():
        if not isinstance(provenance.get(key) or kind(), kind):
            raise InvariantNetsError(
                f"{folder / 'provenance.json'}: {key} is no {kind.__name__}; run evaluate.py again"
            )
    listed = folder / "figures" / "figures.json"
    figures = read_json(listed, list) if listed.exists() else []
    if not all(isinstance(figure, dict) for figure in figures):
        raise InvariantNetsError(f"{listed}: a figure is no dict; run evaluate.py again")
    return Run(folder, results, provenance, figures, [r for r in every if r.subject])


def read_sweep(folder: Path, started: Collection[Path] | None = None) -> Sweep:
    """Every run below a folder, grouped by all but the seed.

    A run that cannot be read, or that repeats a seed of its group, loses itself only: it is listed as missing.

    Args:
        folder: of the sweep.
        started: folders of the jobs that count; what else lies there is listed as missing. None: all count.

    Raises:
        InvariantNetsError: no run is there.
    """
    read: list[Run] = []
    found: dict[tuple[str, ...], list[Run]] = {}
    missing: dict[str, str] = {}
    for path in sorted(folder.glob("**/results.jsonl"), key=lambda p: _natural(p.relative_to(folder))):
        if started is not None and not any(job in path.parents for job in started):
            missing[_relative(path.parent, folder)] = "lay in the folder before, and is none of this sweep"
            continue
        try:
            read.append(read_run(path.parent))
        except InvariantNetsError as error:
            missing[_relative(path.parent, folder)] = str(error)
    networks = _networks(read)
    for run in read:
        same = found.setdefault(_key(run, networks), [])
        if any(r.seeds == run.seeds for r in same):
            why = f"repeats seed {run.provenance.get('seed')} of its group; not counted"
            missing[_relative(run.folder, folder)] = why
        else:
            same.append(run)
    missing |= _unfinished(folder)
    if not found and not missing:
        raise InvariantNetsError(f"{folder}: no run below; give the folder of a multirun")
    names, releases = _names(list(found)), _releases(list(found))
    together = zip(names, releases, found.items(), strict=True)
    return Sweep([Group(name, key[0], key[1], runs, release) for name, release, (key, runs) in together], missing)


def read_json(path: Path, kind: type) -> Any:
    """What a run left as JSON.

    Raises:
        InvariantNetsError: unreadable, or of another kind.
    """
    try:
        check_own(path)
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvariantNetsError(f"{path}: cannot be read ({error}); run evaluate.py again") from None
    if not isinstance(content, kind):
        raise InvariantNetsError(f"{path}: holds no {kind.__name__}; run evaluate.py again")
    return content


def _unfinished(folder: Path) -> dict[str, str]:
    """Job folders without results; what lies inside a job (a teacher's, say) is not a job of its own."""
    jobs = {p.parent for trace in _TRACES for p in folder.glob(f"**/{trace}")} - {folder}
    jobs -= {p.parent for p in folder.glob("**/training.lock")}  # a network that jobs share, to start from
    inside = {p.parent for p in folder.glob("**/results.jsonl")}
    return {
        _relative(job, folder): "no results.jsonl: the job failed or was not evaluated"
        for job in sorted(jobs, key=lambda p: _natural(p.relative_to(folder)))
        if not (jobs | inside) & set(job.parents) and not any(job == i or job in i.parents for i in inside)
    }


def _networks(runs: Sequence[Run]) -> dict[str, str]:
    """Override that names a checkpoint → the first that names one trained as this was, but for the seed."""
    alike: dict[tuple[str, str], dict[Any, str]] = {}
    found: dict[str, str] = {}
    for run in runs:
        for override in (o for o in _overrides(run) if _root(o) == "ckpt_path" and o not in found):
            file = override.rpartition("/")[2]  # the best is no seed of the last
            seeds = alike.setdefault((_training(run) or override, file), {})
            of_seed = seeds.setdefault(run.setting("seed"), override)
            found[override] = next(iter(seeds.values())) if of_seed == override else override
    return found


def _training(run: Run) -> str:
    """What made a network, but for its seed and its folders; empty where the provenance does not tell."""
    parts = {part: run.setting(part) for part in _TRAINING}
    if not parts["model"]:
        return ""
    text = json.dumps(_seedless(parts), sort_keys=True, default=str)
    # What a recipe trained first lies in the run's folder or in its own, and is told by the recipe.
    folders = [run.setting("trainer", "default_root_dir"), *_folders(parts["recipes"])]
    for folder in sorted((str(f) for f in folders if f), key=len, reverse=True):
        text = text.replace(json.dumps(folder)[1:-1], "")
    return text


def _folders(recipes: Any) -> Iterator[Any]:
    for recipe in recipes.values() if isinstance(recipes, Mapping) else ():
        if isinstance(recipe, Mapping):
            yield recipe.get("folder")
            yield from _folders(recipe.get("recipes"))


def _seedless(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _seedless(value) for key, value in node.items() if key != "seed"}
    return [_seedless(value) for value in node] if isinstance(node, list) else node


def _overrides(run: Run) -> list[str]:
    """Without the word that a killed sweep goes on: a job that had not begun is no other than those before it."""
    # Hydra writes a blank within a value behind a backslash.
    words = [str(o).replace("\\ ", " ") for o in run.provenance.get("overrides") or []]
    return [word for word in words if word != "ckpt_path=last"]


def _key(run: Run, networks: Mapping[str, str]) -> tuple[str, ...]:
    """Model, data, name of the method if it has one, and every override that tells one experiment from another."""
    provenance = run.provenance
    telling = sorted(networks.get(o, o) for o in _overrides(run) if _root(o) not in _NOT_THE_EXPERIMENT)
    head = (str(provenance.get("model", "?")), str(provenance.get("data", "?")), str(run.setting("method") or ""))
    return (*head, *telling)


def _root(override: str) -> str:
    """The key of an override; its first part where that alone decides (``hydra.…``, ``paths.…``)."""
    key = override.lstrip("+~").split("=")[0].split("@")[0]
    first = key.split(".")[0].split("/")[0]
    return first if first in ("hydra", "paths", "logger") else key


def _releases(keys: list[tuple[str, ...]]) -> list[str]:
    """What each was released by (``inlp rounds=5``), where groups of one network differ in that and their data alone.

    ``release=none`` is a release as well. Empty texts else, and where a group has a method.
    """
    found = [_release(key[3:]) for key in keys]
    alone = {(key[1], release) for key, release in zip(keys, found, strict=True)}
    one = len({key[0] for key in keys}) == 1 and not any(key[2] for key in keys)
    sound = one and all(found) and len(alone) == len(keys) and len(set(found)) > 1
    return found if sound else [""] * len(keys)


def _release(overrides: Sequence[str]) -> str:
    words = [_short(o) for o in overrides if o.lstrip("+~").split("=")[0].split(".")[0] == "release"]
    first = [w.removeprefix("release=").replace("_", " ") for w in words if w.startswith("release=")]
    return " ".join([*first, *(w for w in words if not w.startswith("release="))])


def _names(keys: list[tuple[str, ...]]) -> list[str]:
    """Short names: the method or release, or what differs with of an override's key the last part.

    Longer where two would be alike.
    """
    several_data = len({k[1] for k in keys}) > 1
    releases = dict(zip(keys, _releases(keys), strict=True))
    shared = set.intersection(*(set(k[3:]) for k in keys)) if keys else set()

    def name(key: tuple[str, ...], method: bool, short: bool) -> str:
        model, data, called, *overrides = key
        called = called or releases[key]
        overrides = [] if method and called else [o for o in overrides if o not in shared]
        if short:
            overrides = [_short(o) for o in overrides]
        head = called or model
        return " ".join([f"{head} on {data}" if several_data else head, *overrides])

    for length in ((True, True), (False, True), (False, False)):
        names = [name(k, *length) for k in keys]
        if len(set(names)) == len(keys):
            break
    return names


def _short(override: str) -> str:
    """Of an override's key the last part; of a checkpoint, ``<run>/checkpoints/best.ckpt``, the name of its run."""
    key, _, value = override.partition("=")
    if key == "ckpt_path" and (run := Path(value.strip("'\"")).parent.parent.name):
        return run
    return key.split(".")[-1] + override[len(key) :]


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Job 10 after job 9."""
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in path.parts]
