"""The fresh adversary, where what there is to find is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from invariantnets import FeatureTable
from invariantnets.analysis import Adversary, Material
from invariantnets.errors import InvariantNetsError
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result

ANGLES = np.array([-45.0, -22.5, 0.0, 22.5, 45.0])
SPLIT = np.repeat(["train", "val", "test"], [2000, 400, 600])


def table(strength: float = 3.0, kind: Any = "categorical", **columns: Any) -> FeatureTable:
    """An angle that is written into the sign of two features: no line reads it, a network does."""
    rng = numpy_rng(0)
    code = rng.integers(5, size=len(SPLIT))
    x = rng.normal(size=(len(SPLIT), 8))
    sign = rng.choice([-1, 1], size=len(SPLIT))
    x[:, 0] = sign * (1 + strength * code) + 0.3 * rng.normal(size=len(SPLIT))
    label = rng.integers(4, size=len(SPLIT))
    return FeatureTable.from_arrays(
        1000 + 0.01 * x,  # standardised, neither matters
        label=label, split=SPLIT, kinds={"angle": kind}, angle=ANGLES[code], **columns,
    )  # fmt: skip


def named(of: FeatureTable, **changes: Any) -> list[Result]:
    return Adversary(**{"epochs": 12, "batch_size": 100, "lr": 1e-2, "standardise": True, **changes})(
        Material(of, "features")
    )


def test_it_names_what_is_there_and_no_shuffled_value() -> None:
    last, chosen, shuffled = named(table())
    assert [r.probe for r in (last, chosen, shuffled)] == [f"adversary/{w}" for w in ("last", "chosen", "shuffled")]
    assert (last.metric, last.target, last.n, last.sources, last.n_fit) == ("accuracy", "angle", 600, 600, 2000)
    assert last.value > 0.9 and last.low < last.value < last.high and last.chosen == {"epoch": 12}
    assert chosen.value > 0.9 and 1 <= chosen.chosen["epoch"] <= 12 and chosen.validation >= last.validation > 0.85
    assert 0.12 < last.control < 0.28 and chosen.control is None
    assert shuffled.value == last.control and shuffled.low < 0.2 < shuffled.high
    of = table()
    code = of.nuisance["angle"]
    most = np.bincount(code[SPLIT == "train"].astype(int)).argmax()
    assert last.chance == np.mean(code[SPLIT == "test"] == most)


def test_of_nothing_it_finds_nothing() -> None:
    last, chosen, _ = named(table(strength=0.0))
    assert last.low - 0.02 < 0.2 < last.high + 0.02 and chosen.low - 0.02 < 0.2 < chosen.high + 0.02


def test_numbers_of_few_values_are_named_as_categories_are() -> None:
    for kind in ("continuous", "circular"):
        assert [r.value for r in named(table(kind=kind), epochs=4)] == [r.value for r in named(table(), epochs=4)]


def test_the_choice_is_made_on_val_and_the_test_rows_choose_nothing() -> None:
    of = table()
    last, chosen, _ = named(of)
    wrong = {**of.nuisance, "angle": np.where(SPLIT == "test", (of.nuisance["angle"] + 1) % 5, of.nuisance["angle"])}
    other_last, other_chosen, _ = named(FeatureTable(**{**vars(of), "nuisance": wrong}))
    assert other_chosen.chosen == chosen.chosen and other_chosen.validation == chosen.validation
    assert other_last.value < 0.1 < 0.9 < last.value


def test_it_is_a_function_of_the_seed_and_leaves_torch_as_it_was() -> None:
    state = torch.get_rng_state()
    one, two = named(table(), epochs=2), named(table(), epochs=2)
    assert one == two and torch.equal(torch.get_rng_state(), state)
    other = Adversary(epochs=2, batch_size=100)(Material(table(), "features", seed=1))
    assert [r.value for r in other] != [r.value for r in one]


def test_standardising_undoes_scale_and_place() -> None:
    assert named(table(), standardise=False)[0].value < named(table())[0].value  # at 1000, float32 has few digits left


def test_a_constant_feature_changes_nothing() -> None:
    of = table()
    wider = np.insert(of.features["features"], 3, 7.0, axis=1)
    assert named(FeatureTable(**{**vars(of), "features": {"features": wider}}), epochs=2) == named(of, epochs=2)
    flat = {"features": np.ones((len(SPLIT), 3), np.float32)}
    with pytest.raises(InvariantNetsError, match="layer 'features': all 3 features are constant on split 'train'"):
        named(FeatureTable(**{**vars(of), "features": flat}))


def test_people_never_seen_are_what_intervals_resample() -> None:
    rng = numpy_rng(1)
    who = np.where(SPLIT == "test", 100 + rng.integers(30, size=len(SPLIT)), rng.integers(40, size=len(SPLIT)))
    of = table()
    x = of.features["features"]
    columns = {"angle": of.nuisance["angle"], "hat": 1.0 * (who % 2)}
    people = FeatureTable.from_arrays(x, label=who, split=SPLIT, kinds={"angle": "categorical"}, **columns)
    (hat,) = (n for n in people.nuisances if n.name == "hat")
    found = named(people, epochs=3)
    assert [r.target for r in found] == ["angle"] * 3 + ["hat"] * 3 and hat.fixed
    assert {r.sources for r in found} == {30} and "intervals over people" in found[0].note


def test_values_that_train_lacks_are_wrong_and_said() -> None:
    of = table(kind="continuous")
    test = np.flatnonzero(SPLIT == "test")
    new = {**of.nuisance, "angle": of.nuisance["angle"].copy()}
    new["angle"][test[:150]] = 55.0
    last, *_ = named(FeatureTable(**{**vars(of), "nuisance": new}))
    assert 0.65 < last.value <= 0.75 and "150 test rows of angle have values that train lacks" in last.note


def test_what_cannot_be_named_is_said_and_the_rest_is_named() -> None:
    rng = numpy_rng(2)
    light, rare = rng.normal(size=len(SPLIT)), np.where(SPLIT == "test", 3.0, rng.integers(2, size=len(SPLIT)))
    half = np.where(rng.random(len(SPLIT)) < 0.5, rng.integers(3, size=len(SPLIT)), np.nan)
    flat = np.where(SPLIT == "train", 1.0, rng.integers(3, size=len(SPLIT)))
    found = named(table(light=light, rare=rare, half=half, flat=flat), epochs=2)
    assert [r.target for r in found] == ["angle"] * 3 + ["half"] * 3
    assert found[3].n == np.isfinite(half[SPLIT == "test"]).sum() and found[3].n_fit < 1100
    for said in (
        "'light' is not named: it has 2,000 values in split 'train', and 20 at most can be named",
        "'rare' is not named: no value that it has in split 'test' is among the 2 of train",
        "'flat' is not named: it has one value only (1) in split 'train'",
    ):
        assert said in found[0].note
    with pytest.raises(InvariantNetsError, match=r"names the nuisance: 'light' is not named: it has 2,000 values"):
        named(table(light=light), nuisance="light")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nuisance": "angel"}, r"analysis\.adversary\.nuisance=angel: no such nuisance in the table \(it has angle\)"),
        ({"hidden": 0}, r"analysis\.adversary\.hidden=0: give 1 or more"),
        ({"epochs": 0}, r"analysis\.adversary\.epochs=0: give 1 or more"),
        ({"batch_size": 1}, r"analysis\.adversary\.batch_size=1: give 2 or more"),
        ({"lr": 0.0}, r"analysis\.adversary\.lr=0\.0: give a number above 0"),
    ],
)
def test_what_cannot_be_is_said(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        named(table(), **changes)


def test_it_needs_rows_of_every_split() -> None:
    of = table()
    with pytest.raises(InvariantNetsError, match="no row with split='val'"):
        named(of.rows(SPLIT != "val"))
