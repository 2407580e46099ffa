"""How like two faces are: cosine, DeepFace's inner product, and its weighted χ²."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.statistics.lengths import scaled, unit

Kind = Literal["cosine", "inner_product", "chi2"]
KINDS: tuple[Kind, ...] = ("cosine", "inner_product", "chi2")
EPSILON = 0.05
# One minus the mean cosine of all rows, below which their products are made in float64.
CROWDED = 1e-3
# Numbers that a block of χ² holds at a time: 64 MiB.
_BLOCK = 1 << 24


def f7_normalise(x: np.ndarray, train_max: np.ndarray) -> np.ndarray:
    """DeepFace's normalisation (2014, section 3): each feature over its largest training value, then length one.

    Args:
        x: ``(N, D)``.
        train_max: ``(D,)`` largest value of each feature on training images; at least 0.05 is
            divided by, so that a feature that is all but dead is not blown up. That is as published, for
            features of its own size: where all are below 0.05, what is left is the cosine.

    Returns:
        ``(N, D)``, in float64 if they came so, else float32.
    """
    x = scaled(x)
    return unit(x / np.maximum(train_max, EPSILON).astype(x.dtype))


def prepare(kind: Kind, x: np.ndarray, train_max: np.ndarray) -> np.ndarray:
    """Features as a `Similarity` of this kind compares them.

    Returns:
        ``(N, D)``, in float64 if they came so or need be, else float32.

    Raises:
        InvariantNetsError: an unknown kind, or χ² of negative features.
    """
    if kind not in KINDS:
        raise InvariantNetsError(f"similarities: there is no {kind!r}; choose from {', '.join(KINDS)}")
    if kind == "chi2" and x.min() < 0:
        raise InvariantNetsError(
            "similarity 'chi2' needs features that are never negative: choose a layer after a ReLU"
        )
    rows = unit(x) if kind == "cosine" else f7_normalise(x, train_max)
    if rows.dtype == np.float32 and _crowded(rows):
        wide = np.asarray(x, np.float64)
        rows = unit(wide) if kind == "cosine" else f7_normalise(wide, train_max)
    return rows


def _crowded(rows: np.ndarray) -> bool:
    """Whether unit rows point almost the same way, as those far from 0 do: float32 products would tie at random."""
    mean = rows.mean(0, dtype=np.float64)
    return bool(1 - mean @ mean < CROWDED)


def chi2_elements(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(a - b)² / (a + b) of each feature, 0 where both are 0 (DeepFace 2014, 4.1); shapes broadcast."""
    total = a + b
    return (a - b) ** 2 / np.where(total > 0, total, 1)


@dataclass(frozen=True)
class Similarity:
    """Of prepared rows: their inner product, or minus a weighted χ² distance if there are weights.

    Attributes:
        weights: ``(D,)`` of the elements of χ², None for the inner product.
        intercept: of the SVM that the weights come from, so that scores of several can be pooled.
    """

    weights: np.ndarray | None = None
    intercept: float = 0.0

    def pairs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Of row i of ``a`` and row i of ``b``, each ``(P, D)``: ``(P,)``."""
        if self.weights is None:
            return np.einsum("pd,pd->p", a, b)
        return chi2_elements(a, b) @ self.weights + self.intercept

    def matrix(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Of every row of ``a`` ``(M, D)`` and every row of ``b`` ``(G, D)``: ``(M, G)``."""
        if self.weights is None:
            return a @ b.T
        scores = np.empty((len(a), len(b)), a.dtype)
        rows = max(1, _BLOCK // b.size)
        for start in range(0, len(a), rows):
            block = a[start : start + rows, None]
            scores[start : start + rows] = chi2_elements(block, b) @ self.weights + self.intercept
        return scores


def fit_chi2(a: np.ndarray, b: np.ndarray, same: np.ndarray, seed: int) -> Similarity:
    """Learn the weights of χ² by a linear SVM on training pairs (DeepFace 2014, 4.1).

    Args:
        a: ``(P, D)`` prepared rows, the left of each pair.
        b: ``(P, D)`` the right of each.
        same: ``(P,)`` whether they show one person.
        seed: of the solver.
    """
    from sklearn.svm import LinearSVC  # here: most tables are compared without it

    elements = chi2_elements(a, b)
    # Elements of unit rows are about 1/D: brought to length one, C = 1 means the same for every width.
    scale = float(np.sqrt((elements**2).sum(1).mean())) or 1.0
    svm = LinearSVC(dual=False, random_state=seed).fit(elements / scale, same)
    return Similarity((svm.coef_[0] / scale).astype(a.dtype), float(svm.intercept_[0]))
