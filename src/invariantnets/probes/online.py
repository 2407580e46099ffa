"""Cheap probes of one split, to watch while training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from invariantnets.features.checks import check_finite
from invariantnets.nuisance import SPLITS, Nuisance
from invariantnets.probes import mav
from invariantnets.probes.linear import fit_ridge
from invariantnets.probes.targets import r2
from invariantnets.statistics.moments import moments


def divide(source: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What each row is used for: half of the sources to fit, a quarter to choose the penalty and a quarter to score.

    Args:
        source: ``(N,)``.
        rng: draws the sources.

    Returns:
        ``(N,)`` of ``train``, ``val`` and ``test``.
    """
    unique, group = np.unique(source, return_inverse=True)
    rank = rng.permutation(len(unique))[group] / len(unique)
    return np.asarray(SPLITS)[np.searchsorted([0.5, 0.75], rank, side="right")]


def quick_probes(
    features: np.ndarray,
    label: np.ndarray,
    nuisance: Mapping[str, np.ndarray],
    nuisances: Sequence[Nuisance],
    source: np.ndarray,
    num_classes: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """MAV accuracy and ridge R² of every nuisance, fitted on half the sources of one split.

    They are what `invariantnets.probes.run_probes` finds where `divide` says which rows are train, val and test: the
    same sums, penalties and means, without shuffled controls and intervals. Those that are reported are fitted to
    training images and read on test images: other rows, and so other numbers.

    Args:
        features: ``(N, D)`` float32.
        label: ``(N,)``.
        nuisance: name → ``(N,)``.
        nuisances: what they are.
        source: ``(N,)``; at least 4 different ones.
        num_classes: number of classes.
        rng: divides the sources.

    Returns:
        ``mav_accuracy`` and ``<nuisance>_r2``; NaN for a nuisance that does not vary where scored.

    Raises:
        InvariantNetsError: features that are not finite.
    """
    check_finite(features, "embedding")
    part = divide(source, rng)
    fit, choice, score = (part == split for split in SPLITS)

    encoded = [n.encode(nuisance[n.name]) for n in nuisances]
    stops = np.cumsum([num_classes, *(e.shape[1] for e in encoded)])
    groups = [slice(int(a), int(b)) for a, b in zip(stops[:-1], stops[1:], strict=True)]
    targets = np.concatenate([np.eye(num_classes)[label], *encoded], 1)
    train = moments(features[fit], targets[fit])

    means = mav.means_per_value([train], slice(0, num_classes)).swapaxes(0, 1)
    predicted = mav.classify_at(features[score], np.zeros(int(score.sum()), np.int64), means)
    found = {"mav_accuracy": float((predicted == label[score]).mean())}
    ridge = fit_ridge(train, (features[choice], targets[choice]), groups)
    values = ridge.predict(features[score])
    for n, columns in zip(nuisances, groups, strict=True):
        truth, mean = targets[score][:, columns], train.y_mean[columns]
        varies = ((truth - mean) ** 2).any()
        found[f"{n.name}_r2"] = r2(values[:, columns], truth, mean) if varies else float("nan")
    return found
