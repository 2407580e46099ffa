"""Sums of kernels: an SVM on distances between pairs, and the members that they are of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.svm import SVC

from invariantnets.errors import InvariantNetsError
from invariantnets.features.io import save_table
from invariantnets.features.table import FeatureTable
from invariantnets.protocols import run_lfw, run_pairs, run_protocols, unfit
from invariantnets.protocols.kernels import by_kernels, cpd_kernel
from invariantnets.protocols.verification import Pairs, cross_validate
from invariantnets.results.result import Result

Faces = Callable[..., FeatureTable]
RNG = np.random.default_rng(0)
SAME = np.arange(80) % 2 == 0
# Of two members: distances are shorter in pairs of one person.
A, B = (np.abs(RNG.normal(size=(80, 6))) * np.where(SAME, 0.6, 1.0)[:, None] for _ in range(2))
PAIRS = Pairs(np.arange(80), np.arange(80), SAME, np.arange(80) // 8)
TRAIN = np.flatnonzero(PAIRS.fold > 1)


def slow(x: np.ndarray) -> np.ndarray:
    return np.array([[-sum((p - q) ** 2) for q in x] for p in x])


def test_the_kernel_is_minus_the_squared_distance() -> None:
    assert cpd_kernel(A) == pytest.approx(slow(A), abs=1e-12)
    far = (A + 1000).astype(np.float32)  # distances do not know where zero is
    assert cpd_kernel(far) == pytest.approx(slow(far.astype(np.float64)), abs=1e-3)


def test_what_is_added_to_the_whole_kernel_changes_nothing() -> None:
    """Conditionally positive definite: the coefficients of an SVM sum to 0, by its intercept."""
    kernel = cpd_kernel(A) / 10
    decisions = []
    for constant in (0.0, 1.0):  # libsvm holds the kernel in single precision
        moved = kernel + constant
        svm = SVC(kernel="precomputed", C=1.0, tol=1e-9).fit(moved[np.ix_(TRAIN, TRAIN)], SAME[TRAIN])
        decisions.append(svm.decision_function(moved[:, TRAIN]))
    assert decisions[0] == pytest.approx(decisions[1], abs=1e-6)


def test_scores_are_those_of_an_svm_on_the_sum_of_kernels_over_their_means() -> None:
    total = np.zeros((80, 80))
    for x in (A, B):
        kernel = slow(x)
        total += kernel / -np.mean([kernel[i, j] for i in TRAIN for j in TRAIN if i != j])
    svm = SVC(kernel="precomputed", C=1.0).fit(total[np.ix_(TRAIN, TRAIN)], SAME[TRAIN])
    scores = by_kernels([cpd_kernel(A), cpd_kernel(B)], SAME)(TRAIN)(np.arange(80))
    assert scores == pytest.approx(svm.decision_function(total[:, TRAIN]), abs=1e-9)


def test_no_member_dominates_by_its_scale_and_a_dead_one_says_nothing() -> None:
    learned = [by_kernels([cpd_kernel(A), cpd_kernel(scale * B)], SAME)(TRAIN)(PAIRS.left) for scale in (1, 1024)]
    assert learned[0] == pytest.approx(learned[1], abs=1e-9)
    alone, beside = (by_kernels(k, SAME)(TRAIN)(PAIRS.left) for k in ([cpd_kernel(A)], [cpd_kernel(A), 0 * A @ A.T]))
    assert np.array_equal(alone, beside)


def test_accuracy_is_that_of_machines_fitted_to_the_other_folds() -> None:
    learn = by_kernels([cpd_kernel(A)], SAME)
    scores, accuracy = cross_validate(PAIRS, learn, threshold=0.0)
    for fold in (0, 7):
        inside, train = np.flatnonzero(PAIRS.fold == fold), np.flatnonzero(PAIRS.fold != fold)
        assert np.array_equal(scores[inside], learn(train)(inside))
        assert accuracy[fold] == ((scores[inside] > 0) == SAME[inside]).mean()


def test_what_tells_its_training_pairs_apart_has_a_threshold_of_its_own() -> None:
    """Features that say little, and more of them than pairs: the best threshold on training pairs is worse than 0."""
    same = np.arange(300) % 3 == 0
    pairs, train = Pairs(np.arange(300), np.arange(300), same, np.arange(300) // 30), np.arange(30, 300)
    found = []
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=(300, 400)) + 0.15 * same[:, None]
        learn = by_kernels([cpd_kernel(x)], same)
        assert ((learn(train)(train) > 0) == same[train]).mean() > 0.95
        found.append([cross_validate(pairs, learn, threshold)[1].mean() for threshold in (0.0, None)])
    own, chosen = np.mean(found, 0)
    assert own > chosen


def another(table: FeatureTable, noise: float = 1.0) -> FeatureTable:
    """Of another network: other features of the same images, in another order."""
    rng = np.random.default_rng(5)
    x = np.maximum(table.features["F7"] + noise * rng.normal(size=table.features["F7"].shape), 0)
    return replace(table, features={"F7": x.astype(np.float32)}).rows(rng.permutation(len(table)))


def accuracies(results: list[Result]) -> dict[str, Result]:
    return {r.probe.partition("/")[2]: r for r in results if r.metric == "accuracy"}


def test_members_are_found_by_name(make_faces: Faces, tmp_path: Path) -> None:
    table = make_faces()
    save_table(other := another(table), tmp_path / "gradient")
    found = accuracies(run_protocols(table, "F7", members=[str(tmp_path / "gradient")], bootstrap=20))
    assert list(found) == ["cosine", "kernel of F7", "kernel of gradient", "kernel"]
    assert found["kernel"].value > found["cosine"].value - 0.05
    assert "F7, gradient" in found["kernel"].note and "standard error over 10 folds" in found["kernel"].note
    # A member by itself is what its own table gives, whatever the order of its rows.
    order = np.argsort(other.name)[np.argsort(np.argsort(table.name))]
    alone = accuracies(run_protocols(other.rows(order), "F7", similarities=["kernel"], bootstrap=20))
    assert alone["kernel"].value == found["kernel of gradient"].value
    both = replace(table, features={**table.features, "L6": other.rows(order).features["F7"]})
    layers = accuracies(run_protocols(both, "F7", members=["F7", "L6"], bootstrap=20))
    assert layers["kernel"].value == found["kernel"].value


def test_a_member_may_have_been_trained_on_others(make_faces: Faces, tmp_path: Path) -> None:
    """Their largest values are what its features are divided by; that they are no rows of the table is no fault."""
    table = make_faces()
    other = another(table)
    strange = np.where(other.split == "train", np.char.add("other/", other.name), other.name)
    found = []
    for name, member in (("same", other), ("strange", replace(other, name=strange))):
        save_table(member, tmp_path / name)
        found.append(accuracies(run_protocols(table, "F7", members=[tmp_path / name], bootstrap=20))["kernel"])
    assert found[0].value == found[1].value and "largest values of the test rows" not in found[1].note


def test_members_in_lists_of_pairs(make_faces: Faces, tmp_path: Path) -> None:
    table = make_faces(train=0)
    save_table(another(table), tmp_path / "seed2")
    lines = [f"p{who:03d} 1 2\np{who:03d} 1 p{(who + 1) % 40:03d} 3" for who in range(40)]
    (tmp_path / "pairs.txt").write_text("\n".join(lines))
    found = run_pairs(table, "F7", list=tmp_path / "pairs.txt", members=[tmp_path / "seed2"], bootstrap=20)
    assert accuracies(found)["kernel"].n == 80 and "LFW" in accuracies(found)["kernel"].note


@pytest.mark.parametrize("fault", ["names", "missing", "trained", "layers"])
def test_what_is_no_member_is_refused_before_anything_is_compared(
    make_faces: Faces, tmp_path: Path, fault: str
) -> None:
    table = make_faces()
    other = another(table)
    if fault == "names":
        other = replace(other, name=None)
    elif fault == "missing":
        other = other.rows(other.name != "p025/p025_0003")
    elif fault == "trained":
        other = replace(other, split=np.where(other.label == 25, "train", other.split))
    else:
        other = replace(other, features={"F8": other.features["F7"], "L6": other.features["F7"]})
    save_table(other, tmp_path / "other")
    words = {
        "names": "does not name its images",
        "missing": "lacks 1 of 200 images, 'p025/p025_0003'",
        "trained": "and 4 more to test on.*'train'",
        "layers": "has the layers F8, L6",
    }

    protocol = partial(run_protocols, members=[str(tmp_path / "other")])
    with pytest.raises(InvariantNetsError, match=words[fault]):
        unfit(protocol, table, "F7", 0)


def test_all_protocols_take_them() -> None:
    for protocol in (run_lfw, run_pairs, run_protocols):
        assert "members" in protocol.__kwdefaults__
