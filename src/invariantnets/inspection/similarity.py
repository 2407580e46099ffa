"""How far two neurons look for the same pictures (Zhong and Deng 2018, equation 2)."""

from __future__ import annotations

import numpy as np

__all__ = ["GROUPS", "interval_of_mean", "mean_similarity", "similarity", "similarity_by_chance"]

GROUPS = 20  # of sources, each left out once


def similarity(activation: np.ndarray, top: int) -> np.ndarray:
    """S_ij = ½ (Σ_{p∈C_j} N_i(p) / Σ_{k∈C_i} N_i(k) + Σ_{p∈C_i} N_j(p) / Σ_{k∈C_j} N_j(k)).

    C_i are the ``top`` pictures of the largest activation N_i, but only those for which the neuron fires: which of its
    zeros come first would be the order of the pictures. What is below 0, without a ReLU, counts as 0. 1 is that both
    are excited by the same pictures just as much; 0 that neither fires at all for the top pictures of the other.

    Args:
        activation: ``(neurons, pictures)``.
        top: n of the paper, 50.

    Returns:
        ``(neurons, neurons)`` float64, symmetric, NaN in the rows and columns of neurons that never fire.
    """
    value, chosen = _chosen(activation, top)
    of_others = value @ chosen.T
    own = np.diag(of_others)
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.where(own > 0, 1, np.nan)[:, None] * of_others / own[:, None]
    return (one + one.T) / 2


def similarity_by_chance(activation: np.ndarray, top: int) -> np.ndarray:
    """What S is on average if the activations of each neuron are shuffled over the pictures, as `similarity` gives it.

    No draw is needed: whatever C_j is, the shuffled N_i have in it their mean over all pictures. The diagonal is 1.
    """
    value, chosen = _chosen(activation, top)
    own, count = (value * chosen).sum(1), chosen.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.where(own > 0, value.mean(1) / own, np.nan)[:, None] * np.where(own > 0, count, np.nan)[None]
    found: np.ndarray = (one + one.T) / 2
    np.fill_diagonal(found, np.where(own > 0, 1, np.nan))
    return found


def mean_similarity(matrix: np.ndarray) -> float:
    """Of all pairs of two different neurons that fire; NaN where there is none."""
    pairs = matrix[np.triu_indices(len(matrix), 1)]
    known = pairs[np.isfinite(pairs)]
    return float(known.mean()) if len(known) else float("nan")


def interval_of_mean(
    activation: np.ndarray, top: int, source: np.ndarray, rng: np.random.Generator
) -> tuple[float, float] | tuple[None, None]:
    """95 % interval of `mean_similarity` over sources, by leaving out a twentieth of them at a time.

    Single pictures would not do: which are the top ones changes in jumps.

    Args:
        activation: ``(neurons, pictures)``.
        top: as in `similarity`.
        source: ``(pictures,)`` what is independent: pictures or people.
        rng: puts them in groups.

    Returns:
        None, None of fewer than `GROUPS` sources, or where the mean is not defined.
    """
    from scipy.special import stdtrit  # here: to import it takes a tenth of a second

    unique, of = np.unique(source, return_inverse=True)
    if len(unique) < GROUPS:
        return None, None
    group = (rng.permutation(len(unique)) % GROUPS)[of]
    left = np.array([mean_similarity(similarity(activation[:, group != g], top)) for g in range(GROUPS)])
    whole = mean_similarity(similarity(activation, top))
    half = float(stdtrit(GROUPS - 1, 0.975) * np.sqrt((GROUPS - 1) / GROUPS * ((left - left.mean()) ** 2).sum()))
    return (whole - half, whole + half) if np.isfinite(half) else (None, None)


def _chosen(activation: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Activations, and C: ``(neurons, pictures)`` 1 for the top pictures for which the neuron fires, else 0."""
    value: np.ndarray = np.maximum(np.asarray(activation, np.float64), 0)
    chosen = np.zeros(value.shape)
    best = np.argpartition(-value, min(top, value.shape[1]) - 1, axis=1)[:, :top]
    np.put_along_axis(chosen, best, 1.0, axis=1)
    return value, chosen * (value > 0)
