"""The length of a representation: what it tells of certainty, retrieval and image quality (2015, section 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.protocols.identification import closed_set
from invariantnets.protocols.inputs import one_of_each_source
from invariantnets.protocols.similarity import Similarity
from invariantnets.protocols.verification import by_rows, cross_validate, make_pairs
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import About, Result
from invariantnets.statistics.intervals import Number, Scatter, bounds
from invariantnets.statistics.lengths import norms, unit
from invariantnets.statistics.resampling import Resampling, ratio

BINS = 12
# First and last rank of the bins that the norm is averaged over.
RANK_BINS = ((1, 1), (2, 5), (6, 10), (11, 50), (51, None))
FOLDS, PAIRS_PER_FOLD = 10, 300


def correlation(draws: Resampling, a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Pearson's correlation and its 95 % interval; NaN if one of the two does not vary.

    Args:
        draws: of the rows.
        a: ``(N,)``.
        b: ``(N,)``.
    """
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan"), float("nan"), float("nan")
    # Standardised first: sums of squares of small deviations from a large mean would be rounding.
    a, b = ((v - v.mean()) / v.std() for v in (a, b))

    def statistic(sums: np.ndarray) -> np.ndarray:
        n, sa, sb, aa, bb, ab = sums.T
        return ((n * ab - sa * sb) / np.sqrt((n * aa - sa**2) * (n * bb - sb**2)))[:, None]

    sums = np.stack([np.ones_like(a), a, b, a**2, b**2, a * b], 1)
    value, low, high = (float(v[0]) for v in draws.interval(sums, statistic, [Number("correlation", (0,))]))
    return value, low, high


def columns(
    nuisance: Nuisance, values: np.ndarray, others: Sequence[Nuisance]
) -> Iterator[tuple[str, Mapping[str, Any], np.ndarray]]:
    """The columns of a nuisance that the norm is correlated with: name, ``where`` and values ``(N,)``.

    A number counts as it is and, where it has both signs (left and right) and its magnitude is none of the others, by
    that too; a category counts by whether it is there.
    """
    encoded = nuisance.encode(values)
    if nuisance.kind == "continuous":
        yield nuisance.name, {}, encoded[:, 0]
        if values.min() < 0 < values.max() and f"|{nuisance.name}|" not in {other.name for other in others}:
            yield f"|{nuisance.name}|", {}, np.abs(encoded[:, 0])
    elif nuisance.kind == "binary":
        yield nuisance.name, {}, encoded[:, 1]
    else:
        parts = ("cos", "sin") if nuisance.kind == "circular" else nuisance.categories
        for part, column in zip(parts, encoded.T, strict=True):
            yield nuisance.name, {"part": part}, column


def describe_norm(table: FeatureTable, layer: str, *, seed: int = 0) -> list[Result]:
    """The norm of the test features against prediction entropy and every nuisance.

    Args:
        table: features with test rows; ``entropy`` of the network's own classifier, if it has one.
        layer: the layer.
        seed: goes into every result.

    Returns:
        Pearson's correlation with the entropy (2015, section 4: below -0.65 on LFW) and with each
        nuisance, and the mean entropy in bins of the norm, for the figure.

    Raises:
        InvariantNetsError: the layer or split is missing, or the features are not finite.
    """
    check_layer(table, layer)
    test = table.part("test")
    norm = norms(test.features[layer])
    draws = Resampling(test.source)
    make = partial(_result, layer=layer, seed=seed, sources=draws.sources, n=len(norm))
    value, low, high = _mean(draws, norm, np.ones_like(norm), "positive")
    results = [make("mean_norm", value, probe="norm", low=low, high=high)]
    if test.entropy is not None:
        results.append(_correlated(make, draws, norm, test.entropy.astype(np.float64), "entropy", {}))
        results += _entropy_by_norm(make, draws, norm, test.entropy)
    for nuisance in test.nuisances:
        values = np.asarray(test.nuisance[nuisance.name], np.float64)
        known = np.isfinite(values)
        if known.sum() < 2:
            continue
        rows = draws if known.all() else Resampling(test.source[known])
        told = partial(make, sources=rows.sources, n=int(known.sum()))
        for name, where, column in columns(nuisance, values[known], test.nuisances):
            results.append(_correlated(told, rows, norm[known], column, name, where))
    return results


def describe_recognition(table: FeatureTable, layer: str, *, seed: int = 0) -> list[Result]:
    """What the norm says of retrieval, and what is lost if only the signs of features are kept.

    Retrieval is the closed set of the protocols (cosine): everybody's gallery holds one image, all others are
    searched for. Binarised features are 1 where a feature is above 0; 2015, section 4, finds a loss of
    at most 1 %.

    Args:
        table: features with test rows of four identities or more; of 20 for the protocols' ten folds.
        layer: the layer.
        seed: of pairs and gallery, as in the protocols.

    Returns:
        correlation of norm and rank, the mean norm by rank (2015, figure 5 d), and the loss of verification
        accuracy and of rank 1.

    Raises:
        InvariantNetsError: the table cannot be used so; the message says why.
    """
    check_layer(table, layer)
    test = one_of_each_source(table, numpy_rng(seed, 10, 0))
    label = np.unique(test.label, return_inverse=True)[1]
    images = np.bincount(label)
    folds = max(2, min(FOLDS, len(images) // 2, int((images > 1).sum())))
    pairs = make_pairs(label, folds, PAIRS_PER_FOLD, numpy_rng(seed, 10, 1))
    task = closed_set(label, 1, numpy_rng(seed, 10, 2))
    x = test.features[layer]
    kinds = unit(x), unit((x > 0).astype(x.dtype))
    whole, binary = (cross_validate(pairs, by_rows(kind, pairs))[1] for kind in kinds)
    rank, binary_rank = (task.run(kind, label, Similarity()).rank for kind in kinds)
    people = label[task.probe]
    draws = Resampling(people)
    make = partial(_result, layer=layer, seed=seed, sources=draws.sources, n=len(rank))
    norm = norms(x[task.probe])
    results = [_correlated(make, draws, norm, rank.astype(np.float64), "retrieval_rank", {})]
    for first, last in RANK_BINS:
        inside = ((rank >= first) & (rank <= (last or len(label)))).astype(np.float64)
        if inside.any():
            value, low, high = _mean(draws, norm, inside, "positive")
            name = f"{first}" if first == last else f"{first}–{last}" if last else f"over {first - 1}"
            fields: dict[str, Any] = {"low": low, "high": high, "n": int(inside.sum()), "where": {"rank": name}}
            results.append(make("mean_norm", value, probe="retrieval_rank", **fields))
    lost = (rank == 1).astype(np.float64) - (binary_rank == 1)
    value, low, high = _mean(draws, lost, np.ones_like(lost), "difference")
    make = partial(make, target="features")
    fold_loss = whole - binary
    mean, error = float(fold_loss.mean()), float(fold_loss.std(ddof=1)) / folds**0.5
    scatter, kind = Scatter(error**2, folds), Number("difference", ())
    ends = bounds(kind, mean, scatter, scatter, np.array([float(len(images))]))
    note = "accuracy minus that of the features binarised at 0"
    verified = {"n": len(pairs), "low": ends[0], "high": ends[1]}
    return [
        *results,
        make(
            "accuracy_drop",
            mean,
            probe="binarised/verification",
            note=f"{note}; Student's t over {folds} folds",
            **verified,
        ),
        make("rank1_drop", value, probe="binarised/closed_set", note=note, low=low, high=high),
    ]


def _mean(
    draws: Resampling, values: np.ndarray, rows: np.ndarray, scale: Literal["positive", "difference"]
) -> tuple[float, float, float]:
    """Mean of values ``(N,)`` over rows ``(N,)`` (1: counts), and its interval."""
    value, low, high = draws.interval(np.stack([values * rows, rows], 1), ratio, [Number(scale, (1,))])
    return float(value[0]), float(low[0]), float(high[0])


def _result(metric: str, value: float, *, target: str = "norm", **fields: Any) -> Result:
    about: About = "norm" if target == "norm" else "features"
    return Result(metric, value, target=target, split="test", about=about, **fields)


def _correlated(
    make: partial[Result],
    draws: Resampling,
    norm: np.ndarray,
    other: np.ndarray,
    name: str,
    where: Mapping[str, Any],
) -> Result:
    value, low, high = correlation(draws, norm, other)
    return make("correlation", value, probe=name, low=low, high=high, chance=0.0, where=where, note="Pearson's")


def _entropy_by_norm(
    make: partial[Result], draws: Resampling, norm: np.ndarray, entropy: np.ndarray
) -> Iterator[Result]:
    """Mean entropy in bins of equally many rows, each placed at its mean norm."""
    edges = np.unique(np.quantile(norm, np.linspace(0, 1, BINS + 1)))
    bins = np.searchsorted(edges[1:-1], norm, side="right")
    inside = (bins[:, None] == np.unique(bins)).astype(np.float64)
    sizes = inside.sum(0)
    kinds = [Number("positive", (len(sizes) + i,)) for i in range(len(sizes))]
    numbers = draws.interval(np.concatenate([inside * entropy[:, None], inside], 1), ratio, kinds)
    for value, low, high, place, n in zip(*numbers, norm @ inside / sizes, sizes, strict=True):
        fields: dict[str, Any] = {"low": float(low), "high": float(high), "n": int(n)}
        yield make("mean_entropy", float(value), probe="norm", where={"norm": float(place)}, **fields)
