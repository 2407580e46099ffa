"""How like two faces are: cosine, and DeepFace's inner product, weighted χ² and weighted L1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.statistics.lengths import scaled, unit

Kind = Literal["cosine", "inner_product", "chi2", "l1", "kernel"]
# Of two images alone; a kernel compares pairs with pairs (`invariantnets.protocols.kernels`).
KINDS: tuple[Kind, ...] = ("cosine", "inner_product", "chi2", "l1")
KERNEL: Kind = "kernel"
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
    if kind not in (*KINDS, KERNEL):
        raise InvariantNetsError(f"similarities: there is no {kind!r}; choose from {', '.join((*KINDS, KERNEL))}")
    if kind in ("chi2", KERNEL) and x.min() < 0:
        raise InvariantNetsError(
            f"similarity {kind!r} needs features that are never negative: choose a layer after a ReLU"
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


def l1_elements(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a - b| of each feature (DeepFace 2014, 4.2); shapes broadcast."""
    return np.abs(a - b)


ELEMENTS = {"chi2": chi2_elements, "l1": l1_elements}


@dataclass(frozen=True)
class Similarity:
    """Of prepared rows: their inner product, or weighted elements of a distance if there are weights.

    Attributes:
        weights: ``(D,)`` of the elements, None for the inner product.
        intercept: of the classifier that the weights come from, so that scores of several can be pooled.
        elements: those of χ² or of L1; shapes broadcast.
    """

    weights: np.ndarray | None = None
    intercept: float = 0.0
    elements: Callable[[np.ndarray, np.ndarray], np.ndarray] = chi2_elements

    def pairs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Of row i of ``a`` and row i of ``b``, each ``(P, D)``: ``(P,)``."""
        if self.weights is None:
            return np.einsum("pd,pd->p", a, b)
        return self.elements(a, b) @ self.weights + self.intercept

    def matrix(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Of every row of ``a`` ``(M, D)`` and every row of ``b`` ``(G, D)``: ``(M, G)``."""
        if self.weights is None:
            return a @ b.T
        scores = np.empty((len(a), len(b)), a.dtype)
        rows = max(1, _BLOCK // b.size)
        for start in range(0, len(a), rows):
            block = a[start : start + rows, None]
            scores[start : start + rows] = self.elements(block, b) @ self.weights + self.intercept
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

    return _fitted(LinearSVC(dual=False, random_state=seed), chi2_elements, a, b, same)


def fit_l1(a: np.ndarray, b: np.ndarray, same: np.ndarray, seed: int) -> Similarity:
    """Learn the weights of L1 by logistic regression: a Siamese network's top layer (DeepFace 2014, 4.2).

    Args:
        a: ``(P, D)`` prepared rows, the left of each pair.
        b: ``(P, D)`` the right of each.
        same: ``(P,)`` whether they show one person.
        seed: of the solver, which draws nothing.
    """
    from sklearn.linear_model import LogisticRegression

    return _fitted(LogisticRegression(max_iter=1000, random_state=seed), l1_elements, a, b, same)


LEARNED: dict[Kind, Callable[[np.ndarray, np.ndarray, np.ndarray, int], Similarity]] = {"chi2": fit_chi2, "l1": fit_l1}


def _fitted(
    classifier: Any,
    elements: Callable[[np.ndarray, np.ndarray], np.ndarray],
    a: np.ndarray,
    b: np.ndarray,
    same: np.ndarray,
) -> Similarity:
    of_pairs = elements(a, b)
    # Elements of unit rows are about 1/D: brought to length one, C = 1 means the same for every width.
    scale = float(np.sqrt((of_pairs**2).sum(1).mean())) or 1.0
    classifier.fit(of_pairs / scale, same)
    weights = (classifier.coef_[0] / scale).astype(a.dtype)
    return Similarity(weights, float(classifier.intercept_[0]), elements)
