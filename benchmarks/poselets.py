"""Poselets on drawn people: ``python -m benchmarks.poselets --sheet sheet.jpg`` prints the tables of docs/poselets.md.

Examples come from some people, calibration, selection and thresholds from others, and every number from a third group.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import t

from benchmarks.poselet_pictures import LOOK, SIZE, numbers, others, pictures_of, same_poses, sheet, spreads
from invariantnets import poselets
from invariantnets.data import people
from invariantnets.poselets import Detector, Hits, calibrated, choose, firing, hits_on, learned, seen_as, torsos

TOY: dict[str, Any] = {
    "of": {"train": (24, 2), "val": (14, 2), "test": (5, 2)}, "examples": 12, "candidates": 3, "keep": 2, "empty": 4,
}  # fmt: skip
OF = {"train": (200, 4), "val": (90, 3), "test": (120, 2)}  # people, and pictures of each


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
    drawn = {s: pictures_of(list(people.figures(*w, size=SIZE, cache_dir=cache_dir, seeds=(seed, seed))), w[0].numpy())
             for s, w in which.items()}  # fmt: skip
    train, val, test = drawn.values()
    rooms = {
        split: people.backgrounds(
            *(v[:empty] for v in which[split]), size=SIZE, cache_dir=cache_dir, seeds=(seed, seed)
        )
        for split in ("train", "test")
    }
    levels = [LOOK.levels(image) for image in rooms["train"]]

    chosen, on_val = choose(train, val, levels, rng, LOOK, examples, candidates, keep)
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
            kinds[name].append(learned(x, poselet.seed.cells, levels, rng, LOOK))
    images = [*test.images, *rooms["test"]]
    who = np.r_[test.person, -1 - np.arange(len(rooms["test"]))]  # an empty picture is nobody's, and a source
    none = len(rooms["test"])
    flat = [d for one in kinds.values() for d in one]
    all_hits = hits_on(images, flat, LOOK)
    values: list[list[Callable[[np.ndarray], float]]] = []
    positives = 0
    for i in range(len(kinds)):
        row = []
        for k, poselet in enumerate(tried):
            there = seen_as(poselet, train.people, test.people)
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
        precision(torsos(mine.rows(mine.poselet == k), keypoints, *pair, False)[0], boxes["val"], ones > 0)(ones)
        for k in range(len(tried))
    ]
    best = int(np.argmax(alone))
    hits = calibrated(all_hits.rows(all_hits.poselet < len(tried)), by)
    clusters = torsos(hits, keypoints, *pair)[0]
    single = torsos(hits.rows(hits.poselet == best), keypoints, *pair, False)[0]
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
        later = firing(calibrated(hits_on([f.image / 255 for f in figures], detectors, LOOK), by), least)
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
