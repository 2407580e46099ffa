"""Label efficiency: who sees what, and curves and code lengths of which it is known how they must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from representations import CLASSES, leaky, mixed, noise
from scipy.optimize import curve_fit

from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes import ClassMean, Probe, Ridge
from invariantnets.probes.efficiency import label_efficiency, nested_rows
from invariantnets.probes.learning_curve import curve_at, fit_power_law, heading
from invariantnets.results.result import Result
from invariantnets.results.select import select

PROBES: tuple[Probe, ...] = (Ridge(), Ridge("label"), ClassMean(), ClassMean("mav"))
Make = Callable[..., FeatureTable]


def found(results: list[Result], metric: str, target: str = "angle") -> list[Result]:
    return [r for r in results if (r.metric, r.target) == (metric, target)]


def curve(results: list[Result]) -> dict[int, Result]:
    return {r.where["labelled_rows"]: r for r in found(results, "r2")}


def gaussian(n: int, snr: float, width: int = 4, seed: int = 0, test: int = 2000) -> FeatureTable:
    """A nuisance that is the sum of all features, and noise; no classes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n + test, width))
    y = x.sum(1) / np.sqrt(width) + rng.normal(size=n + test) / np.sqrt(snr)
    split = np.where(np.arange(n + test) < n, np.where(np.arange(n + test) % 5, "train", "val"), "test")
    label = np.zeros(n + test, np.int64)
    return FeatureTable({"f": x}, label, split, np.arange(n + test), {"y": y}, (Nuisance("y"),), 1)


@pytest.fixture(scope="module")
def of_mixed() -> list[Result]:
    rng = np.random.default_rng(0)
    label, angle = rng.integers(CLASSES, size=3000), rng.normal(size=3000)
    split = np.repeat(["train", "val", "test"], 1000)
    x = {"f": mixed(label, 30 * angle, rng)}
    table = FeatureTable(x, label, split, np.arange(3000) // 2, {"angle": angle}, (Nuisance("angle"),), CLASSES)
    return label_efficiency(table, "f", PROBES, (60, 200, 600), seeds=3)


def test_sets_are_of_whole_sources_nested_and_of_every_class():
    rng = np.random.default_rng(0)
    source = np.repeat(rng.permutation(300), rng.integers(1, 9, 300))
    stratum = source % 7
    sets = nested_rows(source, stratum, (20, 100, 400, 10**6), seed=1)
    *some, whole = sets.values()
    assert list(sets) == [20, 100, 400, len(source)] and whole.tolist() == list(range(len(source)))
    for size, rows, after in zip([*sets][:-1], some, [*some[1:], whole], strict=True):
        assert size - 8 < len(rows) <= size and set(rows) <= set(after)
        assert not set(source[rows]) & set(np.delete(source, rows))
        per_class = np.bincount(np.unique(source[rows]) % 7, minlength=7)
        assert per_class.max() - per_class.min() <= 1
    again, other = (nested_rows(source, stratum, (100,), seed)[100] for seed in (1, 2))
    np.testing.assert_array_equal(again, sets[100])
    assert set(other) != set(again)


def test_too_few_sources_are_no_size():
    source = np.repeat(np.arange(30), 10)
    assert list(nested_rows(source, source * 0, (9, 49, 50, 300), 0)) == [50, 300]


def test_a_size_has_seen_none_of_the_other_rows(make_table: Make):
    """All that is known beyond it, and the order in which it is read, may be anything."""
    table = make_table(mixed, sources=(120, 40, 60))
    known = table.split != "test"
    chosen = np.flatnonzero(known)[nested_rows(table.source[known], table.label[known], (150,), 0)[150]]
    rest = known.copy()
    rest[chosen] = False
    spoiled = table.features["ip1"].copy()
    spoiled[rest] = np.random.default_rng(1).normal(size=(int(rest.sum()), spoiled.shape[1]))
    kwargs = {"rows": (150,), "seed": 0}
    before = curve(label_efficiency(table, "ip1", PROBES, **kwargs))
    after = curve(label_efficiency(replace(table, features={"ip1": spoiled}), "ip1", PROBES, **kwargs))
    assert before[150].value == after[150].value > 0.3
    assert after[480].value < before[480].value - 0.1


def test_more_labels_more_is_read(of_mixed):
    points = curve(of_mixed)
    assert list(points) == [60, 200, 600, 2000]
    values = [r.value for r in points.values()]
    assert values == sorted(values) and values[-1] > values[0] + 0.05
    assert all(r.low < r.value < r.high and r.chance == 0 and r.n == 1000 for r in points.values())
    assert all(abs(r.control) < 0.05 for r in points.values())
    assert [r.n_fit for r in points.values()] == [60, 200, 600, 2000]


def test_nobody_else_takes_a_curve_for_the_whole(of_mixed):
    assert select(of_mixed, "r2", "angle") == []
    assert len(select(of_mixed, "r2", "angle", "strongest", by="labelled_rows")) == 4
    (spread,) = select(of_mixed, "r2_over_seeds", "angle", "strongest")
    assert spread.low < spread.value < spread.high and "3 probe seeds" in spread.note


def test_of_no_sizes_only_the_spread_over_seeds_is_said(make_table: Make):
    table = make_table(leaky, sources=(60, 20, 30))
    results = label_efficiency(table, "ip1", (Ridge(),), (), seeds=2)
    (only,) = results
    assert (only.metric, only.where, only.n_fit) == ("r2_over_seeds", {}, 240)


class Faint(Ridge):
    """A reader of a user's own that needs many rows."""

    name, title = "faint", "a faint reader"

    def __call__(self, task):
        if len(task.y["known"]) < 200:
            raise ZeroDivisionError("too few")
        yield from super().__call__(task)


def test_a_point_says_which_reader_died_there():
    few, all_rows = (r for r in label_efficiency(gaussian(400, 1), "f", (Ridge(), Faint()), (100,)) if r.metric == "r2")
    assert "probe 'faint' is missing" in few.note and "ZeroDivisionError: too few" in few.note and few.status == "ok"
    assert not all_rows.note


def test_a_line_and_its_labels_are_told_at_the_length_of_theory():
    """Of D features and noise, each row costs half a bit per feature and row before: D/2 log2 of all rows, in all."""
    results = label_efficiency(gaussian(4000, 3.0), "f", (Ridge(),), (100, 200, 400, 800, 1600))
    (length,) = found(results, "description_length", "y")
    saved = length.chance - length.value
    # The first block is told by the marginal; each next row without what is not yet known of four slopes.
    shares = np.diff([100, 200, 400, 800, 1600, 4000]) / 4000
    before = np.array([100, 200, 400, 800, 1600])
    expected = float((shares * (1 - 0.5 * np.log2(1 + 4 / before))).sum())
    assert saved == pytest.approx(expected, rel=0.05)
    assert length.n == 4000 and length.low < length.value < length.high


def test_what_cannot_be_read_is_not_compressed(make_table: Make):
    results = label_efficiency(make_table(noise), "ip1", PROBES, (100, 300))
    (length,) = found(results, "description_length")
    assert length.value == pytest.approx(length.chance, abs=5e-3) and length.chance == pytest.approx(np.log2(3))
    assert all(abs(r.value) < 0.03 for r in curve(results).values())
    (to,) = found(results, "r2_heading")
    assert np.isnan(to.value) and to.status == "failed" and to.note.startswith("cannot be said")


def test_what_is_read_at_once_is_compressed(make_table: Make):
    results = label_efficiency(make_table(leaky), "ip1", PROBES, (50, 300))
    (length,) = found(results, "description_length")
    # Fifty rows of 1650 are told by the marginal.
    assert length.value == pytest.approx(np.log2(3) * 48 / 1650, abs=0.02)


def test_nuisances_with_gaps_and_classes_that_few_rows_lack(make_table: Make):
    table = make_table(leaky, sources=(300, 100, 150))
    rng = np.random.default_rng(0)
    odd = (table.label % 2).astype(float)
    angle = np.where(rng.random(len(table)) < 0.3, np.nan, table.nuisance["angle"])
    # Two hundred classes of two or three images: a hundred rows hold a few dozen of them.
    label = (np.unique(table.source, return_inverse=True)[1] % 200).astype(np.int64)
    nuisances = (*table.nuisances, Nuisance("odd", "binary", "", ("even", "odd")))
    table = replace(table, label=label, num_classes=200, prediction=None, nuisance={"angle": angle, "odd": odd})
    results = label_efficiency(replace(table, nuisances=nuisances), "ip1", PROBES, (100, 400))
    for target in ("angle", "odd"):
        points = {r.where["labelled_rows"]: r for r in found(results, "r2", target)}
        assert [r.status for r in points.values()] == ["ok"] * 3
        assert points[100].value > 0.8
    assert found(results, "r2", "angle")[-1].n < found(results, "r2", "odd")[-1].n == 450


def test_open_sets_are_drawn_by_person(make_table: Make):
    table = make_table(leaky, sources=(300, 100, 150))
    label = (table.source % 40 + 40 * (table.split == "test")).astype(np.int64)
    table = replace(table, label=label, num_classes=80, prediction=None)
    results = label_efficiency(table, "ip1", PROBES, (100, 400))
    points = curve(results)
    assert list(points) == [400, 1200] and points[400].sources == 40  # of a hundred rows there are three people


# The law.
ROWS = np.array([100, 316, 1000, 3162, 10_000, 31_623, 100_000])


@pytest.mark.parametrize("law", [(0.95, 8.0, 0.5), (0.6, 2.0, 0.3), (1.0, 3.0, 0.2), (0.4, 0.0, 1.0)])
def test_a_law_is_found_again(law):
    exact = curve_at(np.array(law), ROWS)
    to = heading(ROWS, exact, np.full(7, 0.002), 0)
    assert to.rows == 10**6 and not to.why
    assert to.value == pytest.approx(float(curve_at(np.array(law), 10**6)), abs=2e-3)
    assert to.low - 1e-9 <= to.value <= to.high + 1e-9


def test_the_fit_is_that_of_scipy():
    rng = np.random.default_rng(0)
    noisy = curve_at(np.array((0.8, 5.0, 0.4)), ROWS) + 0.01 * rng.normal(size=7)
    (found,) = fit_power_law(ROWS.astype(float), noisy[None])
    best, _ = curve_fit(lambda n, a, b, c: a - b * n**-c, ROWS.astype(float), noisy, p0=(0.8, 5.0, 0.4))
    error, least = (((noisy - curve_at(np.array(f), ROWS)) ** 2).sum() for f in (found, best))
    assert error < 1.05 * least
    np.testing.assert_allclose(curve_at(found, ROWS), curve_at(best, ROWS), atol=2e-3)


def test_r2_ends_below_1_and_labels_do_no_harm():
    steep, falling = 0.13 * np.log10(ROWS) + 0.3, 0.5 - 0.01 * np.log10(ROWS)
    laws = fit_power_law(ROWS.astype(float), np.stack([steep, falling]))
    assert (laws[:, 0] <= 1 + 1e-12).all() and (laws[:, 1] >= 0).all()
    assert laws[1, 1] == 0 and laws[1, 0] == pytest.approx(falling.mean())


def test_the_range_holds_what_comes():
    """Nineteen of twenty times, or more: the errors of the points are taken as independent."""
    law, hits, said = np.array((0.9, 6.0, 0.4)), 0, 0
    for seed in range(40):
        noisy = curve_at(law, ROWS) + 0.004 * np.random.default_rng(seed).normal(size=7)
        to = heading(ROWS, noisy, np.full(7, 1.96 * 0.004), seed)
        said += not to.why
        hits += to.low <= float(curve_at(law, 10**6)) <= to.high
    assert said == 40 and hits >= 38


@pytest.mark.parametrize(
    ("curve", "half", "why"),
    [
        (np.array([0.1, 0.2, 0.3]), 0.01, "3 sizes"),
        (np.array([0.0, 0.0, 0.0, 0.0, 0.3, 0.32, 0.6]), 0.01, "misses the last"),
        (np.array([0.10, 0.22, 0.29, 0.41, 0.52, 0.60, 0.71]), 0.1, "fits"),
    ],
)
def test_what_is_not_sure_is_not_said(curve, half, why):
    to = heading(ROWS[-len(curve) :], curve, np.full(len(curve), half), 0)
    assert np.isnan(to.value) and why in to.why
