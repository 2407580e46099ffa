"""Cheap probes of one split, to watch while training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from invariantnets.features.checks import check_finite
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import SPLITS, Nuisance
from invariantnets.probes.mav import nearest_class
from invariantnets.probes.ridge import Ridge
from invariantnets.probes.targets import r2
from invariantnets.probes.task import prepare

LAYER = "embedding"


def divide(source: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What each row is used for: a quarter of the sources to score, the others, in two parts, to fit and choose.

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
    """MAV accuracy and ridge R² of every nuisance, fitted on three quarters of the sources of one split.

    They are what `invariantnets.probes.run_probes` finds where `divide` says which rows are train, val and test, by two
    of its readers. Those that are reported are fitted to training images and read on test images: other rows, and so
    other numbers.

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
    check_finite(features, LAYER)
    split = divide(source, rng)
    table = FeatureTable({LAYER: features}, label, split, source, nuisance, tuple(nuisances), num_classes)
    task = prepare(table, LAYER, seed=0, closed=True)
    found = {"mav_accuracy": float((nearest_class(task)[1] == task.parts["test"].label).mean())}
    for reading in Ridge()(task):
        truth, mean = task.y["test"][:, reading.target.true], task.mean(reading.target.true)
        varies = ((truth - mean) ** 2).any()
        found[f"{reading.target.nuisance.name}_r2"] = r2(reading.test, truth, mean) if varies else float("nan")
    return found
