from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.svm import LinearSVC

from invariantnets.errors import InvariantNetsError
from invariantnets.protocols.similarity import (
    KINDS,
    Similarity,
    chi2_elements,
    f7_normalise,
    fit_chi2,
    fit_l1,
    prepare,
    unit,
)
from invariantnets.protocols.templates import pool_templates

RNG = np.random.default_rng(0)
A = np.maximum(RNG.normal(size=(30, 8)), 0).astype(np.float32)
B = np.maximum(RNG.normal(size=(30, 8)), 0).astype(np.float32)
A[3] = B[4] = 0
LARGEST = np.array([2, 1, 0.5, 0.01, 0, 3, 1, 1], np.float32)
CHI2 = Similarity(-RNG.random(8).astype(np.float32), 0.5)


def test_cosine() -> None:
    assert Similarity().matrix(unit(A), unit(B)) == pytest.approx(cosine_similarity(A, B), abs=1e-6)


def test_deepface_normalisation_by_hand() -> None:
    x = np.array([[2.0, 0.5, 0.02, 0.01]])
    divided = np.array([2 / 4, 0.5 / 0.5, 0.02 / 0.05, 0.01 / 0.05])  # 0.05 stands for maxima below it
    ours = f7_normalise(x, np.array([4, 0.5, 0.04, 0.0]))
    assert ours[0] == pytest.approx(divided / np.sqrt((divided**2).sum()))
    assert f7_normalise(np.zeros((2, 4)), np.ones(4)).tolist() == [[0] * 4] * 2


def slow_chi2(a: np.ndarray, b: np.ndarray) -> float:
    terms = [w * (p - q) ** 2 / (p + q) for w, p, q in zip(CHI2.weights, a, b, strict=True) if p + q > 0]
    return sum(terms) + CHI2.intercept


@pytest.mark.parametrize("similarity", [Similarity(), CHI2], ids=["inner product", "chi2"])
def test_pairs_are_the_diagonal_of_the_matrix(similarity: Similarity) -> None:
    assert similarity.pairs(A, B) == pytest.approx(np.diag(similarity.matrix(A, B)), abs=1e-5)


def test_chi2_agrees_with_a_loop_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [[slow_chi2(a, b) for b in B] for a in A]
    assert CHI2.matrix(A, B) == pytest.approx(np.array(expected), abs=1e-5)
    monkeypatch.setattr("invariantnets.protocols.similarity._BLOCK", 7 * B.size)
    assert CHI2.matrix(A, B) == pytest.approx(np.array(expected), abs=1e-5)


def test_l1_is_a_logistic_regression_on_absolute_differences_and_agrees_in_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    left, same = rng.random((400, 6)), np.arange(400) < 200
    right = np.where(same[:, None], left + 0.1 * rng.normal(size=left.shape), rng.random(left.shape))
    learned = fit_l1(left, right, same, seed=0)
    difference = np.abs(left - right)
    scale = np.sqrt((difference**2).sum(1).mean())
    expected = LogisticRegression().fit(difference / scale, same).decision_function(difference / scale)
    assert learned.pairs(left, right) == pytest.approx(expected, abs=1e-3)
    assert ((expected > 0) == same).mean() > 0.9
    monkeypatch.setattr("invariantnets.protocols.similarity._BLOCK", 7 * right.size)
    assert np.diag(learned.matrix(left, right)) == pytest.approx(learned.pairs(left, right))


def test_weights_of_chi2_are_those_of_a_linear_svm_and_tell_a_useful_feature() -> None:
    rng = np.random.default_rng(1)
    person, noise = rng.random((600, 1)), rng.random((2, 600, 3))
    same = np.arange(600) < 300
    left = np.concatenate([person, noise[0]], 1)
    right = np.concatenate([np.where(same[:, None], person, rng.random((600, 1))), noise[1]], 1)
    learned = fit_chi2(left, right, same, seed=0)
    assert learned.weights.argmin() == 0 and learned.weights[0] < -10 * np.abs(learned.weights[1:]).max()
    elements = chi2_elements(left, right)
    svm = LinearSVC(dual=False).fit(elements / np.sqrt((elements**2).sum(1).mean()), same)
    scores = learned.pairs(left, right)
    assert np.array_equal(scores > 0, svm.predict(elements / np.sqrt((elements**2).sum(1).mean())))
    assert (same == (scores > 0)).mean() > 0.75


@pytest.mark.parametrize("kind", KINDS)
def test_scale_of_an_image_does_not_count(kind: str) -> None:
    once, twice = prepare(kind, A, LARGEST), prepare(kind, 2 * A, LARGEST)
    assert once == pytest.approx(twice, abs=1e-6) and once.dtype == np.float32


def test_refusals() -> None:
    with pytest.raises(InvariantNetsError, match="similarities: there is no 'l2'; choose from cosine, inner_product"):
        prepare("l2", A, LARGEST)
    with pytest.raises(InvariantNetsError, match="choose a layer after a ReLU"):
        prepare("chi2", A - 1, LARGEST)


def test_templates_are_means_of_unit_rows() -> None:
    identity = np.array([7, 3, 7, 3, 5])
    x = RNG.normal(size=(5, 4)) * np.array([1, 10, 100, 1, 1])[:, None]
    templates, people = pool_templates(x, identity)
    assert people.tolist() == [3, 5, 7]
    for template, person in zip(templates, people, strict=True):
        mean = np.mean([v / np.linalg.norm(v) for v in x[identity == person]], axis=0)
        assert template == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
