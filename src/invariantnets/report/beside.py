"""What a network reads beside what its random weights, the pixels and the mean predictor read."""

from __future__ import annotations

from collections.abc import Sequence

from invariantnets.report.readers import more_on_test
from invariantnets.report.sections import Section
from invariantnets.report.tables import Row, Table
from invariantnets.results.format import and_, bounded, fitted, written
from invariantnets.results.result import Result
from invariantnets.results.runs import Run
from invariantnets.results.select import FEW_NUISANCES, LABEL, failed, nuisances, select
from invariantnets.results.words import NONE, metric_name

PIXELS = "pixels"
# Of the probe that is strongest; of many nuisances the first two alone.
_METRICS = ("r2", "auc", "balanced_accuracy", "rmse", "mae")


def beside_sections(run: Run) -> list[Section]:
    """One table, nuisance by layer, where something is set beside the network; else none."""
    if not run.beside:
        return []
    subjects = list(dict.fromkeys(r.subject for r in run.beside))
    parts, targets = {}, nuisances(run.results)
    for target in targets:
        for metric in _METRICS if len(targets) <= FEW_NUISANCES else _METRICS[:2]:
            rows = [_row(run, layer, metric, target, subjects) for layer in _layers(run)]
            if found := [row for row in rows if any(cell != NONE for cell in row.cells[:1])]:
                unit = run.units.get(target, "") if metric in ("rmse", "mae") else ""
                parts[f"{target}: {metric_name(metric)}{f' in {unit}' if unit else ''}"] = found
    rows = [_row(run, layer, "accuracy", LABEL, subjects) for layer in _layers(run)]
    if found := [row for row in rows if row.cells[0] != NONE]:
        parts["class: accuracy by MAV"] = found
    if not parts:
        return []
    table = Table(
        "What the network reads beside what needs no training",
        ("layer", "this network", *subjects, "chance"),
        parts,
        "; ".join(_small_print(run, subjects)),
        stacked=True,
    )
    lead = "A number says little alone: what random weights or the pixels read as well was not learned."
    return [Section(f"Beside {' and '.join(subjects)}", lead, [table], [])]


def _layers(run: Run) -> list[str]:
    return list(dict.fromkeys(r.layer for r in run.results if r.probe != "softmax"))


def _row(run: Run, layer: str, metric: str, target: str, subjects: Sequence[str]) -> Row:
    columns = [[r for r in run.results if r.layer == layer]]
    for name in subjects:
        columns.append([r for r in run.beside if r.subject == name and (name == PIXELS or r.layer == layer)])
    found = [_read(results, metric, target) for results in columns]
    unit = run.units.get(target, "") if metric in ("rmse", "mae") else ""
    guess = next((written(r, unit).chance for r in found if r is not None and r.chance is not None), NONE)
    cells = [_cell(r, unit) + _more(of, r) for r, of in zip(found, columns, strict=True)]
    return Row(layer, (*cells, guess))


def _read(results: Sequence[Result], metric: str, target: str) -> Result | None:
    """What the strongest honest probe says of a nuisance at one layer, or MAV of the class."""
    if target == LABEL:
        return next(iter(select(results, metric, LABEL, "mav")), None)
    strongest = next(iter(select(results, "r2", target, "strongest")), None)
    if strongest is None or metric == "r2":
        return strongest
    probe = str(strongest.chosen.get("probe", "strongest"))
    return next(iter(select(results, metric, target, probe)), None)


def _cell(r: Result | None, unit: str) -> str:
    if r is None:
        return NONE
    if failed(r):
        return "failed"
    return bounded(r, unit)


def _more(results: Sequence[Result], r: Result | None) -> str:
    """Who reads more on test than the one that was chosen, by the metric of a cell."""
    more = more_on_test(results, r.target) if r is not None else {}
    names = [name for name, found in more.items() if any(other.metric == r.metric for other in found)] if r else []
    return f" (more by {and_(names)})" if names else ""


def _small_print(run: Run, subjects: Sequence[str]) -> list[str]:
    own = [r for r in (*run.results, *run.beside) if r.probe == "strongest" and not r.where]
    said = [f"test rows; the strongest honest probe of each, chosen out of fold{fitted(own)}; 95 % intervals"]
    said.append("an R² below 0 is that of a reader that does not carry over to the test rows, and no forgetting")
    said.append("chance is that of the mean of the rows of train and val, whatever the picture")
    if "random weights" in subjects:
        said.append("random weights are one draw")
    return [*said, *map(str, run.provenance.get("beside") or [])]
