"""The unit and the origin that features come in do not count: one signal gives one number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from invariantnets.analysis.description import describe
from invariantnets.analysis.norm import describe_norm
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes import Knn, Lda, Mav, Mlp, Probe, Ridge, run_probes
from invariantnets.protocols import run_protocols
from invariantnets.protocols.inputs import one_of_each_source
from invariantnets.protocols.similarity import KINDS, prepare
from invariantnets.protocols.verification import make_pairs
from invariantnets.randomness import numpy_rng
from invariantnets.release import Inlp, Leace, Qleace, Quantise, released
from invariantnets.results import Result
from invariantnets.statistics.lengths import norms, unit
from invariantnets.statistics.moments import moments
from invariantnets.statistics.resampling import Resampling, ratio, shares

READERS: tuple[Probe, ...] = (Mav(), Ridge(), Ridge("label"), Lda(), Knn(), Mlp(epochs=1, steps=20, widths=(16,)))
PEOPLE, IMAGES, DIMS = 40, 10, 16


def table(closed: bool = True, unit_of_yaw: float = 1.0) -> FeatureTable:
    """Faces in float64: who, and a yaw that shows."""
    rng = np.random.default_rng(3)
    people = 4 if closed else PEOPLE
    label = np.arange(PEOPLE * IMAGES) % people
    yaw = rng.uniform(-60, 60, len(label))
    x = rng.normal(size=(people, DIMS))[label] + 0.5 * rng.normal(size=(len(label), DIMS))
    x += np.outer(yaw / 60, rng.normal(size=DIMS))
    split = np.repeat(["train", "val", "test"], [200, 80, 120])
    if not closed:
        split = np.where(label < 20, "train", "test")
        split[(label < 20) & (np.arange(len(label)) >= 300)] = "val"
    order = np.argsort(split == "test", kind="stable")
    nuisance, yaws = {"yaw": yaw[order] * unit_of_yaw}, (Nuisance("yaw"),)
    return FeatureTable(
        {"e": x[order]}, label[order], split[order], np.arange(len(label)), nuisance, yaws, people, meta={}
    )


def changed(of: FeatureTable, factor: float = 1.0, offset: float = 0.0, dtype: type = np.float64) -> FeatureTable:
    return replace(of, features={"e": (of.features["e"] * factor + offset).astype(dtype)})


def numbers(results: list[Result]) -> dict[tuple[str, str, str], tuple[float, float, float]]:
    return {(r.metric, r.probe, str(r.where)): (r.value, r.low, r.high) for r in results if r.low is not None}


def same(a: list[Result], b: list[Result]) -> None:
    first, second = numbers(a), numbers(b)
    assert first.keys() == second.keys() and len(first) > 5
    for key, values in first.items():
        # Networks and kernels compute in single precision: an error of 6 is known to 1e-5 of it.
        assert second[key] == pytest.approx(values, abs=2e-6, rel=1e-5, nan_ok=True), key


@pytest.fixture(scope="module")
def read() -> list[Result]:
    return run_probes(table(), "e", READERS)


@pytest.mark.parametrize(("factor", "dtype"), [(1e20, np.float64), (1e-24, np.float64), (1e20, np.float32)])
def test_no_probe_minds_the_unit(read: list[Result], factor: float, dtype: type) -> None:
    same(read, run_probes(changed(table(), factor, dtype=dtype), "e", READERS))


def test_no_centred_probe_minds_the_origin(read: list[Result]) -> None:
    centred = READERS[1:]
    found = run_probes(changed(table(), offset=1e6), "e", centred)
    same([r for r in read if not r.probe.startswith("mav")], found)


def test_a_time_stamp_in_float64_is_alive_and_read() -> None:
    of = table()
    stamped = np.concatenate([of.features["e"], 1.7e9 + of.nuisance["yaw"][:, None]], 1)
    found = run_probes(replace(of, features={"e": stamped}), "e", [Ridge(), Ridge("label")])
    assert all(r.value > 0.999999 for r in found if r.metric == "r2")
    dead = next(r for r in describe(replace(of, features={"e": stamped}), "e") if r.metric == "dead_fraction")
    assert dead.value == 0
    constant = np.full((300, 2), [0.1, 1.7e9])
    assert not moments(constant, np.zeros((300, 0))).live.any()


def test_the_unit_of_a_nuisance_does_not_count_even_where_its_square_is_beyond_float32() -> None:
    small, large = (
        {(r.metric, r.probe): r for r in run_probes(table(unit_of_yaw=unit), "e", [Ridge()])} for unit in (1.0, 1e25)
    )
    for key in (("r2", "ridge"), ("r2", "strongest")):
        assert (large[key].value, large[key].low) == pytest.approx((small[key].value, small[key].low), abs=1e-9)
    assert large["rmse", "ridge"].high == pytest.approx(1e25 * small["rmse", "ridge"].high)


def test_many_sources_are_summed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    quantities = np.stack([rng.random(500), np.ones(500)], 1)
    sources = Resampling(rng.integers(90, size=500))
    whole = sources.interval(quantities, ratio, shares(1))
    monkeypatch.setattr("invariantnets.statistics.resampling.BLOCK_SOURCES", 7)
    np.testing.assert_allclose(sources.interval(quantities, ratio, shares(1)), whole, rtol=1e-12)


@pytest.mark.parametrize("factor", [1e20, 1e-24])
def test_no_protocol_minds_the_unit(factor: float) -> None:
    of = table(closed=False)
    plain, other = (run_protocols(t, "e") for t in (of, changed(of, factor)))
    same(plain, other)
    correlated = [[r for r in describe_norm(t, "e") if r.metric == "correlation"] for t in (of, changed(of, factor))]
    for a, b in zip(*correlated, strict=True):
        assert a.value == pytest.approx(b.value, abs=1e-9)


@pytest.mark.parametrize(("offset", "dtype"), [(1e3, np.float64), (1e6, np.float64), (1e3, np.float32)])
def test_cosines_far_from_the_origin_are_those_of_long_double(offset: float, dtype: type) -> None:
    of = changed(table(closed=False), offset=offset, dtype=dtype)
    found = {r.metric: r.value for r in run_protocols(of, "e")}
    test = one_of_each_source(of, numpy_rng(0, 10, 0))
    x, label = test.features["e"].astype(np.longdouble), np.unique(test.label, return_inverse=True)[1]
    x /= np.sqrt((x**2).sum(1, keepdims=True))
    pairs = make_pairs(label, 10, 300, numpy_rng(0, 10, 1))
    scores = 1 - (x[pairs.left] * x[pairs.right]).sum(1)
    assert found["auc"] == pytest.approx(roc_auc_score(~pairs.same, scores / scores.max()), abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_compared_in_the_precision_they_come_in(kind: str) -> None:
    x = np.abs(table().features["e"])
    for dtype in (np.float32, np.float64):
        rows = prepare(kind, x.astype(dtype), x.max(0))
        assert rows.dtype == dtype
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "factor"), [(np.float32, 1e30), (np.float32, 1e-30), (np.float64, 1e200), (np.float64, 1e-200)]
)
def test_lengths_of_any_unit(dtype: type, factor: float) -> None:
    x = np.concatenate([table().features["e"], np.zeros((1, DIMS))])
    np.testing.assert_allclose(norms((x * factor).astype(dtype)) / factor, np.linalg.norm(x, axis=1), rtol=1e-6)
    np.testing.assert_allclose(unit((x * factor).astype(dtype)), unit(x), atol=1e-6)


@pytest.mark.parametrize("recipe", [Leace(), Quantise(4), Qleace(), Inlp()])
def test_a_release_keeps_the_precision_it_is_given(recipe: Leace | Quantise | Qleace | Inlp) -> None:
    plain, far = table(), changed(table(), offset=1e7)
    there, here = (released(t, recipe.fit(t, "e")).features["e"] for t in (far, plain))
    assert there.dtype == np.float64
    np.testing.assert_allclose(there - 1e7, here, atol=1e-6)
