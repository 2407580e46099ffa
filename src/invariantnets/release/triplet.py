"""Triplet probabilistic embedding (Sankaranarayanan et al. 2016): few numbers, in which rows of a class are alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.randomness import numpy_rng
from invariantnets.release.pca import directed, embed, principal_axes
from invariantnets.release.release import Release, fit_rows
from invariantnets.statistics.lengths import unit

STREAM = 153


def hardest(similarity: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Of each row the most similar one of another class.

    Args:
        similarity: ``(N, N)``.
        label: ``(N,)``, of two classes at least.

    Returns:
        ``(N,)`` indices; of ties the first.
    """
    return np.where(label[:, None] == label, -np.inf, similarity).argmax(1)


def triplet_loss(weights: np.ndarray, v: np.ndarray, label: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean of ``-log p_ijk`` over the triplets of a batch, and its gradient.

    ``p_ijk = exp(s_ij) / (exp(s_ij) + exp(s_ik))`` with ``s_ij = (W v_i) · (W v_j)``: each row i is an anchor, the row
    that it is paired with its positive j, and the `hardest` its negative k.

    Args:
        weights: ``(K, D)``, W.
        v: ``(N, D)`` rows of length one, those of a pair one after the other.
        label: ``(N,)``, the same within each pair, and of two classes at least.

    Returns:
        the loss, and ``(K, D)``.
    """
    z = v @ weights.T
    s = z @ z.T
    i = np.arange(len(v))
    j, k = i ^ 1, hardest(s, label)
    excess = s[i, k] - s[i, j]
    pull = expit(excess) / len(v)  # 1 - p
    by_similarity = np.zeros_like(s)
    by_similarity[i, k], by_similarity[i, j] = pull, -pull
    return float(np.logaddexp(0, excess).mean()), ((by_similarity + by_similarity.T) @ z).T @ v


def draw_pairs(size: np.ndarray, pairs: int, rng: np.random.Generator) -> np.ndarray:
    """Two different rows of a class, for classes in random order, none again before all were there.

    Args:
        size: ``(C,)`` rows of each class, two at least; the rows are sorted by class.
        pairs: how many.
        rng: of classes and rows.

    Returns:
        ``(2 * pairs,)`` indices of rows, those of a pair one after the other.
    """
    of = np.resize(rng.permutation(len(size)), pairs)
    start, size = (size.cumsum() - size)[of], size[of]
    first = rng.integers(size)
    other = (first + rng.integers(1, size)) % size
    return np.stack([start + first, start + other], 1).ravel()


@dataclass(frozen=True)
class Triplet:
    """Learn a linear map of features at length one in which rows of a class are more similar than those of others.

    Of the paper (arXiv 1604.05417): W is linear, ``(width, D)``, and starts from principal axes; features are of length
    one before it and compared by their cosine after it; the loss is `triplet_loss`, by stochastic gradients, negatives
    being the hardest of a batch. Nothing keeps W orthonormal. (Of its text the abstract alone was at hand; the rest is
    second-hand.) Rudd et al. (2016) looked at such an embedding of 832 features in 256.

    Ours: the axes are not whitened; a batch is of ``batch`` pairs, of as many classes where there are so many, and each
    row is an anchor once; steps are of one size. Sizes were chosen on rendered strangers that no result is of.

    Told the classes of the training rows, and no nuisance. A class of one row is left out.

    Attributes:
        width: how many numbers are left.
        steps: of gradient descent; none leaves `Pca`.
        batch: pairs of rows in each.
        lr: the size of a step.
        seed: of the pairs, and of the rows that the axes are fitted on, where they are many.
    """

    width: int = 256
    steps: int = 1000
    batch: int = 64
    lr: float = 3.0
    seed: int = 0

    def fit(self, table: FeatureTable, layer: str) -> Release:
        """Fit on the training rows; rows of zeros are left out.

        Args:
            table: with rows of split train, and a class.
            layer: of the table.

        Raises:
            InvariantNetsError: see `Pca`; fewer than two classes of two rows each, fewer than two pairs, or an ``lr``
                at which the loss grows beyond numbers.
        """
        for name, least in (("batch", 2), ("steps", 0)):
            if getattr(self, name) < least:
                raise InvariantNetsError(f"release.{name}={getattr(self, name)}: give {least} at least")
        part = directed(table, layer)
        x, order = part.features[layer], np.argsort(part.label, kind="stable")
        weights = principal_axes(fit_rows(part, self.seed), layer, self.width).astype(x.dtype)
        size = np.bincount(part.label)
        rows, size = order[size[part.label[order]] > 1], size[size > 1]
        if len(size) < 2:
            raise InvariantNetsError(
                f"release=triplet: it learns from two classes at least, of two training rows each; there are "
                f"{len(size)} of {layer!r}; release=pca needs none"
            )
        rng, losses = numpy_rng(self.seed, STREAM), []
        for _ in range(self.steps):
            batch = rows[draw_pairs(size, self.batch, rng)]
            with np.errstate(over="ignore", invalid="ignore"):
                loss, gradient = triplet_loss(weights, unit(x[batch]), part.label[batch])
                weights = weights - self.lr * gradient
            losses.append(loss)
            if not np.isfinite([loss, weights.sum()]).all():
                raise InvariantNetsError(
                    f"release.lr={self.lr}: the loss grew beyond numbers in {len(losses)} steps; give less"
                )
        how = f"triplet embedding of {self.width}, {self.steps} steps"
        how += f", loss {losses[0]:.2f} to {losses[-1]:.2f}" if losses else ""
        return Release(embed, {"weights": weights}, layer, weights.shape[1], how, len(part), table.meta)
