"""Verification of videos by random pairs of their frames (Taigman et al. 2014, section 5.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.protocols.inputs import all_rows, prepared
from invariantnets.protocols.listed import resolve
from invariantnets.protocols.pair_lists import read_pair_list
from invariantnets.protocols.recognition import learner
from invariantnets.protocols.scores import Recorder, join
from invariantnets.protocols.similarity import ELEMENTS, KERNEL, LEARNED, Kind, Similarity
from invariantnets.protocols.templates import pool_templates
from invariantnets.protocols.verification import Learner, Pairs, Scorer, cross_validate, make_pairs
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result

FOLDS = 10


@dataclass(frozen=True)
class Videos:
    """Which rows are the frames of which video, the videos numbered from 0 by their sources.

    Attributes:
        order: ``(N,)`` rows, those of a video together.
        start: ``(V + 1,)`` where each video begins in ``order``.
        video: ``(N,)`` of each row.
    """

    order: np.ndarray
    start: np.ndarray
    video: np.ndarray

    @classmethod
    def of(cls, source: np.ndarray) -> Videos:
        """Of the source of each row ``(N,)``."""
        _, video, frames = np.unique(source, return_inverse=True, return_counts=True)
        return cls(np.argsort(video, kind="stable"), np.concatenate([[0], np.cumsum(frames)]), video)

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def first(self) -> np.ndarray:
        """``(V,)`` the first row of each."""
        return self.order[self.start[:-1]]

    def draw(self, videos: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
        """Random frames of some videos, with replacement: ``(P,)`` numbers → ``(P, frames)`` rows."""
        count = (self.start[1:] - self.start[:-1])[videos]
        return self.order[self.start[videos][:, None] + rng.integers(count[:, None], size=(len(videos), frames))]


def by_frames(x: np.ndarray, pairs: Pairs, drawn: np.ndarray, learned: np.ndarray, kind: Kind, seed: int) -> Learner:
    """For `cross_validate`: the mean score of some pairs of frames, by weights that are learned from others.

    Args:
        x: ``(N, D)`` prepared features of the frames.
        pairs: ``P`` pairs of videos.
        drawn: ``(2, P, T)`` rows, left and right, whose scores are averaged.
        learned: ``(2, P, S)`` rows that weights are learned from.
        kind: of similarity.
        seed: of the solver.
    """
    if kind not in LEARNED:
        scores = np.array([Similarity().pairs(x[a], x[b]).mean() for a, b in zip(*drawn, strict=True)])
        return lambda train: lambda which: scores[which]
    # The mean of weighted sums is the weighted sum of means.
    elements = np.stack([ELEMENTS[kind](x[a], x[b]).mean(0) for a, b in zip(*drawn, strict=True)])

    def learn(train: np.ndarray) -> Scorer:
        left, right = (x[rows[train].ravel()] for rows in learned)
        similarity = LEARNED[kind](left, right, np.repeat(pairs.same[train], learned.shape[2]), seed)
        assert similarity.weights is not None
        scores = elements @ similarity.weights + similarity.intercept
        return lambda which: scores[which]

    return learn


def check_videos(rows: FeatureTable, videos: Videos) -> None:
    """See that a video shows one person, so that its frames are in one fold.

    Raises:
        InvariantNetsError: naming a video and the two people.
    """
    other = np.flatnonzero(rows.label != rows.label[videos.first][videos.video])
    if len(other):
        row = other[0]
        first = videos.first[videos.video[row]]
        video = f"source {rows.source[row]}" if rows.name is None else f"{rows.name[first]}, {rows.name[row]}"
        raise InvariantNetsError(
            f"frames of one video ({video}) show two people, {rows.label[first]} and {rows.label[row]}: they would be "
            "in two folds; give every video a source of its own"
        )


def listed_pairs(rows: FeatureTable, videos: Videos, path: str | Path, seed: int) -> tuple[Pairs, np.ndarray, str]:
    """The pairs of a list as numbers of videos, the person of each video, and what must be said.

    A video is called as the folder of its frames: ``Ann/0`` is that of ``Ann/0/0.17``.

    Raises:
        InvariantNetsError: frames of one video in two folders, or in two folds; and what `resolve` raises.
    """
    names = None
    if rows.name is not None:
        folders = np.array([name.replace("\\", "/").rpartition("/")[0] for name in rows.name.tolist()], dtype=str)
        names = folders[videos.first]
        if len(other := np.flatnonzero(folders != names[videos.video])):
            row = other[0]
            raise InvariantNetsError(
                f"frames of one video are in two folders, {str(names[videos.video[row]])!r} and {str(folders[row])!r}: "
                "give every video a source of its own"
            )
    table = replace(rows.rows(videos.first), name=names)
    pairs, person, said = resolve(table, read_pair_list(path), FOLDS, seed)
    places = np.unique(np.stack([np.r_[pairs.left, pairs.right], np.tile(pairs.fold, 2)]), axis=1)
    video, folds = np.unique(places[0], return_counts=True)
    if (folds > 1).any():
        assert names is not None
        twice = names[video[folds > 1]]
        raise InvariantNetsError(
            f"{path}: video {str(twice[0])!r} (and {len(twice) - 1} more) is in two folds: what is learned from its "
            "frames would be tested on them; put all pairs of a video into one fold"
        )
    return pairs, person, said


def run_videos(
    table: FeatureTable,
    layer: str,
    *,
    list: str | Path | None = None,
    seed: int = 0,
    similarities: Sequence[Kind] = ("cosine",),
    folds: int = FOLDS,
    pairs_per_fold: int = 25,
    train_frames: int = 50,
    test_frames: int = 100,
    bootstrap: int = 1000,
    progress: Callable[[str], None] | None = None,
) -> list[Result]:
    """Verification of pairs of videos: the mean score of random pairs of their frames.

    Beside it, by the same similarity, that of the first of these pairs alone, and that of the videos' mean features.

    Args:
        table: a row a frame; the source of a row is its video.
        layer: the layer to compare by.
        list: pairs of videos by name, as `invariantnets.protocols.pair_lists` reads them, among them ``splits.txt`` of
            YouTube Faces. None: drawn among the people of the test split, in folds that share nobody.
        seed: of pairs and frames, of folds that a list does not give, and the bootstrap.
        similarities: of ``cosine``, ``inner_product``, ``chi2`` and ``l1``. With none, the pairs are only checked.
        folds: of pairs that are drawn.
        pairs_per_fold: same pairs of each fold that is drawn, and different ones, at most.
        train_frames: pairs of frames of each pair of videos that weights are learned from.
        test_frames: pairs of frames whose scores are averaged.
        bootstrap: replicates of the intervals, which resample people.
        progress: is told the name of each step before it starts.

    Raises:
        InvariantNetsError: frames of one video in two folds, or of two people; no video of two frames; a similarity of
            pairs; or what the list or the draw of pairs raises.
    """
    step = progress or (lambda _: None)
    check_layer(table, layer)
    for key, value, least in (("folds", folds, 2), ("train_frames", train_frames, 1), ("test_frames", test_frames, 1)):
        if value < least:
            raise InvariantNetsError(f"protocols.{key}={value}: must be {least} or more")
    if KERNEL in similarities:
        raise InvariantNetsError("protocols.similarities: 'kernel' compares pairs of images, and these are videos")
    table = all_rows(table) if list is not None else table
    rows = table if list is not None else table.part("test")
    videos = Videos.of(rows.source)
    check_videos(rows, videos)
    if list is not None:
        pairs, person, said = listed_pairs(rows, videos, list, seed)
    else:
        person, said = rows.label[videos.first], ""
        pairs = make_pairs(person, folds, pairs_per_fold, numpy_rng(seed, 10, 1))
    if similarities and len(videos) == len(rows):
        raise InvariantNetsError("no video has two frames: the source of each row is its video, source=<column>")
    rng = numpy_rng(seed, 10, 5)
    drawn, learned = (
        np.stack([videos.draw(side, frames, rng) for side in (pairs.left, pairs.right)])
        for frames in (test_frames, train_frames)
    )
    results = []
    for kind in similarities:
        step(f"{kind}: videos")
        x, note = prepared(table, layer, kind, rows)
        pooled, _ = pool_templates(x, videos.video)
        how = f", weights learned from {train_frames} of each pair of the other folds" if kind in LEARNED else ""
        ways = {
            kind: (by_frames(x, pairs, drawn, learned, kind, seed), f"mean of {test_frames} pairs of frames{how}"),
            f"{kind}, one pair of frames": (by_frames(x, pairs, drawn[:, :, :1], learned, kind, seed), how[2:]),
            f"{kind}, mean features": (learner(pooled, pairs, kind, seed), "a video is the mean of its frames"),
        }
        for name, (learn, what) in ways.items():
            scores, accuracy = cross_validate(pairs, learn)
            record = Recorder(layer, seed, name, bootstrap, int(person.max()) + 1)
            results += record.verification(scores, pairs, person, accuracy, join(what, said, note))
    return results
