"""Our probes against the same numbers from scikit-learn and numpy, on 60,000 × 500 features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import StandardScaler

from benchmarks.features import ANGLES, CLASSES, make_table
from benchmarks.timing import alternate, cpu_seconds, ratio
from invariantnets.probes import mav
from invariantnets.probes.linear import LAMBDAS, fit_ridge
from invariantnets.probes.moments import Moments, class_moments

PENALTIES = LAMBDAS[::8]  # scikit-learn factorises anew for each: a part of ours keeps this benchmark short
TRAIN, VAL = 49_000, 11_200  # rows


class Rows:
    """The rows of train and validation, and what is regressed on."""

    def __init__(self) -> None:
        table = make_table((TRAIN // len(ANGLES), VAL // len(ANGLES), 7))
        self.x, self.y, self.label = {}, {}, {}
        for split in ("train", "val"):
            part = table.part(split)
            self.x[split], self.label[split] = part.features["ip1"], part.label
            angle = part.nuisance["angle"]
            self.y[split] = np.concatenate([angle[:, None], angle[:, None] == ANGLES], 1)  # the angle, its indicators

    def angle(self, split: str, label: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Features and angle of all rows, or of one class."""
        rows: Any = slice(None) if label is None else self.label[split] == label
        return self.x[split][rows], self.y[split][rows, 0]


Answer = dict[str, np.ndarray]


def ours(data: Rows, penalties: tuple[float, ...]) -> Answer:
    """One pass of sufficient statistics; everything else from them."""
    train, val = (class_moments(data.x[s], data.y[s], data.label[s], CLASSES) for s in ("train", "val"))

    def angle(parts: list[Moments]) -> list[Moments]:
        return [m.targets(slice(0, 1)) for m in parts]

    blind = fit_ridge(angle([sum(train[1:], train[0])]), angle([sum(val[1:], val[0])]), [slice(0, 1)], penalties)
    by_class = fit_ridge(angle(train), angle(val), [slice(0, 1)], penalties)
    return {
        "coefficients": np.stack([model.coef[:, 0] for model in [*blind, *by_class]]),
        "penalties": np.array([blind[0].penalty[0], by_class[0].penalty[0]]),
        "means": mav.mean_activation_vectors(train),
        "means at each angle": mav.means_per_value(train, slice(1, None)),
    }


def class_means(data: Rows) -> Answer:
    """The mean of each class, and at each angle, by numpy."""
    x, label, at = data.x["train"], data.label["train"], data.y["train"][:, 1:] > 0
    mean = np.stack([x[label == c].mean(0, dtype=np.float64) for c in range(CLASSES)])
    cells = [[x[(label == c) & at[:, a]].mean(0, dtype=np.float64) for c in range(CLASSES)] for a in range(len(ANGLES))]
    return {"means": mean, "means at each angle": np.array(cells)}


def least_squares(data: Rows) -> Answer:
    """LinearRegression for all rows and for each class."""
    fits = [LinearRegression().fit(*data.angle("train", c)) for c in (None, *range(CLASSES))]
    return {"coefficients": np.stack([fit.coef_ for fit in fits]), **class_means(data)}


def ridge_path(data: Rows) -> Answer:
    """Ridge at every penalty; one is chosen for all rows, and one for the classes together, by validation error."""
    chosen, coefficients = [], []
    for labels in ([None], list(range(CLASSES))):
        errors, fits = np.zeros(len(PENALTIES)), []
        for label in labels:
            (x, y), (x_val, y_val) = data.angle("train", label), data.angle("val", label)
            scaler = StandardScaler().fit(x)
            z, z_val = scaler.transform(x), scaler.transform(x_val)
            path = [Ridge(penalty * len(y) if np.isfinite(penalty) else 1e30).fit(z, y) for penalty in PENALTIES]
            errors += [((fit.predict(z_val) - y_val) ** 2).sum() for fit in path]
            fits.append([fit.coef_ / scaler.scale_ for fit in path])
        best = int(errors.argmin())
        chosen.append(PENALTIES[best])
        coefficients += [path[best] for path in fits]
    return {"coefficients": np.stack(coefficients), "penalties": np.array(chosen), **class_means(data)}


def difference(answer: Answer, reference: Answer) -> float:
    """Largest difference, relative to the largest number of each part."""
    return max(float(np.abs(answer[k] - v).max() / np.abs(v).max()) for k, v in reference.items())


def compare(fast: Callable[[], Any], slow: Callable[[], Any], equal: Callable[[Any, Any], float], tolerance: float, rounds: int) -> dict[str, float]:
    """CPU seconds of both, how many times faster the first is, and how much the answers differ.

    Raises:
        AssertionError: they differ by more than the tolerance.
    """
    answers: dict[str, Any] = {}

    def run(name: str, work: Callable[[], Any]) -> Callable[[], float]:
        return lambda: cpu_seconds(lambda: answers.__setitem__(name, work()))

    found = alternate({"fast": run("fast", fast), "slow": run("slow", slow)}, rounds)
    error = equal(answers["fast"], answers["slow"])
    assert error <= tolerance, f"the answers differ by {error}, more than {tolerance}"
    return {"ours, s": float(np.median(found["fast"])), "theirs, s": float(np.median(found["slow"])), "times": ratio(found["slow"], found["fast"]), "difference": error}


if __name__ == "__main__":
    import time

    import torch
    torch.set_num_threads(1)
    d = Rows()
    print(compare(lambda: ours(d, (0.0,)), lambda: least_squares(d), difference, 1e-2, 2), flush=True)
    t = time.time()
    print(compare(lambda: ours(d, PENALTIES), lambda: ridge_path(d), difference, 1e-2, 1), time.time() - t)
