"""Our probes against the same numbers from scikit-learn and numpy, on 60,200 × 500 features."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import beta, norm, t
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from benchmarks.features import ANGLES, CLASSES, make_table
from benchmarks.timing import alternate, cpu_seconds, ratio
from invariantnets.analysis.spectrum import singular_values
from invariantnets.probes import mav
from invariantnets.probes.linear import LAMBDAS, LinearModel, errors, model_of, path_of
from invariantnets.statistics.moments import Moments, class_moments, moments
from invariantnets.statistics.neighbours import nearest, neighbour_means
from invariantnets.statistics.resampling import Resampling, shares
from invariantnets.statistics.resampling import ratio as quotient

IMAGES, DIMS = (7000, 1600, 7), 500  # of train, val and (unused) test; seven rows each
SOURCES, NEIGHBOURS, QUERIES, SEARCHED = 900, 16, 4000, 20_000
TOY = {"images": (1000, 200, 7), "dims": 20, "rounds": 1}
Answer = dict[str, np.ndarray]


class Rows:
    """The rows of train and validation, and what is regressed on: the angle, and indicators of its values."""

    def __init__(self, images: tuple[int, int, int], dims: int) -> None:
        self.table = make_table(images, dims)
        self.x, self.y, self.label = {}, {}, {}
        for split in ("train", "val"):
            part = self.table.part(split)
            angle = part.nuisance["angle"][:, None]
            self.x[split], self.label[split] = part.features["ip1"], part.label
            self.y[split] = np.concatenate([angle, angle == ANGLES], 1)

    def angle(self, split: str, label: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Features and angle of all rows, or of one class."""
        rows: Any = slice(None) if label is None else self.label[split] == label
        return self.x[split][rows], self.y[split][rows, 0]

    def fitted(self, coefficients: np.ndarray) -> np.ndarray:
        """What the regressors of all rows and of each class predict of the rows that they were fitted to."""
        sets = [self.angle("train", label)[0].astype(np.float64) for label in (None, *range(CLASSES))]
        return np.concatenate([(x - x.mean(0)) @ coef for x, coef in zip(sets, coefficients, strict=True)])


def from_statistics(data: Rows, penalties: tuple[float, ...]) -> Answer:
    """Ours: one pass of sufficient statistics; the blind regressor, one per class and all means follow."""
    train, column = class_moments(data.x["train"], data.y["train"], data.label["train"], CLASSES), slice(0, 1)
    fit, x, y = [m.targets(column) for m in train], data.x["val"], data.y["val"][:, column]
    (blind,) = fitted([sum(fit[1:], fit[0])], [(x, y)], penalties)
    by_class = fitted(fit, [(x[data.label["val"] == c], y[data.label["val"] == c]) for c in range(CLASSES)], penalties)
    return {
        "coefficients": np.stack([model.coef[:, 0] for model in (blind, *by_class)]),
        "penalties": np.array([blind.penalty[0], by_class[0].penalty[0]]),
        "means": mav.mean_activation_vectors(data.x["train"], data.label["train"], CLASSES),
        "means at each angle": mav.means_per_value(train, slice(1, None)),
    }


def fitted(
    train: list[Moments], held: list[tuple[np.ndarray, np.ndarray]], penalties: Sequence[float]
) -> list[LinearModel]:
    """Regressors of several sets of rows, at the one penalty that is best on the rows held out of all."""
    paths = [path_of(moments, penalties) for moments in train]
    error = sum(errors(m, path, *rows).sum(1) for m, path, rows in zip(train, paths, held, strict=True))
    best = [int(np.argmin(error))]
    return [model_of(m, path, [slice(0, 1)], best, penalties) for m, path in zip(train, paths, strict=True)]


def cross_validated(data: Rows, ours: bool) -> Answer:
    """Ridge of all rows, its penalty chosen on rows held out: ours on one fold, RidgeCV by leaving out each in turn.

    They need not choose the same penalty, so that what is compared is what they predict.
    """
    (x, y), (held, y_held) = data.angle("train"), data.angle("val")
    if ours:
        train = moments(x, y[:, None])
        (model,) = fitted([train], [(held, y_held[:, None])], LAMBDAS[:-1])
        return {"prediction": model.predict(held)[:, 0]}
    scaler = StandardScaler().fit(x.astype(np.float64))
    alphas = np.array(LAMBDAS[:-1]) * len(y)
    reference = RidgeCV(alphas).fit(scaler.transform(x.astype(np.float64)), y)
    return {"prediction": reference.predict(scaler.transform(held.astype(np.float64)))}


def class_means(data: Rows) -> Answer:
    """The mean of each class, and at each angle, by numpy."""
    x, label, at = data.x["train"], data.label["train"], data.y["train"][:, 1:] > 0
    means = [x[label == c].mean(0, dtype=np.float64) for c in range(CLASSES)]
    cells = [[x[(label == c) & column].mean(0, dtype=np.float64) for c in range(CLASSES)] for column in at.T]
    return {"means": np.array(means), "means at each angle": np.array(cells)}


def least_squares(data: Rows) -> Answer:
    """LinearRegression of all rows and of each class, and the means.

    In float64. In float32 it may take the rounding of features that are 0 in a class, or all but, for features: on a
    processor with AVX2 a class's coefficients came out 300 times too large, where ours were those of float64.
    """
    parts = (data.angle("train", label) for label in (None, *range(CLASSES)))
    fits = [LinearRegression().fit(x.astype(np.float64), y) for x, y in parts]
    return {"coefficients": np.stack([fit.coef_ for fit in fits]), **class_means(data)}


def ridge_path(data: Rows) -> Answer:
    """Ridge at every penalty, in float64; one is chosen for all rows and one for the classes together."""
    chosen, coefficients = [], []
    for labels in ([None], list(range(CLASSES))):
        error, fits = np.zeros(len(LAMBDAS)), []
        for label in labels:
            (x, y), (x_val, y_val) = data.angle("train", label), data.angle("val", label)
            scaler = StandardScaler().fit(x.astype(np.float64))
            z, z_val = scaler.transform(x.astype(np.float64)), scaler.transform(x_val.astype(np.float64))
            # An infinite penalty predicts the mean; 1e30 does the same.
            path = [Ridge(min(penalty * len(y), 1e30)).fit(z, y) for penalty in LAMBDAS]
            error += [((model.predict(z_val) - y_val) ** 2).sum() for model in path]
            fits.append([model.coef_ / scaler.scale_ for model in path])
        best = int(error.argmin())
        chosen.append(LAMBDAS[best])
        coefficients += [path[best] for path in fits]
    return {"coefficients": np.stack(coefficients), "penalties": np.array(chosen), **class_means(data)}


def difference(ours: Answer, theirs: Answer) -> float:
    """Largest difference between two answers, relative to the largest number of each part."""
    return max(float(np.abs(ours[name] - part).max() / np.abs(part).max()) for name, part in theirs.items())


def difference_of_fits(data: Rows, ours: Answer, theirs: Answer) -> float:
    """The same, of regressors by what they predict of their own rows.

    Where two features are lit by one and the same row of a class, they are collinear. Least squares then has many
    solutions, alike in this alone: ours is the shortest on standardised features, scikit-learn's on features as given.
    Which features those are depends on the rounding of the products that make the table, and so on the processor.
    """
    first, second = ({**answer, "coefficients": data.fitted(answer["coefficients"])} for answer in (ours, theirs))
    return difference(first, second)


def share_that_differs(ours: Answer, theirs: Answer) -> float:
    """Share of predictions that differ by more than distances in float32 do: two neighbours may change places."""
    (first,), (second,) = ours.values(), theirs.values()
    return float((np.abs(first - second) > 1e-4 * np.abs(second).max()).mean())


def neighbours(data: Rows, ours: bool) -> Answer:
    """The angle of the first validation rows by kNN."""
    x, y = data.x["train"][:SEARCHED], data.y["train"][:SEARCHED, :1]
    centre = x.mean(0)
    fit, queries = x - centre, data.x["val"][:QUERIES] - centre
    if ours:
        return {"prediction": neighbour_means(y, *nearest(fit, queries, NEIGHBOURS + 1), (NEIGHBOURS,))[0]}
    theirs = KNeighborsRegressor(NEIGHBOURS + 1, algorithm="brute", weights=lambda d: 1 - (d / d[:, -1:]) ** 2)
    return {"prediction": theirs.fit(fit, y).predict(queries)}


def hits(data: Rows) -> np.ndarray:
    """``(N, 2)``: a made-up classifier's hits and ones, whose sums give its accuracy."""
    source = data.table.part("train").source
    return np.stack([np.sin(source) > -0.5, np.ones(len(source))], 1).astype(np.float64)


def interval(data: Rows, ours: bool) -> Answer:
    """95 % interval of an accuracy, leaving out sources; the loop sums the rows of all others anew."""
    source, quantities = data.table.part("train").source, hits(data)
    rows = source < np.unique(source)[SOURCES]
    source, quantities = source[rows], quantities[rows]
    if ours:
        return {"interval": np.concatenate(Resampling(source).interval(quantities, quotient, shares(1))[1:])}
    right, left = quantities[:, 0], []
    for one in np.unique(source):
        left.append(right[source != one].mean())
    n, p = len(left), right.mean()
    error = np.std(left) * (n - 1) ** 0.5
    # As many independent rows as would scatter as much (Korn and Graubard 1998).
    many = p * (1 - p) / error**2 * (norm.ppf(0.975) / t.ppf(0.975, n - 1)) ** 2
    low, high = beta.ppf([0.025, 0.975], many * p + [0, 1], many * (1 - p) + [1, 0])
    return {"interval": np.array([low, high])}


def scree(data: Rows, ours: bool) -> Answer:
    """Singular values of the mean-centred features."""
    x = data.x["train"]
    if ours:
        return {"values": singular_values(moments(x, np.zeros((len(x), 0))).xx)}
    return {"values": np.linalg.svd(x - x.mean(0), compute_uv=False)}


def compare(
    ours: Callable[[], Answer],
    theirs: Callable[[], Answer],
    tolerance: float,
    rounds: int,
    distance: Callable[[Answer, Answer], float] = difference,
) -> dict[str, float]:
    """CPU seconds of both, how many times faster ours is, and how much the answers differ.

    Raises:
        AssertionError: they differ by more than the tolerance.
    """
    answers: dict[str, Answer] = {}

    def timed(name: str, work: Callable[[], Answer]) -> Callable[[], float]:
        return lambda: cpu_seconds(lambda: answers.update({name: work()}))

    found = alternate({"ours": timed("ours", ours), "theirs": timed("theirs", theirs)}, rounds)
    error = distance(answers["ours"], answers["theirs"])
    assert error <= tolerance, f"the answers differ by {error:.2g}, more than {tolerance:g}"
    seconds = {name: statistics.median(of_name) for name, of_name in found.items()}
    return {**seconds, "times": ratio(found["theirs"], found["ours"]), "difference": error, "tolerance": tolerance}


def measure(images: tuple[int, int, int] = IMAGES, dims: int = DIMS, rounds: int = 5) -> dict[str, dict[str, float]]:
    """Every comparison by name."""
    data = Rows(images, dims)
    return {
        "linear probes, 34 penalties / Ridge": compare(
            lambda: from_statistics(data, LAMBDAS), lambda: ridge_path(data), 1e-6, 1
        ),
        "ridge, 33 penalties / RidgeCV": compare(
            lambda: cross_validated(data, True), lambda: cross_validated(data, False), 2e-2, 1
        ),
        "linear probes, no penalty / LinearRegression": compare(
            lambda: from_statistics(data, (0.0,)),
            lambda: least_squares(data),
            1e-6,
            rounds,
            partial(difference_of_fits, data),
        ),
        "kNN / KNeighborsRegressor": compare(
            lambda: neighbours(data, True), lambda: neighbours(data, False), 5e-3, rounds, share_that_differs
        ),
        "interval / loop": compare(lambda: interval(data, True), lambda: interval(data, False), 1e-5, rounds),
        "scree / numpy svd": compare(lambda: scree(data, True), lambda: scree(data, False), 1e-4, rounds),
    }
