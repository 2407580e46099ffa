from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.svm import LinearSVC

from invariantnets.bootstrapping import ClosedForm, Pool, Svm, draw_negatives
from invariantnets.bootstrapping.svm import Negatives
from invariantnets.randomness import numpy_rng


def fit(pool: Pool, negatives: Negatives, method: Svm | ClosedForm) -> tuple[np.ndarray, np.ndarray]:
    everybody = slice(0, len(pool))
    weights, converged = method(pool.padded(everybody, "cpu"), torch.arange(len(pool)), negatives)
    return weights.numpy(), converged.numpy()


def one_against(pool: Pool, negatives: Negatives, identity: int) -> tuple[np.ndarray, np.ndarray]:
    """What scikit-learn is given: the images of one identity, and the negatives that are not its own."""
    others = negatives.x[negatives.owner != identity][:, :-1].numpy()
    own = pool.features[pool.offsets[identity] : pool.offsets[identity + 1]]
    return np.concatenate([own, others]).astype(np.float64), np.repeat([1, -1], [len(own), len(others)])


def recall(a: np.ndarray, b: np.ndarray, k: int) -> float:
    """Share of each one's ``k`` nearest by cosine that the two have in common."""
    near = []
    for normals in (a, b):
        unit = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        near.append(np.argsort(-(unit @ unit.T), 1)[:, :k])
    return float(np.mean([len(set(p) & set(q)) / k for p, q in zip(*near, strict=True)]))


@pytest.mark.parametrize("dual", [False, True])
@pytest.mark.parametrize("c", [0.1, 1.0, 100.0])
def test_svm_is_the_one_of_liblinear(pool: Pool, c: float, dual: bool) -> None:
    negatives = draw_negatives(pool, 300, numpy_rng(0))
    assert len(np.unique(negatives.owner)) > 50, "identities are among the negatives, and must not be their own"
    ours, converged = fit(pool, negatives, Svm(c, 3e-6))
    assert converged.all()
    theirs = []
    for identity in range(len(pool)):
        x, y = one_against(pool, negatives, identity)
        model = LinearSVC(C=c, dual=dual, tol=1e-6, max_iter=100_000, random_state=0).fit(x, y)
        theirs.append(np.append(model.coef_[0], model.intercept_))
    reference = np.stack(theirs)
    assert ours == pytest.approx(reference, abs=5e-3 * np.abs(reference).max())
    cosine = (ours[:, :-1] * reference[:, :-1]).sum(1)
    cosine /= np.linalg.norm(ours[:, :-1], axis=1) * np.linalg.norm(reference[:, :-1], axis=1)
    assert cosine.min() > 0.9999
    assert recall(ours[:, :-1], reference[:, :-1], 10) > 0.98


@pytest.mark.parametrize("c", [0.01, 1.0, 1000.0])
def test_the_gradient_is_zero_in_float64(pool: Pool, c: float) -> None:
    negatives = draw_negatives(pool, 200, numpy_rng(1))
    weights, converged = fit(pool, negatives, Svm(c, 1e-4))
    assert converged.all()
    for identity, w in enumerate(weights.astype(np.float64)):
        x, y = one_against(pool, negatives, identity)
        x = np.column_stack([x, np.ones(len(x))])
        gradient, start = (v - 2 * c * x.T @ (y * np.maximum(0, 1 - y * (x @ v))) for v in (w, 0 * w))
        assert np.linalg.norm(gradient) < 3e-4 * np.linalg.norm(start)


def test_identities_do_not_see_each_other(pool: Pool) -> None:
    """A model is the same alone and beside larger identities, whose padding it gets."""
    negatives = draw_negatives(pool, 200, numpy_rng(2))
    together, _ = fit(pool, negatives, Svm(tolerance=1e-5))
    for identity in (0, 17):
        block = slice(identity, identity + 1)
        alone, _ = Svm(tolerance=1e-5)(pool.padded(block, "cpu"), torch.tensor([identity]), negatives)
        assert alone[0].numpy() == pytest.approx(together[identity], abs=1e-3)


def test_too_few_steps_are_told(pool: Pool) -> None:
    _, converged = fit(pool, draw_negatives(pool, 200, numpy_rng(0)), Svm(tolerance=1e-5, max_iter=1))
    assert not converged.any()


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 1.0])
def test_closed_form_is_fishers_discriminant(pool: Pool, shrinkage: float) -> None:
    """For two classes of the same covariance; scikit-learn takes that covariance as given."""
    negatives = draw_negatives(pool, 400, numpy_rng(3))
    ours, _ = fit(pool, negatives, ClosedForm(shrinkage))
    others = negatives.x[:, :-1].double().numpy()
    covariance = np.cov(others.T, bias=True)
    sphere = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    shrunk = (1 - shrinkage) * covariance + shrinkage * sphere

    class Known:
        def fit(self, x: np.ndarray) -> Known:
            self.covariance_ = shrunk
            return self

    own = pool.features[: pool.offsets[1]].astype(np.float64)
    x, y = np.concatenate([others, own]), np.repeat([0, 1], [len(others), len(own)])
    lda = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=Known(), priors=[0.5, 0.5]).fit(x, y)
    scale = np.abs(lda.coef_).max()
    assert ours[0, :-1] == pytest.approx(lda.coef_[0], abs=1e-4 * scale)
    assert ours[0, -1] == pytest.approx(lda.intercept_[0], abs=1e-3 * scale)


def test_closed_form_is_an_approximation(pool: Pool) -> None:
    """Better than chance, and not the SVM's neighbourhood: what its documentation says."""
    negatives = draw_negatives(pool, 400, numpy_rng(0))
    svm, _ = fit(pool, negatives, Svm())
    closed, _ = fit(pool, negatives, ClosedForm())
    assert 1.5 * 10 / len(pool) < recall(svm[:, :-1], closed[:, :-1], 10) < 0.95


@pytest.mark.parametrize("c", [0.1, 1.0])
def test_coarse_rows_lead_to_the_same_solution(pool: Pool, monkeypatch: pytest.MonkeyPatch, c: float) -> None:
    negatives = draw_negatives(pool, 200, numpy_rng(4))
    found = []
    for coarse in (torch.float32, torch.bfloat16):
        monkeypatch.setattr("invariantnets.bootstrapping.svm.coarse_type", lambda device, coarse=coarse: coarse)
        weights, converged = fit(pool, negatives, Svm(c, 1e-5))
        assert converged.all()
        found.append(weights)
    assert found[1] == pytest.approx(found[0], abs=float(5e-3 * np.abs(found[0]).max()))
