"""People by parts: equations 1 to 3 of Zhang et al. (2015) by slow loops, exact cases, and what is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from part_tables import PARTS, PEOPLE, PICTURES, WIDTH, found, frame, table_of, value
from scipy.optimize import minimize

from invariantnets.errors import InvariantNetsError
from invariantnets.protocols.part_models import Said, filled, fit_weights, hits, part_probabilities, say, swapped
from invariantnets.protocols.parts import both_halves, read_instances
from invariantnets.protocols.piper import Combiner
from programs import ROOT


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Said, np.ndarray]]:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.sparse_parts import draw

    return lambda **of: draw(np.random.default_rng(3), people=7, pictures=3, parts=5, **of)


def slowly(said: Said, whole: np.ndarray) -> np.ndarray:
    """Equations 2 and 3, as they stand."""
    instances, people, parts = said.own.shape
    out = np.empty((instances, people, parts - 1))
    for j in range(instances):
        for i in range(1, parts):
            inside = sum(whole[j, y] for y in range(people) if said.trained[j, y, i])
            for y in range(people):
                mixed = inside * said.own[j, y, i] + (1 - inside) * whole[j, y]
                out[j, y, i - 1] = mixed if said.active[j, i] else whole[j, y]
    return out


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("known", [0.3, 0.8])
def test_filling_is_that_of_the_paper(drawn, rate: float, known: float) -> None:
    said, _ = drawn(rate=rate, known=known)
    whole = said.whole()
    p = said.filled()
    np.testing.assert_allclose(p[:, :, 1:], slowly(said, whole), atol=1e-12)
    np.testing.assert_array_equal(p[:, :, 0], whole)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-12)
    uniform = said.filled(uniform=True)
    np.testing.assert_allclose(uniform[:, :, 1:], slowly(said, np.full_like(whole, 1 / 7)), atol=1e-12)
    np.testing.assert_allclose(uniform.sum(1), 1, atol=1e-12)


def test_where_nothing_fires_the_global_model_speaks(drawn) -> None:
    said, _ = drawn(rate=0.0)
    w = np.array([0.3, 2, -0.5, 0.1, 1, 0.7])
    scores = said.filled() @ w
    np.testing.assert_allclose(scores, w.sum() * said.whole(), atol=1e-12)
    np.testing.assert_array_equal(scores.argmax(1), said.whole().argmax(1))


def test_a_part_that_knows_everybody_speaks_for_itself(drawn) -> None:
    said, _ = drawn(rate=1.0)
    np.testing.assert_array_equal(said.filled()[:, :, 1:], said.own[:, :, 1:])
    one = filled(said.own[:, :, 1:2], said.active[:, 1:2], said.trained[:, :, 1:2], said.whole())
    np.testing.assert_array_equal(one[:, :, 0], said.own[:, :, 1])


def test_a_guess_among_those_that_tie() -> None:
    scores = np.array([[1, 1, 0.0], [0.2, 0.2, 0.2], [0, 1, 3], [0, 1, 3]])
    np.testing.assert_allclose(hits(scores, np.array([0, 2, 2, 1])), [1 / 2, 1 / 3, 1, 0])


@pytest.mark.parametrize("known", [0, 1, 2, 4])
def test_the_models_of_parts_of_few_people(known: int) -> None:
    rng = np.random.default_rng(0)
    person = np.repeat(np.array([4, 1, 3, 0])[:known], 3)
    x = 5.0 * np.eye(6)[person] + rng.normal(size=(len(person), 6)) if known else np.empty((0, 6))
    p, trained = part_probabilities(x, person, 5.0 * np.eye(6), 6, 1.0, 0)
    assert set(np.flatnonzero(trained)) == set(person)
    assert not p[:, ~trained].any()
    np.testing.assert_allclose(p.sum(1), float(known > 0))
    assert (p[person, person] == p[person].max(1)).all()


def test_weights_are_the_least_of_their_loss(drawn) -> None:
    """The same squared hinge over pairs, written as a loop and minimised by scipy."""
    said, truth = drawn(rate=0.5)
    p, half, c = said.filled(), np.arange(len(said.own)) % 2, 0.01
    instances, people, parts = p.shape

    def loss(w: np.ndarray) -> float:
        total = 0.5 * float(w @ w)
        for j in range(instances):
            for y in range(people):
                target = 1.0 if y == truth[j] else -1.0
                score = sum(w[i] * people * p[j, y, i] for i in range(parts)) + w[parts]
                total += c * max(0.0, 1 - target * score) ** 2
        return total

    best = minimize(loss, np.zeros(parts + 1), method="BFGS").x
    weights = fit_weights(p, truth, half, 0, cs=(c,))
    np.testing.assert_allclose(weights.w, best[:parts], atol=2e-3)
    assert weights.c == c


def test_nobody_is_spoken_of_by_a_model_that_saw_the_picture() -> None:
    """Labels of pictures that say nothing are told at chance; models that saw them would know them."""
    rng = np.random.default_rng(0)
    rows = frame()
    columns = [c for c in rows if isinstance(c, int)]
    rows[columns] = rng.normal(size=(len(rows), len(columns)))
    read, halves = both_halves(read_instances(table_of(rows), "features", "global"), ["image"], rng)
    test = read.where(read.split == "test")
    half, x = halves["image"][read.split == "test"], table_of(rows).features["features"]
    truth = np.unique(test.person, return_inverse=True)[1]
    out = hits(swapped(x, test, half, 100.0, 0).whole(), truth).mean()
    seen = hits(say(x, test, test, np.unique(test.person), 100.0, 0).whole(), truth).mean()
    assert out < 0.25 < seen
    for person in np.unique(test.person):
        assert set(half[test.person == person]) == {0, 1}


def test_one_picture_is_in_one_half_and_albums_stay_together() -> None:
    read, halves = both_halves(
        read_instances(table_of(frame()), "features", "global"), ["image", "album"], np.random.default_rng(0)
    )
    assert len(np.unique(np.stack([read.picture, read.person]), axis=1).T) == len(read)
    for person in np.unique(read.person):
        mine = read.person == person
        assert read.album is not None
        in_half = [set(read.album[mine & (halves["album"] == h)]) for h in (0, 1)]
        assert in_half[0] and in_half[1] and not in_half[0] & in_half[1]
        assert abs(np.diff(np.bincount(halves["image"][mine]))[0]) <= 1


def test_what_is_reported_is_what_was_counted() -> None:
    """Accuracy, its subsets, and the paired gain agree with each other."""
    results = found(frame(rate=0.6, album=0.6))
    for way in ("image", "album"):
        for name in ("global", "filled"):
            whole = value(results, f"{way}/{name}")
            sides = [value(results, f"{way}/{name}", part="p0", fires=fires) for fires in (0, 1)]
            assert sum(s.n for s in sides) == whole.n == PEOPLE // 2 * PICTURES
            assert np.average([s.value for s in sides], weights=[s.n for s in sides]) == pytest.approx(whole.value)
            assert whole.low < whole.value < whole.high and whole.chance == 2 / PEOPLE and len(whole.draws) == 200
        gain = value(results, f"{way}/filled", "accuracy_gain")
        less = value(results, f"{way}/filled").value - value(results, f"{way}/unfilled").value
        assert gain.value == pytest.approx(less) and gain.low < gain.value < gain.high
        silent = value(results, f"{way}/part p0", part="p0", fires=0)
        assert silent.value == pytest.approx(silent.chance)  # of a part that is silent nothing is left but a guess
        few = value(results, f"{way}/1_training_picture_a_person/filled")
        assert few.chance < few.value < value(results, f"{way}/filled").value
        weights = [r for r in results if r.metric == "part_weight" and r.probe == f"piper/{way}/filled"]
        assert sum(abs(r.value) for r in weights) == pytest.approx(1) and len(weights) == PARTS + 1
        assert (
            value(results, f"{way}/retrieval/global", "rank10").value
            > value(results, f"{way}/retrieval/global", "rank1").value
        )
    lost = value(results, "album/global", "accuracy_drop")
    assert lost.value == pytest.approx(value(results, "image/global").value - value(results, "album/global").value)
    assert lost.low > 0  # a day is in both halves by image, and that is found


def test_retrieval_by_a_slow_loop() -> None:
    from invariantnets.protocols.part_scores import PartRecorder, _by_chance

    rng = np.random.default_rng(0)
    read, _ = both_halves(read_instances(table_of(frame()), "features", "global"), ["album"], rng)
    test = read.where(read.split == "test")
    vectors = rng.normal(size=(len(test), 5)) + rng.normal(size=(PEOPLE, 5))[test.person]
    record = PartRecorder("x", 0, "album", test, test, {}, 1, ())
    mine = value(
        record.retrieval({"global": vectors, "unfilled": vectors, "filled": vectors}), "album/retrieval/global", "rank1"
    )
    right = []
    for j in range(len(test)):
        others = [i for i in range(len(test)) if test.album[i] != test.album[j]]
        nearest = min(others, key=lambda i: np.linalg.norm(vectors[i] - vectors[j]))
        right.append(test.person[nearest] == test.person[j])
    assert mine.value == pytest.approx(np.mean(right))
    draws = [rng.permutation(12)[:3].min() < 4 for _ in range(4000)]
    assert _by_chance(np.array([4]), np.array([12]), 3)[0] == pytest.approx(np.mean(draws), abs=0.03)


def test_the_order_of_the_paper_and_the_gain_by_filling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Table 2, where parts know everybody: global < parts < both, filling gains, the less the fuller they fire."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.sparse_parts import less, measure, right

    runs = [right(seed, rate=0.25, people=30, pictures=8, parts=20) for seed in range(5)]
    for better, worse in (("parts", "global"), ("filled", "parts"), ("filled", "unfilled")):
        low, _ = less(runs, better, worse).bounds
        assert low > 0, (better, worse)
    table = measure((0.4, 0.7, 1.0), seeds=5, people=24, pictures=8, parts=10)
    assert (np.diff(table["gain"]) < 0).all() and table["gain"].iloc[-1] == 0
    assert table["low"].iloc[0] > 0


def test_without_a_global_model_it_is_uniform() -> None:
    rows = frame()
    results = found(rows[rows["part"] != "global"], halves=["image"])
    assert not [r for r in results if r.probe == "piper/image/global"]
    assert value(results, "image/parts").value > value(results, "image/part p0").value > 1.5 * 2 / PEOPLE
    assert "there is no global part, and P₀ is uniform" in value(results, "image/parts").note
    assert value(results, "image/parts", "accuracy_gain").n == value(results, "image/parts").n


def test_the_same_seed_gives_the_same() -> None:
    rows = frame()
    first, again, other = (found(rows, halves=["image"], seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    shuffled = found(rows.sample(frac=1, random_state=0), halves=["image"])
    assert [r.n for r in shuffled] == [r.n for r in first]


def test_narrow_parts_may_be_filled_up_with_zeros() -> None:
    rows = frame()
    columns = [c for c in rows if isinstance(c, int)]
    wide = pd.concat([rows, pd.DataFrame(0.0, rows.index, range(WIDTH, WIDTH + 5))], axis=1)
    narrow, filled_up = (found(r, halves=["image"]) for r in (rows, wide))
    assert len(columns) == WIDTH
    np.testing.assert_allclose([r.value for r in narrow], [r.value for r in filled_up], atol=0.02)


def test_weights_may_be_negative_and_are_said(drawn) -> None:
    """A part that speaks for everybody but the right one weighs less than nothing."""
    said, truth = drawn(rate=1.0, spread=1.0)
    own = said.own.copy()
    inverse = 1 / own[:, :, 1]
    own[:, :, 1] = inverse / inverse.sum(1, keepdims=True)
    w = fit_weights(replace(said, own=own).filled(), truth, np.arange(len(own)) % 2, 0).w
    assert w[1] < 0 < w[2]
    assert Combiner.unfilled(said, read_instances(table_of(frame()), "features", "global")).shape == own.shape


def test_sets_of_parts_are_what_a_table_of_these_parts_gives() -> None:
    rows = frame(0.6)
    sets = {"all": ["global", *(f"p{k}" for k in range(PARTS))], "some": ["p1", "p2"], "with": ["global", "p3"]}
    results = found(rows, halves=["image"], shots=[], sets=sets)
    assert value(results, "image/all").value == value(results, "image/filled").value
    for name, arrangement in (("some", "parts"), ("with", "filled")):
        alone = found(rows[rows["part"].isin({*sets[name], "global"})], halves=["image"], shots=[])
        assert value(results, f"image/{name}").value == value(alone, f"image/{arrangement}").value
    weighed = [r.where["part"] for r in results if r.metric == "part_weight" and r.probe == "piper/image/some"]
    assert weighed == ["p1", "p2"]
    assert value(results, "image/some").title.startswith("some,")


def test_a_set_of_an_unknown_part_is_refused_and_one_that_never_fires_is_left_out() -> None:
    rows = frame()
    with pytest.raises(InvariantNetsError, match="protocols.sets.mine: no row is of part 'hat'; .*p0"):
        found(rows, sets={"mine": ["p0", "hat"]})
    with pytest.raises(InvariantNetsError, match="protocols.sets.filled: 'filled' is what another sum is called"):
        found(rows, sets={"filled": ["p0"]})
    silent = rows[(rows["part"] != "p0") | (rows["split"] == "val")]
    results = found(silent, halves=["image"], sets={"mine": ["p0", "p1"], "none": ["p0"]})
    assert [r.where["part"] for r in results if r.metric == "part_weight" and r.probe == "piper/image/mine"] == ["p1"]
    assert not [r for r in results if r.probe == "piper/image/none"]
