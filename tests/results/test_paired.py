"""What two runs differ by on the same sources, against pairs that are known."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from invariantnets.features.table import FeatureTable
from invariantnets.protocols import run_protocols
from invariantnets.report.differences import compare
from invariantnets.report.sweep_headline import sweep_sentences
from invariantnets.results import Result, read_jsonl, to_jsonl
from invariantnets.results.paired import Less, less
from invariantnets.results.runs import Group, Run
from invariantnets.statistics.resampling import DRAWS, Resampling, common_draws, ratio

MAV = ("accuracy", "label", "mav")


def shares(hits: np.ndarray, source: np.ndarray) -> Result:
    """An accuracy with its draws, as `Scorer` makes it."""
    people = Resampling(source)
    draws = people.drawn(np.stack([hits, np.ones_like(hits)], 1), ratio)[:, 0]
    n, sources = len(hits), people.sources
    return Result(
        "accuracy",
        float(hits.mean()),
        "ip1",
        "label",
        "mav",
        "test",
        n,
        sources,
        0,
        about="class",
        draws=draws.tolist(),
    )


def people() -> FeatureTable:
    """Twenty to train on, forty others to tell apart."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(60), 6)
    x = rng.normal(size=(60, 8))[label] + rng.normal(size=(360, 8))
    split = np.where(label < 20, "train", "test")
    split[(label < 20) & (np.arange(360) % 6 == 0)] = "val"
    return FeatureTable.from_arrays(x.astype(np.float32), label=label, split=split)


def group(name: str, *results: list[Result]) -> Group:
    """Of a run a seed."""
    runs = [Run(Path(name), found, {"seed": seed}) for seed, found in enumerate(results)]
    return Group(name, name, "data", runs)


def test_draws_are_sums_over_sources_counted_as_often_as_each_is_drawn():
    rng = np.random.default_rng(0)
    source, hits = rng.integers(7, size=50), rng.random(50)
    found = shares(hits, source).draws
    for count, value in zip(common_draws(7), found, strict=True):
        rows = np.concatenate([np.flatnonzero(source == s) for s in range(7) for _ in range(int(count[s]))])
        assert value == pytest.approx(hits[rows].mean())
    assert len(found) == DRAWS and np.array_equal(common_draws(7).sum(1), np.full(DRAWS, 7))


def test_the_interval_of_a_difference_holds_it_and_is_narrower_than_either():
    """People are easy or hard for both networks; each is 10 points better on some of its own."""
    rng, held, narrower = np.random.default_rng(1), 0, 0
    for _ in range(200):
        easy = rng.normal(size=100)[:, None] + np.zeros((100, 10))
        a, b = (((easy + 0.3 * rng.normal(size=easy.shape) + shift) > 0).ravel() * 1.0 for shift in (0.2, 0.0))
        source = np.repeat(np.arange(100), 10)
        first, second = shares(a, source), shares(b, source)
        low, high = less(group("a", [first]), group("b", [second]), MAV).bounds
        truth = 0.0760  # Φ(0.2 / √1.09) − ½
        held += low <= truth <= high
        alone = np.std(first.draws) ** 2 + np.std(second.draws) ** 2
        narrower += high - low < 0.7 * 2 * 1.98 * alone**0.5
    assert held >= 180 and narrower == 200


def test_of_seeds_the_draws_are_common_and_the_seeds_own_scatter_is_added():
    rng = np.random.default_rng(2)
    source = np.repeat(np.arange(30), 4)
    runs = [[shares((rng.random(120) < p) * 1.0, source)] for p in (0.9, 0.8, 0.7, 0.6)]
    found = less(group("a", *runs[:2]), group("b", *runs[2:]), MAV)
    expected = [a[0].value - b[0].value for a, b in zip(runs[:2], runs[2:], strict=True)]
    assert found.values == pytest.approx(expected)
    mean = np.mean([np.subtract(a[0].draws, b[0].draws) for a, b in zip(runs[:2], runs[2:], strict=True)], 0)
    assert found.variance == pytest.approx(mean.var() * 30 / 29)
    alone = Less(found.values[:1], found.variance, 30)
    assert np.diff(found.bounds) > np.diff(Less((found.mean,), found.variance, 30).bounds)
    assert alone.text("accuracy", 1).count("[") == 1


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("among_seeds", [0.0, 1.0, 4.0, 16.0])
def test_of_few_seeds_the_interval_holds_the_truth(seeds: int, among_seeds: float):
    """Truth 0. Sources have variance 1, the mean over seeds ``among_seeds``; two seeds may agree by chance."""
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(2_000):
        own = rng.normal() + rng.normal(size=seeds) * (among_seeds * seeds) ** 0.5
        low, high = Less(tuple(own), rng.chisquare(99) / 99, 100).bounds
        held += low <= 0 <= high
    assert held >= 0.94 * 2_000


def test_other_sources_are_not_paired():
    rng = np.random.default_rng(3)
    a, b = (shares((rng.random(k) < 0.5) * 1.0, np.arange(k)) for k in (40, 41))
    found = less(group("a", [a]), group("b", [b]), MAV)
    assert found.variance is None and found.bounds is None and "(one seed)" in found.text("accuracy", 1)
    assert compare([group("a", [a]), group("b", [b])]) is None


def test_a_headline_names_those_from_whom_the_best_is_not_shown_to_differ():
    rng = np.random.default_rng(5)
    easy, source = rng.random(2_000), np.repeat(np.arange(200), 10)
    found = {name: [shares((easy < share) * 1.0, source)] for name, share in {"worst": 0.8, "best": 0.9}.items()}
    groups = [group(name, runs) for name, runs in found.items()]
    (said,) = sweep_sentences(groups)[-1:]
    assert said.startswith("The class is best recognised by best: ") and "not shown to differ" not in said
    hits = (easy < 0.9) * 1.0  # of the same rows but for twenty, ten either way
    for answer in (0.0, 1.0):
        hits[rng.choice(np.flatnonzero(easy < 0.9 if answer == 0 else easy >= 0.9), 10, replace=False)] = answer
    (said,) = sweep_sentences([*groups, group("as good", [shares(hits, source)])])[-1:]
    assert re.search(r" best is not shown to differ from as good \(\+0\.00 \[−0\.\d+, 0\.\d+\]\): ", said)


def test_people_are_told_apart_on_common_draws_too(tmp_path):
    table = people()
    found = {r.metric: r for r in run_protocols(table, "features", folds=5, pairs_per_fold=40, bootstrap=20)}
    for metric in ("eer", "rank1", "dir_far1"):
        draws = np.array(found[metric].draws)
        assert len(draws) == DRAWS and abs(np.nanmean(draws) - found[metric].value) < 0.1
    path = tmp_path / "results.jsonl"
    path.write_text(to_jsonl(found.values()), encoding="utf-8")
    for read in read_jsonl(path):
        assert read.draws == pytest.approx(found[read.metric].draws, abs=1e-6, nan_ok=True)
