"""How unequal the error rates of groups are, in one number: the measures that the field uses.

All are of rates at one threshold for everybody, FMR and FNMR of each group, ``(…, G)`` → ``(…,)``. All are pushed away
from equality by chance alone, the further the fewer errors a group has: beside each belongs what groups drawn at random
give. What would be 0 / 0 is not defined, NaN; what would be a positive rate over 0 is infinite.
"""

from __future__ import annotations

import numpy as np

__all__ = ["discrepancy_rate", "garbe", "gini", "inequity_rate", "worst_to_average", "worst_to_best", "worst_to_mean"]


def discrepancy_rate(fmr: np.ndarray, fnmr: np.ndarray, alpha: float) -> np.ndarray:
    """Fairness Discrepancy Rate (FDR): 1 - (α max |ΔFMR| + (1 - α) max |ΔFNMR|), the largest gaps of two groups.

    1 where all groups are equal (de Freitas Pereira & Marcel 2021, section III). Where FMR is small it hardly counts,
    however unequal.
    """
    return 1 - (alpha * np.ptp(fmr, axis=-1) + (1 - alpha) * np.ptp(fnmr, axis=-1))


def gini(rates: np.ndarray) -> np.ndarray:
    """Gini coefficient with the correction for few groups: n/(n - 1) · Σᵢⱼ |xᵢ - xⱼ| / (2 n² mean).

    0 where all are equal, 1 where one group has all errors; not defined without any error (Howard et al. 2022).
    """
    groups = rates.shape[-1]
    gaps = np.sort(rates, -1) @ (2.0 * (2 * np.arange(groups) - groups + 1))  # Σᵢⱼ |xᵢ - xⱼ|
    with np.errstate(divide="ignore", invalid="ignore"):
        return gaps / (2 * groups * (groups - 1) * rates.mean(-1))


def garbe(fmr: np.ndarray, fnmr: np.ndarray, alpha: float) -> np.ndarray:
    """Gini Aggregation Rate for Biometric Equitability: α gini(FMR) + (1 - α) gini(FNMR) (Howard et al. 2022)."""
    return alpha * gini(fmr) + (1 - alpha) * gini(fnmr)


def worst_to_best(rates: np.ndarray) -> np.ndarray:
    """The highest rate over the lowest, 1 where all are equal."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return rates.max(-1) / rates.min(-1)


def inequity_rate(fmr: np.ndarray, fnmr: np.ndarray, alpha: float) -> np.ndarray:
    """Inequity rate: (max FMR / min FMR)^α · (max FNMR / min FNMR)^(1 - α), 1 where all are equal.

    Proposed by NIST (Grother 2021); the exponents as in Howard et al. (2022).
    """
    return worst_to_best(fmr) ** alpha * worst_to_best(fnmr) ** (1 - alpha)


def worst_to_average(rates: np.ndarray) -> np.ndarray:
    """The highest rate over the mean of all groups: 1 where they are equal, G where one has all errors."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return rates.max(-1) / rates.mean(-1)


def worst_to_mean(rates: np.ndarray) -> np.ndarray:
    """The highest rate over the geometric mean, 1 where all are equal (Grother 2022, NIST IR 8429)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return rates.max(-1) / np.exp(np.log(rates).mean(-1))
