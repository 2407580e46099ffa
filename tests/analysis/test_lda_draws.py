"""Linear discriminants over draws: scikit-learn's answers, a truth that is known, nobody on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from invariantnets import FeatureTable, run_suite
from invariantnets.analysis import LdaDraws, Material
from invariantnets.analysis.draws import FITTED, TESTED, draw_sides
from invariantnets.errors import InvariantNetsError
from invariantnets.figures.drawing import Scene
from invariantnets.figures.lda_draws import MOST_NUMBERS, draw
from invariantnets.probes.lda_weighted import weighted_discriminants
from invariantnets.randomness import numpy_rng
from invariantnets.report.analyses import analysis_tables
from invariantnets.results.result import Result


def rows(n: int = 3000, dims: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Features far from 0 that hold a number, and its seven bins."""
    rng = numpy_rng(1)
    number = rng.normal(size=n)
    x = 40 + rng.normal(size=(n, dims)) @ rng.normal(size=(dims, dims)) + 0.5 * number[:, None] * rng.normal(size=dims)
    return x.astype(np.float32), np.searchsorted(np.quantile(number, np.arange(1, 7) / 7), number)


@pytest.mark.parametrize("solver", ["lsqr", "eigen"])
@pytest.mark.parametrize("shrinkage", [0.0, 0.2])
def test_it_is_scikit_learns(solver: str, shrinkage: float) -> None:
    """Of draws without replacement, of bootstraps, in which rows come several times, and of a few of many rows."""
    x, group = rows()
    rng = numpy_rng(2)
    pair = (group > 3).astype(np.int64)
    drawn = rng.permutation(len(x))
    counts = np.zeros((3, len(x)), np.uint8)
    counts[0][drawn[:2200]] = 1
    counts[1] = np.bincount(rng.integers(len(x), size=len(x)), minlength=len(x))
    counts[2][drawn[:300]] = 2
    for count, found in zip(counts, weighted_discriminants(x, [group, pair], counts, shrinkage), strict=True):
        repeated, left = np.repeat(np.arange(len(x)), count), np.flatnonzero(count == 0)
        for one, codes in zip(found, (group, pair), strict=True):
            theirs = LinearDiscriminantAnalysis(solver=solver, shrinkage=shrinkage or None)
            theirs.fit(x[repeated].astype(np.float64), codes[repeated])
            named = one.group[one.scores(x, left).argmax(1)]
            assert (named == theirs.predict(x[left].astype(np.float64))).mean() >= 0.999
            assert not one.singular and one.count.sum() == len(repeated)


def test_features_that_say_the_same_and_more_of_them_than_rows() -> None:
    """A feature twice, and one that is constant, change no prediction; fewer rows than features still tell."""
    x, group = rows()
    more = np.concatenate([x, x[:, :3], np.full((len(x), 1), 7.0, np.float32)], 1)
    counts = np.ones((1, len(x)), np.uint8)
    counts[0, 2000:] = 0
    ((plain,),) = weighted_discriminants(x, [group], counts)
    ((same,),) = weighted_discriminants(more, [group], counts)
    left = np.arange(2000, len(x))
    assert same.singular and not plain.singular
    assert (same.scores(more, left).argmax(1) == plain.scores(x, left).argmax(1)).mean() >= 0.999
    few = np.zeros((1, len(x)), np.uint8)
    few[0, :15] = 1
    ((wide,),) = weighted_discriminants(x, [group], few)
    assert wide.singular and np.isfinite(wide.scores(x, left)).all()


def test_nobody_is_on_both_sides() -> None:
    source = numpy_rng(3).integers(200, size=1000)
    for fit, test, whole in ((18_000, 6_502, True), (300, 100, False)):
        sides = draw_sides(source, fit, test, 8, 0)
        for side in sides:
            assert not set(source[side == FITTED]) & set(source[side == TESTED])
        share = (sides == FITTED).sum(1) / (sides != 0).sum(1)
        assert np.abs(share - fit / (fit + test)).max() < 0.05 and (sides != 0).all() == whole
        assert len({side.tobytes() for side in sides}) == 8
    with pytest.raises(InvariantNetsError, match="all rows are of one"):
        draw_sides(np.zeros(5), 3, 2, 2, 0)


def people(signal: float = 1.0, **columns: Any) -> FeatureTable:
    """100 people, ten pictures each: a feature is yaw / 10 and noise of s.d. 0.2, the others are noise."""
    rng = numpy_rng(4)
    who = np.repeat(np.arange(100), 10)
    yaw = rng.uniform(-60, 60, len(who))
    x = rng.normal(size=(len(who), 6))
    x[:, 0] = signal * yaw / 10 + 0.2 * x[:, 0]
    media = np.where(x[:, 1] + 0.1 * rng.normal(size=len(who)) > 0.8, "video", "still")
    given = {"yaw": yaw, "media": media, **columns}
    return FeatureTable.from_arrays(x.astype(np.float32), label=who, division="identity", **given)


def measure(table: FeatureTable, **knobs: Any) -> list[Result]:
    return LdaDraws(**{"draws": 5, **knobs})(Material(table, "features"))


def value(
    results: list[Result], metric: str, reader: str, target: str, where: Mapping[str, str] | None = None
) -> Result:
    (found,) = [
        r
        for r in results
        if (r.metric, r.probe, r.target, r.where) == (metric, f"lda_draws/{reader}", target, where or {})
    ]
    return found


def test_the_truth_is_found_and_chance_said() -> None:
    """Of 24 bins of 5°, the likeliest errs by a quarter of one or so; the mean of ±60° by 30°, and no features by more.

    Of media, 21 % are video; two fifths of the limit's rows are within ±24°.
    """
    found = measure(people(), bins=24, within={"yaw": 24})
    near = value(found, "mae", "likeliest bin", "yaw")
    assert 1.0 < near.value < 2.5 and near.low is not None and near.low < near.value < near.high
    assert value(found, "mae", "mean by the posterior", "yaw").value < near.value
    assert value(found, "mae", "always the mean", "yaw").value == pytest.approx(30, abs=1.5)
    assert value(found, "mae", "shuffled", "yaw").value > 30
    assert 0 < value(found, "mae_over_draws", "likeliest bin", "yaw").value < 0.5
    media = value(found, "accuracy", "likeliest class", "media")
    assert media.value > 0.9 and media.n > 700 and media.sources > 70 and 650 < media.n_fit < 800
    assert value(found, "accuracy", "most frequent class", "media").value == pytest.approx(0.79, abs=0.04)
    assert value(found, "accuracy", "shuffled", "media").value < 0.82
    # A line cannot tell the middle from both ends: the paper's pitch is told only as far as its ends lie elsewhere.
    limit = {"yaw": "within ±24"}
    assert value(found, "accuracy", "most frequent class", "yaw", limit).value == pytest.approx(0.6, abs=0.05)
    assert value(found, "accuracy", "likeliest class", "yaw", limit).value < 0.66


def test_a_table_of_errors_and_one_of_hits() -> None:
    ((errors, hits),) = analysis_tables(measure(people(), within={"yaw": 24}), {"yaw": "°"}).values()
    assert [row.name for of in (errors, hits) for row in of.parts[""]] == ["yaw", "yaw: within ±24", "media"]
    assert (
        "s.d. of MAE over draws, likeliest bin" in errors.header
        and "each of 5 draws fits to 73 % of the rows" in errors.shared
    )


def test_where_there_is_nothing_it_is_no_better_than_the_mean() -> None:
    found = measure(people(signal=0.0), magnitude=True)
    where = {"yaw": "magnitude"}
    mean = value(found, "mae", "always the mean", "yaw", where)
    assert mean.value == pytest.approx(15, abs=1)
    for reader in ("likeliest bin", "mean by the posterior"):
        read = value(found, "mae", reader, "yaw", where)
        assert read.high > mean.value - 0.3, "the interval must not lie below chance"


def test_magnitude_of_some_unknown_rows_and_what_cannot_be_told() -> None:
    """Rows in which a number is unknown are not drawn; others are."""
    rng = numpy_rng(5)
    pitch = np.where(rng.random(1000) < 0.3, np.nan, rng.normal(size=1000))
    table = people(pitch=pitch, turn=rng.uniform(0, 360, 1000))
    table = FeatureTable.from_arrays(
        table.features["features"],
        label=table.label,
        split=table.split,
        kinds={"turn": "circular"},
        units={"turn": "deg"},
        **table.nuisance,
    )
    found = measure(table, magnitude=["yaw"], rows="test")
    assert {(r.target, *r.where.values()) for r in found} == {("yaw", "magnitude"), ("pitch",), ("media",)}
    known = value(found, "mae", "likeliest bin", "pitch")
    assert 100 < known.n < 150 and known.n < value(found, "accuracy", "likeliest class", "media").n <= 200
    assert "'turn': it goes round a circle" in known.note


def test_the_figure_shows_every_draw_and_who_does_not_look() -> None:
    """The mean of the dots is the number of the table; of many numbers those told best are shown."""
    rng = numpy_rng(5)
    table = people(**{f"noise_{i}": rng.normal(size=1000) for i in range(MOST_NUMBERS)})
    found = run_suite(table, [], analyses=[LdaDraws(draws=5, within={"yaw": 24})], protocols=None)
    scene = Scene({"": [found.results]}, units={"yaw": "°"}, layer=found.layer, arrays=found.arrays)
    ((file, figure, _, caption, about),) = draw(scene)
    assert (file, about) == ("lda_draws.svg", "analysis/lda_draws") and "In each of 5 draws" in caption
    assert "left out: 1." in caption and len(figure.axes) == MOST_NUMBERS + 1
    yaw, hits = figure.axes[0], figure.axes[-1]
    assert yaw.get_xlabel().startswith("mean absolute error of yaw, ° (n = ")
    assert [t.get_text() for t in yaw.get_yticklabels()] == ["likeliest bin", "mean by the posterior"]
    lines = {line.get_label(): line.get_xdata() for line in yaw.lines if not line.get_label().startswith("_")}
    assert len(lines["a draw"]) == 5
    of = {reader: value(found.results, "mae", reader, "yaw").value for reader in ("likeliest bin", "always the mean")}
    assert lines["a draw"].mean() == pytest.approx(of["likeliest bin"])
    assert lines["always the mean, or the most frequent class"][0] == pytest.approx(of["always the mean"])
    assert lines["shuffled"][0] == pytest.approx(value(found.results, "mae", "shuffled", "yaw").value)
    assert [t.get_text().partition(" (")[0] for t in hits.get_yticklabels()] == ["media", "yaw: within ±24"]
    dots = hits.lines[0].get_xdata()
    assert dots.mean() == pytest.approx(100 * value(found.results, "accuracy", "likeliest class", "media").value)
    assert not list(draw(Scene({"": [[]]})))


def test_what_varies_a_thousandth_as_much_is_not_rounded_away() -> None:
    """Features of eight strong directions, and a number in what is left: sums of float32 would tell another third."""
    rng = numpy_rng(7)
    number = rng.normal(size=2000)
    x = rng.normal(size=(2000, 8)) @ rng.normal(size=(8, 40))
    x += 1e-3 * (0.3 * rng.normal(size=x.shape) + number[:, None] * rng.normal(size=40))
    x, group = (x / x.std(0)).astype(np.float32), np.searchsorted(np.quantile(number, np.arange(1, 8) / 8), number)
    counts = (rng.random((4, 2000)) > 0.3).astype(np.uint8)
    for count, (one,) in zip(counts, weighted_discriminants(x, [group], counts), strict=True):
        left = np.flatnonzero(count == 0)
        theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(x[count > 0].astype(np.float64), group[count > 0])
        named = one.group[one.scores(x, left).argmax(1)]
        assert (named == theirs.predict(x[left].astype(np.float64))).mean() >= 0.998 and not one.singular
        assert (named == group[left]).mean() > 0.5


def test_many_draws_of_few_and_of_many_kinds_of_rows() -> None:
    """Draws share what they can, of seven or of one: each is as if it were alone."""
    x, group = rows(400, 6)
    rng = numpy_rng(6)
    counts = np.concatenate(
        [
            (rng.random((17, 400)) > 0.3).astype(np.uint8),
            rng.poisson(1.0, (4, 400)).astype(np.uint8),
        ]
    )
    for count, (one,) in zip(counts, weighted_discriminants(x, [group], counts), strict=True):
        ((alone,),) = weighted_discriminants(x, [group], count[None])
        assert one.weights == pytest.approx(alone.weights, rel=1e-6, abs=1e-8)
        assert (one.count == alone.count).all()


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"within": {"pitch": 8}}, "within: 'pitch' is no number among the nuisances (numbers: yaw)"),
        ({"within": {"yaw": 90}}, "every row is within it; the numbers reach from -"),
        ({"magnitude": ["roll"]}, "magnitude: 'roll' is no number"),
        ({"draws": 1}, "draws=1: 2 or more are needed"),
        ({"shrinkage": 2.0}, "shrinkage=2.0: it is from 0 to 1"),
        ({"rows": "val"}, "rows=val: choose from all, test"),
    ],
)
def test_refusals(knobs: dict[str, Any], said: str) -> None:
    told: list[Any] = []
    run_suite(people(), [], analyses=[LdaDraws(**knobs)], protocols=None, lost=told.append)
    assert said in str(told[0])


def test_a_feature_that_fires_in_other_rows_alone_tells_nothing_of_a_draw() -> None:
    """Its scatter there is that of all rows less that of the others: 0 but for a rounding, which is no scale."""
    x, bins = rows(4000, 12)
    rng = numpy_rng(8)
    counts = (rng.random((6, len(x))) < 0.7).astype(np.uint8)
    rare = np.zeros((len(x), 6), np.float32)
    for r, fitted in enumerate(counts):
        rare[np.flatnonzero(fitted == 0)[: 5 + r], r] = 3 + 40 * rng.random(5 + r)
    x = np.concatenate([x, rare], 1)
    for fitted, (found,) in zip(counts, weighted_discriminants(x, [bins], counts), strict=True):
        seen, others = np.flatnonzero(fitted), np.flatnonzero(fitted == 0)
        alive = x[seen].std(0) > 0
        lsqr = LinearDiscriminantAnalysis(solver="lsqr").fit(x[seen][:, alive].astype(np.float64), bins[seen])
        told = found.group[found.scores(x, others).argmax(1)]
        assert not alive.all() and not found.weights[~alive].any()
        assert (told == lsqr.predict(x[others][:, alive])).mean() > 0.999
