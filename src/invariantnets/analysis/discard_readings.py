"""How well a line reads the nuisances of the rows that are left where those of low quality are discarded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.analysis.people import has_known
from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import unprobable
from invariantnets.probes.linear_readings import read_blind
from invariantnets.probes.suite import known_together, probable
from invariantnets.probes.task import prepare, too_few
from invariantnets.results.result import Result
from invariantnets.statistics.discards import SHOWN, stairs, step_at
from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import Resampling

__all__ = ["read_where_left"]

STEPS = 1000  # of a curve, at most, that are kept for the figure
CURVES = 4  # nuisances whose curves are kept: those that are read best out of fold
_NOTE = (
    "R²: ridge regression, as fitted to all known rows, against their mean, on the test rows that are left; intervals "
    "of it: over {over}. What has less range among the rows left has a lower R² without being read less sharply: "
    "compare RMSE"
)


@dataclass(frozen=True)
class _Errors:
    """Of one nuisance, on the test rows of known quality."""

    name: str
    number: bool
    validation: float
    quality: np.ndarray
    squares: np.ndarray  # (N, 2): of the line, and of the mean
    group: np.ndarray
    n_fit: int
    over: str


def read_where_left(
    material: Material, quality: np.ndarray, column: str, title: str, missing: list[str]
) -> tuple[list[Result], dict[str, np.ndarray]]:
    """R² and RMSE of every nuisance that a line reads out of fold, at some shares discarded; and curves of R².

    Args:
        material: what is measured.
        quality: ``(N,)`` of every row of the table, higher is better, NaN where it is not known.
        column: the nuisance that is the quality itself, which has no such curve.
        title: of the table.
        missing: is told what cannot be measured, and why.
    """
    results: list[Result] = []
    found: list[_Errors] = []
    try:
        for errors in _errors(material, quality, column, title, missing):
            found.append(errors)
            results += _at_shares(material, errors, title)
    except InvariantNetsError as error:  # the comparisons need no reader
        missing.append(f"no R²: {error}")
    best = sorted(found, key=lambda e: -e.validation)[:CURVES]
    arrays: dict[str, np.ndarray] = {"nuisances": np.array([e.name for e in best], str)}
    for i, errors in enumerate(best):
        _, discarded, left = stairs(errors.quality, errors.squares)
        kept = np.unique(np.linspace(0, len(discarded) - 1, STEPS).astype(int))
        arrays[f"discarded_{i}"] = discarded[kept]
        arrays[f"r2_{i}"] = 1 - left[kept, 0] / np.where(left[kept, 1] > 0, left[kept, 1], np.nan)
    return results, arrays


def _errors(material: Material, quality: np.ndarray, column: str, title: str, missing: list[str]) -> Iterator[_Errors]:
    table, layer = material.table, material.layer
    nuisances = tuple(n for n in table.nuisances if n.name != column)
    if not nuisances:
        return
    if not has_known(table):
        missing.append("no R²: there are no train and val rows to fit a line to")
        return
    place = "row of the table"  # a column, so that it goes where its row goes
    columns = {**table.nuisance, place: np.arange(len(table), dtype=np.float64)}
    table = replace(table, nuisances=nuisances, nuisance=columns)
    closed, cannot = probable(table, layer), unprobable(table)
    blank = []
    for part, _ in known_together(table, tuple(cannot)):
        if not part.nuisances:
            continue
        material.progress(f"{title}: {', '.join(n.name for n in part.nuisances[:3])}")
        if why := too_few(part, closed):
            missing.append(f"{part.nuisances[0].name}: where it is known, {why}")
            continue
        task = prepare(part, layer, material.seed, closed)
        if not task.moments().live.any():
            raise InvariantNetsError(f"all features of layer {layer!r} are constant on train and val")
        lines, test = read_blind(task), task.parts["test"]
        of_row = quality[test.nuisance[place].astype(np.int64)]
        rows = np.isfinite(of_row)
        for target in task.targets:
            validation = task.validation_r2(lines.held_out[:, target.true], target)
            if validation <= 0 or rows.sum() < 2:
                blank.append(target.nuisance.name)
                continue
            true = task.y["test"][rows][:, target.true]
            off = [true - lines.test[rows][:, target.true], true - task.mean(target.true)]
            squares = np.stack([(e**2).sum(1) for e in off], 1)
            group = (test.source if closed else test.label)[rows]
            over = "images" if closed else "people"
            of = target.nuisance
            known = len(task.x["known"])
            yield _Errors(of.name, of.kind == "continuous", validation, of_row[rows], squares, group, known, over)
    if blank:
        missing.append(f"out of fold a line reads nothing of {', '.join(blank)}: no R²")


def _at_shares(material: Material, errors: _Errors, title: str) -> Iterator[Result]:
    cuts, discarded, _ = stairs(errors.quality, np.ones((len(errors.quality), 1)))
    inside = (errors.quality[:, None] >= cuts[[step_at(discarded, share) for share in SHOWN]]).astype(np.float64)
    count = len(SHOWN)

    def numbers(sums: np.ndarray) -> np.ndarray:
        line, mean, rows = (sums[:, i * count : (i + 1) * count] for i in range(3))
        return np.concatenate([1 - line / mean, np.sqrt(line / rows)], 1)

    kinds = [Number(scale, (2 * count + i,)) for scale in ("below_one", "positive") for i in range(count)]
    sums = np.concatenate([inside * errors.squares[:, :1], inside * errors.squares[:, 1:], inside], 1)
    found = np.stack(Resampling(errors.group).interval(sums, numbers, kinds))
    for i, share in enumerate(SHOWN):
        (r2, low, high), (rmse, least, most) = found[:, i].tolist(), found[:, count + i].tolist()
        left = inside[:, i] > 0
        fields = {
            "target": errors.name,
            "probe": "discard",
            "where": {"discarded": f"{100 * share:g} %"},
            "n": int(left.sum()),
            "sources": len(np.unique(errors.group[left])),
            "n_fit": errors.n_fit,
            "validation": errors.validation,
            "title": f"{title}: how well nuisances are read",
            "note": _NOTE.format(over=errors.over),
        }
        yield measured(material, "r2", r2, low=low, high=high, chance=0.0, **fields)
        if errors.number:
            mean = float(np.sqrt(errors.squares[left, 1].mean()))
            yield measured(material, "rmse", rmse, low=least, high=most, chance=mean, **fields)
