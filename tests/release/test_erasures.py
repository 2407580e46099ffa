"""Erasures told the nuisance: against slow references of their papers, and what they leave to whom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.release import Inlp, Leace, Obliviator, Qleace, obliviator_training
from invariantnets.release.inlp import best_reader, r2_of
from invariantnets.release.obliviator_training import dependence, projection
from invariantnets.release.qleace import directions, largest_axis
from invariantnets.release.told import groups_of, one_hot
from invariantnets.statistics.moments import moments

GROUPS = 3


def make_table(sources: int = 200, width: int = 12, seed: int = 0) -> FeatureTable:
    """Three classes; an angle that shifts three features and widens two more; light that only widens another."""
    rng = np.random.default_rng(seed)
    label, angle = np.repeat(np.arange(sources) % 3, GROUPS), np.tile([-30.0, 0.0, 30.0], sources)
    light = rng.integers(2, size=len(angle))
    x = rng.normal(size=(len(angle), width)) + 3 * np.eye(3, width)[label]
    x[:, 3:6] += angle[:, None] / 20
    x[:, 6:8] *= 1 + (angle[:, None] + 30) / 20
    x[:, 8] *= 1 + 3 * light
    x = x @ np.linalg.qr(rng.normal(size=(width, width)))[0] + 5
    return FeatureTable(
        features={"ip1": x.astype(np.float32)},
        label=label,
        split=np.where(np.arange(len(angle)) < GROUPS * sources * 3 // 5, "train", "test").astype(object),
        source=np.repeat(np.arange(sources), GROUPS),
        nuisance={"angle": angle, "light": light.astype(float)},
        nuisances=(Nuisance("angle"), Nuisance("light", "binary", categories=("off", "on"))),
        num_classes=3,
    )


TABLE = make_table()
TRAIN = TABLE.split == "train"
X = TABLE.features["ip1"].astype(np.float64)
ERASURES = {"qleace": Qleace(), "inlp": Inlp(), "obliviator": Obliviator(rounds=1, features=60)}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrow layer, trained for a moment."""
    monkeypatch.setattr(obliviator_training, "HIDDEN", 64)
    monkeypatch.setattr(obliviator_training, "STEPS", 15)


def covariances(x: np.ndarray, value: np.ndarray) -> np.ndarray:
    return np.stack([np.cov(x[value == v].T, bias=True) for v in np.unique(value)])


def slow_alf_qleace(x: np.ndarray, value: np.ndarray, erased: float, new: np.ndarray) -> np.ndarray:
    """LEACE of the groups, then rank-one projections by full eigendecompositions, as Quirke & Belrose (2025) say it."""
    z = one_hot(np.unique(value, return_inverse=True)[1])
    covariance, cross = np.cov(x.T, bias=True), (x - x.mean(0)).T @ (z - z.mean(0)) / len(x)
    root = scipy.linalg.sqrtm(covariance).real
    w = np.linalg.inv(root)
    linear = np.eye(len(root)) - root @ (w @ cross) @ np.linalg.pinv(w @ cross, rcond=1e-6) @ w
    project = np.eye(len(root))
    after = (x - x.mean(0)) @ linear.T

    def differences() -> np.ndarray:
        found = covariances(after @ project, value)
        return found - found.mean(0)

    start = max(np.linalg.norm(d) for d in differences())
    while max(np.linalg.norm(d) for d in differences()) > (1 - erased) * start:
        pairs = [np.linalg.eigh(d) for d in differences()]
        values, vectors = max(pairs, key=lambda pair: np.abs(pair[0]).max())
        axis = vectors[:, np.abs(values).argmax()]
        project = project @ (np.eye(len(root)) - np.outer(axis, axis))
    return x.mean(0) + (new - x.mean(0)) @ linear.T @ project


@pytest.mark.parametrize("erased", [0.5, 0.9])
def test_qleace_is_the_papers_without_labels(erased: float) -> None:
    found = Qleace(("angle",), erased).fit(TABLE, "ip1")(X)
    expected = slow_alf_qleace(X[TRAIN], TABLE.nuisance["angle"][TRAIN], erased, X)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_after_qleace_groups_have_one_mean_and_nearly_one_covariance() -> None:
    light = TABLE.nuisance["light"][TRAIN]
    for release, left in ((Leace(), 1.0), (Qleace(erased=0.9), 0.1)):
        x = release.fit(TABLE, "ip1")(X)[TRAIN]
        means = np.stack([x[light == v].mean(0) for v in (0, 1)])
        np.testing.assert_allclose(means[0], means[1], atol=1e-6)
        before, after = (np.linalg.norm(np.diff(covariances(z, light), axis=0)) for z in (X[TRAIN], x))
        assert after <= left * before * 1.05 and (left < 1 or after > 0.8 * before)  # LEACE leaves the width


def test_an_axis_is_the_same_by_either_way() -> None:
    rng = np.random.default_rng(0)
    large = rng.normal(size=(80, 80))
    large += large.T
    value, axis = largest_axis(large)
    values, vectors = np.linalg.eigh(large)
    at = np.abs(values).argmax()
    assert value == pytest.approx(values[at]) and abs(axis @ vectors[:, at]) == pytest.approx(1)
    assert largest_axis(large)[1].tobytes() == axis.tobytes()  # no draw of its own
    axes = directions(np.stack([large, -large]), 1.0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(axes.shape[1]), atol=1e-6)


@pytest.mark.parametrize("most", [1, 12])
def test_inlp_is_rounds_of_ridge_and_projection(most: int) -> None:
    """Scikit-learn's Ridge and scipy's null_space, on the rows themselves."""
    release = Inlp(("angle",), rounds=most).fit(TABLE, "ip1")
    drawn = np.random.default_rng([0, 148]).permutation(np.unique(TABLE.source[TRAIN]))[:24]
    out = np.isin(TABLE.source[TRAIN], drawn)
    y, x = TABLE.nuisance["angle"][TRAIN], X[TRAIN].copy()
    scale = np.trace(np.cov(x[~out].T, bias=True)) * (~out).sum() / x.shape[1]
    total, rounds = np.eye(x.shape[1]), 0
    for _ in range(most):
        readers = [Ridge(p * scale, tol=1e-12).fit(x[~out], y[~out]) for p in (1e-6, 1e-4, 1e-2, 1.0)]
        errors = [((r.predict(x[out]) - y[out]) ** 2).sum() for r in readers]
        if min(errors) >= ((y[out] - y[~out].mean()) ** 2).sum():
            break
        rounds += 1
        null = scipy.linalg.null_space(readers[int(np.argmin(errors))].coef_[None])
        total = total @ null @ null.T
        x = x @ null @ null.T
    mean = X[TRAIN].mean(0)
    np.testing.assert_allclose(release(X), mean + (X - mean) @ total, atol=1e-6)
    assert release.how == f"inlp of angle, {rounds} rounds, {rounds} directions" and 1 <= rounds < 12


def test_r2_of_moments_is_that_of_rows() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 4)), rng.normal(size=(60, 2))
    y += x[:, :2] * 2
    a, b = (moments(x, y, rows) for rows in (np.arange(40), np.arange(40, 60)))
    r2, weights = best_reader(a, b, slice(0, 2), np.eye(4))
    predicted = y[:40].mean(0) + (x[40:] - x[:40].mean(0)) @ weights
    expected = 1 - ((y[40:] - predicted) ** 2).sum() / ((y[40:] - y[:40].mean(0)) ** 2).sum()
    assert r2 == r2_of(weights, a, b) == pytest.approx(expected)


def test_inlp_ends_where_no_line_reads_more() -> None:
    release = Inlp().fit(TABLE, "ip1")
    rounds = int(release.how.split(", ")[-2].split()[0])
    assert 1 <= rounds < 12
    after = release(X)
    before, left = (LinearRegression().fit(x[TRAIN], TABLE.nuisance["angle"][TRAIN]) for x in (X, after))
    test = ~TRAIN
    r2 = [r.score(x[test], TABLE.nuisance["angle"][test]) for r, x in ((before, X), (left, after))]
    assert r2[0] > 0.8 and r2[1] < 0.05


def test_dependence_is_hsic() -> None:
    """tr(K H L H) of inner products, written with matrices of all pairs."""
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(30, 5)), rng.normal(size=(30, 3)) + rng.normal(size=(30, 1))
    h = np.eye(30) - 1 / 30
    expected = np.trace(a @ a.T @ h @ b @ b.T @ h) / 30**2
    assert float(dependence(torch.from_numpy(a), torch.from_numpy(b))) ** 2 * 15 == pytest.approx(expected)


def test_the_projection_is_the_best_without_covariance() -> None:
    rng = np.random.default_rng(3)
    x, s, y = rng.normal(size=(100, 8)), rng.normal(size=(100, 2)), rng.normal(size=(100, 3))
    x[:, :2] += s
    x[:, 2:5] += y
    axes = projection(*map(torch.from_numpy, (x, s)), [(1.0, torch.from_numpy(y))], 1e-6).numpy()
    null = scipy.linalg.null_space(np.cov(x.T, s.T)[:8, 8:].T)
    cross = np.cov(y.T, x.T)[:3, 3:] @ null
    values, vectors = np.linalg.eigh(cross.T @ cross)
    kept = null @ vectors[:, values > 1e-6 * values[-1]]
    assert axes.shape == kept.shape == (8, 3)  # as many as the class has columns
    np.testing.assert_allclose(axes @ axes.T, kept @ kept.T, atol=1e-6)
    np.testing.assert_allclose((axes.T @ np.cov(x.T, s.T)[:8, 8:]), 0, atol=1e-9)
    alone = projection(*map(torch.from_numpy, (x, s)), [], 1e-6).numpy()
    assert alone.shape == (8, 6)


def slow_morph(row: np.ndarray, t: dict[str, np.ndarray]) -> np.ndarray:
    """One row through one round, as the paper's code goes."""
    z = row - t["origin"]
    for i in (0, 1):
        if i:
            z = np.array([v / (1 + np.exp(-v)) for v in z @ t["weights_1"] + t["bias_1"]])
            z = z / np.sqrt((z**2).sum())
        angle = np.array([z @ column for column in t[f"frequencies_{i}"].T])
        phi = np.concatenate([np.sin(angle), np.cos(angle)]) / len(angle) ** 0.5
        z = (phi - t[f"mean_{i}"]) @ t[f"axes_{i}"]
        z = z / np.sqrt((z**2).sum())
    return z


def test_obliviator_is_its_steps_and_keeps_the_class() -> None:
    release = ERASURES["obliviator"].fit(TABLE, "ip1")
    found = release(X)
    for row in (0, 7, 599):
        np.testing.assert_allclose(found[row], slow_morph(X[row], dict(release.tensors)), atol=1e-4)
    test = ~TRAIN

    def right(x: np.ndarray, target: np.ndarray) -> float:
        return float(KNeighborsClassifier(15).fit(x[TRAIN], target[TRAIN]).score(x[test], target[test]))

    # Six draws on two processors: 0.81 to 0.92 of the classes, and 0.46 to 0.56 of the angles, a third by chance.
    angle = TABLE.nuisance["angle"]
    assert right(found, TABLE.label) > 0.75 and right(found, angle) < right(X, angle) - 0.1
    again = Obliviator(rounds=1, features=60).fit(TABLE, "ip1")
    other = Obliviator(rounds=1, features=60, seed=1, supervised=False).fit(TABLE, "ip1")
    assert again(X).tobytes() == found.tobytes() != other(X).tobytes() and "class not told" in other.how


@pytest.mark.parametrize("name", ERASURES)
def test_only_known_training_rows_are_looked_at(name: str) -> None:
    first = ERASURES[name].fit(TABLE, "ip1")
    changed = replace(TABLE, features={"ip1": np.where(TRAIN[:, None], TABLE.features["ip1"], 99).astype(np.float32)})
    assert ERASURES[name].fit(changed, "ip1")(X).tobytes() == first(X).tobytes()
    light = TABLE.nuisance["light"].copy()
    light[:30] = np.nan
    fewer = ERASURES[name].fit(replace(TABLE, nuisance={**TABLE.nuisance, "light": light}), "ip1")
    assert (first.rows, fewer.rows) == (360, 330)


def test_groups_are_values_or_quantiles() -> None:
    assert groups_of(np.array([3.0, 1.0, 3.0]), 2).tolist() == [1, 0, 1]
    many = groups_of(np.random.default_rng(0).normal(size=1000), 8)
    assert np.bincount(many).tolist() == [125] * 8
    assert len(np.unique(groups_of(np.append(np.zeros(900), np.arange(100)), 4))) < 4  # values are never torn apart


@pytest.mark.parametrize("name", ERASURES)
def test_what_cannot_be_erased_is_one_line(name: str) -> None:
    with pytest.raises(InvariantNetsError, match="there is no 'yaw'; choose from angle, light"):
        replace(ERASURES[name], nuisances=("yaw",)).fit(TABLE, "ip1")
    with pytest.raises(InvariantNetsError, match=f"release={name}: the table has no nuisance to erase"):
        ERASURES[name].fit(replace(TABLE, nuisances=()), "ip1")


def test_settings_that_cannot_be() -> None:
    few = TABLE.rows(np.flatnonzero(TRAIN)[:12])
    for release, said in (
        (Inlp(rounds=0), r"release\.rounds=0: there must be one"),
        (Obliviator(rounds=-1), r"release\.rounds=-1"),
        (Obliviator(features=1), r"release\.features=1: there must be two"),
    ):
        with pytest.raises(InvariantNetsError, match=said):
            release.fit(TABLE, "ip1")
    with pytest.raises(InvariantNetsError, match="5 training images are needed, to hold some out; there are 4"):
        Inlp().fit(few, "ip1")
    with pytest.raises(InvariantNetsError, match="'angle' has no two groups of 10 training rows"):
        Qleace().fit(few, "ip1")
    with pytest.raises(InvariantNetsError, match="no class to keep; give release.supervised=false"):
        Obliviator().fit(replace(TABLE, num_classes=1, label=np.zeros_like(TABLE.label)), "ip1")
