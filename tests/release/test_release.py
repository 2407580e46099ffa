from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression

from invariantnets.errors import InvariantNetsError
from invariantnets.evaluation import run_suite
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes import Mav, Ridge, read_answers, run_probes
from invariantnets.release import Codes, Lda, Leace, Noise, Quantise, released
from invariantnets.release.quantise import best_levels

ANGLES = np.array([-30.0, 0.0, 30.0])


def make_table(sources: int = 300, seed: int = 0) -> FeatureTable:
    """Four classes in twelve correlated features, one dead and one a copy, the angle and the light in all of them."""
    rng = np.random.default_rng(seed)
    label, angle = np.repeat(np.arange(sources) % 4, 3), np.tile(ANGLES, sources)
    light = rng.integers(3, size=3 * sources)
    known = np.stack([angle / 30, light == 1, light == 2], 1)
    x = rng.normal(size=(4, 10))[label] + known @ rng.normal(size=(3, 10))
    x = (x + rng.normal(size=x.shape)) @ rng.normal(size=(10, 10)) + 3
    split = np.repeat(["train", "val", "test"], [sources, sources, sources])
    return FeatureTable(
        features={"ip1": np.concatenate([x, np.ones((len(x), 1)), x[:, :1]], 1).astype(np.float32)},
        label=label,
        split=split,
        source=np.repeat(np.arange(sources), 3),
        nuisance={"angle": angle, "light": light.astype(float)},
        nuisances=(Nuisance("angle"), Nuisance("light", "categorical", categories=("a", "b", "c"))),
        num_classes=4,
        prediction=label,
        entropy=np.zeros(len(label), np.float32),
    )


def leace(table: FeatureTable, layer: str, nuisances: tuple[str, ...] | None = None) -> FeatureTable:
    return released(table, Leace(nuisances).fit(table, layer))


def quantise(table: FeatureTable, layer: str, levels: int = 2) -> FeatureTable:
    return released(table, Quantise(levels).fit(table, layer))


def targets(table: FeatureTable, *names: str) -> np.ndarray:
    return np.concatenate([n.encode(table.nuisance[n.name]) for n in table.nuisances if n.name in names], 1)


def slow_leace(x: np.ndarray, z: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Belrose et al. (2023), theorem 4.3, as it stands: x - W⁺ P W (x - x̄)."""
    covariance, cross = np.cov(x.T, bias=True), (x - x.mean(0)).T @ (z - z.mean(0)) / len(x)
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-9 * values.max()
    root = vectors[:, kept] * np.sqrt(values[kept])
    w = (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T
    projection = (w @ cross) @ np.linalg.pinv(w @ cross, rcond=1e-6)
    return new - (new - x.mean(0)) @ (root @ vectors[:, kept].T @ projection @ w).T


@pytest.mark.parametrize("names", [("angle",), ("light",), ("angle", "light")])
def test_leace_is_the_theorems(names: tuple[str, ...]) -> None:
    table = make_table()
    x = table.features["ip1"].astype(np.float64)
    train = table.split == "train"
    found = leace(table, "ip1", names).features["ip1"]
    expected = slow_leace(x[train], targets(table, *names)[train], x)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_after_leace_no_linear_reader_is_better_than_the_mean() -> None:
    table = make_table()
    erased = leace(table, "ip1")
    before, after = (t.part("train") for t in (table, erased))
    for name in ("angle", "light"):
        scores = [LinearRegression().fit(t.features["ip1"], targets(t, name)).score for t in (before, after)]
        r2 = [s(t.features["ip1"], targets(t, name)) for s, t in zip(scores, (before, after), strict=True)]
        assert r2[0] > 0.2 and abs(r2[1]) < 1e-5
    again = leace(erased, "ip1").features["ip1"]
    np.testing.assert_allclose(again, erased.features["ip1"], atol=1e-3)


def test_leace_leaves_the_class_and_what_it_was_not_told() -> None:
    table = make_table()
    results = {
        name: {
            (r.target, r.probe): r.value
            for r in (*run_probes(t, "ip1", [Mav(), Ridge()]), *read_answers(t, "ip1"))
            if r.metric in ("accuracy", "r2") and not r.where
        }
        for name, t in (("before", table), ("after", leace(table, "ip1", ("angle",))))
    }
    assert results["before"]["angle", "ridge"] > 0.5 and results["after"]["angle", "ridge"] < 0.02
    for kept in (("label", "mav"), ("light", "ridge")):
        assert results["after"][kept] > results["before"][kept] - 0.05
    assert ("label", "softmax") in results["before"] and ("label", "softmax") not in results["after"]
    assert not leace(replace(table, answers={"angle": table.nuisance["angle"]}), "ip1").answers


def test_only_training_rows_are_looked_at() -> None:
    table = make_table()
    train = table.split == "train"
    changed = replace(table, features={"ip1": np.where(train[:, None], table.features["ip1"], 99).astype(np.float32)})
    for release in (leace, quantise):
        first, second = (release(t, "ip1").features["ip1"][train] for t in (table, changed))
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("levels", [2, 3, 8])
def test_each_feature_has_the_levels_of_k_means(levels: int) -> None:
    table = make_table()
    x, found = table.features["ip1"], quantise(table, "ip1", levels).features["ip1"]
    train = x[table.split == "train"]
    for column in range(10):
        start = best_levels(train[:, column], levels)[:, None]  # where scikit-learn's has nothing to improve
        kmeans = KMeans(levels, init=start, n_init=1, tol=0).fit(train[:, column : column + 1])
        expected = kmeans.cluster_centers_[kmeans.predict(x[:, column : column + 1]), 0]
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-4, atol=1e-4)
    assert (found[:, 10] == 1).all()  # the dead one


def squared_error(values: np.ndarray, levels: np.ndarray) -> float:
    return float(((values[:, None] - levels) ** 2).min(1).sum())


RNG = np.random.default_rng(0)
FEATURES = {
    "normal": RNG.normal(size=2000),
    "uniform": RNG.uniform(size=2000),
    "skewed": np.append(RNG.normal(size=300), 40),
    "relu": np.maximum(RNG.normal(size=2000) - 1.3, 0),
    "rarely on": np.maximum(RNG.normal(size=2000) - 2.3, 0),
    "far from 0": RNG.normal(size=2000) + 1e7,
}


@pytest.mark.parametrize("levels", [2, 3, 4, 8])
@pytest.mark.parametrize("name", FEATURES)
def test_twenty_starts_of_k_means_are_no_better(name: str, levels: int) -> None:
    values = FEATURES[name]
    best = KMeans(levels, n_init=20, random_state=0).fit(values[:, None]).cluster_centers_[:, 0]
    assert squared_error(values, best_levels(values, levels)) <= squared_error(values, best) * (1 + 1e-6)


@pytest.mark.parametrize("levels", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["lognormal", "many alike"])
def test_levels_are_the_best_of_all_partitions(levels: int, kind: str) -> None:
    """A partition of least squares is one of neighbours: of twelve values, all of them are tried."""
    rng = np.random.default_rng(levels)
    values = np.sort(rng.lognormal(sigma=2, size=12) if kind == "lognormal" else rng.integers(0, 9, 12) * 1.5)
    cuts = itertools.combinations(range(1, 12), levels - 1)
    least = min(sum(((part - part.mean()) ** 2).sum() for part in np.split(values, cut)) for cut in cuts)
    assert squared_error(values, best_levels(values, levels)) == pytest.approx(least)


def test_fewer_values_than_levels_are_kept_as_they_are() -> None:
    for values in (np.ones(5), np.array([3.0, 3.0, 5.0]), np.array([-1.5, 2.0, -1.5, 7.0])):
        np.testing.assert_allclose(np.unique(best_levels(values, 4)), np.unique(values))
        assert len(best_levels(values, 4)) == 4


def test_the_record_says_what_was_done() -> None:
    table = make_table()
    assert leace(table, "ip1").meta == {"released": "leace of angle, light"}
    quantised = quantise(table, "ip1", 4)
    assert quantised.meta == {"released": "quantised to 4 levels"} and quantised.features["ip1"].dtype == np.float32
    assert quantised.prediction is None and quantised.entropy is None and table.prediction is not None


def test_what_cannot_be_released() -> None:
    table = make_table()
    with pytest.raises(InvariantNetsError, match="there is no 'yaw'; choose from angle, light"):
        leace(table, "ip1", ("yaw",))
    with pytest.raises(InvariantNetsError, match="the table has no nuisance to erase"):
        leace(replace(table, nuisances=()), "ip1")
    with pytest.raises(InvariantNetsError, match=r"release\.levels=1: there must be two"):
        quantise(table, "ip1", 1)


@pytest.mark.parametrize(("groups", "axes"), [(1, None), (3, None), (1, 2), (2, 2)])
def test_each_row_is_released_as_the_nearest_code_of_k_means(groups: int, axes: int | None) -> None:
    table = make_table()
    found = released(table, Codes(6, groups, axes=axes).fit(table, "ip1")).features["ip1"]
    x = (released(table, Lda(axes, 0.0).fit(table, "ip1")) if axes else table).features["ip1"]
    train = table.split == "train"
    for columns in np.array_split(np.arange(x.shape[1]), groups):
        codes = np.unique(found[train][:, columns], axis=0)
        assert len(codes) == 6
        nearest = ((x[:, None, columns] - codes) ** 2).sum(2).argmin(1)
        np.testing.assert_array_equal(found[:, columns], codes[nearest])
        # A code is the mean of the training rows that are nearest to it: k-means has come to rest.
        for c in range(6):
            mean = x[train][nearest[train] == c][:, columns].mean(0)
            np.testing.assert_allclose(codes[c], mean, atol=1e-3)


@pytest.mark.parametrize("release", [Codes(4), Codes(4, groups=2), Quantise(4)])
def test_of_many_rows_whole_images_are_drawn(release: Codes | Quantise) -> None:
    """Every second row of pairs would be one variant, whose rows the other's would be rounded to."""
    variant = np.tile([0, 1], 11_000)
    spread = np.random.default_rng(0).normal(size=(len(variant), 2)).astype(np.float32)
    table = replace(
        make_table(),
        features={"ip1": spread + 100 * variant[:, None].astype(np.float32)},
        **{name: np.zeros(len(variant), np.int64) for name in ("label", "prediction")},
        split=np.full(len(variant), "train"),
        source=np.repeat(np.arange(len(variant) // 2), 2),
        nuisance={},
        nuisances=(),
        entropy=np.zeros(len(variant), np.float32),
    )
    fitted = release.fit(table, "ip1")
    assert fitted.rows == 20_000
    assert np.abs(fitted(table.features["ip1"]) - table.features["ip1"]).max() < 10


def test_noise_has_its_size_and_is_the_same_for_the_same_row() -> None:
    table = make_table()
    x = table.features["ip1"]
    noise = released(table, Noise(0.5, 3).fit(table, "ip1")).features["ip1"] - x
    assert abs(noise.mean()) < 4 * 0.5 / np.sqrt(noise.size) and abs(noise.std() / 0.5 - 1) < 4 / np.sqrt(
        2 * noise.size
    )
    assert np.abs(np.corrcoef(noise.T) - np.eye(12)).max() < 0.15
    again = Noise(0.5, 3).fit(table, "ip1")(x[::-1])[::-1] - x
    np.testing.assert_array_equal(again, noise)
    assert np.abs(Noise(0.5, 4).fit(table, "ip1")(x) - x - noise).min(1).max() > 0


@pytest.mark.parametrize(
    ("release", "said"),
    [
        (Codes(1), "release.codes=1: there must be two at least"),
        (Codes(5000), "release.codes=5000: 'ip1' has 300 different rows of split 'train'"),
        (Codes(5, groups=13), "release.groups=13: 'ip1' has 12 features; give 1 to 12"),
        (Codes(5, groups=3, axes=2), "release.groups=3: 'ip1' has 2 axes; give 1 to 2"),
        (Codes(5, axes=12), "release.axes=12: 300 training rows of 'ip1' in .* classes have .* axes"),
    ],
)
def test_codes_that_cannot_be_are_refused(release: Codes, said: str) -> None:
    with pytest.raises(InvariantNetsError, match=said):
        release.fit(make_table(), "ip1")


@pytest.mark.parametrize(
    ("make", "sigma", "said"),
    [
        (Noise, 0.0, "a number above 0"),
        (Noise, np.nan, "a number above 0"),
        (Lda, -1.0, "0 or more"),
        (Lda, np.inf, "0"),
    ],
)
def test_noise_that_cannot_be_is_refused_before_anything_is_fitted(make, sigma: float, said: str) -> None:
    with pytest.raises(InvariantNetsError, match=f"release.sigma={sigma}: give {said}"):
        make(sigma=sigma)


@pytest.mark.parametrize(("noisy", "silent"), [(Noise(0.5), None), (Lda(3, 0.5), Lda(3, 0.0))])
def test_features_before_noise_stay_beside_and_are_not_probed(noisy, silent) -> None:
    table = make_table()
    before = silent.fit(table, "ip1")(table.features["ip1"]) if silent else table.features["ip1"]
    noisy = released(table, noisy.fit(table, "ip1"))
    assert noisy.meta["noise"] == 0.5
    np.testing.assert_array_equal(noisy.features["ip1 before noise"], before)
    assert np.std(noisy.features["ip1"] - before) == pytest.approx(0.5, rel=0.05)
    assert {r.layer for r in run_suite(noisy, ["ridge"]).results} == {"ip1"}
