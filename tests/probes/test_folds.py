"""Every reader is chosen on rows that it was not fitted to, whoever divides them."""

from __future__ import annotations

import numpy as np
import pytest
from representations import mixed
from sklearn.linear_model import Ridge as ReferenceRidge
from sklearn.preprocessing import StandardScaler

from invariantnets.probes.folds import draw_folds
from invariantnets.probes.linear import LAMBDAS
from invariantnets.probes.linear_readings import fit_by_class, read_blind, read_by_label
from invariantnets.probes.mav import nearest_class
from invariantnets.probes.task import prepare


def drawn(images: int, rows: int = 1, classes: int = 10, val: float = 0.2):
    source = np.repeat(np.arange(images), rows)
    unseen = source >= (1 - val) * images
    return source, unseen, draw_folds(source, source % classes, unseen, np.random.default_rng(0))


# Images, rows of each → folds, rows held out by all of them together.
SIZES = [(50, 1, 5, 50), (1000, 1, 5, 1000), (10_000, 1, 2, 4000), (20_000, 1, 1, 4000), (100_000, 1, 1, 10_000)]
SIZES += [(400, 50, 3, 12_000), (10, 1000, 5, 10_000), (3, 5, 3, 15), (2, 1, 2, 2)]


@pytest.mark.parametrize(("images", "rows", "count", "held"), SIZES)
def test_a_fifth_at_a_time_until_there_is_enough_to_choose_by(images, rows, count, held):
    source, unseen, folds = drawn(images, rows)
    assert (folds.count, len(folds.choice)) == (count, pytest.approx(held, abs=rows * count))
    for k in range(count):
        assert not np.isin(source[folds.fit(k)], source[folds.held(k)]).any()
        assert len(folds.fit(k)) + len(folds.held(k)) == len(source)
        np.testing.assert_array_equal(folds.choice[folds.places(k)], folds.held(k))
    if count == 1:  # what the network was not trained on comes first
        assert unseen[folds.choice].all()


def test_each_fold_has_its_share_of_each_class():
    source, _, folds = drawn(1000)
    for k in range(folds.count):
        np.testing.assert_array_equal(np.bincount(source[folds.held(k)] % 10), np.full(10, 20))


@pytest.fixture
def task(make_table):
    return prepare(make_table(mixed, (60, 30, 20)), "ip1", 0, closed=True)


def test_moments_of_folds_are_those_of_their_rows(task):
    for k in task.fits:
        rows = task.folds.fit(k)
        x, y = task.x["known"][rows].astype(float), task.y["known"][rows]
        found = task.moments(k)
        np.testing.assert_allclose(found.xx, (x - x.mean(0)).T @ (x - x.mean(0)), rtol=1e-8)
        np.testing.assert_allclose(found.y_mean, task.mean(slice(None), k))
        np.testing.assert_allclose(found.y_range, [y.min(0), y.max(0)])
        label = task.parts["known"].label[rows]
        for c, of_class in enumerate(task.class_moments(k)):
            assert of_class.n == (label == c).sum()
            np.testing.assert_allclose(of_class.x_mean, x[label == c].mean(0))


def test_lines_are_those_of_a_loop_over_folds_spaces_and_penalties(task):
    """The slow way, by scikit-learn."""
    x, y, folds, target = task.x["known"].astype(float), task.y["known"], task.folds, task.every[0]
    length = np.linalg.norm(x, axis=1, keepdims=True)
    spaces = {"standardised": x, "raw": x, "unit": np.hstack([x / length, length])}
    best = (np.inf, "", 0.0, np.zeros(0))
    for space, rows in spaces.items():
        for penalty in LAMBDAS[:-1]:
            held_out = []
            for k in range(folds.count):
                fit, held = folds.fit(k), folds.held(k)
                scaler = StandardScaler().fit(rows[fit])
                scale = np.sqrt(rows[fit].var(0).mean()) if space == "raw" else scaler.scale_
                model = ReferenceRidge(penalty * len(fit)).fit(
                    (rows[fit] - scaler.mean_) / scale, y[fit][:, target.true]
                )
                held_out.append(model.predict((rows[held] - scaler.mean_) / scale).reshape(len(held), -1))
            error = ((np.concatenate(held_out) - y[folds.choice][:, target.true]) ** 2).sum()
            best = min(best, (error, space, penalty, np.concatenate(held_out)), key=lambda each: each[0])
    lines = read_blind(task)
    assert lines.chosen[0] == {"lambda": best[2], "space": best[1]}
    np.testing.assert_allclose(lines.held_out[:, target.true], best[3], atol=1e-5 * 30)


def test_regressors_of_classes_know_no_row_that_their_fold_holds_out(task):
    models, lines = fit_by_class(task).models, read_by_label(task)
    label = task.parts["known"].label
    for k in range(task.folds.count):
        held = task.folds.held(k)
        for place, row in enumerate(held[:20]):
            expected = models[k][label[row]].predict(task.x["known"][[row]])[0]
            np.testing.assert_allclose(lines.held_out[task.folds.places(k)][place], expected)
        for c, model in enumerate(models[k]):
            fit = task.folds.fit(k)[label[task.folds.fit(k)] == c]
            np.testing.assert_allclose(model.centre, task.x["known"][fit].astype(float).mean(0))


def test_the_nearest_mean_is_of_rows_that_the_fold_was_fitted_to(task):
    x, label, folds = task.x["known"].astype(float), task.parts["known"].label, task.folds
    held_out, _ = nearest_class(task)
    for k in range(folds.count):
        fit = folds.fit(k)
        means = np.stack([x[fit][label[fit] == c].mean(0) for c in range(4)])
        cosine = x[folds.held(k)] @ means.T / np.linalg.norm(means, axis=1)
        np.testing.assert_array_equal(held_out[folds.places(k)], cosine.argmax(1))
