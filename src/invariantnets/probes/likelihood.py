"""How many bits a prediction saves: likelihoods of a nuisance around what a reader says of it.

Every likelihood is the marginal of the known rows, tilted by what was predicted: p(v|x) ∝ p(v) exp(w·φ(x, v)). Without
weights it is the marginal itself, which is what a reader says who knows nothing ("optional ignorance", Xu et al. 2020,
definition 1). Because it is normalised against the marginal, the mean of log2 p(v|x)/p(v) never exceeds Shannon's
mutual information but by chance; of a normal distribution in place of the marginal that would not be true, and an angle
of three values would have had any number of bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from invariantnets.nuisance import Kind
from invariantnets.randomness import numpy_rng

__all__ = ["Likelihood", "Scale", "fit_likelihood", "halves", "scale_of"]

# Values that are told apart; of more, so many are taken and the others rounded to them: 7 bits at most.
LEVELS = 128
# Rows, and rows times levels, that are enough for a handful of weights.
FIT_ROWS = 5000
FIT_CELLS = 2**18
# Of more categories none has an offset of its own: the rows of a rare one do not tell it.
OFFSETS = 16
# A predicted share counts as no less than this part of the marginal one: a line may predict 0 or less.
LEAST_SHARE = 0.01
BLOCK_ROWS = 2048
# Bits a row that are rounding.
NOTHING = 1e-9
STEPS = 50
ENOUGH = 1e-7  # nats a row
RIDGE = 1e-8


@dataclass(frozen=True, eq=False)
class Scale:
    """The values of a nuisance that are told apart, and how often each is.

    Attributes:
        kind: of the nuisance.
        values: ``(V, K)`` encoded.
        share: ``(V,)`` of the known rows, none of them 0.
        mean: ``(K,)`` of the known rows.
        spread: standard deviation of a continuous nuisance, 1 of others.
        whole: every known value is a level of its own.
    """

    kind: Kind
    values: np.ndarray
    share: np.ndarray
    mean: np.ndarray
    spread: float
    whole: bool

    def level(self, true: np.ndarray) -> np.ndarray:
        """``(N, K)`` encoded → ``(N,)`` the level that is nearest."""
        if self.kind == "continuous":
            own = self.values[:, 0]
            return np.searchsorted((own[1:] + own[:-1]) / 2, true[:, 0])
        # All codes of a kind have the same length, so that the nearest has the largest product.
        found = np.empty(len(true), np.int64)
        for start in range(0, len(true), BLOCK_ROWS):
            found[start : start + BLOCK_ROWS] = (true[start : start + BLOCK_ROWS] @ self.values.T).argmax(1)
        return found

    def marginal(self, true: np.ndarray) -> np.ndarray:
        """``(N,)`` bits that the marginal takes to tell each row: its surprise, rounded to the levels."""
        found: np.ndarray = -np.log2(self.share[self.level(true)])
        return found

    def evidence(self, predicted: np.ndarray) -> np.ndarray:
        """What the weights multiply.

        Continuous: with three, any normal likelihood around a line of the prediction. Circular: von Mises around the
        prediction, as sure as it is long, or as sure of every row. Categories: their shares, and these as logarithms.

        Args:
            predicted: ``(N, K)``.

        Returns:
            ``(N, V, P)``.
        """
        rows = (predicted - self.mean) / self.spread
        own = (self.values - self.mean) / self.spread
        if self.kind == "continuous":
            varying, fixed = [rows @ own.T], np.concatenate([own, own**2], 1)
        elif self.kind == "circular":
            length = np.linalg.norm(predicted, axis=1, keepdims=True)
            direction = np.divide(predicted, length, out=np.zeros_like(predicted), where=length > 0)
            varying, fixed = [rows @ self.values.T, direction @ self.values.T], self.values
        else:
            share = predicted @ self.values.T
            varying = [share - self.share, np.log(np.maximum(share / self.share, LEAST_SHARE))]
            fixed = np.eye(len(own))[:, 1:] if len(own) <= OFFSETS else np.zeros((len(own), 0))
        shape = (len(predicted), *fixed.shape)
        return np.concatenate([np.stack(varying, 2), np.broadcast_to(fixed, shape)], 2)


def scale_of(kind: Kind, known: np.ndarray) -> Scale:
    """The levels of a nuisance: its values, or so many quantiles of them.

    Args:
        kind: of the nuisance.
        known: ``(M, K)`` encoded, of the known rows.
    """
    if kind == "continuous":
        keys = known[:, 0]
    elif kind == "circular":
        keys = np.rad2deg(np.arctan2(known[:, 1], known[:, 0])).round(6)
    else:
        keys = known.argmax(1).astype(np.float64)
    values = np.unique(keys)
    whole = len(values) <= LEVELS
    values = values if whole else _levels(keys)
    if kind == "continuous":
        codes = values[:, None]
    elif kind == "circular":
        codes = np.stack([np.cos(np.deg2rad(values)), np.sin(np.deg2rad(values))], 1)
    else:
        codes = np.eye(known.shape[1])[values.astype(int)]
    spread = float(known.std()) if kind == "continuous" else 1.0
    found = Scale(kind, codes, np.ones(len(codes)), known.mean(0), spread or 1.0, whole)
    count = np.bincount(found.level(known), minlength=len(codes))
    return Scale(kind, codes, count / len(known), found.mean, found.spread, whole)


def _levels(keys: np.ndarray) -> np.ndarray:
    """Known values, as if half of all rows were spread evenly: neither where rows are few nor where many are coarse."""
    values, count = np.unique(keys, return_counts=True)
    low, high = np.quantile(keys, (0.001, 0.999))
    below = np.cumsum(count) / len(keys) + ((values - low) / (high - low)).clip(0, 1)
    at = np.searchsorted(below, 2 * (np.arange(LEVELS) + 0.5) / LEVELS)
    return values[np.unique(at.clip(max=len(values) - 1))]


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The bits of a reader's predictions.

    Attributes:
        scale: the levels.
        weights: ``(P,)``, None: the marginal.
        doubt: share of the marginal in what is said: what was never wrong in n rows may be wrong in the next.
        held_out: ``(C,)`` bits that it saved in the rows it was fitted to, by weights of the other half of them.
    """

    scale: Scale
    weights: np.ndarray | None
    doubt: float
    held_out: np.ndarray

    def saved(self, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
        """``(N,)`` bits that the prediction saves in telling each row, against the marginal: log2 p(v|x)/p(v).

        Args:
            predicted: ``(N, K)``.
            true: ``(N, K)`` encoded.
        """
        found = np.zeros(len(true))
        if self.weights is None:
            return found
        level = self.scale.level(true)
        for start in range(0, len(true), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            ratio = _tilted(self.scale, self.scale.evidence(predicted[block]) @ self.weights)
            found[block] = ratio[np.arange(len(ratio)), level[block]]
        return np.log2((1 - self.doubt) * found + self.doubt)


def _tilted(scale: Scale, score: np.ndarray) -> np.ndarray:
    """``(N, V)`` w·φ → p(v|x)/p(v)."""
    ratio = np.exp(score - score.max(1, keepdims=True))
    ratio /= (ratio @ scale.share)[:, None]
    return ratio


def fit_likelihood(scale: Scale, predicted: np.ndarray, true: np.ndarray, source: np.ndarray, seed: int) -> Likelihood:
    """A likelihood whose weights are the likeliest, or the marginal where these do not carry over.

    They are fitted to each half of the sources and judged on the other; if that saves nothing, nothing is saved.

    Args:
        scale: the levels.
        predicted: ``(C, K)`` by a reader that has not seen these rows, e.g. `Reading.held_out`.
        true: ``(C, K)`` encoded.
        source: ``(C,)`` what the halves do not divide.
        seed: draws the halves.
    """
    held_out = cross_fitted(scale, predicted, true, source, seed)
    if not held_out.mean() > NOTHING:
        return Likelihood(scale, None, 0.0, np.zeros_like(held_out))
    return replace(_fit(scale, predicted, true, seed), held_out=held_out)


def cross_fitted(scale: Scale, predicted: np.ndarray, true: np.ndarray, source: np.ndarray, seed: int) -> np.ndarray:
    """``(C,)`` bits that each row is spared by weights that were fitted to the other half of the sources.

    Args:
        scale: the levels.
        predicted: ``(C, K)``.
        true: ``(C, K)`` encoded.
        source: ``(C,)`` what the halves do not divide.
        seed: draws the halves.
    """
    saved, first = np.zeros(len(true)), halves(source, seed)
    for part in (first, ~first):
        if part.any() and not part.all():
            saved[~part] = _fit(scale, predicted[part], true[part], seed).saved(predicted[~part], true[~part])
    return saved


def halves(source: np.ndarray, seed: int) -> np.ndarray:
    """``(N,)`` bool: the rows of a random half of the sources."""
    unique, group = np.unique(source, return_inverse=True)
    return (numpy_rng(seed, 18, 0).permutation(len(unique)) < len(unique) / 2)[group]


def _fit(scale: Scale, predicted: np.ndarray, true: np.ndarray, seed: int) -> Likelihood:
    """The likeliest weights by Newton's method: the logarithm of the likelihood is concave in them."""
    n, most = len(true), max(1, min(FIT_ROWS, FIT_CELLS // len(scale.values)))
    rows = np.arange(n) if n <= most else numpy_rng(seed, 18, 1).choice(n, most, replace=False)
    evidence, level = scale.evidence(predicted[rows]), scale.level(true[rows])
    size = evidence.std((0, 1))
    size[size == 0] = 1
    evidence /= size  # whatever a reader's unit, the trace of ridge is one
    weights = np.zeros(evidence.shape[2])
    value, slope, curve = _objective(scale, evidence, level, weights)
    for _ in range(STEPS):
        step = np.linalg.solve(curve, slope)
        while (tried := _objective(scale, evidence, level, weights + step))[0] < value and np.abs(step).max() > 1e-6:
            step = step / 2
        gain = tried[0] - value
        if gain > 0:
            weights, (value, slope, curve) = weights + step, tried
        if gain < ENOUGH:
            break
    return Likelihood(scale, weights / size, 1 / (n + 1), np.zeros(0))


def _objective(
    scale: Scale, evidence: np.ndarray, level: np.ndarray, weights: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean logarithm of p(v|x)/p(v), less a trace of ridge, with its gradient and the negative of its Hessian."""
    n, _, p = evidence.shape
    ratio, at = _tilted(scale, evidence @ weights), np.arange(n)
    value = float(np.log(np.maximum(ratio[at, level], 1e-300)).mean())
    ratio *= scale.share
    expected = (ratio[:, None, :] @ evidence)[:, 0]
    slope = (evidence[at, level] - expected).mean(0)
    cells = evidence.reshape(-1, p)
    curve = (cells * ratio.reshape(-1, 1)).T @ cells - expected.T @ expected
    ridge = RIDGE * np.eye(p)
    return value - RIDGE / 2 * float(weights @ weights), slope - RIDGE * weights, curve / n + ridge
