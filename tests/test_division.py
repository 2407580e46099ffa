from __future__ import annotations

import numpy as np
import pytest

from invariantnets.division import divide, held_out, read_split
from invariantnets.errors import InvariantNetsError

RNG = np.random.default_rng(0)
PERSON = RNG.permutation(np.repeat([f"p{i:02d}" for i in range(30)], RNG.integers(1, 20, 30)))


@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.3, 0.9, 1.0])
def test_each_person_keeps_an_image_and_gives_their_share(fraction: float) -> None:
    mask = held_out(PERSON, fraction, np.random.default_rng(1))
    for person in np.unique(PERSON):
        own = mask[PERSON == person]
        wanted = max(round(fraction * len(own)), fraction > 0)
        assert own.sum() == min(wanted, len(own) - 1)


def test_open_set_tests_on_other_people() -> None:
    split = divide(PERSON, "identity", 0.2, 0.1, 0)
    people = {s: set(PERSON[split == s].tolist()) for s in ("train", "val", "test")}
    assert len(people["test"]) == 6 and len(people["train"]) == 24
    assert not people["test"] & people["train"] and people["val"] <= people["train"]


def test_closed_set_tests_on_other_images() -> None:
    split = divide(PERSON, "image", 0.2, 0.1, 0)
    people = {s: set(PERSON[split == s].tolist()) for s in ("train", "val", "test")}
    assert people["train"] == set(PERSON.tolist()) and people["test"] <= people["train"] >= people["val"]


@pytest.mark.parametrize("by", ["identity", "image"])
def test_a_function_of_its_seed(by: str) -> None:
    splits = [divide(PERSON, by, 0.2, 0.1, seed) for seed in (0, 0, 1)]
    assert np.array_equal(splits[0], splits[1]) and not np.array_equal(splits[0], splits[2])
    assert (divide(PERSON, by, 1, 0.1, 0) == "test").all()
    assert "test" not in divide(PERSON, by, 0, 0.1, 0) and "val" not in divide(PERSON, by, 0.2, 0, 0)


@pytest.mark.parametrize(
    ("by", "test", "val", "message"),
    [
        ("person", 0.2, 0.1, "data.division=person: choose identity"),
        ("image", 1.2, 0.1, "data.test_fraction=1.2"),
        ("image", 0.2, 1.0, "data.val_fraction=1.0"),
    ],
)
def test_impossible_divisions_are_refused(by: str, test: float, val: float, message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        divide(PERSON, by, test, val, 0)


def test_splits_are_understood_however_they_are_spelt() -> None:
    split, understood = read_split(np.array(["Training", "valid", "TEST", "Training"]), "t")
    assert split.tolist() == ["train", "val", "test", "train"]
    assert understood == "the split 'TEST' as test, 'Training' as train, 'valid' as val"
    with pytest.raises(InvariantNetsError, match="t: split 'gallery' is unknown; use train, val, test"):
        read_split(np.array(["train", "gallery"]), "t")
