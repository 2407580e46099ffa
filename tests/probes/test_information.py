"""Bits: closed forms where there are any, nothing where there is nothing, and never more than there are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import i0e, i1e
from scipy.stats import norm

from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Kind, Nuisance
from invariantnets.probes import ClassMean, Probe, Ridge
from invariantnets.probes.information import conditional_v_information, saved_bits, v_information
from invariantnets.probes.likelihood import cross_fitted, fit_likelihood, halves, scale_of
from invariantnets.probes.probe import Reading
from invariantnets.probes.scorer import Scorer
from invariantnets.probes.suite import readings, strongest_of
from invariantnets.probes.targets import plan_targets
from invariantnets.probes.task import prepare
from invariantnets.results.result import Result

N = 40_000


def mean_saved(kind: Kind, predicted: np.ndarray, true: np.ndarray) -> float:
    """Fitted on the first half of the rows, judged on the second."""
    half, alone = len(true) // 2, np.arange(len(true) // 2)
    fitted = fit_likelihood(scale_of(kind, true[:half]), predicted[:half], true[:half], alone, 0)
    return float(fitted.saved(predicted[half:], true[half:]).mean())


def columns(angle: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angle), np.sin(angle)], 1)


@pytest.mark.parametrize(("snr", "slope", "shift"), [(0.5, 1.0, 0.0), (4.0, 0.3, 7.0), (100.0, 1.0, 0.0)])
def test_a_normal_nuisance_read_by_a_line(snr, slope, shift):
    """What a reader is off by is learnt."""
    x, e = np.random.default_rng(1).normal(size=(2, 4 * N))
    true = 50 + 20 * (x + e / np.sqrt(snr))[:, None]
    found = mean_saved("continuous", 50 + 20 * slope * x[:, None] + shift, true)
    assert found == pytest.approx(0.5 * np.log2(1 + snr), rel=0.02)


@pytest.mark.parametrize(("flips", "share"), [(0.1, 0.5), (0.01, 0.5), (0.3, 0.5), (0.1, 0.1)])
def test_a_binary_symmetric_channel(flips, share):
    # As many rows of each kind as there should be: the mean has no luck in it.
    cells = [
        (y, f, round(N * (share if y else 1 - share) * (flips if f else 1 - flips))) for y in (0, 1) for f in (0, 1)
    ]
    y = np.repeat([y for y, _, _ in cells], [n for _, _, n in cells])
    seen = np.repeat([y ^ f for y, f, _ in cells], [n for _, _, n in cells])
    both = np.random.default_rng(0).permutation(len(y))
    y, seen = (np.tile(part[both], 2) for part in (y, seen))
    yes = np.array([y[seen == s].mean() for s in (0, 1)])[seen]

    def entropy(p: float) -> float:
        return float(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)))

    found = mean_saved("binary", np.stack([1 - yes, yes], 1), np.eye(2)[y])
    assert found == pytest.approx(entropy(float(seen.mean())) - entropy(flips), rel=0.02)


@pytest.mark.parametrize(("sureness", "length"), [(1.0, 1.0), (20.0, 0.2)])
def test_an_angle_with_noise_round_the_circle(sureness, length):
    rng = np.random.default_rng(2)
    x = rng.uniform(0, 2 * np.pi, 4 * N)
    true = columns(x + rng.vonmises(0, sureness, len(x)))
    ratio = i1e(sureness) / i0e(sureness)
    expected = (sureness * ratio - np.log(i0e(sureness)) - sureness) / np.log(2)
    assert mean_saved("circular", length * columns(x), true) == pytest.approx(expected, rel=0.02)


def test_categories_that_are_known_by_halves():
    """Eight of them, of which a reader tells the pair: two of three bits."""
    rng = np.random.default_rng(3)
    y = rng.integers(8, size=N)
    pair = np.repeat(np.eye(4), 2, axis=1)[y // 2] / 2
    assert mean_saved("categorical", pair, np.eye(8)[y]) == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize("values", [2, 3, 9])
def test_never_more_than_there_are(values):
    """Read to a hundredth of a degree, three angles are still three; two normal densities would give ten bits."""
    rng = np.random.default_rng(4)
    true = rng.choice(np.linspace(-45, 45, values), 4000)[:, None]
    found = mean_saved("continuous", true + 0.01 * rng.normal(size=true.shape), true)
    assert 0.99 * np.log2(values) < found < 1.01 * np.log2(values)


def test_of_a_uniform_nuisance_shannons_information():
    """Two normal densities would find a quarter of a bit more than there is."""
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 1, (4 * N, 1))
    read = x + 0.01 * rng.normal(size=x.shape)
    expected = np.log2(1 / 0.01) - norm.entropy() / np.log(2)
    assert mean_saved("continuous", read, x) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("kind", ["continuous", "circular", "binary", "categorical"])
def test_noise_saves_nothing_and_mostly_exactly_nothing(kind):
    exact = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        angle, code = rng.uniform(0, 2 * np.pi, 2000), rng.integers(2 if kind == "binary" else 5, size=2000)
        true = {"continuous": rng.normal(size=(2000, 1)), "circular": columns(angle)}.get(kind)
        true = np.eye(code.max() + 1)[code] if true is None else true
        found = mean_saved(kind, true.mean(0) + 0.1 * rng.normal(size=true.shape), true)
        assert abs(found) < 0.015
        exact.append(found == 0)
    assert np.mean(exact) >= 0.5


def test_a_reader_who_is_never_wrong_is_not_believed_without_end():
    """One in a thousand test rows is wrong, none of the known rows was: some bits are lost, not all."""
    rng = np.random.default_rng(6)
    y = rng.integers(2, size=8000)
    said = y.copy()
    said[4000::1000] ^= 1
    found = mean_saved("binary", np.eye(2)[said], np.eye(2)[y])
    assert 1 - 0.02 < found < 1 - 0.005


def test_the_weights_are_the_likeliest():
    """Against scipy, which is given the likelihood alone."""
    rng = np.random.default_rng(7)
    true = np.round(rng.normal(size=(500, 1)), 1)
    read = true + rng.normal(size=true.shape)
    scale = scale_of("continuous", true)
    fitted = fit_likelihood(scale, read, true, np.arange(500), 0)
    level = scale.level(true)

    def surprise(weights: np.ndarray) -> float:
        score = np.einsum("nvp,p->nv", scale.evidence(read), weights) + np.log(scale.share)
        return float(np.mean(np.log(np.exp(score).sum(1)) - score[np.arange(500), level]))

    best = minimize(surprise, np.zeros(3), method="BFGS")
    assert fitted.weights is not None
    np.testing.assert_allclose(fitted.weights, best.x, atol=2e-3)


def test_levels_are_values_or_not_too_many():
    rng = np.random.default_rng(8)
    few, many = rng.choice([1.0, 2.0, 5.0], (900, 1)), rng.standard_cauchy((9000, 1))
    assert scale_of("continuous", few).values[:, 0].tolist() == [1, 2, 5] and scale_of("continuous", few).whole
    scale = scale_of("continuous", many)
    assert not scale.whole and 64 <= len(scale.values) <= 128
    nearest = np.abs(many - scale.values[:, 0]).argmin(1)
    np.testing.assert_array_equal(scale.level(many), nearest)
    np.testing.assert_allclose(scale.share, np.bincount(nearest, minlength=len(scale.values)) / 9000)
    assert scale.share.all()


def test_no_source_is_in_both_halves():
    source = np.repeat(np.arange(101), 7)
    first = halves(source, 0)
    assert not set(source[first]) & set(source[~first]) and len(set(source[first])) in (50, 51)


def test_copies_of_rows_are_no_proof():
    """A reader that remembers sources, of which each has twenty rows: only rows of one source agree."""
    rng = np.random.default_rng(9)
    source = np.repeat(np.arange(60), 20)
    true, read = rng.normal(size=(60, 1))[source], rng.normal(size=(60, 1))[source]
    by_source = [cross_fitted(scale_of("continuous", true), read, true, source, s).mean() for s in range(6)]
    assert np.mean(by_source) < 0


# Of tables: four classes; x1 tells the angle, x2 the angle in classes whose sign is known, b is fixed within a class.
def table(features: Sequence[str], n: int = 6000, seed: int = 0) -> FeatureTable:
    rng = np.random.default_rng(seed)
    label = rng.integers(4, size=n)
    angle = rng.normal(size=n) + label
    sign = np.where(label % 2, 1.0, -1.0)
    given = {
        "noise": rng.normal(size=n),
        "class": label.astype(float),
        "angle": angle + 0.5 * rng.normal(size=n),
        "within": angle - label + 0.5 * rng.normal(size=n),
        "signed": sign * (angle - label) + 0.5 * rng.normal(size=n),
    }
    x = np.stack([given[name] for name in features], 1).astype(np.float32)
    split = np.repeat(["train", "val", "test"], n // 3)
    nuisance = {"angle": angle, "odd": (label % 2).astype(float)}
    nuisances = (Nuisance("angle"), Nuisance("odd", "binary", "", ("even", "odd"), fixed=True))
    return FeatureTable({"f": x}, label, split, np.arange(n), nuisance, nuisances, 4)


PROBES: tuple[Probe, ...] = (Ridge(), Ridge("label"), ClassMean())


def measured(given: FeatureTable, closed: bool = True) -> dict[tuple[str, str], Result]:
    task = prepare(given, "f", 0, closed)
    scorer, found = Scorer(task.parts["test"], "f", 0), readings(task, PROBES)
    results: list[Result] = []
    for target in task.every:
        best = strongest_of(task, target, found)
        results += v_information(scorer, task, target, best[1] if best else None)
        results += conditional_v_information(scorer, task, target, found[target.nuisance.name])
    return {(r.metric, r.target): r for r in results}


def test_beyond_the_class_are_the_bits_of_what_varies_in_it():
    found = measured(table(["within", "noise"]))
    beyond = found["conditional_v_information", "angle"]
    assert beyond.value == pytest.approx(0.5 * np.log2(1 + 4), rel=0.07) and beyond.low < 1.161 < beyond.high
    assert beyond.uses_answer and beyond.chance == 0 and abs(beyond.control) < 0.02
    plain = found["v_information", "angle"]
    assert 0.1 < plain.value < 0.6 and not plain.uses_answer
    assert plain.low < plain.value < plain.high and abs(plain.control) < 0.02


def test_who_knows_the_class_reads_what_others_cannot():
    found = measured(table(["signed", "noise"]))
    beyond = found["conditional_v_information", "angle"]
    assert found["v_information", "angle"].value < 0.02
    assert beyond.value == pytest.approx(0.5 * np.log2(1 + 4), rel=0.07)


def test_what_only_tells_the_class_tells_nothing_beyond_it():
    found = measured(table(["class", "noise"]))
    assert found["v_information", "angle"].value > 0.4
    beyond = found["conditional_v_information", "angle"]
    assert abs(beyond.value) < 0.01
    # Of odd classes: the class is all, and beyond it is nothing.
    odd = found["conditional_v_information", "odd"]
    assert odd.value == pytest.approx(0, abs=1e-3) and "1.00 bits" in odd.note


def test_noise_is_0_bits_and_no_proof():
    found = measured(table(["noise"], seed=3))
    for of in (("v_information", "angle"), ("conditional_v_information", "angle")):
        assert abs(found[of].value) < 0.01
        if found[of].value == 0:
            assert found[of].status == "failed" and "no proof" in found[of].note and found[of].low is None


def test_open_sets_have_no_mean_of_a_class():
    given = table(["within"])
    assert ("conditional_v_information", "angle") not in measured(given, closed=False)


def test_bits_of_a_reading_that_fails_are_exactly_none():
    rng = np.random.default_rng(11)
    true = rng.normal(size=(400, 1))
    (target,) = plan_targets([Nuisance("it")], {"it": true[:, 0]})
    read = Reading(target, -true[:200] * 0 + rng.normal(size=(200, 1)), true[200:], true[200:], 200)
    kept = saved_bits(
        scale_of("continuous", true[:200]),
        read,
        (true[:200], np.arange(200)),
        (true[200:], np.arange(200)),
        true[200:],
        0,
    )
    if kept.held_out.mean() == 0:
        assert not kept.test.any()
    assert kept.control.mean() > 2  # of the control, that reads all, the likelihood is its own
