"""How far a nuisance is read within each class, and how far that would lie apart by chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from invariantnets.nuisance import Nuisance
from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import Resampling

__all__ = ["Apart", "Scores", "apart", "centred", "enough", "score"]

# Images of a category that a class must have for it to count.
FEW = 5
_LEAST_LEFT = 1e-9  # of 1 - R², where nothing is left but rounding


@dataclass(frozen=True, eq=False)
class Scores:
    """What predictions within each class are judged by: sums over rows.

    Attributes:
        metrics: ``r2`` and, of numbers, ``mae``; or ``balanced_accuracy``.
        quantities: ``(N, Q)`` what is summed.
        statistic: ``(R, Q)`` sums → ``(R, M)`` numbers, those of ``metrics`` first.
        numbers: what each of them is, ``M``.
        chance: ``(C, metrics)`` of who always answers the mean of the class, or draws among its categories.
        stratum: ``(N,)`` rows among which classes may be shuffled.
    """

    metrics: tuple[str, ...]
    quantities: np.ndarray
    statistic: Callable[[np.ndarray], np.ndarray]
    numbers: tuple[Number, ...]
    chance: np.ndarray
    stratum: np.ndarray

    def by_class(self, who: np.ndarray, classes: int) -> np.ndarray:
        """``(C, metrics)`` of classes ``who`` ``(N,)``."""
        return self._of(_sums(self.quantities, who, classes))

    def intervals(self, who: np.ndarray, classes: int, source: np.ndarray) -> np.ndarray:
        """``(C, metrics, 2)`` ends of 95 % intervals over the images of that class; NaN where there is none."""
        ends = np.full((classes, len(self.metrics), 2), np.nan)
        order = np.argsort(who, kind="stable")
        for c, rows in enumerate(np.split(order, np.cumsum(np.bincount(who, minlength=classes))[:-1])):
            with np.errstate(invalid="ignore", divide="ignore"):
                _, *found = Resampling(source[rows]).interval(self.quantities[rows], self.statistic, self.numbers)
            ends[c] = np.stack(found, 1)[: len(self.metrics)]
        return ends

    def _of(self, sums: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.statistic(sums)[:, : len(self.metrics)]


def score(nuisance: Nuisance, predicted: np.ndarray, true: np.ndarray, mean: np.ndarray, who: np.ndarray) -> Scores:
    """Judge predictions within classes, each class less its own offset.

    Numbers and angles: R² of what varies within the class, ``1 - Σ(e - ē)² / Σ(y - ȳ)²`` of errors e and truths y,
    which is 0 of who always answers the mean of the class; else an offset of a class would count as ignorance.
    Categories: balanced accuracy of that which exceeds its mean prediction within the class most, by the share of the
    known rows.

    Args:
        nuisance: its kind.
        predicted: ``(N, K)`` its encoding, as it was predicted.
        true: ``(N, K)`` as it is.
        mean: ``(K,)`` of the known rows.
        who: ``(N,)`` class of each row, from 0 without a gap.
    """
    if nuisance.categories:
        return _categories(predicted, true, mean, who)
    error, varies = centred(true - predicted, who), centred(true, who)
    width = true.shape[1]
    single = nuisance.kind == "continuous"
    count = np.ones((len(true), 1))
    parts = [count, (error**2).sum(1, keepdims=True), (varies**2).sum(1, keepdims=True), error, varies]
    quantities = np.concatenate([*parts, *([np.abs(error)] if single else [])], 1)

    def statistic(sums: np.ndarray) -> np.ndarray:
        n, off, whole = sums[:, 0], sums[:, 1], sums[:, 2]
        off = off - (sums[:, 3 : 3 + width] ** 2).sum(1) / n
        whole = whole - (sums[:, 3 + width : 3 + 2 * width] ** 2).sum(1) / n
        return np.stack([1 - off / whole, *([sums[:, -1] / n] if single else [])], 1)

    size = np.bincount(who)
    chance = np.zeros((len(size), 1 + single))
    if single:
        chance[:, 1] = np.bincount(who, np.abs(varies[:, 0])) / size
    kinds = (Number("below_one", (0,)), *([Number("positive", (0,))] if single else []))
    metrics = ("r2", "mae")[: 1 + single]
    return Scores(metrics, quantities, statistic, kinds, chance, np.zeros(len(who), np.int64))


def _categories(predicted: np.ndarray, true: np.ndarray, mean: np.ndarray, who: np.ndarray) -> Scores:
    code, k = true.argmax(1), true.shape[1]
    shown = _counts(who, code, k) > 0
    excess = np.divide(centred(predicted, who), mean, out=np.zeros(predicted.shape), where=mean > 0)
    named = np.where(shown[who], excess, -np.inf).argmax(1)
    quantities = np.concatenate([true, true * (named == code)[:, None]], 1)

    def statistic(sums: np.ndarray) -> np.ndarray:
        count = sums[:, :k]
        recall = np.where(count > 0, sums[:, k:] / count, np.nan)
        return np.concatenate([np.nansum(recall, 1, keepdims=True) / (count > 0).sum(1, keepdims=True), recall], 1)

    kinds = (Number("share", parts=tuple(range(1, k + 1))), *(Number("share", (i,)) for i in range(k)))
    return Scores(("balanced_accuracy",), quantities, statistic, kinds, 1 / shown.sum(1, keepdims=True), code)


def enough(
    nuisance: Nuisance, true: np.ndarray, label: np.ndarray, source: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which rows count, and how many images of them each class has: 0 where the nuisance does not vary.

    Args:
        nuisance: of categories those of which a class has `FEW` images or more count, two at least.
        true: ``(N, K)`` encoded.
        label: ``(N,)`` codes of classes.
        source: ``(N,)`` images of origin.

    Returns:
        ``(N,)`` bool, and of every code up to the largest the number of images.
    """
    rows = np.ones(len(label), bool)
    if nuisance.categories:
        code, k = true.argmax(1), true.shape[1]
        cells = np.unique(np.stack([label, code, source]), axis=1)
        kept = _counts(cells[0], cells[1], k) >= FEW
        kept &= kept.sum(1, keepdims=True) > 1
        rows = kept[label, code]
    elif len(label):
        spread = _sums(centred(true, label) ** 2, label, int(label.max()) + 1).sum(1)
        rows = (spread > 1e-18 * max(float((true**2).sum()), 1e-300))[label]
    pairs = np.unique(np.stack([label[rows], source[rows]]), axis=1)
    return rows, np.bincount(pairs[0], minlength=int(label.max(initial=-1)) + 1)


class Apart(NamedTuple):
    """How far classes lie apart, and how far they would by chance.

    Attributes:
        sd: standard deviation of the first metric over classes.
        chance: its mean over draws.
        p: how often shuffled classes lie as far apart: the sum of squared deviations, each by how far that class
            scatters.
        of_class: ``(C,)`` p of each class by itself, corrected for all classes (Westfall and Young 1993, max T).
        low, high: ``(C,)`` between which 95 % of the draws lie.
    """

    sd: float
    chance: float
    p: float
    of_class: np.ndarray
    low: np.ndarray
    high: np.ndarray


def apart(scores: Scores, who: np.ndarray, source: np.ndarray, draws: int, rng: np.random.Generator) -> Apart:
    """Do classes differ in their first metric? Against draws in which images belong to any class.

    Each row keeps its truth and its prediction, less the offset of its class, and each class as many images as it has,
    of categories as many of each.

    Args:
        scores: of the rows.
        who: ``(N,)`` their classes, from 0 without a gap, two or more.
        source: ``(N,)`` rows of one image move together.
        draws: how many.
        rng: shuffles.
    """
    stratum, classes = scores.stratum, int(who.max()) + 1
    _, first, unit = np.unique(np.stack([source, stratum]), axis=1, return_index=True, return_inverse=True)
    unit = unit.reshape(-1)
    sums, of_unit, within = _sums(scores.quantities, unit, len(first)), who[first], stratum[first]
    place = np.argsort(within, kind="stable")
    found = np.empty((draws + 1, classes))
    found[-1] = scores.by_class(who, classes)[:, 0]
    shuffled = np.empty_like(of_unit)
    for one in found[:-1]:
        shuffled[place] = of_unit[np.lexsort((rng.random(len(first)), within))]
        one[:] = scores._of(_sums(sums, shuffled, classes))[:, 0]
    # R² has a long tail to the left: on the logarithm of what is left, classes scatter as far to either side.
    level = np.log(np.maximum(1 - found, _LEAST_LEFT)) if scores.metrics[0] == "r2" else found
    spread = level.std(0)
    z = np.divide(level - level.mean(0), spread, out=np.zeros_like(found), where=spread > 1e-12)
    together, furthest = (z**2).sum(1), np.abs(z).max(1)
    p = (together >= together[-1] - 1e-9).mean()
    of_class = (furthest[:, None] >= np.abs(z[-1]) - 1e-9).mean(0)
    low, high = np.quantile(found[:-1], (0.025, 0.975), axis=0)
    sd = found.std(1, ddof=1)
    return Apart(float(sd[-1]), float(sd[:-1].mean()), float(p), of_class, low, high)


def centred(values: np.ndarray, who: np.ndarray) -> np.ndarray:
    """``(N, K)`` less the mean of each class ``(N,)``."""
    size = np.maximum(np.bincount(who), 1)
    means = _sums(values, who, len(size)) / size[:, None]
    found: np.ndarray = values - means[who]
    return found


def _sums(values: np.ndarray, who: np.ndarray, classes: int) -> np.ndarray:
    return np.stack([np.bincount(who, column, classes) for column in values.T], 1)


def _counts(who: np.ndarray, code: np.ndarray, k: int) -> np.ndarray:
    """``(C, K)`` how many each class has of each."""
    return np.bincount(who * k + code, minlength=(int(who.max(initial=0)) + 1) * k).reshape(-1, k)
