"""Populations of known truth: numbers, answers and scores of sources with several views each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from trials import Case, Found, Sample, of_sums

from invariantnets.nuisance import Nuisance
from invariantnets.probes.metrics import judge
from invariantnets.probes.targets import Target
from invariantnets.randomness import numpy_rng
from invariantnets.statistics.resampling import ratio, shares

VIEWS = 7
SOURCES = (10, 25, 50, 200)
_MANY = 40_000  # sources that stand for all of a population
Noise = Callable[[np.random.Generator, int], np.ndarray]


def _target(kind: str, categories: int = 0) -> Target:
    nuisance = Nuisance("it", kind, categories=tuple("abcdef"[:categories]))
    return Target(nuisance, np.arange(max(categories, 1)), slice(0, 1), slice(0, 1), slice(0, 1))


def _both(
    make: Callable[[np.random.Generator, tuple[int, int]], np.ndarray], rng: np.random.Generator, n: int
) -> np.ndarray:
    """``(n, VIEWS)`` of variance 1, half of it the source's own."""
    return (make(rng, (n, 1)) + make(rng, (n, VIEWS))) * 0.5**0.5


def _normal(rng: np.random.Generator, n: int) -> np.ndarray:
    return _both(lambda g, size: g.normal(size=size), rng, n)


# How wrong predictions are: (n, VIEWS), of mean 0 and variance about 1.
ERRORS: dict[str, Noise] = {
    "normal errors": _normal,
    "skewed errors": partial(_both, lambda g, size: g.exponential(size=size) - 1),
    "heavy tails (Student's t, 5)": partial(_both, lambda g, size: g.standard_t(5, size=size) / (5 / 3) ** 0.5),
    "some sources far harder": lambda rng, n: (
        np.exp(0.7 * rng.normal(size=(n, 1)) - 0.49) * rng.normal(size=(n, VIEWS))
    ),
    "errors all a source's own": lambda rng, n: np.repeat(rng.normal(size=(n, 1)), VIEWS, 1),
}
# What a sample of ten most often does not show.
UNSEEN = "one source in thirty ten times as hard"
ERRORS[UNSEEN] = lambda rng, n: (
    np.where(rng.random((n, 1)) < 1 / 30, 10.0, 1.0) / 4.3**0.5 * rng.normal(size=(n, VIEWS))
)
R2 = (-0.3, 0.0, 0.05, 0.3, 0.9)


def _number(errors: Noise, r2: float, rng: np.random.Generator, n: int) -> Sample:
    """A nuisance of mean 0 and variance 1 and what a fixed predictor says of it."""
    own = np.repeat(np.arange(n), VIEWS)
    wrong, seen, other = errors(rng, n), _normal(rng, n), _normal(rng, n)
    if r2 > 0:
        true, predicted = r2**0.5 * seen + (1 - r2) ** 0.5 * wrong, r2**0.5 * seen
    else:  # it goes by something, but more by what has nothing to do with it
        true = 0.2**0.5 * seen + 0.8**0.5 * wrong
        useless = 1 - r2 - 0.8 - (0.2**0.5 - 0.2) ** 2
        predicted = 0.2 * seen + useless**0.5 * other
    judged = judge(_target("continuous"), predicted.reshape(-1, 1), true.reshape(-1, 1), np.zeros(1))
    return Sample(own, judged.quantities, judged.statistic, judged.numbers)


def _trial(
    metrics: tuple[str, ...], make: Callable[[np.random.Generator, int], Sample], n: int, rng: np.random.Generator
) -> Found:
    return of_sums(metrics, make(rng, n))


def _truth(make: Callable[[np.random.Generator, int], Sample], metrics: tuple[str, ...]) -> dict[str, float]:
    """From very many sources."""
    sample = make(numpy_rng(12345), _MANY)
    values = sample.statistic(sample.quantities.sum(0, keepdims=True))[0].tolist()
    return dict(zip(metrics, values[: len(metrics)], strict=True))


def numbers(
    sources: tuple[int, ...] = SOURCES,
    r2: tuple[float, ...] = R2,
    errors: tuple[str, ...] = tuple(e for e in ERRORS if e != UNSEEN),
) -> Iterator[Case]:
    """R², RMSE and MAE of numbers with clustered errors."""
    for name in errors:
        for value in r2:
            make, metrics = partial(_number, ERRORS[name], value), ("r2", "rmse", "mae")
            truth = _truth(make, metrics)
            if value < 0.9:
                del truth["rmse"], truth["mae"]  # of errors of the same kind: once is enough
            for n in sources:
                yield Case(f"R² {value:g}, {name}", n, truth, partial(_trial, metrics, make, n))


def _rates(kind: str, p: float, rng: np.random.Generator, n: int) -> np.ndarray:
    """``(n,)`` how often views of each source are right: p on average."""
    if kind == "views of a source alike":
        return (rng.random(n) < p).astype(float)
    if kind == "views half alike":
        return rng.beta(p, 1 - p, n)
    if kind == "few sources bad":
        share = min(1, 2 * (1 - p))
        return np.where(rng.random(n) < share, 1 - (1 - p) / share, 1.0)
    return np.full(n, p)


ANSWERS = ("views of a source alike", "views half alike", "few sources bad", "views independent")
ACCURACIES = (0.5, 0.9, 0.99, 1.0)


def _answers(kind: str, p: float, rng: np.random.Generator, n: int) -> Sample:
    right = (rng.random((n, VIEWS)) < _rates(kind, p, rng, n)[:, None]).astype(float).reshape(-1, 1)
    return Sample(np.repeat(np.arange(n), VIEWS), np.hstack([right, np.ones_like(right)]), ratio, shares(1))


def accuracies(
    sources: tuple[int, ...] = SOURCES, accuracy: tuple[float, ...] = ACCURACIES, kinds: tuple[str, ...] = ANSWERS
) -> Iterator[Case]:
    """Accuracy of answers that views of one source share, more or less."""
    for kind in kinds:
        for p in accuracy:
            if p == 1 and kind != kinds[0]:
                continue  # all are right, whichever way
            for n in sources:
                make = partial(_answers, kind, p)
                yield Case(
                    f"accuracy {p:g}, {kind}",
                    n,
                    {"accuracy": p},
                    partial(_trial, ("accuracy",), make, n),
                )


def _scores(positives: int, ties: bool, views: int, apart: float, rng: np.random.Generator, n: int) -> Sample:
    """Positive and negative sources, the scores of which are apart by so many standard deviations."""
    yes = np.repeat(np.arange(n) < positives, views)
    score = apart * yes + 0.7**0.5 * rng.normal(size=n).repeat(views) + 0.3**0.5 * rng.normal(size=n * views)
    score = 0.3 * (score.round(0) if ties else score)  # of half a standard deviation: a handful of values
    both = np.stack([1 - score, score], 1)
    judged = judge(_target("binary", 2), both, np.eye(2)[yes.astype(int)], np.array([0.6, 0.4]))
    return Sample(np.repeat(np.arange(n), views), judged.quantities, judged.statistic, judged.numbers)


RARE = ("r2", "auc", "accuracy", "balanced_accuracy", "false_negative_rate", "false_positive_rate")


def areas(positives: tuple[int, ...] = (3, 5, 10, 30), negatives: int = 60) -> Iterator[Case]:
    """AUC, balanced accuracy and error rates with few positive sources; columns are the positives."""
    for apart in (0.0, 1.0, 2.5):
        for ties in (False, True):
            for views in (1, VIEWS):
                truth = _truth(partial(_scores, _MANY // 2, ties, views, apart), RARE)
                name = f"{'tied ' if ties else ''}scores {apart:g} s.d. apart, {views} view{'s' * (views > 1)}"
                for m in positives:
                    make = partial(_scores, m, ties, views, apart)
                    kept = {k: truth[k] for k in ("auc", "balanced_accuracy", "false_negative_rate")}
                    yield Case(name, m, kept, partial(_trial, RARE, make, m + negatives))


def _classes(rng: np.random.Generator, n: int) -> Sample:
    """Four classes, the rarest a tenth; sources of a class in turn, so that each is there."""
    code = np.array([0, 1, 0, 2, 0, 1, 3, 0, 1, 2])[np.arange(n) % 10].repeat(VIEWS)
    score = np.eye(4)[code] + rng.normal(size=(n, 4)).repeat(VIEWS, 0) + 0.5 * rng.normal(size=(n * VIEWS, 4))
    judged = judge(_target("categorical", 4), score, np.eye(4)[code], np.array([0.4, 0.3, 0.2, 0.1]))
    return Sample(np.repeat(np.arange(n), VIEWS), judged.quantities, judged.statistic, judged.numbers)


def classes(sources: tuple[int, ...] = SOURCES) -> Iterator[Case]:
    """Four classes, one of them rare: of ten sources it has one."""
    metrics = ("r2", "auc", "accuracy", "balanced_accuracy")
    truth = _truth(_classes, metrics)
    for n in sources:
        yield Case("four classes", n, truth, partial(_trial, metrics, _classes, n))
