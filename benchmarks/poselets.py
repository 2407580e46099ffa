"""Poselets on drawn people: ``python -m benchmarks.poselets --sheet sheet.jpg`` prints the tables of docs/poselets.md.

Examples come from some people, calibration, selection and thresholds from others, and every number from a third group.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t

from benchmarks.poselet_pictures import (
    CELL,
    SIZE,
    Pictures,
    backgrounds,
    described,
    numbers,
    others,
    same_poses,
    sheet,
    spreads,
)
from invariantnets import poselets
from invariantnets.data import people
from invariantnets.errors import InvariantNetsError
from invariantnets.poselets import Calibration, Detector, Hits, Poselet

ZOOMS = tuple(1.6 / 1.25**k for k in range(6))  # short sides of patches are 20 to 61 pixels
LEAST, UNSURE = -0.5, 0.05  # scores, and probabilities, below which a hit is none
TOY: dict[str, Any] = {
    "of": {"train": (24, 2), "val": (14, 2), "test": (5, 2)}, "examples": 12, "candidates": 3, "keep": 2, "empty": 4,
}  # fmt: skip
OF = {"train": (200, 4), "val": (90, 3), "test": (120, 2)}  # people, and pictures of each


def learned(
    images: np.ndarray, cells: tuple[int, int], empty: list, rng: np.random.Generator, most: int = 600
) -> Detector:
    """A detector of patches, with windows of empty pictures as what it must not find, twice over the hardest."""
    rows, columns = cells[0] - 1, cells[1] - 1
    grids = [grid for levels in empty for _, grid in levels if grid.shape[0] >= rows and grid.shape[1] >= columns]

    def window(grid: np.ndarray, y: int, x: int) -> np.ndarray:
        return grid[y : y + rows, x : x + columns]

    some = [grids[k] for k in rng.integers(0, len(grids), most)]
    easy = [window(g, rng.integers(g.shape[0] - rows + 1), rng.integers(g.shape[1] - columns + 1)) for g in some]

    def harder(detector: Detector) -> np.ndarray:
        found = []
        for levels in empty:
            hits = poselets.scan(levels, [detector], CELL, LEAST)
            short = (hits.box[:, 2:] - hits.box[:, :2]).min(1)
            for k in np.argsort(-hits.score)[:20]:
                zoom = min(cells) * CELL / short[k]
                grid = next(grid for z, grid in levels if abs(z - zoom) < 1e-6)
                x, y = np.round((hits.box[k, :2] + 0.5) * zoom / CELL).astype(int)
                found.append(window(grid, y, x))
        return np.stack(found) if found else np.zeros((0, rows, columns, images.shape[-1]), np.float32)

    return poselets.train(images, np.stack(easy), harder, rounds=2)


def found_on(images: Sequence[np.ndarray], detectors: Sequence[Detector]) -> Hits:
    """Suppressed hits on pictures 0, 1, 2, …, by the score of the SVM."""
    parts = []
    for number, image in enumerate(images):
        levels = poselets.pyramid(image, CELL, ZOOMS)
        parts.append(poselets.suppress(poselets.scan(levels, detectors, CELL, LEAST, number)))
    return Hits.joined(parts)


def calibrated(hits: Hits, by: Sequence[Calibration]) -> Hits:
    """With probabilities for scores."""
    slope, bias = np.array([[c.slope, c.bias] for c in by])[hits.poselet].T
    return hits._replace(score=Calibration(slope, bias)(hits.score))


def torsos(hits: Hits, keypoints: Sequence[poselets.Keypoints], names: Sequence[str], clustered: bool) -> Hits:
    """A torso for each cluster of hits, or for each hit. Its score is the sum of the hits' probabilities."""
    pair = [[names.index(f"{side}_{joint}") for side in ("left", "right")] for joint in ("shoulder", "hip")]
    hits = hits.rows(hits.score >= UNSURE)
    parts = []
    for picture in np.unique(hits.picture):
        mine = hits.rows(hits.picture == picture)
        where = poselets.predicted(mine, keypoints)
        of = poselets.cluster(mine, where) if clustered else np.arange(len(mine.score))
        for one in range(of.max() + 1):
            rows = np.flatnonzero(of == one)
            theirs = poselets.Keypoints(where.mean[rows], where.covariance[rows])
            points = poselets.fused(theirs, mine.score[rows])
            box = poselets.torso(points[pair[0]], points[pair[1]])
            if np.isfinite(box).all():
                parts.append(Hits(np.array([picture]), np.array([0]), mine.score[rows].sum(keepdims=True), box[None]))
    return Hits.joined(parts)


def interval(value: Callable[[np.ndarray], np.ndarray], person: np.ndarray) -> np.ndarray:
    """``(3, …)`` a number and its 95 % interval over people, by the jackknife.

    Draws with replacement would not do: what is drawn twice counts itself twice, and AP is too high.

    Args:
        value: of weights ``(N,)``.
        person: ``(N,)`` whose each row is.
    """
    names, of = np.unique(person, return_inverse=True)
    left = np.stack([value(np.where(of == k, 0.0, 1.0)) for k in range(len(names))])
    with np.errstate(all="ignore"):
        wide = t.ppf(0.975, len(names) - 1) * np.sqrt(np.nanvar(left, 0) * (len(names) - 1))
    whole = value(np.ones(len(of)))
    return np.stack([whole, whole - wide, whole + wide])


def precision(hits: Hits, box: np.ndarray, there: np.ndarray) -> Callable[[np.ndarray], float]:
    """AP by weights of pictures; NaN where nothing is to be found."""
    good = poselets.right(hits, box, there)

    def value(weight: np.ndarray) -> float:
        total = float(weight[there].sum())
        return poselets.average_precision(hits.score, good, total, weight[hits.picture]) if total else np.nan

    return value


def again(hits: Hits, later: Hits, n: int, strongest: bool) -> np.ndarray:
    """``(N, 2)``: of the poselets (or the strongest one) that fire on a picture, how many fire at that place later."""
    found = np.zeros((n, 2))
    for picture in range(n):
        mine, theirs = hits.rows(hits.picture == picture), later.rows(later.picture == picture)
        for k in np.argsort(-mine.score)[: 1 if strongest else None]:
            same = theirs.poselet == mine.poselet[k]
            fires = (poselets.overlap(mine.box[k], theirs.box[same]) >= 0.5).any()
            found[picture] += (fires, 1)
    return found


def firing(hits: Hits, least: Sequence[float]) -> Hits:
    """Calibrated hits that are as sure as each poselet needs to be said to fire."""
    return hits.rows(hits.score >= np.array(least)[hits.poselet])


class Chosen(NamedTuple):
    """A poselet that was kept, and from what probability on it fires: that of the best F1 on val."""

    poselet: Poselet
    detector: Detector
    by: Calibration
    fires: float


def truth(poselet: Poselet, train: Pictures, where: Pictures) -> poselets.Truth:
    """Who takes its configuration, and where."""
    return poselets.truth(poselet, train.people.rows(slice(poselet.seed.person, poselet.seed.person + 1)), where.people)


def choose(
    train: Pictures, val: Pictures, empty: list, rng: np.random.Generator, examples: int, candidates: int, keep: int
) -> tuple[list[Chosen], Hits]:
    """Poselets of random seeds, those that together find most people of val, and what they find there."""
    tried: list[Poselet] = []
    while len(tried) < candidates:
        seed = poselets.draw_seed(train.people, rng)
        with suppress(InvariantNetsError):  # a patch that few can take
            tried.append(poselets.nearest(seed, train.people, examples, train.person))
    cells = [p.seed.cells for p in tried]
    detectors = [
        learned(described(train, p.person, p.patches, c), c, empty, rng) for p, c in zip(tried, cells, strict=True)
    ]
    hits, found, covers = found_on(val.images, detectors), {}, []
    for k, poselet in enumerate(tried):
        mine, there = hits.rows(hits.poselet == k), truth(poselet, train, val)
        good = poselets.right(mine, there.box, there.there)
        try:
            by = poselets.calibrate(mine.score, good, f"poselet {k}")
        except InvariantNetsError as error:
            print(error)
            continue
        order = np.argsort(-mine.score, kind="stable")
        f1 = 2 * np.cumsum(good[order]) / (np.arange(len(order)) + 1 + there.there.sum())
        fires = float(by(mine.score[order[np.argmax(f1)]]))
        found[k] = Chosen(poselet, detectors[k], by, fires)
        covers.append(np.isin(np.arange(len(val.images)), mine.picture[good & (by(mine.score) >= fires)]))
    kept = np.array(list(found))[poselets.select(np.array(covers), keep)]
    place = {int(k): i for i, k in enumerate(kept)}
    hits = hits.rows(np.isin(hits.poselet, kept))
    return [found[k] for k in place], hits._replace(poselet=np.array([place[int(k)] for k in hits.poselet], int))


def measure(
    cache_dir: str = "~/.cache/invariantnets", of: dict[str, tuple[int, int]] = OF, examples: int = 80,
    candidates: int = 20, keep: int = 10, empty: int = 30, seed: int = 0, sheet_at: str = "",
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Rows of the tables: value, low and high.

    Args:
        cache_dir: where the body is kept.
        of: split → people, pictures of each.
        examples: of each poselet.
        candidates: seeds that are tried.
        keep: how many are kept.
        empty: pictures without people, to learn from, and as many to test with.
        seed: of all.
        sheet_at: where the sheet goes.
    """
    rng = np.random.default_rng(seed)
    firsts = dict(zip(of, np.cumsum([0, *(n for n, _ in of.values())])[:-1], strict=True))
    which = {split: numbers(of[split], int(firsts[split])) for split in of}
    drawn = {s: Pictures.of(list(people.figures(*w, size=SIZE, cache_dir=cache_dir, seeds=(seed, seed))), w[0].numpy())
             for s, w in which.items()}  # fmt: skip
    train, val, test = drawn.values()
    rooms = {
        split: backgrounds(tuple(v[:empty] for v in which[split]), drawn[split].boxes[:empty], seed)
        for split in ("train", "test")
    }
    levels = [poselets.pyramid(image, CELL, ZOOMS) for image in rooms["train"]]

    chosen, on_val = choose(train, val, levels, rng, examples, candidates, keep)
    tried, detectors, by, least = (
        [getattr(c, name) for c in chosen] for name in ("poselet", "detector", "by", "fires")
    )
    keypoints = [poselets.keypoints_of(p, train.people) for p in tried]
    if sheet_at:
        sheet(sheet_at, tried[:5], train)
    table: dict[str, dict[str, float]] = {}

    def add(name: str, numbers_: np.ndarray, **more: float) -> None:
        table[name] = {**dict(zip(("value", "low", "high"), map(float, numbers_), strict=True)), **more}
        print(name, {key: round(v, 3) for key, v in table[name].items()}, flush=True)

    spread = spreads(train, tried, rng)
    for name, value in spread.items():
        mean = interval(lambda w, v=value: np.average(v, weights=w), np.arange(len(tried)))
        add(f"spread, {name}", mean, n=len(tried))
    near, _, random = spread.values()
    share = interval(lambda w: (w @ near) / (w @ random), np.arange(len(tried)))
    add("spread, nearest / random patches", share, n=len(tried))

    # Detectors: the same configurations to be found by all.
    kinds: dict[str, list[Detector]] = {"poselets": detectors, "random people": [], "random patches": []}
    for poselet in tried:
        for name, x in others(poselet, train, rng).items():
            kinds[name].append(learned(x, poselet.seed.cells, levels, rng))
    images = [*test.images, *rooms["test"]]
    who = np.r_[test.person, -1 - np.arange(len(rooms["test"]))]  # an empty picture is nobody's, and a source
    none = len(rooms["test"])
    flat = [d for one in kinds.values() for d in one]
    all_hits = found_on(images, flat)
    values: list[list[Callable[[np.ndarray], float]]] = []
    positives = 0
    for i in range(len(kinds)):
        row = []
        for k, poselet in enumerate(tried):
            there = truth(poselet, train, test)
            box, is_there = np.r_[there.box, np.zeros((none, 4))], np.r_[there.there, np.zeros(none, bool)]
            positives += int(is_there.sum()) if i == 0 else 0
            if is_there.any():
                row.append(precision(all_hits.rows(all_hits.poselet == i * len(tried) + k), box, is_there))
        values.append(row)

    def mean_ap(weight: np.ndarray) -> np.ndarray:
        each = [np.nanmean([value(weight) for value in row]) for row in values]
        return np.array([*each, each[0] - each[1], each[0] - each[2]])

    lines = [*kinds, "poselets less random people", "poselets less random patches"]
    for name, found in zip(lines, interval(mean_ap, who).T, strict=True):
        add(f"AP, {name}", found, n=positives)

    # Torsos: clusters against the single poselet that is best on val.
    names = people.body(cache_dir).names
    pair = [[names.index(f"{side}_{joint}") for side in ("left", "right")] for joint in ("shoulder", "hip")]
    boxes = {s: poselets.torso(*(drawn[s].people.keypoints[:, p] for p in pair)) for s in ("val", "test")}
    mine = calibrated(on_val, by)
    ones = np.ones(len(val.images))
    alone = [
        precision(torsos(mine.rows(mine.poselet == k), keypoints, names, False), boxes["val"], ones > 0)(ones)
        for k in range(len(tried))
    ]
    best = int(np.argmax(alone))
    hits = calibrated(all_hits.rows(all_hits.poselet < len(tried)), by)
    clusters = torsos(hits, keypoints, names, True)
    single = torsos(hits.rows(hits.poselet == best), keypoints, names, False)
    box, is_there = np.r_[boxes["test"], np.zeros((none, 4))], np.arange(len(images)) < len(test.images)
    of_torso = [precision(one, box, is_there) for one in (clusters, single)]

    def torso_ap(weight: np.ndarray) -> np.ndarray:
        a, b = (value(weight) for value in of_torso)
        return np.array([a, b, a - b])

    for name, found in zip(("clusters", "best poselet", "clusters less best"), interval(torso_ap, who).T, strict=True):
        add(f"torso AP, {name}", found, n=len(test.images))
    matched = [
        poselets.match(clusters.box[clusters.picture == k], box[[k]]).max(initial=-1) >= 0
        for k in range(len(test.images))
    ]
    add(
        "torsos found by some cluster",
        interval(lambda w: np.average(matched, weights=w[is_there]), who),
        n=len(matched),
    )

    # The same pose in other clothes.
    first = np.arange(0, len(test.images), of["test"][1])
    alike = same_poses(tuple(v[first] for v in which["test"]), cache_dir, seed)

    def repeat(name: str, later: Hits) -> None:
        for how in ("some poselet", "strongest", "all"):
            count = again(before, later, len(first), how == "strongest")
            count = np.minimum(count, 1) if how == "some poselet" else count
            share = interval(lambda w, c=count: np.divide(*(w @ c)), first)
            add(f"fires again, {name}, {how}", share, n=int(count[:, 1].sum()))

    where = {int(k): i for i, k in enumerate(first)}
    before = firing(hits.rows(np.isin(hits.picture, first)), least)
    before = before._replace(picture=np.array([where[int(k)] for k in before.picture], int))
    for name, figures in alike.items():
        later = firing(calibrated(found_on([f.image / 255 for f in figures], detectors), by), least)
        repeat(name, later)
    repeat("other pose and person (chance)", before._replace(picture=(before.picture + 1) % len(first)))
    return table


def main() -> None:
    """Of the command line."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--sheet", default="")
    words.add_argument("--seed", type=int, default=0)
    given = words.parse_args()
    from benchmarks.__main__ import table

    print(table("poselets", measure(seed=given.seed, sheet_at=given.sheet)))


if __name__ == "__main__":
    main()
