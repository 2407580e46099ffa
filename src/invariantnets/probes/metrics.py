"""What a reading is judged by: sums over rows, so that an interval is one matrix product, and numbers made of them.

Areas under the ROC are no ratio of sums. What is left out source by source is their projection on single rows: the mean
placement of the positives plus that of the negatives, less the area (Hájek; as in DeLong et al. 1988 and, of rows that
are not independent, Obuchowski 1997). It needs one sort. Without a source of one side only it is the area itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from invariantnets.probes.targets import Target
from invariantnets.statistics.intervals import Number

__all__ = ["Judgement", "judge", "placements"]

_R2, _ERROR, _SHARE = (Number(scale, (2,)) for scale in ("below_one", "positive", "share"))


@dataclass(frozen=True, eq=False)
class Judgement:
    """How good predictions of one nuisance are, by several metrics.

    Attributes:
        metrics: their names.
        quantities: ``(N, Q)`` what is summed over rows.
        statistic: ``(R, Q)`` sums → ``(R, M)`` numbers, in the order of ``metrics``, and behind them what some are the
            mean of; NaN where there are none.
        numbers: what each of them is, for its interval, ``M``.
        chance: metric → what knowing nothing gives; NaN: it depends on how often one says yes.
        rows: metric → ``(N,)`` the rows that it is a share of, where these are not all.
    """

    metrics: tuple[str, ...]
    quantities: np.ndarray
    statistic: Callable[[np.ndarray], np.ndarray]
    numbers: tuple[Number, ...]
    chance: dict[str, float] = field(default_factory=dict)
    rows: dict[str, np.ndarray] = field(default_factory=dict)

    def plain(self) -> dict[str, float]:
        """Metric → its value on all rows."""
        with np.errstate(divide="ignore", invalid="ignore"):
            values = self.statistic(self.quantities.sum(0, keepdims=True))[0]
        return dict(zip(self.metrics, values[: len(self.metrics)].tolist(), strict=True))


def judge(target: Target, predicted: np.ndarray, true: np.ndarray, mean: np.ndarray) -> Judgement:
    """R², and what else the kind of the nuisance is judged by.

    Continuous: RMSE and MAE. Circular: the mean distance round the circle, in degrees. Categorical and binary: accuracy
    of the likeliest class; AUC (of several classes the mean of one against the rest); balanced accuracy of the class
    whose share exceeds that of the training rows most, which the rarest can win, too; binary: the error rates at that
    threshold, the share of the training rows.

    Args:
        target: the nuisance.
        predicted: ``(N, K)`` its encoding, as it was predicted.
        true: ``(N, K)`` as it is.
        mean: ``(K,)`` of the training rows.
    """
    squared, deviation = ((true - predicted) ** 2).sum(1), ((true - mean) ** 2).sum(1)
    common = np.stack([squared, deviation, np.ones(len(true))], 1)
    kind = target.nuisance.kind
    if kind == "continuous":
        error = np.abs(true - predicted)
        return Judgement(("r2", "rmse", "mae"), np.concatenate([common, error], 1), _errors, (_R2, _ERROR, _ERROR))
    if kind == "circular":
        error = np.abs((_degrees(predicted) - _degrees(true) + 180) % 360 - 180)
        return Judgement(("r2", "mae"), np.column_stack([common, error]), _circular, (_R2, _ERROR))
    return _classes(common, predicted, true, mean, binary=kind == "binary")


def _r2(sums: np.ndarray) -> np.ndarray:
    found: np.ndarray = 1 - sums[:, 0] / sums[:, 1]
    return found


def _errors(sums: np.ndarray) -> np.ndarray:
    return np.stack([_r2(sums), np.sqrt(sums[:, 0] / sums[:, 2]), sums[:, 3] / sums[:, 2]], 1)


def _circular(sums: np.ndarray) -> np.ndarray:
    return np.stack([_r2(sums), sums[:, 3] / sums[:, 2]], 1)


def _degrees(encoded: np.ndarray) -> np.ndarray:
    """``(N, 2)`` cosine and sine → ``(N,)`` degrees."""
    found: np.ndarray = np.rad2deg(np.arctan2(encoded[:, 1], encoded[:, 0]))
    return found


def _classes(common: np.ndarray, predicted: np.ndarray, true: np.ndarray, mean: np.ndarray, binary: bool) -> Judgement:
    code = true.argmax(1)
    present = np.unique(code)
    k = len(present)
    share = np.divide(predicted, mean, out=np.full(predicted.shape, -np.inf), where=mean > 0)
    is_class = code[:, None] == present
    hit = is_class & (share.argmax(1) == code)[:, None]
    against = present[present > 0] if binary else present  # of two classes, one against the other says all
    below, above, full = [], [], []
    for c in against:
        positive = code == c
        placed = placements(predicted[:, c], positive)
        below.append(placed * positive)
        above.append(placed * ~positive)
        full.append(placed[positive].mean())
    column, areas = np.searchsorted(present, against), np.array(full)
    right = predicted.argmax(1) == code
    parts = [common, right[:, None], is_class, hit, *(np.stack(p, 1) for p in (below, above) if p)]

    def statistic(sums: np.ndarray) -> np.ndarray:
        n, count, hits = sums[:, 2:3], sums[:, 4 : 4 + k], sums[:, 4 + k : 4 + 2 * k]
        of_positive, of_negative = np.split(sums[:, 4 + 2 * k :], 2, axis=1)
        positives = count[:, column]
        area = np.clip(of_positive / positives + of_negative / (n - positives) - areas, 0, 1)
        recall = np.where((count > 0).sum(1, keepdims=True) > 1, hits / count, np.nan)
        rates = [1 - recall[:, 1], 1 - recall[:, 0]] if binary and k > 1 else []
        means = [_r2(sums), _mean(area), sums[:, 3] / sums[:, 2], _mean(recall), *rates]
        return np.concatenate([np.stack(means, 1), recall, area], 1)

    metrics: tuple[str, ...] = ("r2", "auc", "accuracy", "balanced_accuracy")
    sides, sizes = tuple(range(4, 4 + k)), is_class.sum(0)
    first = len(metrics) + (2 if binary and k > 1 else 0)
    recalls, of_classes = tuple(range(first, first + k)), tuple(range(first + k, first + k + len(against)))
    numbers = [_R2, Number("share", parts=of_classes), _SHARE, Number("share", parts=recalls)]
    chance, rows = {"auc": 0.5, "balanced_accuracy": 1 / k}, {}
    if binary and k > 1:
        metrics += ("false_negative_rate", "false_positive_rate")
        rows = dict(zip(metrics[-2:], is_class.T[::-1], strict=True))
        chance |= dict.fromkeys(rows, np.nan)
        numbers += [Number("share", (side,)) for side in sides[::-1]]
    # An area needs its class and others: at least as many as the most frequent of them.
    others = [max((s for s in sides if s != 4 + c), key=lambda s: sizes[s - 4], default=4 + c) for c in column]
    numbers += [Number("share", (side,)) for side in sides]
    numbers += [Number("share", (4 + int(c), other)) for c, other in zip(column, others, strict=True)]
    return Judgement(metrics, np.concatenate(parts, 1).astype(np.float64), statistic, tuple(numbers), chance, rows)


def _mean(values: np.ndarray) -> np.ndarray:
    """``(R, K)`` → ``(R,)`` over the classes that a replicate has rows of; NaN if it has none."""
    known = np.isfinite(values)
    found: np.ndarray = np.where(known, values, 0).sum(1) / known.sum(1)
    return found


def placements(score: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """How each row ranks among those of the other side: the share that it is rightly told from, half of those equal.

    The mean over either side is the area under the ROC.

    Args:
        score: ``(N,)``.
        positive: ``(N,)`` bool.

    Returns:
        ``(N,)``; NaN where the other side is empty.
    """
    found = np.full(len(score), np.nan)
    for side, sign in ((positive, 1), (~positive, -1)):
        others, own = np.sort(sign * score[~side]), sign * score[side]
        if len(others):
            ranks = [np.searchsorted(others, own, how) for how in ("left", "right")]
            found[side] = (ranks[0] + ranks[1]) / (2 * len(others))
    return found
