"""Every protocol made from the test split of any table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.protocols.identification import closed_set, open_set
from invariantnets.protocols.inputs import one_of_each_source, prepared, pretrained
from invariantnets.protocols.kernels import by_kernels, cpd_kernel
from invariantnets.protocols.members import Member, members_of
from invariantnets.protocols.scores import Recorder, join
from invariantnets.protocols.similarity import KERNEL, LEARNED, Kind, Similarity, chi2_elements
from invariantnets.protocols.verification import Learner, Pairs, by_rows, cross_validate, make_pairs
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result


def learner(x: np.ndarray, pairs: Pairs, kind: Kind, seed: int) -> Learner:
    """What `cross_validate` fits on the training folds: nothing, or the weights of χ² or L1.

    Args:
        x: ``(N, D)`` prepared features.
        pairs: of their rows.
        kind: of similarity.
        seed: of the solver.
    """
    if kind not in LEARNED:
        return by_rows(x, pairs)

    def fit(train: Pairs) -> Similarity:
        return LEARNED[kind](x[train.left], x[train.right], train.same, seed)

    return by_rows(x, pairs, fit)


def kinds_of(similarities: Sequence[Kind], members: Sequence[Member]) -> list[Kind]:
    """What is measured: of several members also the sum of their kernels, asked for or not."""
    added = [KERNEL] if len(members) > 1 and similarities and KERNEL not in similarities else []
    return [*similarities, *added]


def verify(
    members: Sequence[Member], pairs: Pairs, person: np.ndarray, kind: Kind, record: Recorder, said: str = ""
) -> list[Result]:
    """Pairs in folds, by one similarity of the first member; by kernels, each member's and their sum.

    Args:
        members: the layer that is measured, and those beside it.
        pairs: of their rows.
        person: ``(N,)`` on each of these.
        kind: of similarity.
        record: of the layer and that similarity.
        said: what must be said besides.
    """
    if kind != KERNEL:
        own = members[0]
        x, note = prepared(own.table, own.layer, kind, own.rows)
        scores, accuracy = cross_validate(pairs, learner(x, pairs, kind, record.seed))
        return record.verification(scores, pairs, person, accuracy, join(note, said))
    kernels, notes = {}, {}
    for member in members:
        x, notes[member.name] = prepared(member.table, member.layer, kind, member.rows)
        kernels[member.name] = cpd_kernel(chi2_elements(x[pairs.left], x[pairs.right]))
    sums = {f"{KERNEL} of {name}": [name] for name in kernels} if len(kernels) > 1 else {}
    results = []
    for similarity, names in {**sums, KERNEL: list(kernels)}.items():
        learn = by_kernels([kernels[name] for name in names], pairs.same)
        scores, accuracy = cross_validate(pairs, learn, threshold=0.0)
        of = f"sum of kernels, each over its mean: {', '.join(names)}" if len(names) > 1 else ""
        note = join(of, *dict.fromkeys(notes[name] for name in names), said)
        results += replace(record, similarity=similarity).verification(scores, pairs, person, accuracy, note)
    return results


def run_protocols(
    table: FeatureTable,
    layer: str,
    *,
    seed: int = 0,
    similarities: Sequence[Kind] = ("cosine",),
    members: Sequence[str | Path] = (),
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
        similarities: of ``cosine``, ``inner_product`` (normalised as in DeepFace), ``chi2``, ``l1``, and ``kernel``,
            which is of verification alone.
        members: other layers, or paths of tables of other networks, whose kernels are summed with this layer's.
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
    together = members_of(table, test, layer, members)
    label = np.unique(test.label, return_inverse=True)[1]
    pairs = make_pairs(label, folds, pairs_per_fold, numpy_rng(seed, 10, 1))
    closed = closed_set(label, template_images, numpy_rng(seed, 10, 2))
    opened = open_set(label, template_images, numpy_rng(seed, 10, 3))
    known = np.isin(np.unique(test.label), table.label[table.split == "train"])
    seen = f"{known.sum()} of {len(known)} identities were trained on" if known.any() else ""
    results: list[Result] = []
    for kind in kinds_of(similarities, together):
        step(f"{kind}: verification")
        record = Recorder(layer, seed, kind, bootstrap, int(label.max()) + 1)
        results += verify(together, pairs, label, kind, record, seen)
        if kind == KERNEL:
            continue
        step(f"{kind}: identification")
        x, note = prepared(table, layer, kind, test)
        similarity = pretrained(table, layer, kind, seed)
        for task, score in ((closed, record.closed_set), (opened, record.open_set)):
            gallery = len(np.unique(label[task.gallery]))
            results += score(task.run(x, label, similarity), label[task.probe], gallery, join(note, seen))
    return results
