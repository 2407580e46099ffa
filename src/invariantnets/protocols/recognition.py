"""Every protocol made from the test split of any table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.protocols.identification import closed_set, open_set
from invariantnets.protocols.inputs import one_of_each_source, prepared, pretrained
from invariantnets.protocols.scores import Recorder, join
from invariantnets.protocols.similarity import Kind, Similarity, fit_chi2
from invariantnets.protocols.verification import Pairs, cross_validate, make_pairs
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result


def learner(x: np.ndarray, kind: Kind, seed: int) -> Callable[[Pairs], Similarity]:
    """What `cross_validate` fits on the training folds: nothing, or the weights of χ².

    Args:
        x: ``(N, D)`` prepared features.
        kind: of similarity.
        seed: of the solver.
    """
    if kind != "chi2":
        return lambda train: Similarity()
    return lambda train: fit_chi2(x[train.left], x[train.right], train.same, seed)


def run_protocols(
    table: FeatureTable,
    layer: str,
    *,
    seed: int = 0,
    similarities: Sequence[Kind] = ("cosine",),
    folds: int = 10,
    pairs_per_fold: int = 300,
    template_images: int = 1,
    bootstrap: int = 1000,
    progress: Callable[[str], None] | None = None,
) -> list[Result]:
    """Verification, closed-set and open-set identification among the identities of the test split.

    Pairs, galleries and probes are the same for every similarity, layer and network with the same rows
    and seed. Of rows made from one image, one is used.

    Args:
        table: features with test rows; train rows serve for normalisation and the weights of χ².
        layer: the layer to compare by.
        seed: of pairs, galleries and the bootstrap.
        similarities: of ``cosine``, ``inner_product`` (normalised as in DeepFace) and ``chi2``.
        folds: of verification, disjoint in identity.
        pairs_per_fold: same pairs of each fold, and different ones, at most.
        template_images: images of an identity that are pooled in the gallery.
        bootstrap: replicates of the intervals.
        progress: is told the name of each step before it starts.

    Raises:
        InvariantNetsError: the table cannot be used so; the message says why.
    """
    step = progress or (lambda _: None)
    if folds < 2:
        raise InvariantNetsError(f"protocols.folds={folds}: thresholds come from the other folds, so two are needed")
    check_layer(table, layer)
    test = one_of_each_source(table, numpy_rng(seed, 10, 0))
    label = np.unique(test.label, return_inverse=True)[1]
    pairs = make_pairs(label, folds, pairs_per_fold, numpy_rng(seed, 10, 1))
    closed = closed_set(label, template_images, numpy_rng(seed, 10, 2))
    opened = open_set(label, template_images, numpy_rng(seed, 10, 3))
    known = np.isin(np.unique(test.label), table.label[table.split == "train"])
    seen = f"{known.sum()} of {len(known)} identities were trained on" if known.any() else ""
    results: list[Result] = []
    for kind in similarities:
        step(f"{kind}: verification")
        x, note = prepared(table, layer, kind, test)
        note = join(note, seen)
        record = Recorder(layer, seed, kind, bootstrap)
        scores, accuracy = cross_validate(x, pairs, learner(x, kind, seed))
        results += record.verification(scores, pairs, label, accuracy, note)
        step(f"{kind}: identification")
        similarity = pretrained(table, layer, kind, seed)
        for task, score in ((closed, record.closed_set), (opened, record.open_set)):
            gallery = len(np.unique(label[task.gallery]))
            results += score(task.run(x, label, similarity), label[task.probe], gallery, note)
    return results
