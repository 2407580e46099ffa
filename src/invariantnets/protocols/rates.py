"""Error rates of scores: ROC, area under it, equal error rate, thresholds at false accept rates.

A comparison is accepted if its score is strictly above the threshold. At a false accept rate (FAR) the
threshold is the lowest that lets in no larger share of the impostors: ties and fractions of an impostor
count against us, and nothing is interpolated.
"""

from __future__ import annotations

import numpy as np

# 0.01 % to 100 %, five a decade: what the curves are drawn at.
FARS = tuple(float(f"{far:.3g}") for far in np.logspace(-4, 0, 21))
# Against 0.001 * 3000 = 2.9999…
_ROUNDING = 1e-9


def roc(scores: np.ndarray, same: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """False and true accept rates at every distinct threshold, from (0, 0) to (1, 1).

    Args:
        scores: ``(P,)``, higher for more alike.
        same: ``(P,)`` whether the pair shows one person; both kinds must occur.
        weights: ``(P,)`` how often each pair counts, once by default.

    Returns:
        FAR and TAR, each ``(K,)``, rising.
    """
    order = np.argsort(-scores, kind="stable")
    scores, same = scores[order], same[order]
    weights = np.ones(len(scores)) if weights is None else weights[order]
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # pairs of equal score come in together
    genuine, impostor = (np.append(0, np.cumsum(weights * kind)[ends]) for kind in (same, ~same))
    return impostor / impostor[-1], genuine / genuine[-1]


def auc(far: np.ndarray, tar: np.ndarray) -> float:
    """Area under a ROC: the chance that a genuine pair scores above an impostor pair, ties counting half."""
    return float(np.sum(np.diff(far) * (tar[1:] + tar[:-1])) / 2)


def eer(far: np.ndarray, tar: np.ndarray) -> float:
    """Equal error rate: where the ROC, its points joined by straight lines, has FAR = 1 - TAR."""
    gap = far + tar - 1  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(far[after - 1] + share * (far[after] - far[after - 1]))


def tar_at(far: np.ndarray, tar: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """True accept rate of a ROC at false accept rates ``(W,)``."""
    return tar[np.searchsorted(far, np.asarray(wanted) + _ROUNDING, side="right") - 1]


def thresholds_at(impostor: np.ndarray, wanted: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Thresholds that let in at most a share of the impostors.

    Args:
        impostor: ``(I,)`` scores; not sorted in place.
        wanted: ``(W,)`` false accept rates.
        weights: ``(I,)`` how often each counts, once by default.

    Returns:
        ``(W,)``: scores strictly above are accepted; -inf where all impostors may be.
    """
    wanted = np.asarray(wanted)
    if weights is None:
        # The threshold is the first impostor that is kept out; only these few ranks need be in order.
        kept_out = np.floor(wanted * len(impostor) + _ROUNDING).astype(np.int64)
        ranks = len(impostor) - 1 - kept_out
        inside = ranks >= 0
        thresholds = np.full(len(wanted), -np.inf)
        if inside.any():
            thresholds[inside] = np.partition(impostor, np.unique(ranks[inside]))[ranks[inside]]
        return thresholds
    order = np.argsort(-impostor, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    first = np.searchsorted(share, wanted + _ROUNDING, side="right")
    return np.append(impostor[order], -np.inf)[first]


def shares_above(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Share of ``(S,)`` scores strictly above each of ``(W,)`` thresholds."""
    return 1 - np.searchsorted(np.sort(scores), thresholds, side="right") / len(scores)
