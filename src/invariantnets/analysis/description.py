"""What a representation looks like, whatever it is used for."""

from __future__ import annotations

from typing import Any

import numpy as np

from invariantnets.analysis.scatter import scatter_traces
from invariantnets.analysis.spectrum import effective_rank, singular_values, variance_share
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.probes.mav import mean_activation_vectors
from invariantnets.results.result import Result
from invariantnets.statistics.moments import BLOCK_ROWS, moments, precision, varies
from invariantnets.statistics.resampling import Resampling, ratio, shares

COMPONENTS = 40


def column_spread(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, ``(D,)`` float64, read block by block."""
    origin = features[0].astype(np.float64)
    total, squares = np.zeros(features.shape[1]), np.zeros(features.shape[1])
    for start in range(0, len(features), BLOCK_ROWS):
        x = features[start : start + BLOCK_ROWS] - origin
        total += x.sum(0)
        squares += np.einsum("nd,nd->d", x, x)
    mean = total / len(features)
    return origin + mean, np.sqrt(np.maximum(squares / len(features) - mean**2, 0))


def describe(table: FeatureTable, layer: str, *, seed: int = 0) -> list[Result]:
    """Spectrum, rank, sparsity, dead features (where there is a training split) and scatter of a layer.

    Singular values are those of the mean-centred test matrix after one min-max normalisation of the
    whole matrix to [-1, 1], so that networks of different scale share an axis (figure 6). The
    ideal representation of C classes has C - 1 components after centring.

    Args:
        table: features with a split test.
        layer: the layer to describe.
        seed: goes into every result.

    Raises:
        InvariantNetsError: the layer or the split is missing, or the features are not finite.
    """
    check_layer(table, layer)
    test = table.part("test")
    x = test.features[layer]
    present, compact, count = np.unique(test.label, return_inverse=True, return_counts=True)
    total = moments(x, np.zeros((len(test), 0)))
    span = float(x.max()) - float(x.min())
    singular = singular_values(total.xx) * (2 / span if span else 0.0)
    means = mean_activation_vectors(x, compact, len(present))
    within, between = scatter_traces(float(np.trace(total.xx)), count, means)
    zeros = np.stack([(x == 0).mean(1), np.ones(len(test))], 1)
    images = Resampling(test.source)
    sparsity, low, high = (float(v[0]) for v in images.interval(zeros, ratio, shares(1)))

    def result(metric: str, value: float, **fields: Any) -> Result:
        base = {"split": "test", "n": len(test), "sources": images.sources}
        return Result(
            metric, float(value), layer, "features", "description", seed=seed, about="features", **{**base, **fields}
        )

    dead = []
    if (table.split == "train").any():
        train = table.part("train")
        share = 1 - varies(*column_spread(train.features[layer]), precision(train.features[layer])).mean()
        rows = {"split": "train", "n": len(train), "sources": len(np.unique(train.source))}
        dead.append(result("dead_fraction", share, note="features constant to rounding", **rows))
    of_classes = []
    if table.labelled:
        ideal = len(present) - 1
        of_classes = [
            result("ideal_rank", ideal, note="number of classes of the split - 1"),
            result("variance_in_ideal_rank", variance_share(singular, ideal)),
            result("within_between", within / between if between else float("nan"), note="trace Sw / trace Sb"),
        ]
    normalised = "mean-centred test features, min-max normalised to [-1, 1] over the whole matrix"
    return [
        *(
            result("singular_value", value, where={"component": i}, note=normalised)
            for i, value in enumerate(singular[:COMPONENTS], 1)
        ),
        result("effective_rank", effective_rank(singular), note="exp of the entropy of the normalised singular values"),
        result("sparsity", sparsity, low=low, high=high, note="share of exact zeros"),
        *of_classes,
        *dead,
    ]
