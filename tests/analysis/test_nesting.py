"""Shares of the variance, of features that were put together from known parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from invariantnets import FeatureTable
from invariantnets.analysis import Material, Nesting
from invariantnets.analysis import variance_shares as module
from invariantnets.analysis.variance_shares import fit, residuals
from invariantnets.errors import InvariantNetsError
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result

PEOPLE, IMAGES, WIDTH = 60, 24, 8


def table(own: float = 0.0, seed: int = 0, **more: Any) -> FeatureTable:
    """A half of the variance who it is, a quarter the view (of three), the rest noise; ``own``: of each one's view."""
    rng = numpy_rng(seed)
    who = np.repeat(np.arange(PEOPLE), IMAGES)
    view, light = rng.integers(0, 3, len(who)), rng.random(len(who))
    axes = np.array([[1.0, 0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]]) @ rng.normal(size=(2, WIDTH))
    parts = [rng.normal(size=(PEOPLE, WIDTH))[who], axes[view], rng.normal(size=(len(who), WIDTH))]
    if own:
        parts.append(rng.normal(size=(PEOPLE, 3, WIDTH))[who, view])
    weights = (0.5, 0.25, 0.25, own)
    x = sum(
        w**0.5 * (p - p.mean(0)) / ((p - p.mean(0)) ** 2).sum(1).mean() ** 0.5
        for w, p in zip(weights[: len(parts)], parts, strict=True)
    )
    given = {"label": who, "split": ["test"] * len(who), "view": np.array(["a", "b", "c"])[view], "light": light}
    return FeatureTable.from_arrays(x.astype(np.float32), **(given | more))


def shares(of: FeatureTable, **knobs: Any) -> dict[tuple[str, str], Result]:
    results = Nesting(**knobs)(Material(of, "features"))
    return {(r.probe.split("/")[1], r.where["of"]): r for r in results}


def test_the_parts_are_found() -> None:
    found = shares(table())
    for of, share in (("people", 0.5), ("view", 0.25), ("the rest", 0.25)):
        r = found["each in turn", of]
        assert r.value == pytest.approx(share, abs=0.03) and r.low < share < r.high and r.sources == PEOPLE
    assert found["beyond all others", "view"].value == pytest.approx(0.25, abs=0.02)
    assert found["beyond all others", "people"].value == pytest.approx(0.5, abs=0.03)
    view, light = (found["in turn, by shuffling", of].value for of in ("view", "light"))
    assert view == 0.01 and light > 0.02


def test_what_explains_nothing_explains_what_chance_does() -> None:
    rng = numpy_rng(7)
    of = table()
    empty = FeatureTable.from_arrays(
        rng.normal(size=(len(of), WIDTH)), label=of.label, split=of.split, light=of.nuisance["light"]
    )
    found = shares(empty, shuffles=200)
    for probe, name in (("each in turn", "people"), ("each in turn", "light"), ("own effect in each person", "light")):
        r = found[probe, name]
        assert r.value == pytest.approx(r.chance, rel=0.35) and r.chance > 0
    # 5 bins of 1,440 rows less 60 means, and 59 means of 1,439.
    assert found["each in turn", "light"].chance == pytest.approx((1 - 59 / 1439) * 4 / 1380, rel=0.1)
    assert found["each in turn", "people"].chance == pytest.approx(59 / 1439)


def test_an_effect_of_each_persons_own_is_not_that_of_all() -> None:
    common, own = (shares(table(own=of))["own effect in each person", "view"] for of in (0.0, 0.5))
    assert common.value - common.chance < 0.27 < 0.3 < own.value - own.chance


@pytest.mark.parametrize("block", [1, 100, 4096])
def test_sums_are_those_of_a_regression(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", block)
    rng = numpy_rng(1)
    n = 150
    label, codes = rng.integers(0, 12, n), [rng.integers(0, 3, n), rng.integers(0, 4, n)]
    x = 50 + rng.normal(size=(n, 4)) + label[:, None] + codes[0][:, None] * rng.normal(size=4)
    fits = fit(x, label, codes, 2, numpy_rng(2))
    left = residuals(x, fits, codes, [[], [0], [1], [0, 1]])

    def rest(*factors: np.ndarray) -> np.ndarray:
        z = np.concatenate([f[:, None] == np.unique(f) for f in factors], 1).astype(float)
        return ((x - LinearRegression().fit(z, x).predict(z)) ** 2).sum(1)[fits.order]

    np.testing.assert_allclose(left.total, ((x - x.mean(0)) ** 2).sum(1)[fits.order], rtol=1e-8)
    for i, factors in enumerate(([label], [label, codes[0]], [label, codes[1]], [label, *codes])):
        np.testing.assert_allclose(left.models[:, i], rest(*factors), rtol=1e-7)
    np.testing.assert_allclose(left.plain, rest(*codes), rtol=1e-7)
    np.testing.assert_allclose(left.own[:, 1], rest(label * 10 + codes[1]), rtol=1e-7, atol=1e-20)
    assert fits.ss([0, 1]) == pytest.approx(fits.within - rest(label, *codes).sum())
    assert fits.total == pytest.approx(left.total.sum()) and fits.within == pytest.approx(left.models[:, 0].sum())


def test_a_shuffle_is_a_regression_on_what_is_shuffled() -> None:
    rng = numpy_rng(3)
    n = 60
    label, codes = np.repeat(np.arange(6), 10), [rng.integers(0, 3, n), rng.integers(0, 2, n)]
    x = rng.normal(size=(n, 3))
    fits = fit(x, label, codes, 3, numpy_rng(4))
    again = numpy_rng(4)
    for s in range(3):
        order = np.lexsort((again.random(n), label))
        z = np.concatenate([fits.z[:, fits.columns[0]], fits.z[order][:, fits.columns[1]]], 1)
        theirs = LinearRegression(fit_intercept=False).fit(z, x).predict(z)
        assert fits.ss([0, 1], 1, s) == pytest.approx((theirs**2).sum())


def test_the_own_effect_of_what_is_shuffled_is_known_exactly() -> None:
    rng = numpy_rng(5)
    label, x = np.repeat(np.arange(5), 8), rng.normal(size=(40, 3))
    code = rng.integers(0, 3, 40)
    left = residuals(x, fit(x, label, [code], 1, rng), [code], [[]])
    drawn = []
    for _ in range(400):
        other = code[np.lexsort((rng.random(40), label))]
        drawn.append(left.models[:, 0].sum() - residuals(x, fit(x, label, [other], 1, rng), [other], [[]]).own.sum())
    assert left.own_chance[0] == pytest.approx(np.mean(drawn), rel=0.03)


def test_intervals_are_those_of_people_drawn_again() -> None:
    """The bootstrap fits anew; ours leaves coefficients as they are."""
    of = table(own=0.3)
    r = shares(of, nuisances=["view"], shuffles=1)["each in turn", "view"]
    rng, drawn = numpy_rng(8), []
    rows = [np.flatnonzero(of.label == person) for person in range(PEOPLE)]
    code = [of.nuisance["view"].astype(int)]
    for _ in range(60):
        some = rng.integers(0, PEOPLE, PEOPLE)
        chosen = np.concatenate([rows[i] for i in some])
        fits = fit(of.features["features"][chosen], np.repeat(np.arange(PEOPLE), IMAGES), [code[0][chosen]], 1, rng)
        drawn.append(fits.ss([0]) / fits.total)
    assert (r.high - r.low) / 4 == pytest.approx(np.std(drawn), rel=0.4)


def test_what_never_varies_within_a_person_adds_nothing_to_people() -> None:
    sex = np.repeat(np.arange(PEOPLE) % 2, IMAGES)
    found = shares(table(sex=sex), shuffles=9)
    r = found["each in turn", "sex"]
    assert r.value == pytest.approx(0, abs=1e-9) and "sex never varies within a person" in r.note
    assert "view never" not in r.note


def test_what_is_left_out_is_said() -> None:
    n = PEOPLE * IMAGES
    light = np.where(np.arange(n) < 30, np.nan, np.linspace(0, 1, n))
    rare = np.where(np.arange(n) < n // 3, 1.0, np.nan)
    label = np.where(np.arange(n) == n - 1, PEOPLE, np.repeat(np.arange(PEOPLE), IMAGES))
    r = shares(table(light=light, rare=rare, label=label), shuffles=1)["each in turn", "light"]
    assert "rare is known in 33% of the rows only: left out" in r.note
    assert "a nuisance is unknown: 30" in r.note and "people with one image left out: 1" in r.note
    assert (r.n, r.sources) == (n - 31, PEOPLE - 1)


@pytest.mark.parametrize(
    ("knobs", "more", "words"),
    [
        ({"bins": 1}, {}, "bins=1 are 2 or more"),
        ({"nuisances": ["mood"]}, {}, r"no 'mood' in the table \(it has view, light\)"),
        ({"nuisances": []}, {}, "no nuisance can be used"),
        ({}, {"label": None}, "nobody says who is on the images"),
        ({}, {"label": np.arange(PEOPLE * IMAGES)}, "fewer than two people"),
    ],
)
def test_what_cannot_be_asked_for(knobs: dict[str, Any], more: dict[str, Any], words: str) -> None:
    of = table(**{name: v for name, v in more.items() if v is not None})
    if more.get("label", 0) is None:
        of = FeatureTable.from_arrays(of.features["features"], split=of.split, light=of.nuisance["light"])
    with pytest.raises(InvariantNetsError, match=words):
        Nesting(**knobs)(Material(of, "features"))
