"""Principal components and triplet embeddings: against slow references, and of people whom neither was fitted to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.decomposition import PCA

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.protocols.rates import eer, roc
from invariantnets.release import Pca, Triplet
from invariantnets.release.triplet import draw_pairs, hardest, triplet_loss
from invariantnets.statistics.lengths import unit

PEOPLE, IMAGES, DIMS, OWN = 60, 8, 24, 8
RNG = np.random.default_rng(0)


def make_table() -> FeatureTable:
    """Eight numbers of a person and, twice as wide, eight of the picture; half of the people are of test."""
    who = np.repeat(np.arange(PEOPLE), IMAGES)
    x = np.random.default_rng(1).normal(size=(len(who), DIMS)) / 4
    x[:, :OWN] += np.random.default_rng(2).normal(size=(PEOPLE, OWN))[who]
    x[:, OWN : 2 * OWN] *= 8
    x = x @ np.linalg.qr(np.random.default_rng(3).normal(size=(DIMS, DIMS)))[0]
    return FeatureTable(
        features={"F7": x.astype(np.float32)},
        label=who,
        split=np.where(who < PEOPLE // 2, "train", "test").astype(object),
        source=np.arange(len(who)),
        nuisance={"yaw": x[:, 0]},
        nuisances=(Nuisance("yaw"),),
        num_classes=PEOPLE,
    )


TABLE = make_table()
TRAIN = TABLE.split == "train"
X = TABLE.features["F7"]
FEW = Triplet(width=OWN, steps=20, batch=8)
RELEASES = {"pca": Pca(OWN), "triplet": FEW}


def slow_loss(weights: np.ndarray, v: np.ndarray, label: np.ndarray) -> tuple[float, np.ndarray]:
    """Triplet after triplet, by p itself and its derivative -(1 - p) W (v_i dᵀ + d v_iᵀ), d being v_j - v_k."""
    total, gradient = 0.0, np.zeros_like(weights)
    for i in range(len(v)):
        j = i + 1 if i % 2 == 0 else i - 1
        s = [weights @ v[i] @ (weights @ other) for other in v]
        k = max((row for row in range(len(v)) if label[row] != label[i]), key=lambda row: s[row])
        p = np.exp(s[j]) / (np.exp(s[j]) + np.exp(s[k]))
        d = v[j] - v[k]
        total -= np.log(p)
        gradient -= (1 - p) * weights @ (np.outer(v[i], d) + np.outer(d, v[i]))
    return total / len(v), gradient / len(v)


@pytest.mark.parametrize("size", [0.1, 1.0, 5.0])
def test_the_loss_and_its_gradient_are_the_formulas(size: float) -> None:
    v, label = unit(RNG.normal(size=(12, 6))), np.repeat([4, 1, 0, 1, 3, 2], 2)
    weights = size * RNG.normal(size=(3, 6))
    loss, gradient = triplet_loss(weights, v, label)
    slow = slow_loss(weights, v, label)
    assert loss == pytest.approx(slow[0])
    np.testing.assert_allclose(gradient, slow[1], atol=1e-12)
    differences = approx_fprime(weights.ravel(), lambda w: triplet_loss(w.reshape(3, 6), v, label)[0], 1e-7)
    np.testing.assert_allclose(gradient.ravel(), differences, atol=1e-5 * size)


def test_an_embedding_of_nothing_loses_log_2() -> None:
    loss, gradient = triplet_loss(np.zeros((3, 6)), unit(RNG.normal(size=(8, 6))), np.repeat(np.arange(4), 2))
    assert loss == pytest.approx(np.log(2)) and not gradient.any()


def test_similarities_in_the_hundreds_are_numbers() -> None:
    loss, gradient = triplet_loss(100 * np.eye(2), np.eye(2)[[0, 1, 0, 1]], np.array([0, 0, 1, 1]))
    assert loss == pytest.approx(1e4) and np.isfinite(gradient).all()


def test_the_negative_is_the_hardest_of_the_others() -> None:
    similarity, label = RNG.normal(size=(30, 30)), RNG.integers(4, size=30)
    for row, found in enumerate(hardest(similarity, label)):
        others = [k for k in range(30) if label[k] != label[row]]
        assert found in others and similarity[row, found] == max(similarity[row, k] for k in others)


def test_pairs_are_two_rows_of_each_class_in_turn() -> None:
    size = np.array([2, 5, 3])
    of = np.repeat(np.arange(3), size)
    drawn = np.stack([draw_pairs(size, 6, np.random.default_rng(seed)).reshape(6, 2) for seed in range(200)])
    assert (drawn[..., 0] != drawn[..., 1]).all() and (of[drawn[..., 0]] == of[drawn[..., 1]]).all()
    assert (np.sort(of[drawn[:, :3, 0]], axis=1) == np.arange(3)).all()
    assert {tuple(pair) for pair in drawn.reshape(-1, 2)} == {
        (a, b) for a in range(10) for b in range(10) if a != b and of[a] == of[b]
    }


def test_components_are_those_of_scikit_learn() -> None:
    found = Pca(OWN).fit(TABLE, "F7")(X)
    reference = PCA(OWN).fit(unit(X[TRAIN])).components_
    np.testing.assert_allclose(np.abs(found), np.abs(unit(X) @ reference.T), atol=1e-5)
    start = replace(FEW, steps=0).fit(TABLE, "F7")
    np.testing.assert_allclose(start(X), found, atol=1e-6)


def strangers(x: np.ndarray) -> float:
    """The equal error rate by cosine of all pairs of test."""
    x, who = unit(x[~TRAIN]), TABLE.label[~TRAIN]
    a, b = np.triu_indices(len(x), 1)
    return eer(*roc((x @ x.T)[a, b], who[a] == who[b]))


def test_strangers_are_told_apart_better_than_by_as_many_components() -> None:
    learned = Triplet(OWN, steps=300, batch=16).fit(TABLE, "F7")
    errors = [strangers(x) for x in (X, Pca(OWN).fit(TABLE, "F7")(X), learned(X))]
    assert errors[2] < 0.05 < 0.3 < min(errors[:2])
    weights = learned.tensors["weights"]
    assert np.abs(weights @ weights.T - np.eye(OWN)).max() > 1  # it is free to grow
    first, last = map(float, learned.how.split("loss ")[1].split(" to "))
    assert last < first - 0.1


@pytest.mark.parametrize("name", RELEASES)
def test_rows_are_brought_to_length_one_before(name: str) -> None:
    size = 2.0 ** RNG.integers(-20, 20, len(X))[:, None]  # powers of two round nothing
    longer = (X * size).astype(np.float32)
    fitted, other = (RELEASES[name].fit(replace(TABLE, features={"F7": x}), "F7") for x in (X, longer))
    np.testing.assert_array_equal(fitted.tensors["weights"], other.tensors["weights"])
    assert fitted(X).tobytes() == other(longer).tobytes()
    x, w = X[5].astype(np.float64), fitted.tensors["weights"]
    np.testing.assert_allclose(fitted(X)[5], w @ (x / np.sqrt((x**2).sum())), atol=1e-5)


@pytest.mark.parametrize("name", RELEASES)
def test_only_training_rows_and_the_seed_decide(name: str) -> None:
    def changed(values: np.ndarray, to: np.ndarray | float) -> np.ndarray:
        keep = TRAIN.reshape(-1, *[1] * (values.ndim - 1))
        return np.where(keep, values, to).astype(values.dtype)

    first = RELEASES[name].fit(TABLE, "F7")
    elsewhere = replace(
        TABLE,
        features={"F7": changed(X, 99)},
        label=changed(TABLE.label, TABLE.label[::-1]),
        nuisance={"yaw": np.zeros(len(X))},
    )
    assert RELEASES[name].fit(elsewhere, "F7")(X).tobytes() == first(X).tobytes()
    other = replace(RELEASES[name], seed=1).fit(TABLE, "F7")
    assert (other(X).tobytes() == first(X).tobytes()) == (name == "pca")  # it draws nothing of so few rows


@pytest.mark.parametrize("name", RELEASES)
def test_rows_without_a_direction_and_people_of_one_row(name: str) -> None:
    """They are left out, of pairs alone in the second case, and others learned from."""
    x = X.copy()
    x[:IMAGES] = 0
    fitted = RELEASES[name].fit(replace(TABLE, features={"F7": x}), "F7")
    without = RELEASES[name].fit(TABLE.rows(np.arange(IMAGES, len(X))), "F7")
    assert fitted.rows == without.rows == TRAIN.sum() - IMAGES
    np.testing.assert_array_equal(fitted(x), without(x))
    assert not fitted(x)[:IMAGES].any()
    once = RELEASES[name].fit(TABLE.rows(np.arange(IMAGES - 1, len(X))), "F7")
    assert once.rows == without.rows + 1 and np.isfinite(once(X)).all()


ONE = replace(TABLE, label=np.zeros_like(TABLE.label), num_classes=1)
ALIKE = replace(TABLE, features={"F7": np.ones_like(X)})
NOTHING = replace(TABLE, features={"F7": np.zeros_like(X)})
SINGLES = TABLE.rows(np.arange(len(X))[IMAGES - 2 :: IMAGES])


@pytest.mark.parametrize("name", RELEASES)
@pytest.mark.parametrize(
    ("table", "width", "said"),
    [
        (TABLE, 25, "release.width=25: 240 training rows of 'F7', at length one, vary in 24 directions"),
        (TABLE, 0, "release.width=0: 240 training rows"),
        (TABLE.rows(np.arange(6)), 6, "release.width=6: 6 training rows of 'F7', at length one, vary in 5 directions"),
        (ALIKE, 1, "vary in 0 directions"),
        (NOTHING, 1, "release.width=1: 0 training rows of 'F7', at length one, vary in 0 directions"),
        (TABLE.rows(~TRAIN), 1, "no row with split='train'"),
    ],
)
def test_widths_that_cannot_be_are_one_line(name: str, table: FeatureTable, width: int, said: str) -> None:
    with pytest.raises(InvariantNetsError, match=said) as error:
        replace(RELEASES[name], width=width).fit(table, "F7")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("release", "table", "said"),
    [
        (FEW, ONE, "two classes at least, of two training rows each; there are 1 of 'F7'; release=pca needs none"),
        (FEW, SINGLES, "there are 0 of 'F7'"),
        (replace(FEW, batch=1), TABLE, "release.batch=1: give 2 at least"),
        (replace(FEW, steps=-1), TABLE, "release.steps=-1: give 0 at least"),
        (replace(FEW, lr=1e30), TABLE, r"release.lr=1e\+30: the loss grew beyond numbers in \d+ steps; give less"),
    ],
)
def test_what_cannot_be_learned_is_one_line(release: Triplet, table: FeatureTable, said: str) -> None:
    with pytest.raises(InvariantNetsError, match=said) as error:
        release.fit(table, "F7")
    assert "\n" not in str(error.value)
