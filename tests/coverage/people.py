"""People of whom pictures are compared: equal error rates and ranks, whose truth is that of all people."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from trials import Case, Ends, Found

from invariantnets.protocols.identification import closed_set
from invariantnets.protocols.rates import auc, eer, roc
from invariantnets.protocols.scores import Recorder
from invariantnets.protocols.similarity import Similarity
from invariantnets.protocols.verification import by_rows, cross_validate, make_pairs
from invariantnets.randomness import numpy_rng
from invariantnets.statistics.resampling import draw

PEOPLE = (10, 25, 50)
NOISE = {"easy": 0.5, "hard": 1.2}
IMAGES, WIDTH, REPLICATES = 5, 16, 100
_MANY, _SAMPLES = 20_000, 400


def pictures(noise: float, people: int, images: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Unit features ``(people * images, WIDTH)``; some people vary more than others."""
    middle = rng.normal(size=(people, 1, WIDTH))
    spread = noise * np.exp(0.3 * rng.normal(size=(people, 1, 1)))
    x = (middle + spread * rng.normal(size=(people, images, WIDTH))).reshape(-1, WIDTH)
    return x / np.linalg.norm(x, axis=1, keepdims=True), np.repeat(np.arange(people), images)


def measure(noise: float, people: int, rng: np.random.Generator, old: bool = True) -> tuple[dict[str, float], Found]:
    """Values and intervals of one sample of people."""
    x, label = pictures(noise, people, IMAGES, rng)
    pairs = make_pairs(label, 5, 30, rng)
    record = Recorder("", int(rng.integers(1 << 30)), "cosine", REPLICATES if old else 2)
    scores, accuracy = cross_validate(pairs, by_rows(x, pairs))
    task = closed_set(label, 1, rng)
    found = task.run(x, label, Similarity())
    results = record.verification(scores, pairs, label, accuracy, "")[:3]
    results += record.closed_set(found, label[task.probe], people, "")[:1]
    new = {r.metric: (r.low, r.high) for r in results}
    values = {r.metric: r.value for r in results}
    before: dict[str, tuple[float, float]] = {}
    if old:
        counts = draw(people, REPLICATES, rng).astype(np.float64)
        left, right = label[pairs.left], label[pairs.right]
        before = dict(zip(("auc", "eer"), _drawn(scores, pairs.same, left, right, counts), strict=True))
        reach = 2.776 * float(accuracy.std(ddof=1)) / 5**0.5  # Student's t of four degrees of freedom
        before["accuracy"] = (values["accuracy"] - reach, values["accuracy"] + reach)
        hit = np.bincount(label[task.probe], found.rank == 1, people)
        before["rank1"] = tuple(np.percentile(counts @ hit / (people * (IMAGES - 1)), (2.5, 97.5)))
    return values, Found(before, new)


def _drawn(scores: np.ndarray, same: np.ndarray, left: np.ndarray, right: np.ndarray, counts: np.ndarray) -> list:
    found = []
    for count in counts:
        weights = np.where(same, count[left], count[left] * count[right])
        if weights[same].sum() and weights[~same].sum():
            curve = roc(scores, same, weights)
            found.append((auc(*curve), eer(*curve)))
    return [tuple(ends) for ends in np.percentile(found, (2.5, 97.5), axis=0).T]


def _truth(noise: float, people: int) -> dict[str, float]:
    """Area and equal error rate of all pairs; accuracy and rank 1, which hang on how many there are, as on average."""
    x, _ = pictures(noise, _MANY, 2, numpy_rng(7))
    a, b = x[::2], x[1::2]
    other = np.concatenate([(a * np.roll(b, k, 0)).sum(1) for k in range(1, 6)])
    score, same = np.r_[(a * b).sum(1), other], np.r_[np.ones(_MANY, bool), np.zeros(len(other), bool)]
    curve = roc(score, same)
    values = [measure(noise, people, numpy_rng(8, i), old=False)[0] for i in range(_SAMPLES)]
    mean = {k: float(np.mean([v[k] for v in values])) for k in ("accuracy", "rank1")}
    return {"auc": auc(*curve), "eer": eer(*curve), **mean}


def _trial(noise: float, people: int, rng: np.random.Generator) -> Found:
    return measure(noise, people, rng)[1]


def recognition(people: tuple[int, ...] = PEOPLE, noise: tuple[str, ...] = tuple(NOISE)) -> Iterator[Case]:
    """Verification in five folds and a closed set."""
    for name in noise:
        for n in people:
            truth = _truth(NOISE[name], n)
            yield Case(f"{name} to recognise", n, truth, partial(_trial, NOISE[name], n))


__all__ = ["Ends", "recognition"]
