from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes.kernel import KernelRidge
from invariantnets.probes.kernel_fold import Fold, Limits, Source, View
from invariantnets.probes.probe import Reading
from invariantnets.probes.targets import r2
from invariantnets.probes.task import Task, prepare
from invariantnets.statistics.kernel_ridge import Name

KERNELS: list[Name] = ["rbf", "quadratic"]
Make = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def task_of(features: Make, nuisances: int = 1, rows: int = 800) -> Task:
    """Nuisances are normal, features are made of them; ten classes that have nothing to do with either."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(rows, nuisances))
    names = [f"n{i}" for i in range(nuisances)]
    table = FeatureTable(
        features={"x": features(rng, values).astype(np.float32)},
        label=np.arange(rows) % 10,
        split=np.repeat(["train", "val", "test"], (rows // 2, rows // 4, rows - rows // 2 - rows // 4)),
        source=np.arange(rows),
        nuisance=dict(zip(names, values.T, strict=True)),
        nuisances=tuple(Nuisance(name, "continuous", "") for name in names),
        num_classes=10,
    )
    return prepare(table, "x", 0, True)


def noise(rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
    return rng.normal(size=(len(values), 16))


def in_signs(rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
    """Each nuisance in the product of two features, none of which knows it."""
    x = rng.normal(size=(len(values), 16))
    for i, value in enumerate(values.T):
        sign = rng.choice([-1, 1], len(value))
        x[:, 2 * i], x[:, 2 * i + 1] = sign, sign * value
    return x


def in_length(rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
    x = rng.normal(size=(len(values), 16))
    return x / np.linalg.norm(x, axis=1, keepdims=True) * np.exp(values[:, :1] / 3)


def read(task: Task, probe: KernelRidge) -> list[tuple[Reading, float, float, float]]:
    """Each reading with R² out of fold, on test, and of the control on test."""
    found = []
    for reading in probe(task):
        true, control = (task.y["test"][:, c] for c in (reading.target.true, reading.target.control))
        found.append(
            (
                reading,
                task.validation_r2(reading.held_out, reading.target),
                r2(reading.test, true, task.mean(reading.target.true)),
                r2(reading.control, control, task.mean(reading.target.control)),
            )
        )
    return found


@pytest.mark.parametrize(("name", "features"), [("rbf", in_signs), ("quadratic", in_length)])
def test_what_no_line_reads_is_read(name: Name, features: Make):
    ((reading, chosen, test, control),) = read(task_of(features), KernelRidge(name))
    assert chosen > 0.9 and test > 0.9 and control < 0.05
    assert reading.n_fit == 600 and reading.held_out.shape == (600, 1)


@pytest.mark.parametrize("name", KERNELS)
def test_what_is_not_there_is_not_read(name: Name):
    ((_, chosen, test, control),) = read(task_of(noise), KernelRidge(name))
    assert abs(chosen) < 0.02 and abs(test) < 0.05 and control < 0.05


@pytest.mark.parametrize("name", KERNELS)
def test_landmarks_of_many_rows_read_as_much(name: Name):
    ((reading, chosen, test, _),) = read(task_of(in_signs, rows=4400), KernelRidge(name, landmarks=150))
    assert chosen > 0.95 and test > 0.95 and reading.n_fit == 3300


def test_where_rows_are_left_out_what_one_fold_fits_is_all_there_is():
    task = task_of(in_signs, rows=27_000)
    ((reading, chosen, test, _),) = read(task, KernelRidge("rbf", rows=3100, landmarks=150))
    assert task.folds.count == 1 and reading.n_fit == 3100
    assert chosen > 0.95 and test > 0.95


def test_many_nuisances_share_a_metric_and_every_one_is_read():
    task = task_of(in_signs, nuisances=6)
    found = read(task, KernelRidge("quadratic"))
    assert [reading.target for reading, *_ in found] == task.targets
    for _, chosen, test, control in found:
        assert chosen > 0.7 and test > 0.7 and control < 0.05


@pytest.mark.parametrize("learned", [0, 1, 2])
def test_no_fold_knows_what_it_holds_out(learned: int):
    task = task_of(in_signs)
    view = View(tuple(task.targets), space=0, width=0.5)
    for _ in range(learned):
        view = View(view.targets, 0, 0.5, Source(view, ((task.targets[0], 3),)))

    def predicted(of: Task) -> np.ndarray:
        fold = Fold.draw(of, "rbf", Limits(20_000, 1000), 1)
        fitted = fold.fitted(view, (2,))
        x = fitted.seen(fitted.space.transform(of.x["known"], fold.held))
        return fitted.path.predict(x)

    y = task.y["known"].copy()
    y[task.folds.held(1)] += 100
    other = replace(task, y=task.y | {"known": y}, _known={})
    np.testing.assert_allclose(predicted(task), predicted(other), atol=1e-10)
    y[task.folds.held(0)] += 100
    changed = predicted(replace(task, y=task.y | {"known": y}, _known={}))
    assert np.abs(predicted(task) - changed).max() > 1


@pytest.mark.parametrize("scale", [1e18, 1e-20])
def test_the_unit_of_features_changes_nothing(scale: float):
    task = task_of(in_length, rows=600)
    other = replace(task, x={part: (x * np.float32(scale)).astype(np.float32) for part, x in task.x.items()}, _known={})
    (here,), (there,) = (read(t, KernelRidge("rbf")) for t in (task, other))
    assert abs(here[2] - there[2]) < 0.02 and here[2] > 0.8


def test_the_same_seed_reads_the_same():
    task = task_of(in_signs, rows=600)
    first, second = (next(iter(KernelRidge("rbf")(replace(task, _known={})))) for _ in range(2))
    np.testing.assert_array_equal(first.test, second.test)
    np.testing.assert_array_equal(first.held_out, second.held_out)
