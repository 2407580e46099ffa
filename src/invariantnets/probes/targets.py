"""What the probes regress on: every nuisance encoded, shuffled (the control) and as indicators of its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from invariantnets.nuisance import Nuisance

FEW_VALUES = 32


@dataclass(frozen=True, eq=False)
class Target:
    """One nuisance and its columns of the design matrix.

    Attributes:
        nuisance: what it is.
        values: ``(V,)`` its distinct training values, empty if there are more than ``FEW_VALUES``.
        true: columns of the encoded nuisance.
        control: columns of the same, shuffled: among rows, or among classes where it is the same in all of a class.
        indicators: one column per value.
    """

    nuisance: Nuisance
    values: np.ndarray
    true: slice
    control: slice
    indicators: slice

    def nearest_value(self, encoded: np.ndarray) -> np.ndarray:
        """Index of the training value nearest to each encoded nuisance, ``(N, K)`` → ``(N,)``."""
        codes = self.nuisance.encode(self.values)
        return (encoded @ (2 * codes.T) - (codes**2).sum(1)).argmax(1)


def plan_targets(nuisances: Sequence[Nuisance], train: Mapping[str, np.ndarray]) -> list[Target]:
    """The columns of every nuisance. True and control columns come first, so that they form one slice."""
    targets: list[Target] = []
    widths = [n.encode(train[n.name][:1]).shape[1] for n in nuisances]
    regressed, indicator = 0, 2 * sum(widths)
    for nuisance, width in zip(nuisances, widths, strict=True):
        values = np.unique(train[nuisance.name])
        values = values if len(values) <= FEW_VALUES else values[:0]
        true, control = slice(regressed, regressed + width), slice(regressed + width, regressed + 2 * width)
        targets.append(Target(nuisance, values, true, control, slice(indicator, indicator + len(values))))
        regressed, indicator = regressed + 2 * width, indicator + len(values)
    return targets


def shuffled_by_class(values: np.ndarray, label: np.ndarray, test: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The control of a nuisance that never varies within a class: each class gets the value of another, in all splits.

    Shuffled among rows, it would vary within a class, as the nuisance does not, and no reader of the class could find
    it. So shuffled, whoever knows the class can (Hewitt and Liang 2019), and what exceeds it is more than the class.

    Args:
        values: ``(N,)`` of all splits together, one of each class.
        label: ``(N,)``.
        test: ``(N,)`` which rows are of test: its classes, be they all or others than those of train, stay together.
        rng: of the shuffle.

    Returns:
        ``(N,)``.
    """
    classes, first, code = np.unique(label, return_index=True, return_inverse=True)
    tested = np.isin(classes, label[test])
    taken = np.empty(len(classes), np.int64)
    for group in (np.flatnonzero(tested), np.flatnonzero(~tested)):
        taken[group] = rng.permutation(group)
    shuffled: np.ndarray = values[first[taken[code]]]
    return shuffled


def design(
    targets: Sequence[Target],
    nuisance: Mapping[str, np.ndarray],
    n: int,
    rng: np.random.Generator,
    shuffled: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """The targets of one split.

    Args:
        targets: from `plan_targets`.
        nuisance: name → ``(n,)``.
        n: number of rows.
        rng: shuffles the control among all rows of the split.
        shuffled: name → ``(n,)`` controls that were made already, by `shuffled_by_class`.

    Returns:
        ``(n, T)`` float64.
    """
    matrix = np.zeros((n, max((t.indicators.stop for t in targets), default=0)))
    for target in targets:
        column = np.asarray(nuisance[target.nuisance.name])
        encoded = target.nuisance.encode(column)
        matrix[:, target.true] = encoded
        made = (shuffled or {}).get(target.nuisance.name)
        matrix[:, target.control] = encoded[rng.permutation(n)] if made is None else target.nuisance.encode(made)
        matrix[:, target.indicators] = column[:, None] == target.values
    return matrix


def r2(predicted: np.ndarray, true: np.ndarray, mean: np.ndarray) -> float:
    """R² against predicting the training mean, over all columns: chance is exactly 0.

    Args:
        predicted: ``(N, K)``.
        true: ``(N, K)``.
        mean: ``(K,)`` of the training rows.
    """
    # Rounded, so that a probe that predicts the mean by another sum (class by class) is not "worse" by 1e-16.
    return round(float(1 - ((true - predicted) ** 2).sum() / ((true - mean) ** 2).sum()), 9)
