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
        control: columns of the same, shuffled among rows.
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


def design(
    targets: Sequence[Target], nuisance: Mapping[str, np.ndarray], n: int, rng: np.random.Generator
) -> np.ndarray:
    """The targets of one split.

    Args:
        targets: from `plan_targets`.
        nuisance: name → ``(n,)``.
        n: number of rows.
        rng: shuffles the control among all rows of the split.

    Returns:
        ``(n, T)`` float64.
    """
    matrix = np.zeros((n, max((t.indicators.stop for t in targets), default=0)))
    for target in targets:
        column = np.asarray(nuisance[target.nuisance.name])
        encoded = target.nuisance.encode(column)
        matrix[:, target.true] = encoded
        matrix[:, target.control] = encoded[rng.permutation(n)]
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
