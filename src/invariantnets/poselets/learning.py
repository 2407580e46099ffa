"""From people with keypoints to poselets that were chosen, and to what fires on a picture."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.poselets.detector import Calibration, Detector, Hits, calibrate, described, pyramid, scan, train
from invariantnets.poselets.detector import suppress as best_of
from invariantnets.poselets.examples import Poselet, draw_seed, nearest
from invariantnets.poselets.geometry import Patches, People
from invariantnets.poselets.predictions import Keypoints, cluster, fused, keypoints_of, predicted, torso
from invariantnets.poselets.scoring import Truth, right, select, truth

log = logging.getLogger(__name__)
LEAST, UNSURE = -0.5, 0.05  # scores, and probabilities, below which a hit is none
TRIES = 50  # seeds for each candidate
WINDOWS, HARDEST, ROUNDS = 600, 20, 2  # random windows without people; of each picture, those found again; how often
Levels = list[tuple[float, np.ndarray]]


class Look(NamedTuple):
    """How pictures are looked at: the side of a cell of HOG in pixels, and the zooms of the `pyramid`."""

    cell: int
    zooms: Sequence[float]

    def levels(self, image: np.ndarray) -> Levels:
        """Of one picture ``(H, W, 3)``, from 0 to 1."""
        return pyramid(image, self.cell, self.zooms)


class Pictures(NamedTuple):
    """``N`` pictures with one person each.

    Attributes:
        images: ``N`` arrays ``(H, W, 3)``, from 0 to 1.
        person: ``(N,)`` who it is.
        people: their keypoints.
    """

    images: Sequence[np.ndarray]
    person: np.ndarray
    people: People

    def described(self, rows: np.ndarray, patches: Patches, cells: tuple[int, int], cell: int) -> np.ndarray:
        """HOG of one patch of each row, ``(n, cells down − 1, cells across − 1, 36)``."""
        return np.stack([described(self.images[r], patches.rows(np.array(k)), cells, cell) for k, r in enumerate(rows)])


class Chosen(NamedTuple):
    """A poselet that was kept.

    Attributes:
        poselet: its seed and examples.
        detector: finds it.
        by: score → probability.
        fires: the probability from which on it fires: that of the best F1 on the people it was chosen by.
    """

    poselet: Poselet
    detector: Detector
    by: Calibration
    fires: float


def learned(
    images: np.ndarray, cells: tuple[int, int], empty: Sequence[Levels], rng: np.random.Generator, look: Look
) -> Detector:
    """A detector of patches, with windows of empty pictures as what it must not find, twice over the hardest.

    Args:
        images: ``(n, rows − 1, columns − 1, 36)`` HOG of the patches.
        cells: of the patches.
        empty: pictures of nobody.
        rng: draws the first windows.
        look: how ``empty`` was looked at.
    """
    rows, columns = cells[0] - 1, cells[1] - 1
    grids = [grid for levels in empty for _, grid in levels if grid.shape[0] >= rows and grid.shape[1] >= columns]

    def window(grid: np.ndarray, y: int, x: int) -> np.ndarray:
        return grid[y : y + rows, x : x + columns]

    some = [grids[k] for k in rng.integers(0, len(grids), WINDOWS)]
    easy = [window(g, rng.integers(g.shape[0] - rows + 1), rng.integers(g.shape[1] - columns + 1)) for g in some]

    def harder(detector: Detector) -> np.ndarray:
        found = []
        for levels in empty:
            hits = scan(levels, [detector], look.cell, LEAST)
            short = (hits.box[:, 2:] - hits.box[:, :2]).min(1)
            for k in np.argsort(-hits.score)[:HARDEST]:
                zoom = min(cells) * look.cell / short[k]
                grid = next(grid for z, grid in levels if abs(z - zoom) < 1e-6)
                x, y = np.round((hits.box[k, :2] + 0.5) * zoom / look.cell).astype(int)
                found.append(window(grid, y, x))
        return np.stack(found) if found else np.zeros((0, rows, columns, images.shape[-1]), np.float32)

    return train(images, np.stack(easy), harder, rounds=ROUNDS)


def hits_on(images: Sequence[np.ndarray], detectors: Sequence[Detector], look: Look) -> Hits:
    """Suppressed hits on pictures 0, 1, 2, …, by the score of the SVM."""
    parts = [best_of(scan(look.levels(one), detectors, look.cell, LEAST, n)) for n, one in enumerate(images)]
    return Hits.joined(parts)


def calibrated(hits: Hits, by: Sequence[Calibration]) -> Hits:
    """With probabilities for scores."""
    slope, bias = np.array([[c.slope, c.bias] for c in by])[hits.poselet].T
    return hits._replace(score=Calibration(slope, bias)(hits.score))


def firing(hits: Hits, least: Sequence[float]) -> Hits:
    """Calibrated hits that are as sure as each poselet needs to be said to fire."""
    return hits.rows(hits.score >= np.array(least)[hits.poselet])


def seen_as(poselet: Poselet, train: People, where: People) -> Truth:
    """Who takes its configuration, and where.

    Args:
        poselet: of a seed on one of ``train``.
        train: the people that it was learned from.
        where: others.
    """
    return truth(poselet, train.rows(slice(poselet.seed.person, poselet.seed.person + 1)), where)


def choose(
    train_on: Pictures, val: Pictures, empty: Sequence[Levels], rng: np.random.Generator, look: Look,
    examples: int = 80, candidates: int = 20, keep: int = 10, tells: Sequence[int] = (),
) -> tuple[list[Chosen], Hits]:  # fmt: skip
    """Poselets of random seeds, those that together find most people of val, and what they find there.

    Args:
        train_on: whom seeds and examples are of.
        val: other people, by whom scores are calibrated and poselets chosen.
        empty: pictures of nobody, as ``look`` sees them.
        rng: draws seeds and windows.
        look: how pictures are looked at.
        examples: of each poselet.
        candidates: seeds that are tried.
        keep: how many are kept.
        tells: keypoints that each must tell, which too few of its examples may show.

    Raises:
        InvariantNetsError: too few people for so many examples, or see `draw_seed` and `select`.
    """
    tried: list[Poselet] = []
    for _ in range(TRIES * candidates):
        seed = draw_seed(train_on.people, rng)
        with suppress(InvariantNetsError):  # a patch that few can take, or that shows no keypoint
            one = nearest(seed, train_on.people, examples, train_on.person)
            if not tells or np.isfinite(keypoints_of(one, train_on.people).mean[list(tells)]).all():
                tried.append(one)
        if len(tried) == candidates:
            break
    else:
        raise InvariantNetsError(
            f"poselets: {len(tried)} of {TRIES * candidates} seeds have {examples} examples on {len(train_on.images)} "
            f"pictures, and {candidates} are wanted: give more people, or fewer examples"
        )
    detectors = []
    for one in tried:
        x = train_on.described(one.person, one.patches, one.seed.cells, look.cell)
        detectors.append(learned(x, one.seed.cells, empty, rng, look))
    hits, found, covers = hits_on(val.images, detectors, look), {}, []
    for k, poselet in enumerate(tried):
        mine, there = hits.rows(hits.poselet == k), seen_as(poselet, train_on.people, val.people)
        good = right(mine, there.box, there.there)
        try:
            by = calibrate(mine.score, good, f"poselet {k}")
        except InvariantNetsError as error:
            log.warning("%s", error)
            continue
        order = np.argsort(-mine.score, kind="stable")
        f1 = 2 * np.cumsum(good[order]) / (np.arange(len(order)) + 1 + there.there.sum())
        fires = float(by(mine.score[order[np.argmax(f1)]]))
        found[k] = Chosen(poselet, detectors[k], by, fires)
        covers.append(np.isin(np.arange(len(val.images)), mine.picture[good & (by(mine.score) >= fires)]))
    covered = np.array(covers).reshape(len(covers), len(val.images))
    kept = np.array(list(found), int)[select(covered, keep)]
    place = {int(k): i for i, k in enumerate(kept)}
    hits = hits.rows(np.isin(hits.poselet, kept))
    return [found[k] for k in place], hits._replace(poselet=np.array([place[int(k)] for k in hits.poselet], int))


def torsos(
    hits: Hits, keypoints: Sequence[Keypoints], shoulders: Sequence[int], hips: Sequence[int], clustered: bool = True
) -> tuple[Hits, list[np.ndarray]]:
    """A torso for each cluster of hits, or for each hit, and the numbers of the hits that say so.

    Args:
        hits: calibrated and suppressed.
        keypoints: of each poselet (`keypoints_of`).
        shoulders: numbers of the two.
        hips: numbers of the two.
        clustered: whether hits of one person are taken together.

    Returns:
        Torsos as hits, whose score is the sum of the hits' probabilities; ``poselet`` is 0. Their hits, a list of each.
    """
    sure = np.flatnonzero(hits.score >= UNSURE)
    parts, members = [], []
    for picture in np.unique(hits.picture[sure]):
        rows = sure[hits.picture[sure] == picture]
        mine = hits.rows(rows)
        where = predicted(mine, keypoints)
        of = cluster(mine, where) if clustered else np.arange(len(mine.score))
        for one in range(of.max() + 1):
            some = np.flatnonzero(of == one)
            points = fused(Keypoints(where.mean[some], where.covariance[some]), mine.score[some])
            box = torso(points[list(shoulders)], points[list(hips)])
            if np.isfinite(box).all():
                parts.append(Hits(np.array([picture]), np.array([0]), mine.score[some].sum(keepdims=True), box[None]))
                members.append(rows[some])
    return Hits.joined(parts), members
