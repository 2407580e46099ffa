"""What is known of people in pictures by their parts, as vectors that a probe can read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from invariantnets.features.table import FeatureTable
from invariantnets.protocols.part_models import say
from invariantnets.protocols.part_scores import NAMES
from invariantnets.protocols.parts import ALBUM, Instances, both_halves, known_rows, read_instances
from invariantnets.protocols.piper import FILLED, GLOBAL, PARTS, UNFILLED, Combiner
from invariantnets.randomness import numpy_rng

__all__ = ["part_vectors"]


def part_vectors(table: FeatureTable, layer: str, seed: int = 0) -> Iterator[tuple[str, np.ndarray, Instances]]:
    """Features of each part where it fires, and scores of the people of val, for the people of test.

    Scores are those by which `run_piper` retrieves: of the part ``global``, of the parts without it, of both; with
    weights that were learned by album.

    Args:
        table: as of `run_piper`.
        layer: of the features.
        seed: of halves and solvers.

    Yields:
        Name, ``(J, D)`` features or scores, and the ``J`` people in pictures.
    """
    table, _ = known_rows(table, layer)
    found, halves = both_halves(read_instances(table, layer, GLOBAL), [ALBUM], numpy_rng(seed, 10, 6))
    x = np.asarray(table.features[layer], np.float64)
    val, test = (found.where(found.split == split) for split in ("val", "test"))
    for k, part in enumerate(found.parts):
        there = test.where(test.active[:, k])
        yield f"features of {part}", x[there.row[:, k]], there
    combiner = Combiner.fit(x, val, halves[ALBUM][found.split == "val"], seed=seed)
    scores = combiner.scores(say(x, val, test, np.unique(val.person), 1.0, seed), test)
    for name in (GLOBAL, PARTS, UNFILLED, FILLED):
        yield f"scores, {NAMES[name]}", scores[name], test
