"""Glyphs: which characters are classes, and how they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from invariantnets.data.glyph_classes import (
    ALIKE,
    ITSELF,
    SAME,
    alike,
    candidates,
    characters,
    cuts,
    distinct,
    fonts_of,
    in_order,
    picture,
)
from invariantnets.data.glyphs import draw
from invariantnets.data.perturbation import rotate
from invariantnets.data.sources import Images, glyphs
from invariantnets.errors import InvariantNetsError
from invariantnets.probes.mav import classify, mean_activation_vectors

# Other versions of the fonts and of what draws them may move a correlation a little.
NEARLY = 0.02


def seen(character: str) -> np.ndarray:
    found = picture(character, fonts_of(character)[0])
    assert found is not None
    return found


def test_each_class_is_one_character_that_some_font_has() -> None:
    known = characters()
    assert len(known) == len(set(known)) == 1206
    assert all(fonts_of(character) for character in known)
    assert set(known) <= set(candidates())


def test_no_class_is_another_or_itself_turned() -> None:
    between, itself = alike(np.stack([seen(character) for character in characters()[:150]]))
    assert between.max() <= ALIKE + NEARLY and itself.max() <= ITSELF + NEARLY
    assert between.max() > 0.7 and not between.diagonal().any()  # the rule is no wider than it must be


@pytest.mark.slow
def test_the_list_is_what_the_rule_makes_of_the_fonts() -> None:
    found, known = in_order(distinct(list(candidates()))), characters()
    assert len(set(found) ^ set(known)) <= 0.02 * len(known)


@pytest.mark.parametrize(
    ("some", "kept"),
    [
        ("AΑА", "A"),  # Latin, Greek, Cyrillic
        ("Eᗺ", "E"),  # no font has the second
        ("o+∘", ""),  # themselves, turned
        ("∨<>∧", "∨∧"),  # a quarter turn apart; the last half a turn from the first, which no two angles are
        ("4R", "4R"),
        ("", ""),
    ],
)
def test_of_look_alikes_the_first_is_kept(some: str, kept: str) -> None:
    assert "".join(distinct(some)) == kept


def test_likeness_is_the_same_both_ways_and_sees_a_turn() -> None:
    upright = np.stack([seen(character) for character in "FR4"])
    turned = np.stack([upright[0], np.rot90(upright[0]), np.rot90(upright[0], 2)])
    between, _ = alike(np.concatenate([upright, turned]))
    assert np.array_equal(between, between.T)
    assert between[0, 3] > 0.99 and between[0, 4] > 0.95  # as it is; by a quarter
    assert between[0, 5] < ALIKE  # by half a turn: of angles of 45° no two lie so far apart


def test_accents_circles_and_small_letters_above_are_no_candidates() -> None:
    every = set(candidates())
    assert every.isdisjoint("éЙ①⒜ªʰ─●.,") and every.issuperset("eЖ7∑€")


def test_a_font_of_another_shape_is_left_out() -> None:
    assert 0 < len(cuts("ѣ")) < len(fonts_of("ѣ"))  # in italics it is another letter
    assert len(cuts("E")) == len(fonts_of("E"))
    assert np.array_equal(cuts("ѣ")[0], seen("ѣ"))
    assert 0 < SAME < ALIKE


def test_what_a_font_has_nothing_of_is_no_picture() -> None:
    assert picture(" ", "DejaVuSans") is None
    assert seen("A").shape == (56, 56) and seen("A").dtype == np.uint8


@pytest.fixture(scope="module")
def some() -> Images:
    return glyphs(classes=12, images=480)


def test_images_are_those_of_mnist_in_kind(some: Images) -> None:
    assert some.image.shape == (480, 1, 28, 28) and some.image.dtype == torch.uint8
    assert some.label.dtype == torch.int64 and some.label.tolist() == sorted(some.label.tolist())
    for number in range(12):
        of = some.split[(some.label == number).numpy()]
        assert {part: int((of == part).sum()) for part in ("train", "val", "test")} == {
            "train": 28, "val": 4, "test": 8,
        }  # fmt: skip
    assert (some.image.amax((1, 2, 3)) > 128).all()
    share = (some.image > 127).float().mean((1, 2, 3))
    assert (share > 0.01).all() and share.mean() < 0.3
    assert len({bytes(image) for image in some.image.numpy()}) == 480


def test_no_stroke_is_cut_off_when_it_is_turned(some: Images) -> None:
    light = some.image.float().sum()
    for degrees in (-45, 45):
        assert rotate(some.image, degrees).float().sum() / light == pytest.approx(1, abs=0.01)


def test_the_same_each_time_and_another_of_another_seed(some: Images) -> None:
    assert glyphs(classes=12, images=480).checksum() == some.checksum()
    other = glyphs(classes=12, images=480, draw_seed=1)
    assert not any(torch.equal(a, b) for a, b in zip(other.image, some.image, strict=True))


def test_fewer_classes_and_images_are_among_more(some: Images) -> None:
    few = glyphs(classes=5, images=104)  # twenty of each, and four that cannot be shared out
    every = some.image.reshape(12, 40, 1, 28, 28)
    assert torch.equal(few.image.reshape(5, 20, 1, 28, 28), every[:5, :20])
    assert np.array_equal(few.split.reshape(5, 20), some.split.reshape(12, 40)[:5, :20])
    later = glyphs(classes=3, images=120, first=9)
    assert torch.equal(later.image.reshape(3, 40, 1, 28, 28), every[9:]) and later.label.max() == 2


def test_blocks_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw("R", 3, 20, 0)
    monkeypatch.setattr("invariantnets.data.glyphs._BLOCK", 7)
    assert torch.equal(draw("R", 3, 20, 0), whole)


def test_a_class_can_be_told_by_what_it_looks_like(some: Images) -> None:
    x, label = some.image.flatten(1).double().numpy(), some.label.numpy()
    test = some.split == "test"
    told = classify(x[test], mean_activation_vectors(x[~test], label[~test], 12)) == label[test]
    assert told.mean() > 0.8


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"classes": 1207, "images": 20_000}, "there are 1,206 classes of glyphs; give 1,206 at most"),
        ({"classes": 7, "images": 700, "first": 1200}, "data.source.first=1200 on: .* give 6 at most"),
        ({"classes": 1, "images": 100, "first": 1206}, "data.source.first=1206: there are 1,206 classes of glyphs"),
        ({"classes": 100, "images": 999}, "999 of 100 classes are 9 of each: give 10 of each at least, 1,000 in all"),
        ({"classes": 1, "images": 10**14}, "of memory"),
    ],
)
def test_what_there_is_not_is_refused(given: dict[str, int], message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        glyphs(**given)
