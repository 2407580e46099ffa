"""Discriminant axes: by their definition, against scikit-learn, and of people whom they were not fitted to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LinearRegression

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.protocols.rates import eer, roc
from invariantnets.release import Lda
from invariantnets.release.lda import SHRINKAGE, discriminant_axes
from invariantnets.statistics.lengths import unit

PEOPLE, IMAGES, DIMS, OWN = 60, 8, 24, 8
RNG = np.random.default_rng(0)
WHO = np.repeat(np.arange(PEOPLE), IMAGES)
PICTURE = 2 * np.random.default_rng(1).normal(size=(len(WHO), OWN))  # eight numbers of a picture, the first its yaw
PERSON = np.random.default_rng(2).normal(size=(PEOPLE, OWN))[WHO]
NOISE = np.random.default_rng(3).normal(size=(len(WHO), DIMS)) / 4
TURN = np.linalg.qr(np.random.default_rng(4).normal(size=(DIMS, DIMS)))[0]
X = ((np.concatenate([PERSON, PICTURE, np.zeros((len(WHO), OWN))], 1) + NOISE) @ TURN).astype(np.float32)
TABLE = FeatureTable(
    features={"F7": X},
    label=WHO,
    split=np.where(WHO < PEOPLE // 2, "train", "test").astype(object),
    source=np.arange(len(WHO)),
    nuisance={},
    nuisances=(),
    num_classes=PEOPLE,
)
TRAIN, TEST = TABLE.split == "train", TABLE.split == "test"


def covariances(x: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Within and between classes, row after row."""
    within, between = np.zeros((2, x.shape[1], x.shape[1]))
    for row, of in zip(x, label, strict=True):
        mean = x[label == of].mean(0)
        within += np.outer(row - mean, row - mean) / len(x)
        between += np.outer(mean - x.mean(0), mean - x.mean(0)) / len(x)
    return within, between


@pytest.mark.parametrize("shrinkage", [0.0, 0.5, 1.0])
def test_axes_are_fishers(shrinkage: float) -> None:
    """Along each the variance within is one, and between classes it falls from the first on."""
    x, label = X[TRAIN][:150].astype(np.float64), WHO[TRAIN][:150]  # the last class has fewer rows
    within, between = covariances(x, label)
    within = (1 - shrinkage) * within + shrinkage * np.trace(within) / DIMS * np.eye(DIMS)
    w = discriminant_axes(x, label, shrinkage)
    np.testing.assert_allclose(w @ within @ w.T, np.eye(DIMS), atol=1e-8)
    found = w @ between @ w.T
    np.testing.assert_allclose(found, np.diag(np.diag(found)), atol=1e-8)
    assert (np.diff(np.diag(found)) < 1e-8).all()


def test_without_shrinkage_they_are_those_of_scikit_learn() -> None:
    x, label = X[TRAIN].astype(np.float64), WHO[TRAIN]
    reference = LinearDiscriminantAnalysis(solver="eigen").fit(x, label).scalings_[:, :OWN].T
    w = discriminant_axes(x, label, 0.0)[:OWN]
    np.testing.assert_allclose(w * np.sign((w * reference).sum(1))[:, None], reference, rtol=1e-6, atol=1e-8)


def test_what_never_varies_is_no_axis() -> None:
    """Where scikit-learn shrinks both covariances, a dead feature is told from the others by nothing but that."""
    x = np.concatenate([X[TRAIN], np.zeros((TRAIN.sum(), 5))], 1).astype(np.float64)
    w = discriminant_axes(x, WHO[TRAIN], SHRINKAGE)[: DIMS - 1]
    assert np.abs(w[:, DIMS:]).max() < 1e-9
    theirs = LinearDiscriminantAnalysis(solver="eigen", shrinkage=SHRINKAGE).fit(x, WHO[TRAIN]).scalings_.T
    assert np.abs(theirs[: DIMS - 1, DIMS:]).max() > 0.5, "or theirs could be taken"


def test_strangers_are_told_apart_and_the_picture_is_not() -> None:
    x, z = unit(X), Lda(OWN, 0.0).fit(TABLE, "F7")(X)

    def strangers(features: np.ndarray) -> float:
        u = unit(features[TEST])
        same, pairs = WHO[TEST][:, None] == WHO[TEST], np.triu_indices(len(u), 1)
        return eer(*roc((u @ u.T)[pairs], same[pairs]))

    def read(features: np.ndarray) -> float:
        return LinearRegression().fit(features[TRAIN], PICTURE[TRAIN]).score(features[TEST], PICTURE[TEST])

    assert strangers(z) < 0.1 < 0.3 < strangers(x)
    assert read(z) < 0.05 < 0.8 < read(x)


def test_noise_is_as_large_as_said_where_a_class_varies_by_one() -> None:
    axes, noisy = (Lda(OWN, sigma).fit(TABLE, "F7") for sigma in (0.0, 0.7))
    noise = noisy(X) - axes(X)
    assert noise.std() == pytest.approx(0.7, rel=0.05) and abs(noise.mean()) < 0.05
    assert noisy.noise == 0.7 and noisy.how == f"{axes.how}, noise of σ 0.7"
    together, alone = noisy(X)[7], noisy(X[7:8])[0]
    np.testing.assert_allclose(alone, together, atol=1e-5)  # asked for by itself it has no other noise
    assert not np.allclose(replace(Lda(OWN), seed=1).fit(TABLE, "F7")(X), noisy(X), atol=0.1)


def test_rows_are_brought_to_length_one_before() -> None:
    longer = (X * 2.0 ** RNG.integers(-20, 20, len(X))[:, None]).astype(np.float32)  # powers of two round nothing
    fitted, other = (Lda(OWN, 0.0).fit(replace(TABLE, features={"F7": x}), "F7") for x in (X, longer))
    assert fitted(X).tobytes() == other(longer).tobytes()
    x, tensors = X[5].astype(np.float64), fitted.tensors
    np.testing.assert_allclose(fitted(X)[5], tensors["weights"] @ (x / np.linalg.norm(x) - tensors["mean"]), atol=1e-4)


def test_only_training_rows_decide() -> None:
    other = replace(
        TABLE,
        features={"F7": np.where(TRAIN[:, None], X, 99).astype(np.float32)},
        label=np.where(TRAIN, WHO, WHO[::-1]),
    )
    assert Lda(OWN, 0.0).fit(other, "F7")(X).tobytes() == Lda(OWN, 0.0).fit(TABLE, "F7")(X).tobytes()


def test_rows_without_a_direction_are_left_out() -> None:
    x = X.copy()
    x[:IMAGES] = 0
    fitted = Lda(OWN, 0.0).fit(replace(TABLE, features={"F7": x}), "F7")
    assert fitted.rows == TRAIN.sum() - IMAGES and fitted.how == "the 8 axes that tell 29 classes apart"
    assert len(np.unique(fitted(x)[:IMAGES], axis=0)) == 1 and np.isfinite(fitted(x)).all()


ONE = replace(TABLE, label=np.zeros_like(TABLE.label), num_classes=1)
SINGLES = TABLE.rows(np.arange(len(X))[IMAGES - 1 :: IMAGES])
ALIKE = replace(TABLE, features={"F7": np.ones_like(X)})


@pytest.mark.parametrize(
    ("table", "width", "said"),
    [
        (TABLE, 25, "release.width=25: 240 training rows of 'F7' in 30 classes have 24 axes"),
        (TABLE.rows(WHO < 5), 5, "release.width=5: 40 training rows of 'F7' in 5 classes have 4 axes"),
        (TABLE, 0, "release.width=0: .* give from 1 to 24"),
        (ONE, 1, "have 0 axes that tell classes apart; give from 1 to 0"),
        (ALIKE, 1, "vary in no class"),
        (SINGLES, 1, "vary in no class: .* two rows"),
        (TABLE.rows(TEST), 1, "no row with split='train'"),
    ],
)
def test_what_cannot_be_fitted_is_one_line(table: FeatureTable, width: int, said: str) -> None:
    with pytest.raises(InvariantNetsError, match=said) as error:
        Lda(width).fit(table, "F7")
    assert "\n" not in str(error.value)
