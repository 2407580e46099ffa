from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.protocols import run_protocols
from invariantnets.protocols.similarity import KINDS
from invariantnets.results.result import Result

Faces = Callable[..., FeatureTable]


def run(table: FeatureTable, **knobs) -> list[Result]:
    return run_protocols(table, "F7", **{"bootstrap": 60, **knobs})


def one(results: list[Result], metric: str, probe: str, **where: float) -> Result:
    (found,) = (r for r in results if (r.metric, r.probe, dict(r.where)) == (metric, probe, where))
    return found


def test_perfect_features_make_no_mistake(make_faces: Faces) -> None:
    results = run(make_faces(noise=0), similarities=KINDS)
    assert one(results, "accuracy", "verification/chi2").value > 0.98, "its weights and threshold are learned"
    for kind in ("cosine", "inner_product"):
        assert one(results, "accuracy", f"verification/{kind}").value == 1
        assert one(results, "eer", f"verification/{kind}").value == 0
        for metric, protocol in (("rank1", "closed_set"), ("dir_far1", "open_set"), ("dir_far0.1", "open_set")):
            assert one(results, metric, f"{protocol}/{kind}").value == 1


def test_noise_is_at_chance(make_faces: Faces) -> None:
    table = make_faces()
    noise = np.random.default_rng(9).random((len(table), 16)).astype(np.float32)
    results = run(replace(table, features={"F7": noise}))
    for result in results:
        if result.metric in ("auc", "eer", "rank1", "rank10"):
            assert result.low <= result.chance <= result.high
    assert one(results, "dir_far1", "open_set/cosine").value < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_says_what_it_was_measured_on(make_faces: Faces, kind: str) -> None:
    results = run(make_faces(), similarities=[kind], seed=3)
    assert {r.probe for r in results} == {f"{p}/{kind}" for p in ("verification", "closed_set", "open_set")}
    for r in results:
        assert (r.layer, r.target, r.split, r.seed) == ("F7", "identity", "test", 3)
        assert 0 <= r.value <= 1 and 0 <= r.chance <= 1 and r.low <= r.value + 1e-6 and r.value <= r.high + 1e-6
        assert r.n > 0 and r.sources <= 40 and ("identities" in r.note or "folds" in r.note)
    accuracy = one(results, "accuracy", f"verification/{kind}")
    assert accuracy.n == 2 * 10 * 40 and accuracy.sources == 40 and "standard error over 10 folds" in accuracy.note
    assert one(results, "rank1", f"closed_set/{kind}").n == 160
    opened = one(results, "dir_far1", f"open_set/{kind}")
    assert opened.n == 20 * 4 + 20 * 5 and "gallery of 20, 80 genuine probes, 100 impostors" in opened.note


def test_curves_rise_and_meet_the_numbers(make_faces: Faces) -> None:
    results = run(make_faces())
    for metric, key in (("tar", "far"), ("cmc", "rank"), ("dir", "far")):
        curve = [r for r in results if r.metric == metric]
        assert [r.where[key] for r in curve] == sorted(r.where[key] for r in curve)
        assert all(a.value <= b.value for a, b in itertools.pairwise(curve))
    for rank in (1, 10):
        assert (
            one(results, f"rank{rank}", "closed_set/cosine").value
            == one(results, "cmc", "closed_set/cosine", rank=rank).value
        )
    assert one(results, "dir_far1", "open_set/cosine").value == one(results, "dir", "open_set/cosine", far=0.01).value
    assert one(results, "tar", "verification/cosine", far=1.0).value == 1
    assert [r.where["rank"] for r in results if r.metric == "cmc"] == list(range(1, 41)), "no more ranks than people"


def test_the_interval_of_the_folds_is_students(make_faces: Faces) -> None:
    accuracy = one(run(make_faces()), "accuracy", "verification/cosine")
    error = float(accuracy.note.split()[1])
    reach = 2.262 * error  # t of 9 degrees of freedom
    # That of a share leans towards a half, and is at least as long.
    assert accuracy.high - accuracy.low == pytest.approx(2 * reach, rel=0.2)
    assert accuracy.value - accuracy.low > reach > 0 and accuracy.high < 1


def test_the_seed_is_all_that_decides(make_faces: Faces) -> None:
    table = make_faces()
    assert run(table, seed=1) == run(table, seed=1)
    assert run(table, seed=1) != run(table, seed=2)


def test_rows_of_other_splits_change_no_score_by_cosine(make_faces: Faces) -> None:
    table = make_faces()
    spoilt = table.features["F7"].copy()
    spoilt[table.split == "train"] = 7.0
    assert run(table) == run(replace(table, features={"F7": spoilt}))


def test_more_images_in_a_template_help(make_faces: Faces) -> None:
    table = make_faces(1.2, width=64)
    single, pooled = (one(run(table, template_images=n), "rank1", "closed_set/cosine") for n in (1, 4))
    assert pooled.value > single.high


def test_images_of_one_source_do_not_recognise_each_other(make_faces: Faces) -> None:
    table = make_faces(images=4)
    doubled = table.rows(np.repeat(np.arange(len(table)), 3))
    doubled = replace(doubled, name=None)
    assert one(run(doubled), "rank1", "closed_set/cosine").n == one(run(table), "rank1", "closed_set/cosine").n


def test_what_must_be_said_is_said(make_faces: Faces) -> None:
    table = make_faces()
    alone = table.rows(table.split == "test")
    assert "the largest values of the test rows" in run(alone, similarities=["inner_product"])[0].note
    assert "largest" not in run(table, similarities=["inner_product"])[0].note
    both = replace(table, label=np.where(table.label < 5, table.label + 20, table.label))
    assert "5 of 40 identities were trained on" in run(both)[0].note


def test_progress_is_told_each_step(make_faces: Faces) -> None:
    steps: list[str] = []
    run(make_faces(), progress=steps.append)
    assert steps == ["cosine: verification", "cosine: identification"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.rows(t.split == "train"), "no row with split='test'"),
        (lambda t: t.rows((t.split == "train") | (t.source % 5 == 0)), "verification in 10 folds needs 20 identities"),
        (lambda t: t.rows(t.label < 35), "the test split has 15, 15 with two"),
        (lambda t: replace(t, features={"F7": t.features["F7"] * np.nan}), "NaN or infinite"),
        (lambda t: replace(t, features={"F8": t.features["F7"]}), "no layer 'F7'"),
    ],
    ids=["no test", "one image each", "few people", "nan", "layer"],
)
def test_a_table_that_cannot_be_used_is_refused(make_faces: Faces, spoil: Callable, message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        run(spoil(make_faces()))


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"similarities": ["l2"]}, "similarities: there is no 'l2'"),
        ({"folds": 1}, "protocols.folds=1"),
        ({"folds": 30}, "30 folds needs 60 identities"),
    ],
)
def test_knobs_that_cannot_be(make_faces: Faces, knobs: dict, message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        run(make_faces(), **knobs)


def test_chi2_without_training_rows_is_refused(make_faces: Faces) -> None:
    table = make_faces()
    with pytest.raises(InvariantNetsError, match="learns its weights from train rows"):
        run(table.rows(table.split == "test"), similarities=["chi2"])


def test_a_bootstrap_over_pairs_instead_of_people_would_be_too_narrow(make_faces: Faces) -> None:
    result = one(run(make_faces(1.5), bootstrap=300), "auc", "verification/cosine")
    pairs_alone = math.sqrt(result.value * (1 - result.value) / (result.n / 2)) * 1.96
    assert result.high - result.low > pairs_alone
