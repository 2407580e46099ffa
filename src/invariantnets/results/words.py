"""What metrics and probes are called, and how their numbers are written: the one place that knows."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

__all__ = ["METRICS", "NONE", "PROBES", "Metric", "interval", "metric_name", "number", "places_for", "probe_name"]

NONE = "–"


class Metric(NamedTuple):
    """How a metric is written.

    Attributes:
        name: for people.
        form: ``percent`` (a fraction shown in per cent), ``unit`` (in that of the nuisance), ``fraction``, or ``plain``
            (three significant digits).
        places: decimals at least, but for ``plain``.
    """

    name: str
    form: Literal["percent", "unit", "fraction", "plain"] = "plain"
    places: int = 2


# In the order in which tables show them.
METRICS = {
    "r2": Metric("R²", "fraction"),
    "r2_at_most": Metric("R², at most", "fraction", 3),
    "r2_at_most_adjusted": Metric("R², at most, adjusted", "fraction", 3),
    "r2_over_seeds": Metric("s.d. of R² over probe seeds", "fraction"),
    "r2_heading": Metric("R² it is heading for, with ten times the rows", "fraction"),
    "rmse": Metric("RMSE", "unit", 1),
    "mae": Metric("MAE", "unit", 1),
    "mae_over_draws": Metric("s.d. of MAE over draws", "unit", 1),
    "auc": Metric("AUC", "fraction"),
    "accuracy": Metric("accuracy", "percent", 1),
    "accuracy_at_most": Metric("accuracy, at most", "percent", 1),
    "accuracy_over_draws": Metric("s.d. of accuracy over draws", "percent", 1),
    "balanced_accuracy": Metric("balanced accuracy", "percent", 1),
    "false_negative_rate": Metric("false negatives", "percent", 1),
    "false_positive_rate": Metric("false positives", "percent", 1),
    "threshold": Metric("threshold", "fraction", 4),
    "false_match_rate": Metric("FMR", "percent", 2),
    "false_non_match_rate": Metric("FNMR", "percent", 1),
    "inequality": Metric("inequality", "fraction", 3),
    "p_value": Metric("p"),
    "v_information": Metric("V-information (bits per row)", "fraction"),
    "conditional_v_information": Metric("V-information beyond the class (bits per row)", "fraction"),
    "description_length": Metric("description length (bits per row)", "fraction"),
    "effective_rank": Metric("effective rank"),
    "ideal_rank": Metric("ideal rank"),
    "variance_in_ideal_rank": Metric("variance in the ideal rank", "percent", 1),
    "neurons": Metric("neurons"),
    "r2_by_luck": Metric("largest R² by luck", "fraction", 3),
    "neuron_number": Metric("number of the neuron"),
    "neuron_share": Metric("share of neurons", "percent", 1),
    "readable_share": Metric("share of what all tell", "percent", 0),
    "sparsity": Metric("sparsity (zeros)", "percent", 1),
    "dead_fraction": Metric("dead features", "percent", 1),
    "fires_for": Metric("fires for", "percent", 1),
    "top_share": Metric("in its top pictures", "percent", 1),
    "projection_cosine": Metric("cosine of its projections", "fraction"),
    "similarity": Metric("similarity S", "fraction", 3),
    "similarity_most": Metric("largest S", "fraction", 3),
    "activation_reached": Metric("activation reached, of the best real", "fraction"),
    "activation_begun": Metric("begun from", "fraction"),
    "roughness": Metric("roughness, of real pictures", "fraction"),
    "within_between": Metric("scatter within / between classes"),
    "eer": Metric("equal error rate", "percent", 1),
    "rank1": Metric("rank 1", "percent", 1),
    "rank10": Metric("rank 10", "percent", 1),
    "dir_far1": Metric("DIR at 1 % FAR", "percent", 1),
    "dir_far0.1": Metric("DIR at 0.1 % FAR", "percent", 1),
    "tar_far0.1": Metric("TAR at 0.1 % FAR", "percent", 1),
    "dir_far1_mean_minus_sd": Metric("DIR at 1 % FAR, mean − s.d.", "percent", 1),
    "tar_far0.1_mean_minus_sd": Metric("TAR at 0.1 % FAR, mean − s.d.", "percent", 1),
    "mean_norm": Metric("mean length"),
    "fnmr": Metric("false non-match rate", "percent", 2),
    "fnmr_saved": Metric("false non-matches saved", "percent", 2),
    "fmr_added": Metric("FMR added", "percent", 2),
    "discard_area": Metric("area under the curve", "percent", 3),
    "discard_area_perfect": Metric("area of perfect discarding", "percent", 3),
    "discard_area_beyond": Metric("area beyond the perfect", "percent", 3),
    "discard_area_relative": Metric("area beyond, of that of random order", "fraction"),
    "spearman": Metric("Spearman's correlation", "fraction"),
    "pearson": Metric("Pearson's correlation", "fraction"),
    "accuracy_drop": Metric("accuracy lost", "percent", 1),
    "rank1_drop": Metric("rank 1 lost", "percent", 1),
    "accuracy_gain": Metric("accuracy gained by filling", "percent", 1),
    "rank1_gain": Metric("rank 1 gained by filling", "percent", 1),
    "activation_rate": Metric("fires on", "percent", 1),
    "part_weight": Metric("weight of a part", "fraction", 3),
    "sign_disagreement": Metric("Δ: signs that differ", "fraction", 3),
    "sign_disagreement_below_random": Metric("Δ below random places", "fraction", 3),
    "sign_disagreement_below_one_place": Metric("Δ below one place", "fraction", 3),
    "sign_opposition": Metric("opposite where both change", "fraction", 3),
    "sign_opposition_below_random": Metric("opposite, below random places", "fraction", 3),
    "sign_opposition_below_one_place": Metric("opposite, below one place", "fraction", 3),
    "unchanged": Metric("unchanged (sign 0)", "percent", 1),
    "features_that_differ": Metric("features that differ", "percent", 2),
    "variance_share": Metric("share of the variance", "percent", 2),
    "sd_over_classes": Metric("s.d. over classes", "fraction", 3),
    "relative_distance": Metric("relative distance", "fraction"),
    "normalised_variance": Metric("normalised variance", "fraction"),
    "normalised_variance_alive": Metric("of neurons that change", "fraction"),
    "invariance_error": Metric("change", "percent", 1),
    "equivariance_error": Metric("change not by moving", "percent", 1),
    "distance_between": Metric("cosine distance between", "fraction", 3),
    "distance_within": Metric("within the same", "fraction", 3),
    "unchanging": Metric("unchanging", "percent", 1),
    "sd_over_draws": Metric("s.d. over draws", "fraction", 3),
}
# Decimals beyond those of the metric: what a very short interval may add.
_MORE_PLACES = 4

PROBES = {
    "softmax": "softmax",
    "mav": "MAV",
    "class_mean": "class-only floor, true class",
    "class_mean/mav": "class-only floor, class by MAV",
    "ridge": "linear, label-blind",
    "ridge/per_label": "linear per true label",
    "ridge/per_mav_label": "linear per MAV label",
    "quadratic": "ridge on squares and products",
    "rbf": "kernel ridge, RBF",
    "trees": "boosted trees",
    "knn": "kNN",
    "lookup": "table of codes",
    "mlp": "MLP",
    "stack": "stack of all honest readers",
    "strongest": "strongest honest probe",
    "any": "any reader at all",
    "any/label": "any reader, told the class",
    "verification": "verification",
    "closed_set": "closed-set identification",
    "open_set": "open-set identification",
    "blufr_verification": "BLUFR verification",
    "blufr_open_set": "BLUFR open-set identification",
    "binarised": "binarised features",
    "inner_product": "normalised inner product",
    "chi2": "weighted χ²",
    "l1": "weighted L1",
    "kernel": "χ² kernel, SVM",
    "norm": "length of the features",
    "entropy": "prediction entropy",
    "retrieval_rank": "retrieval rank",
}
_PROTOCOLS = ("verification", "closed_set", "open_set", "blufr_verification", "blufr_open_set", "binarised")


def metric_name(metric: str) -> str:
    """A metric's name for people."""
    return METRICS[metric].name if metric in METRICS else metric.replace("_", " ")


def probe_name(probe: str, title: str = "") -> str:
    """A probe's name for people, e.g. ``mav/known_angle`` → ``MAV per angle, angle known``.

    Args:
        probe: as in `Result.probe`.
        title: how it calls itself (`Result.title`); empty for those that are called here.
    """
    if title:
        return title
    head, _, tail = probe.partition("/")
    if head == "mav" and tail.startswith("known_"):
        nuisance = tail.removeprefix("known_")
        return f"MAV per {nuisance}, {nuisance} known"
    if head == "mav" and tail.startswith("estimated_"):
        nuisance = tail.removeprefix("estimated_").removesuffix("_true_label")
        return f"MAV per {nuisance}, estimated" + (" by true label" if tail.endswith("_true_label") else "")
    if head in _PROTOCOLS and tail:
        similarity, comma, how = tail.partition(", ")
        return f"{PROBES[head]}, {PROBES.get(similarity, similarity)}{comma}{how}"
    return PROBES.get(probe, probe)


def _metric(metric: str) -> Metric:
    return METRICS.get(metric, Metric(metric, "fraction"))


def places_for(metric: str, half: float | None, size: float = 1.0) -> int | None:
    """Decimals that a number carries: to the first digit of the half-width of its interval, or of its s.d.

    Args:
        metric: whose own decimals are the least, and which says whether per cent are shown.
        half: half the width, as in `Result.value`; None or 0 where it is not known.
        size: of the number itself: an error of unknown interval carries two digits.

    Returns:
        None for three significant digits: a ``plain`` number of unknown interval.
    """
    _, form, least = _metric(metric)
    # An interval of no width, but for rounding, tells nothing of the decimals.
    known = half is not None and math.isfinite(half) and half > 1e-9 * abs(size)
    if form == "plain" and not known:
        return None
    reach = half if known else size / 10 if form == "unit" else 0.0
    if not reach or not math.isfinite(reach):
        return least
    reach *= 100 if form == "percent" else 1
    least = 0 if form == "plain" else least
    return min(max(least, math.ceil(-math.log10(reach) - 1e-9)), least + _MORE_PLACES)


def number(value: float | None, metric: str, unit: str = "", bare: bool = False, places: int | None = None) -> str:
    """A value in the unit of its metric, with a true minus; ``–`` for none.

    Args:
        value: as in `Result.value`.
        metric: e.g. ``accuracy``, shown in per cent.
        unit: of the nuisance, for metrics measured in it.
        bare: leave the unit away.
        places: decimals (`places_for`); None: as many as the metric has, and small errors need.
    """
    if value is None or not math.isfinite(value):
        return NONE
    form = _metric(metric).form
    places = places_for(metric, None, abs(value)) if places is None else places
    suffix = ""
    if form == "percent":
        text, suffix = f"{100 * value:.{places}f}", " %"
    elif form == "unit":
        text, suffix = f"{value:.{places}f}", f" {unit}" if unit not in ("", "°") else unit
    elif form == "plain":
        text = f"{value:,.{places or 0}f}" if places is not None or abs(value) >= 1000 else f"{value:.3g}"
    else:
        text = f"{value:.{places}f}"
    if text.startswith("-"):
        text = "−" + text[1:] if float(text.replace(",", "")) else text[1:]
    return text if bare else text + suffix


def interval(low: float | None, high: float | None, metric: str, places: int | None = None) -> str:
    """``[0.92, 0.94]``, or ``–`` where no interval is defined."""
    if low is None or high is None or not math.isfinite(high - low):
        return NONE
    places = places_for(metric, (high - low) / 2) if places is None else places
    bounds = (number(v, metric, bare=True, places=places) for v in (low, high))
    return f"[{', '.join(bounds)}]"
