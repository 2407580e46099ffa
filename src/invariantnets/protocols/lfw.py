"""The protocols of Labeled Faces in the Wild, by the lists that come with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.protocols.identification import Task, check_task, detection_rates, open_set
from invariantnets.protocols.inputs import all_rows, find_images, prepared
from invariantnets.protocols.listed import resolve
from invariantnets.protocols.members import members_of
from invariantnets.protocols.pair_lists import read_pair_list
from invariantnets.protocols.rates import FARS, shares_above, thresholds_at
from invariantnets.protocols.recognition import kinds_of, verify
from invariantnets.protocols.scores import Recorder, join
from invariantnets.protocols.similarity import KERNEL, LEARNED, Kind, Similarity
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result

if TYPE_CHECKING:  # the room of data loads Lightning; a table that is probed by other protocols needs none
    from invariantnets.data.lfw_lists import Blufr

_BLOCK_ROWS = 1024


def all_pairs(x: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inner products of every row with every other, apart by whether the two show one person.

    Args:
        x: ``(N, D)`` prepared features.
        label: ``(N,)`` identities.

    Returns:
        genuine and impostor scores, of the features' precision; together N (N - 1) / 2.
    """
    images = np.unique(label, return_counts=True)[1].astype(np.int64)
    count = int((images * (images - 1) // 2).sum())
    genuine, impostor = np.empty(count, x.dtype), np.empty(len(x) * (len(x) - 1) // 2 - count, x.dtype)
    filled = [0, 0]
    for start in range(0, len(x), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        scores, same = x[rows] @ x[start:].T, label[rows, None] == label[start:]
        later = np.triu(np.ones(scores.shape, bool), 1)
        for i, (found, chosen) in enumerate(((genuine, same & later), (impostor, later & ~same))):
            block = scores[chosen]
            found[filled[i] : filled[i] + len(block)] = block
            filled[i] += len(block)
    return genuine, impostor


def blufr(
    x: np.ndarray, label: np.ndarray, lists: Blufr, record: Recorder, step: Callable[[str], None] = lambda _: None
) -> list[Result]:
    """BLUFR (Liao et al. 2014): all pairs of a trial's test images, and its open set.

    Args:
        x: ``(N, D)`` prepared features, in the order of ``lists.name``.
        label: ``(N,)`` identities.
        lists: of the trials.
        record: makes the results.
        step: is told the trial.

    Returns:
        True accept rate at 0.1 % and rank-1 DIR at 1 % FAR: mean over trials, mean - standard deviation (by
        which the benchmark ranks) and each trial; and the mean curves.
    """
    verified, detected, fars = [], [], np.array(FARS)
    comparisons, probes, entries = 0, 0, len(lists.gallery[0])
    for trial, (test, gallery, probe) in enumerate(zip(lists.test, lists.gallery, lists.probe, strict=True), 1):
        step(f"BLUFR, trial {trial} of {len(lists.test)}")
        genuine, impostor = all_pairs(x[test], label[test])
        verified.append(shares_above(genuine, thresholds_at(impostor, fars)))
        task = Task(gallery, probe)
        check_task(task, label, impostors=True)
        detected.append(detection_rates(task.run(x, label, Similarity()), fars))
        comparisons, probes = comparisons + len(genuine) + len(impostor), probes + len(probe)
    people = len(np.unique(label[np.concatenate(lists.test)]))

    def over_trials(protocol: str, metric: str, values: np.ndarray, far: float, n: int, guess: float) -> list[Result]:
        make = partial(record.result, protocol=protocol, n=n // len(values), identities=people)
        mean, deviation, i = values.mean(0), values.std(0, ddof=1), FARS.index(far)
        name, chance = f"{metric}_far{100 * far:g}", far * guess
        note = f"± {deviation[i]:.4f} s.d. over {len(values)} trials, which overlap: no interval; n is of one trial"
        return [
            make(name, mean[i], chance=chance, note=note),
            make(f"{name}_mean_minus_sd", mean[i] - deviation[i], chance=chance, note="what BLUFR ranks by"),
            *(make(name, v, chance=chance, where={"trial": trial}) for trial, v in enumerate(values[:, i], 1)),
            *(make(metric, mean[k], chance=f * guess, where={"far": f}) for k, f in enumerate(FARS)),
        ]

    return [
        *over_trials("blufr_verification", "tar", np.stack(verified), 0.001, comparisons, 1.0),
        *over_trials("blufr_open_set", "dir", np.stack(detected), 0.01, probes, 1 / entries),
    ]


def run_lfw(
    table: FeatureTable,
    layer: str,
    *,
    lists: str | Path,
    seed: int = 0,
    similarities: Sequence[Kind] = ("cosine",),
    members: Sequence[str | Path] = (),
    enrolled: int = 596,
    impostors: int = 9491,
    bootstrap: int = 1000,
    progress: Callable[[str], None] | None = None,
) -> list[Result]:
    """View 2, the closed set of the identification lists, an open set, and BLUFR.

    The open set has the sizes of the 2015 paper (section 5), one genuine probe of each enrolled identity,
    drawn by ``seed``: the paper's own draw is not among the lists. What is learned (χ², L1, kernels) is so on the
    training folds of View 2 and measured there alone: the other protocols do not permit training on LFW.
    Identities are those of the lists.

    Args:
        table: all images, named as in the lists (``Aaron_Peirsol/Aaron_Peirsol_0001``), of split test.
        layer: the layer to compare by.
        lists: folder with ``pairs.txt``, ``blufr/`` and ``identification/``.
        seed: of the open set and the bootstrap.
        similarities: of ``cosine``, ``inner_product``, ``chi2``, ``l1`` and ``kernel``.
        members: other layers, or paths of tables of other networks, whose kernels are summed with this layer's.
        enrolled: identities in the gallery of the open set.
        impostors: images of others that are searched for there, at most.
        bootstrap: replicates of the intervals.
        progress: is told the name of each step before it starts.

    Raises:
        InvariantNetsError: a list is missing or malformed, names an image that is not in the table, or
            one that is not of split test.
    """
    from invariantnets.data.lfw_lists import read_blufr, read_identification

    step, folder = progress or (lambda _: None), Path(lists)
    check_layer(table, layer)
    table = all_rows(table)
    pairs, person, said = resolve(table, read_pair_list(folder / "pairs.txt"), 10, seed)
    together = members_of(table, table, layer, members)
    trials = read_blufr(folder / "blufr")
    closed = Task(*(find_images(table, names)[0] for names in read_identification(folder / "identification")))
    rows, how = find_images(table, trials.name)
    label = np.full(len(table), -1)
    label[rows] = trials.label
    check_task(closed, label, impostors=False)
    opened = open_set(label[rows], 1, numpy_rng(seed, 10, 3), enrolled=enrolled, genuine=1, impostors=impostors)
    results: list[Result] = []
    for kind in kinds_of(similarities, together):
        step(f"{kind}: View 2")
        record = Recorder(layer, seed, kind, bootstrap, int(max(person.max(), label.max())) + 1)
        results += verify(together, pairs, person, kind, record, said)
        if kind in LEARNED or kind == KERNEL:
            continue
        step(f"{kind}: identification")
        x, note = prepared(table, layer, kind, table)
        found = closed.run(x, label, Similarity())
        results += record.closed_set(found, label[closed.probe], len(closed.gallery), note)
        found = opened.run(x[rows], label[rows], Similarity())
        drawn = join("our draw", note)
        results += record.open_set(found, label[rows][opened.probe], len(opened.gallery), drawn)
        results += blufr(x[rows], label[rows], trials, record, step)
    return results
