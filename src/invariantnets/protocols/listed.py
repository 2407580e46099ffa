"""Verification of a list of pairs on any table whose rows are named."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.protocols.inputs import ENDING, all_rows, find_images
from invariantnets.protocols.members import members_of
from invariantnets.protocols.pair_lists import PairList, read_pair_list
from invariantnets.protocols.recognition import kinds_of, verify
from invariantnets.protocols.scores import Recorder, join
from invariantnets.protocols.similarity import Kind
from invariantnets.protocols.verification import Pairs
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result

log = logging.getLogger(__name__)
# Share of the pairs that a column, or a part of the names, must agree with to be taken for the person.
AGREED = 0.9
LABELS = "the labels of the table"


def resolve(table: FeatureTable, listed: PairList, folds: int, seed: int) -> tuple[Pairs, np.ndarray, str]:
    """The pairs of a list as rows of a table, each of them checked.

    Args:
        table: with names; the rows that are listed are of split test.
        listed: by names.
        folds: to make where the list has none.
        seed: of those.

    Returns:
        pairs, the person of each row ``(N,)``, and what must be said.

    Raises:
        InvariantNetsError: an image that is not in the table; an image with itself; a pair with two answers; a pair
            of one person who is two by the table, or the reverse; all naming the line.
    """
    names = np.array([[pair.a, pair.b] for pair in listed.pairs])
    found, how = find_images(table, names.ravel())
    rows, same = found.reshape(-1, 2), np.array([pair.same for pair in listed.pairs])
    if len(wrong := np.flatnonzero(rows[:, 0] == rows[:, 1])):
        raise _fault(listed, wrong, "is an image with itself, which any network finds the same; take it out")
    _, first, which = np.unique(np.sort(rows, 1), axis=0, return_index=True, return_inverse=True)
    original = first[which]
    if len(wrong := np.flatnonzero(same != same[original])):
        before = listed.pairs[original[wrong[0]]].line
        raise _fault(listed, wrong, f"has another answer than the same pair in {before}; take one of them out")
    person, by = people(table, rows, same, names, listed)
    kept = np.sort(first)
    again = len(rows) - len(kept)
    given = np.array([pair.fold if listed.has_folds else -1 for pair in listed.pairs], np.int64)[kept]
    rows, same = rows[kept], same[kept]
    fold = np.unique(given, return_inverse=True)[1] if listed.has_folds else deal(person[rows], folds, seed)
    if fold.max() < 1:
        raise InvariantNetsError(f"{listed.path}: all pairs are in one fold; thresholds come from others: give two")
    note = join(
        f"{listed.path.name}, {listed.dialect}",
        f"images are found {how}" if how else "",
        f"people are told by {by}" if by != LABELS else "",
        f"{again} pairs that are listed twice count once" if again else "",
        "" if listed.has_folds else f"the list has no folds: {fold.max() + 1} were drawn, seed {seed}",
        _in_two_folds(person[rows], fold),
    )
    return Pairs(rows[:, 0], rows[:, 1], same, fold), person, note


def _fault(listed: PairList, wrong: np.ndarray, what: str) -> InvariantNetsError:
    pair = listed.pairs[wrong[0]]
    more = f" (and {len(wrong) - 1} more pairs)" if len(wrong) > 1 else ""
    return InvariantNetsError(f"{listed.path}, {pair.line}: the pair {pair.a} and {pair.b}{more} {what}")


def _in_two_folds(people: np.ndarray, fold: np.ndarray) -> str:
    """What must be said of people who are in several folds, ``people`` being those of each pair ``(P, 2)``."""
    places = np.unique(np.stack([people.ravel(), np.repeat(fold, 2)]), axis=1)
    count = np.unique(places[0], return_counts=True)[1]
    several = np.count_nonzero(count > 1)
    if not several:
        return ""
    return (
        f"{several:,} of {len(count):,} people are in two folds or more: thresholds were chosen with pictures of "
        "people that they are tested on"
    )


def people(
    table: FeatureTable, rows: np.ndarray, same: np.ndarray, names: np.ndarray, listed: PairList
) -> tuple[np.ndarray, str]:
    """Who is on each row, and where that is known from.

    The table's labels, or a part of the names: whatever first agrees with nearly all pairs. If none does, images are
    of one person whom pairs of one person link.

    Args:
        table: of all rows.
        rows: ``(P, 2)`` of the pairs.
        same: ``(P,)``.
        names: ``(P, 2)`` as the list has them.
        listed: for messages.

    Returns:
        ``(N,)`` int64, of meaning for the rows that are listed, and the source in words.

    Raises:
        InvariantNetsError: naming the first pair that says otherwise.
    """
    named = np.zeros(len(table), names.dtype)
    named[rows] = names
    for by, found in _candidates(table, named):
        wrong = np.flatnonzero((found[rows[:, 0]] == found[rows[:, 1]]) != same)
        if len(wrong) <= max((1 - AGREED) * len(rows), by == LABELS):
            if len(wrong):
                says, are = ("one person", "two people") if same[wrong[0]] else ("two people", "one person")
                what = f"is said to show {says}, who by {by} are {are}; mend the list, or what names the person"
                raise _fault(listed, wrong, what)
            return found, by
    shown = rows[same]
    linked = _linked(shown, len(table))
    if len(wrong := np.flatnonzero(~same & (linked[rows[:, 0]] == linked[rows[:, 1]]))):
        raise _fault(listed, wrong, "is said to show two people, who by other pairs of the list are one; mend the list")
    return linked, "the pairs themselves, since no label and no part of the names agrees with them"


def _candidates(table: FeatureTable, named: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    if table.num_classes > 1:
        yield LABELS, table.label
    parts = [ENDING.sub("", name.replace("\\", "/")).split("/") for name in named]
    ways = {
        "the folder in the names": [p[-2:-1] for p in parts],
        "the folder above in the names": [p[-3:-2] for p in parts],
        "the names without their last number": [[re.sub(r"[_-]?\d+$", "", p[-1])] for p in parts],
    }
    for by, found in ways.items():
        yield by, np.unique(["".join(f) for f in found], return_inverse=True)[1]


def _linked(pairs: np.ndarray, count: int) -> np.ndarray:
    """The group of each of ``count`` things ``(count,)``, where pairs ``(P, 2)`` put both into one."""
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def deal(people: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Deal pairs to folds of about the same size, people who are linked by pairs into the same one if they can be.

    Args:
        people: ``(P, 2)`` of each pair.
        folds: at most.
        seed: of the draw.

    Returns:
        ``(P,)`` folds 0 … F - 1.
    """
    code = np.unique(people, return_inverse=True)[1].reshape(people.shape)
    group = _linked(code, code.max() + 1)[code[:, 0]]
    if np.bincount(group).max() > 2 * len(group) / folds:  # all are linked: by the first person of each pair
        group = code[:, 0]
    sizes = np.bincount(group)
    order = numpy_rng(seed, 10, 4).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of = np.zeros(len(sizes), np.int64)
    filled = np.zeros(min(folds, int(np.count_nonzero(sizes))), np.int64)
    for one in order[sizes[order] > 0]:  # the largest first, each into the emptiest fold
        fold_of[one] = filled.argmin()
        filled[fold_of[one]] += sizes[one]
    return fold_of[group]


def run_pairs(
    table: FeatureTable,
    layer: str,
    *,
    list: str | Path,
    seed: int = 0,
    similarities: Sequence[Kind] = ("cosine",),
    members: Sequence[str | Path] = (),
    folds: int = 10,
    bootstrap: int = 1000,
    progress: Callable[[str], None] | None = None,
) -> list[Result]:
    """Verification of the pairs of a list: `invariantnets.protocols.pair_lists` says which dialects are read.

    Args:
        table: with a name for each row. Names match with and without the ending of the file, or by the last parts of
            their paths; how is said.
        layer: the layer to compare by.
        list: file of the pairs; of CFP a folder.
        seed: of folds that the list does not give, and the bootstrap.
        similarities: of ``cosine``, ``inner_product``, ``chi2``, ``l1`` and ``kernel``. With none, the list is only
            checked.
        members: other layers, or paths of tables of other networks, whose kernels are summed with this layer's.
        folds: to make where the list has none.
        bootstrap: replicates of the intervals, which resample people.
        progress: is told the name of each step before it starts.

    Raises:
        InvariantNetsError: the list is missing or malformed, names an image that is not in the table, or one that is
            not of split test (unless the split was drawn here); or a pair cannot be right.
    """
    step = progress or (lambda _: None)
    check_layer(table, layer)
    if folds < 2:
        raise InvariantNetsError(f"protocols.folds={folds}: thresholds come from the other folds, so two are needed")
    table, name = all_rows(table), Path(list).name
    pairs, person, said = resolve(table, read_pair_list(list), folds, seed)
    together = members_of(table, table, layer, members)

    def measure(kind: Kind) -> Sequence[Result]:
        step(f"{kind}: {name}")
        record = Recorder(layer, seed, kind, bootstrap, int(person.max()) + 1)
        return verify(together, pairs, person, kind, record, said)

    return [result for kind in kinds_of(similarities, together) for result in measure(kind)]
