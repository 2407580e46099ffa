from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from invariantnets.evaluation import run_suite
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes import DEFAULT, Probe, run_probes
from invariantnets.probes.ridge import Ridge
from invariantnets.probes.upper_bound import blurred_means, code_means, luck
from invariantnets.release import Codes, Noise, Quantise, released
from invariantnets.results import Result

ANGLES = np.array([-30.0, 0.0, 30.0])
# How many test rows have each angle under each code, and each class.
JOINT = {0: (6, 3, 1), 1: (2, 5, 3), 2: (0, 1, 9)}


def table_of(x: np.ndarray, angle: np.ndarray, label: np.ndarray, source: np.ndarray, test: np.ndarray) -> FeatureTable:
    split = np.where(test, "test", np.where(source % 5 == 1, "val", "train"))
    side = Nuisance("side", "categorical", categories=("left", "none", "right"))
    return FeatureTable(
        features={"ip1": x.astype(np.float32)},
        label=label,
        split=split,
        source=source,
        nuisance={"angle": angle, "side": np.searchsorted(ANGLES, angle).astype(float)},
        nuisances=(Nuisance("angle", unit="°"), side),
        num_classes=int(label.max()) + 1,
    )


def coded() -> FeatureTable:
    """Thirty test rows of the joint distribution above, after as many known ones twice."""
    code = np.concatenate([[c] * sum(JOINT[c]) for c in JOINT])
    angle = np.concatenate([np.repeat(ANGLES, JOINT[c]) for c in JOINT])
    code, angle = np.tile(code, 3), np.tile(angle, 3)
    x = np.random.default_rng(0).normal(size=(3, 5))[code]
    rows = np.arange(len(code))
    return table_of(x, angle, rows % 2, rows, rows >= 60)


def bound(results: list[Result], metric: str, target: str, probe: str = "any") -> Result:
    (found,) = [r for r in results if (r.metric, r.target, r.probe) == (metric, target, probe)]
    return found


def test_codes_of_a_known_joint_distribution_give_its_numbers() -> None:
    results = run_probes(coded(), "ip1", [Ridge()])
    angles = [Fraction(int(a)) for a in ANGLES]
    rows = sum(map(sum, JOINT.values()))
    mean = sum(n * a for counts in JOINT.values() for n, a in zip(counts, angles, strict=True)) / rows
    total = sum(n * (a - mean) ** 2 for counts in JOINT.values() for n, a in zip(counts, angles, strict=True))
    within = Fraction(0)
    for counts in JOINT.values():
        middle = sum(n * a for n, a in zip(counts, angles, strict=True)) / sum(counts)
        within += sum(n * (a - middle) ** 2 for n, a in zip(counts, angles, strict=True))
    found = bound(results, "r2_at_most", "angle")
    assert found.value == pytest.approx(float(1 - within / total), abs=1e-12)
    assert found.low is not None and found.low < found.value and found.chosen["codes"] == 3
    assert bound(results, "accuracy_at_most", "side").value == (6 + 5 + 9) / 30
    adjusted = 1 - (within / total) * Fraction(rows - 1, rows - len(JOINT))
    assert bound(results, "r2_at_most_adjusted", "angle").value == pytest.approx(float(adjusted), abs=1e-12)


def test_who_is_told_the_class_knows_no_less() -> None:
    results = run_probes(coded(), "ip1", [Ridge()])
    for metric, target in (("r2_at_most", "angle"), ("accuracy_at_most", "side")):
        told = bound(results, metric, target, "any/label")
        blind = bound(results, metric, target).value
        assert told.uses_answer and (told.value > blind if metric == "r2_at_most" else told.value >= blind)


@pytest.mark.parametrize("source", [np.arange(6), np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 2])])
def test_luck_is_the_mean_over_all_shuffles(source: np.ndarray) -> None:
    code, y = np.array([0, 1, 0, 2, 2, 1]), np.array([-2.0, 1.0, 4.0, 0.5, -1.0, 2.0])[:, None]
    mean, alone = np.array([0.3]), len(np.unique(source)) == len(source)
    blocks = [np.arange(6)] if alone else [np.flatnonzero(source == s) for s in np.unique(source)]
    shares = []
    for orders in itertools.product(*(itertools.permutations(block) for block in blocks)):
        shuffled = np.empty_like(y)
        for block, order in zip(blocks, orders, strict=True):
            shuffled[block] = y[list(order)]
        error = (shuffled - code_means(code, shuffled)) ** 2
        shares.append(1 - error.sum() / ((y - mean) ** 2).sum())
    assert luck(code, y, source, mean) == pytest.approx(np.mean(shares), abs=1e-12)


def images(count: int, rng: np.random.Generator) -> FeatureTable:
    """Three angles of each image, four classes; the angle in some features, by a line and by its size."""
    source = np.repeat(np.arange(count), 3)
    label, angle = source % 4, np.tile(ANGLES, count)
    x = 3 * np.eye(4, 8)[label] + rng.normal(scale=0.7, size=(3 * count, 8))
    x[:, 4] += angle / 30
    x[:, 5] += (angle == 0) * label
    return table_of(x, angle, label, source, source >= count // 2)


FAST = ("ridge", "ridge/per_label", "knn", "quadratic", "lookup")


@pytest.mark.parametrize(
    ("release", "probes"),
    [
        pytest.param(Codes(12), DEFAULT, id="every reader", marks=pytest.mark.slow),
        pytest.param(Codes(12), FAST, id="codes"),
        pytest.param(Codes(3, groups=4), FAST, id="product codes"),
        pytest.param(Quantise(2), FAST, id="levels"),
    ],
)
def test_no_reader_is_above_the_bound(release: Codes | Quantise, probes: Sequence[Probe | str]) -> None:
    table = images(160, np.random.default_rng(1))
    found = run_suite(released(table, release.fit(table, "ip1")), probes)
    assert not found.failed
    readers = {r.probe for r in found.results if r.metric == "r2"}
    assert {"ridge", "quadratic", "knn", "stack", "strongest"} <= readers
    for metric, most in (("r2", "r2_at_most"), ("accuracy", "accuracy_at_most")):
        for r in found.results:
            if r.metric == metric and r.about == "nuisance" and not r.where:
                told = "any/label" if r.uses_answer else "any"
                assert r.value <= bound(found.results, most, r.target, told).value + 1e-9


def test_features_that_are_no_codes_have_no_bound() -> None:
    results = run_probes(images(60, np.random.default_rng(0)), "ip1", [Ridge()])
    assert not [r for r in results if "at_most" in r.metric]


def test_of_a_population_the_adjusted_interval_holds_the_share() -> None:
    """Twelve codes, of which each is likelier at some angles: the share that they explain of ever new rows is known."""
    rng = np.random.default_rng(3)
    joint = rng.dirichlet(np.full(12 * 3, 0.5)).reshape(12, 3)
    joint /= 3 * joint.sum(0)  # angles are equally frequent
    by_code = joint.sum(1)
    share = float((by_code * (joint @ ANGLES / by_code) ** 2).sum() / (ANGLES**2).mean())
    held, plain = 0, []
    for _ in range(100):
        pick = rng.choice(36, size=400, p=joint.ravel())
        code, angle = np.divmod(pick, 3)
        rows = np.arange(800)
        both = np.concatenate([code, code]), ANGLES[np.concatenate([angle, angle])]
        table = table_of(np.eye(12)[both[0]], both[1], rows % 2, rows, rows >= 400)
        results = run_probes(table, "ip1", [])
        adjusted = bound(results, "r2_at_most_adjusted", "angle")
        assert adjusted.low is not None and adjusted.high is not None
        held += adjusted.low <= share <= adjusted.high
        plain.append(bound(results, "r2_at_most", "angle").value)
    assert held >= 90
    assert np.mean(plain) > share  # what is said of these rows is more than of all


def slow_bayes(z: np.ndarray, x: np.ndarray, sigma: float, y: np.ndarray) -> np.ndarray:
    found = []
    for released_row in z:
        distance = np.array([((released_row - row) ** 2).sum() for row in x])
        weight = np.exp(-(distance - distance.min()) / (2 * sigma**2))
        found.append(weight @ y / weight.sum())
    return np.array(found)


def test_the_reader_of_noise_is_that_of_bayes() -> None:
    rng = np.random.default_rng(0)
    x, y, label = rng.normal(size=(50, 4)), rng.normal(size=(50, 2)), np.arange(50) % 3
    z = x + 0.7 * rng.normal(size=x.shape)
    np.testing.assert_allclose(blurred_means(z, x, 0.7, y), slow_bayes(z, x, 0.7, y), atol=1e-5)
    told = blurred_means(z, x, 0.7, y, label)
    for c in range(3):
        rows = label == c
        np.testing.assert_allclose(told[rows], slow_bayes(z[rows], x[rows], 0.7, y[rows]), atol=1e-5)


def test_bounds_through_noise_hold_in_95_of_100_runs() -> None:
    """Two points, 2 apart, with noise of σ 1: the best reader of all is tanh, and its R² an integral."""
    at = np.linspace(-12, 12, 20_001)
    density = (np.exp(-((at - 1) ** 2) / 2) + np.exp(-((at + 1) ** 2) / 2)) / (2 * np.sqrt(2 * np.pi))
    best = float((np.tanh(at) ** 2 * density).sum() * (at[1] - at[0]))
    held = 0
    for seed in range(100):
        rows = np.arange(600)
        rng = np.random.default_rng(seed)
        sign = np.where(rng.random(600) < 0.5, -1.0, 1.0)
        x = np.stack([sign, rng.normal(scale=1e-3, size=600)], 1)  # equal rows would have equal noise
        table = table_of(x, 30 * sign, rows % 2, rows, rows >= 200)
        noisy = released(table, Noise(1.0, seed).fit(table, "ip1"))
        found = bound(run_probes(noisy, "ip1", []), "r2_at_most", "angle")
        assert found.low is not None and found.high is not None
        held += found.low <= best <= found.high
    assert held >= 90


def test_through_much_noise_nobody_is_above_the_interval_of_the_bound() -> None:
    table = images(240, np.random.default_rng(2))
    found = run_suite(released(table, Noise(1.5).fit(table, "ip1")), ["ridge", "knn", "trees", "quadratic"])
    for target in ("angle", "side"):
        high = bound(found.results, "r2_at_most", target).high
        assert high is not None and high < 0.95
        assert all(
            r.value <= high for r in found.results if (r.metric, r.target) == ("r2", target) and not r.uses_answer
        )
