"""Numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from invariantnets.probes.result import Result
from invariantnets.visualize.plots import Runs
from invariantnets.visualize.select import Spread, failed, probe_name, select

NONE = "–"
METRICS = {
    "accuracy": "accuracy",
    "r2": "R²",
    "rmse": "RMSE",
    "mae": "MAE",
    "effective_rank": "effective rank",
    "ideal_rank": "ideal rank",
    "variance_in_ideal_rank": "variance in the ideal rank",
    "sparsity": "sparsity (zeros)",
    "dead_fraction": "dead features",
    "within_between": "scatter within / between classes",
    "auc": "area under the ROC",
    "eer": "equal error rate",
    "rank1": "rank 1",
    "rank10": "rank 10",
    "dir_far1": "DIR at 1 % FAR",
    "dir_far0.1": "DIR at 0.1 % FAR",
    "tar_far0.1": "TAR at 0.1 % FAR",
    "dir_far1_mean_minus_sd": "DIR at 1 % FAR, mean − s.d.",
    "tar_far0.1_mean_minus_sd": "TAR at 0.1 % FAR, mean − s.d.",
    "mean_norm": "mean length",
    "accuracy_drop": "accuracy lost",
    "rank1_drop": "rank 1 lost",
}
_PER_CENT = (
    *("accuracy", "variance_in_ideal_rank", "sparsity", "dead_fraction"),
    *("eer", "rank1", "rank10", "dir_far1", "dir_far0.1", "tar_far0.1"),
    *("dir_far1_mean_minus_sd", "tar_far0.1_mean_minus_sd", "accuracy_drop", "rank1_drop"),
)
_IN_UNIT = ("rmse", "mae")


def metric_name(metric: str) -> str:
    """A metric's name for people."""
    return METRICS.get(metric, metric.replace("_", " "))


def number(value: float | None, metric: str, unit: str = "", bare: bool = False, places: int | None = None) -> str:
    """A value in the unit of its metric, with a true minus; ``–`` for none.

    Args:
        value: as in `Result.value`.
        metric: e.g. ``accuracy``, shown in per cent.
        unit: of the nuisance, for metrics measured in it.
        bare: leave the unit away.
        places: decimals, if others than the metric's usual ones.
    """
    if value is None or not math.isfinite(value):
        return NONE
    if metric in _PER_CENT:
        text, suffix = f"{100 * value:.{1 if places is None else places}f}", " %"
    elif metric in _IN_UNIT:
        text, suffix = f"{value:.{1 if places is None else places}f}", f" {unit}" if unit not in ("", "°") else unit
    elif metric in METRICS and metric != "r2":
        text, suffix = f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}", ""
    else:
        text, suffix = f"{value:.{2 if places is None else places}f}", ""
    if text.startswith("-"):
        text = "−" + text[1:] if float(text.replace(",", "")) else text[1:]
    return text if bare else text + suffix


def interval(low: float | None, high: float | None, metric: str, places: int | None = None) -> str:
    """``[0.92, 0.94]``, or ``–`` where no interval is defined."""
    if low is None or high is None:
        return NONE
    bounds = (number(v, metric, bare=True, places=places) for v in (low, high))
    return f"[{', '.join(bounds)}]"


def summary(spread: Spread | None, metric: str, unit: str = "", places: int | None = None) -> str:
    """A group's cell: mean ± s.d. over seeds, or one run's value with its interval; failures are named."""
    if spread is None:
        return NONE
    total = spread.runs + spread.failed
    if not spread.runs:
        return f"failed ({spread.failed} of {total})"
    text = number(spread.mean, metric, unit, places=places)
    if spread.deviation is not None:
        bare = number(spread.mean, metric, bare=True, places=places)
        text = f"{bare} ± {number(spread.deviation, metric, bare=True, places=places)}{text.removeprefix(bare)}"
    elif spread.low is not None:
        text += f" {interval(spread.low, spread.high, metric, places)}"
    return text + (f" ({spread.failed} of {total} failed)" if spread.failed else "")


def chance(runs: Runs, metric: str, target: str, probe: str, unit: str = "") -> str:
    """What guessing gives of one measurement: one value, or the lowest and the highest of several."""
    values = [r.chance for results in runs for r in select(results, metric, target, probe) if r.chance is not None]
    texts = list(dict.fromkeys(number(v, metric, unit) for v in sorted(values)))
    return " to ".join(texts[:1] + texts[1:][-1:]) or NONE


def count(value: int | None) -> str:
    """A number of rows with its thousands apart."""
    return NONE if value is None else f"{value:,}"


def span(counts: Sequence[int]) -> str:
    """One number, or the least and the most of several; ``–`` for none."""
    if not counts:
        return NONE
    return count(min(counts)) if min(counts) == max(counts) else f"{count(min(counts))} to {count(max(counts))}"


def result_row(r: Result, units: Mapping[str, str]) -> dict[str, object]:
    """A `Result` as a row of a table: everything a reader needs to judge it."""
    unit = units.get(r.target, "")
    described = r.probe == "description"  # a property of the features: its name says all
    return {
        "layer": r.layer,
        "probe": metric_name(r.metric) if described else probe_name(r.probe),
        "metric": "" if described else metric_name(r.metric),
        "value": number(r.value, r.metric, unit),
        "interval": interval(r.low, r.high, r.metric),
        "chance": number(r.chance, r.metric, unit),
        "control": number(r.control, r.metric, unit),
        "n": count(r.n),
        "sources": count(r.sources),
        "n_fit": count(r.n_fit),
        "split": r.split,
        "seed": r.seed,
        "failed": failed(r),
        "uses_answer": r.uses_answer,
        "note": r.note,
    }
