from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes import Trees
from invariantnets.probes.boosting import Columns, Option, Rows, View
from invariantnets.probes.probe import Reading
from invariantnets.probes.screening import Screening
from invariantnets.probes.targets import r2
from invariantnets.probes.task import Task, prepare
from invariantnets.statistics.moments import moments

YES_NO = ("no", "yes")


def normal(rows: int = 1500, dims: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, dims)).astype(np.float32)


def task_of(x: np.ndarray, source: np.ndarray | None = None, **nuisances: tuple[Nuisance, np.ndarray]) -> Task:
    """Three fifths train, one validation, one test; ten classes that have nothing to do with it."""
    n = len(x)
    table = FeatureTable(
        features={"x": x},
        label=np.arange(n) % 10,
        split=np.repeat(["train", "val", "test"], (3 * n // 5, n // 5, n - 3 * n // 5 - n // 5)),
        source=np.arange(n) if source is None else source,
        nuisance={name: np.asarray(values, np.float64) for name, (_, values) in nuisances.items()},
        nuisances=tuple(replace(nuisance, name=name) for name, (nuisance, _) in nuisances.items()),
        num_classes=10,
    )
    return prepare(table, "x", 0, True)


def number(values: np.ndarray) -> tuple[Nuisance, np.ndarray]:
    return Nuisance("n"), values


def scores(task: Task, reading: Reading) -> tuple[float, float, float]:
    """R² out of fold, on test, and of the control on test."""
    y, of = task.y["test"], reading.target
    control = r2(reading.control, y[:, of.control], task.mean(of.control))
    return task.validation_r2(reading.held_out, of), r2(reading.test, y[:, of.true], task.mean(of.true)), control


def read(task: Task) -> tuple[float, float, float]:
    (reading,) = Trees()(task)
    return scores(task, reading)


HIDDEN: dict[str, tuple[float, Callable[[np.ndarray], np.ndarray]]] = {
    "a step": (0.97, lambda x: (x[:, 3] > 0.4).astype(float)),
    "the logarithm": (0.99, lambda x: x[:, 2] * 3),
    "a fraction": (0.8, lambda x: x[:, 7] * 2 % 1),
    "the larger of two": (0.97, lambda x: np.maximum(x[:, 1], x[:, 8])),
    "the product of two signs": (0.9, lambda x: np.sign(x[:, 1] * x[:, 8])),
    "the length": (0.97, lambda x: np.linalg.norm(x, axis=1)),
    "a step along an axis": (0.8, lambda x: (np.abs(x[:, 5]) > 0.7).astype(float)),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_reads_what_is_hidden_in_one_feature_or_two(name: str) -> None:
    least, of = HIDDEN[name]
    z = normal()
    x = z.copy()
    if name == "the logarithm":
        x[:, 2] = 10 ** (3 * z[:, 2])
    if name == "a step along an axis":  # the widest, mixed into all features
        z[:, 5] *= 3
        x = (z @ np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))[0]).astype(np.float32)
        z[:, 5] /= 3
    out_of_fold, test, control = read(task_of(x, n=number(of(z))))
    assert out_of_fold > least and test > least and control < 0.03


def test_reads_every_kind_on_one_set_of_rows() -> None:
    x = normal(2000)
    angle = np.rad2deg(np.arctan2(x[:, 0], x[:, 1]))
    task = task_of(
        x,
        angle=(Nuisance("", "circular", "°"), angle),
        sort=(Nuisance("", "categorical", categories=("a", "b", "c")), np.digitize(x[:, 2], (-0.5, 0.5))),
        yes=(Nuisance("", "binary", categories=YES_NO), x[:, 3] > 0),
        number=number(x[:, 4]),
    )
    readings = list(Trees(rows=1000)(task))
    assert [reading.target for reading in readings] == task.targets
    for reading in readings:
        assert reading.held_out.shape == (len(task.choice), reading.test.shape[1]) and reading.n_fit <= 1000
        out_of_fold, test, control = scores(task, reading)
        assert out_of_fold > 0.8 and test > 0.8 and control < 0.03
    yes = readings[2]
    for predicted in (yes.held_out, yes.test, yes.control):
        np.testing.assert_allclose(predicted.sum(1), 1)
        assert predicted.min() >= 0 and predicted.max() <= 1


def test_finds_nothing_in_noise() -> None:
    out_of_fold, test, control = read(task_of(normal(), n=number(normal(seed=1)[:, 0])))
    assert out_of_fold < 0.03 and test < 0.03 and control < 0.03


def test_predictions_are_out_of_fold() -> None:
    """All rows of a source have one point and one value, drawn at random: who has seen one of them knows the others."""
    points = 120
    source = np.repeat(np.arange(points), 10)
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(points, 3))[source]).astype(np.float32), rng.normal(size=points)[source]
    task = task_of(x, source, n=number(y))
    (reading,) = Trees()(task)
    assert scores(task, reading)[0] < 0.1
    # By rows, not by sources, the very same trees know nearly all of it.
    rows = np.random.default_rng(1).permutation(len(task.x["known"]))
    fit, held = Rows.of(rows[:800], task.x["known"][rows[:800]]), rows[800:]
    truth = task.y["known"][:, 0]
    model = fit.fit(Option(4, False, 31, 5), truth, fit.best(truth))
    assert np.corrcoef(model.predict(task.x["known"][held]), truth[held])[0, 1] > 0.95


def test_what_a_fold_holds_out_changes_nothing_of_its_models() -> None:
    """Other values in the rows that a fold holds out, and its predictions of them are the same, but for the choice."""
    x = normal(900)
    task = task_of(x, n=number(np.sin(3 * x[:, 0])))
    last = task.folds.count - 1
    held, places = task.folds.held(last), task.folds.places(last)
    y = task.y["known"].copy()
    y[held] = np.random.default_rng(0).normal(size=y[held].shape)
    changed = replace(task, y={**task.y, "known": y}, _known={})
    (before,), (after,) = Trees()(task), Trees()(changed)
    assert before.chosen == after.chosen
    np.testing.assert_array_equal(before.held_out[places], after.held_out[places])
    assert not np.array_equal(before.held_out, after.held_out)


@pytest.mark.parametrize("close", [False, True])
def test_agrees_with_scikit_learn(close: bool) -> None:
    x, rng = normal(800, 6), np.random.default_rng(0)
    y = np.sin(4 * x[:, 2]) + 0.1 * rng.normal(size=800)
    rows, option = Rows.of(np.arange(600), x[:600]), Option(2, close, 12, 8, 0.2, 40)
    best = rows.best(y)
    model = rows.fit(option, y, best)._replace(used=25)
    settings = {"max_leaf_nodes": 12, "min_samples_leaf": 8, "learning_rate": 0.2, "early_stopping": False}
    seen = rows.columns.every(x)[:, best[:2]]
    if close:
        edges = np.quantile(seen[:600], [0.25, 0.5, 0.75], axis=0, method="lower")
        place = (seen[:, None] >= edges).sum(1)
        quarters = [np.where(place[:, j] == q, seen[:, j], np.nan) for j in range(2) for q in range(4)]
        seen = np.column_stack([seen, *quarters])
    reference = HistGradientBoostingRegressor(max_iter=25, **settings).fit(seen[:600], y[:600])
    expected = np.clip(reference.predict(seen[600:]), y[:600].min(), y[:600].max())
    np.testing.assert_allclose(model.predict(x[600:]), expected, rtol=1e-9)


def test_a_close_look_resolves_what_255_bins_do_not() -> None:
    x = np.random.default_rng(0).uniform(size=(4000, 1)).astype(np.float32)
    y = (x[:, 0] * 40 % 1).astype(np.float64)
    rows = Rows.of(np.arange(3000), x[:3000])
    far, near = (rows.fit(Option(1, close, 31, 5), y, np.array([0])).predict(x[3000:]) for close in (False, True))
    assert ((near - y[3000:]) ** 2).sum() < 0.5 * ((far - y[3000:]) ** 2).sum()


def test_parts_of_features_of_few_values() -> None:
    """Of half zeros there are two parts, of yes and no none: a part without a value would be refused."""
    x = np.stack([np.maximum(normal()[:, 0], 0), normal()[:, 1] > 0, np.ones(1500)], 1)
    view = View.of(x, np.arange(3), True)
    assert [place for place, _, _ in view.parts].count(0) == 3 and {place for place, _, _ in view.parts} == {0, 1}
    parts = view(x)[:, 3:]
    assert (~np.isnan(parts)).any(0).all()
    np.testing.assert_array_equal(np.nansum(parts[:, :3], 1), x[:, 0])


def test_screening_finds_lines_curves_and_products_and_nothing_in_noise() -> None:
    x, rng = normal(3000, 50), np.random.default_rng(5)
    screening = Screening.of(x)
    for of, features in (
        (x[:, 4] + rng.normal(size=3000), {4}),
        (np.sin(9 * x[:, 11]), {11}),
        (x[:, 3] * x[:, 30] + rng.normal(size=3000), {3, 30}),
        (np.sign(x[:, 3] * x[:, 30]), {3, 30}),
    ):
        found = screening.explained(of)
        assert set(np.argsort(-found)[: len(features)].tolist()) == features
        assert np.delete(found, list(features)).max() < 0.01
    assert max(screening.explained(rng.normal(size=3000)).max() for _ in range(20)) < 0.01
    assert not screening.explained(np.ones(3000)).any()


def test_screening_is_the_variance_between_bins() -> None:
    x, y = normal(512, 3), normal(512, 1, seed=2)[:, 0].astype(np.float64)
    y += np.sin(6 * x[:, 1])
    order, shares = np.argsort(x[:, 1]), []
    for count in (2, 4, 8, 16, 32, 64):
        means = y[order].reshape(count, -1).mean(1)
        free = count - 1
        shares.append(means.var() / y.var() - (free + 3 * np.sqrt(2 * free)) / 512)
    assert Screening.of(x).explained(y)[1] == pytest.approx(max(shares), abs=1e-5)


def test_columns_are_features_length_and_uncorrelated_coordinates() -> None:
    x = (normal() @ np.random.default_rng(3).normal(size=(12, 12)) + 5).astype(np.float32)
    columns = Columns.of(x)
    every = columns.every(x)
    np.testing.assert_array_equal(every[:, :12], x)
    np.testing.assert_allclose(every[:, 12], np.linalg.norm(x, axis=1), rtol=1e-6)
    covariance = moments(every[:, 13:], np.empty((1500, 0))).xx / 1500
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-4)
    index = np.array([14, 12, 3])
    np.testing.assert_allclose(columns.some(x, index), every[:, index], rtol=1e-5, atol=1e-5)


def test_lengths_beyond_single_precision_are_finite() -> None:
    x = np.full((4, 3), 3e38, np.float32) * np.array([[1], [0.5], [-1], [0]], np.float32)
    assert np.isfinite(Columns(np.zeros(3), np.empty((3, 0))).every(x)).all()


def test_of_many_categories_the_frequent_are_read_and_the_rest_is_its_mean() -> None:
    x, names = normal(1500, 3), tuple(f"c{i}" for i in range(20))
    value = np.digitize(x[:, 0], np.linspace(-2, 2, 19))
    task = task_of(x, c=(Nuisance("", "categorical", categories=names), value))
    (reading,) = Trees(rows=600)(task)
    constant = np.ptp(reading.test, axis=0) == 0
    assert constant.sum() >= 4
    np.testing.assert_allclose(reading.test[0, constant], task.mean(reading.target.true)[constant])
    assert scores(task, reading)[0] > 0.3
