"""The decoder: what it must find, where it finds nothing, and what it refuses; pictures of every kind and size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from invariantnets import FeatureTable
from invariantnets.analysis import Decoder, Material
from invariantnets.analysis.decoding import drawing, shrunk
from invariantnets.errors import InvariantNetsError
from invariantnets.randomness import numpy_rng
from invariantnets.release import Quantise, released
from invariantnets.results.arrays import Arrays
from invariantnets.results.result import Result

LOOK = Decoder(epochs=1, width=24, reader_epochs=1)
SIDES = np.linspace(-1, 1, 6)


def bars(count: int = 240, colour: bool = False) -> tuple[FeatureTable, np.ndarray]:
    """Pictures of two classes, brighter at the top or not, in three views, brighter to a side by ``lean``.

    Four features: the class, the lean, and two of noise.
    """
    rng = numpy_rng(0)
    source = np.repeat(np.arange(count), 3)
    label, lean = source % 2, np.tile([-1.0, 0.0, 1.0], count)
    pictures = 128 + 30 * lean[:, None, None] * SIDES + 30 * (2 * label - 1)[:, None, None] * SIDES[:, None]
    pictures = np.clip(pictures + 5 * rng.normal(size=pictures.shape), 0, 255).astype(np.uint8)
    x = np.column_stack([label, lean, rng.normal(size=(len(source), 2))])
    split = np.array(["train", "train", "val", "test"])[source % 8 // 2]
    table = FeatureTable.from_arrays({"ip1": x}, label=label, split=split, source=source, lean=lean)
    return table, np.repeat(pictures[..., None], 3, 3) if colour else pictures


def look(table: FeatureTable, pictures: np.ndarray, decoder: Decoder = LOOK) -> tuple[dict[str, Result], Arrays]:
    kept: dict[str, Arrays] = {}
    found = decoder(Material(table, "ip1", pictures=lambda rows: pictures[rows], keep=kept.__setitem__))
    return {r.probe.partition("/")[2]: r for r in found if r.metric in ("r2", "variance_share")}, kept["decoder"]


def test_what_the_features_hold_is_drawn_and_read() -> None:
    table, pictures = bars()
    state = torch.random.get_rng_state()
    found, kept = look(table, pictures)
    assert torch.equal(state, torch.random.get_rng_state())
    read, back = found["from drawn pictures"], found["drawn from the features"]
    assert (
        read.value > 0.9
        and read.low is not None
        and read.low < read.value
        and read.chance == pytest.approx(0, abs=0.02)
    )
    assert abs(found["shuffled, from drawn pictures"].value) < 0.1
    assert back.value > 0.8 > found["mean picture of the true class"].value > 0.2 and back.chance == 0
    test = table.split == "test"
    assert (read.n, read.sources) == (back.n, back.sources) == (test.sum(), len(np.unique(table.source[test])))
    known = (~test).sum()
    assert read.n_fit + back.n_fit == known and "can lie above an upper bound" in read.note
    assert kept["before"].shape == kept["after"].shape == (12, 6, 6)
    assert kept["value"].tolist() == ["-1", "1"] * 6
    views = kept["after"].astype(float)
    assert (views[1::2, :, -1] > views[::2, :, -1] + 20).all()  # as the pictures lean, so do those that were drawn


@pytest.mark.slow
def test_of_features_without_it_nothing_is_read_though_the_pictures_tell_it() -> None:
    table, pictures = bars()
    x = table.features["ip1"].copy()
    x[:, 1] = 0
    found, kept = look(replace(table, features={"ip1": x}), pictures)
    assert found["from drawn pictures"].value < 0.03 and found["from the pictures themselves"].value > 0.9
    views = kept["after"].astype(float)
    assert abs(views[1::2, :, -1] - views[::2, :, -1]).mean() < 6


def test_nothing_is_read_above_what_released_codes_explain() -> None:
    table, pictures = bars()
    table = released(table, Quantise(2).fit(table, "ip1"))
    found, _ = look(table, pictures, replace(LOOK, rows=150))
    assert found["from drawn pictures"].n_fit == found["drawn from the features"].n_fit == 150
    test = table.part("test")
    _, code = np.unique(test.features["ip1"], axis=0, return_inverse=True)
    lean, code = test.nuisance["lean"], code.ravel()
    mean = np.bincount(code, lean) / np.bincount(code)
    bound = 1 - ((lean - mean[code]) ** 2).sum() / ((lean - lean.mean()) ** 2).sum()
    assert 0.5 < found["from drawn pictures"].value <= bound < 0.9


@pytest.mark.slow
def test_people_of_test_are_what_is_independent_where_nobody_knows_them() -> None:
    table, pictures = bars(colour=True)
    table = FeatureTable.from_arrays(
        {"ip1": table.features["ip1"]},
        label=np.arange(len(table)) // 12,
        split=np.repeat(["train", "val", "test"], 240),
        lean=table.nuisance["lean"],
    )
    found, kept = look(table, pictures)
    assert kept["after"].shape == (12, 6, 6, 3)
    assert found["from drawn pictures"].sources == 20 and "mean picture of the true class" not in found


def test_large_pictures_are_shrunk_to_means() -> None:
    large = np.kron(np.array([[0, 200], [100, 40]], np.uint8), np.ones((20, 20), np.uint8))[None]
    small = shrunk(large, 4)
    assert small.shape == (1, 1, 4, 4) and small.dtype == np.uint8
    np.testing.assert_array_equal(small[0, 0, ::3, ::3], [[0, 200], [100, 40]])
    assert shrunk(np.zeros((2, 30, 20, 3), np.uint8), 15).shape == (2, 3, 15, 10)


def test_no_source_is_on_both_sides_and_room_is_bounded_by_whole_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    table, _ = bars()
    material = Material(table, "ip1")
    rows = LOOK._rows(material, closed=True)
    assert not set(table.source[rows.drawn_by]) & set(table.source[rows.read_by])
    assert len(rows.drawn_by) + len(rows.read_by) == (table.split != "test").sum()
    monkeypatch.setattr("invariantnets.analysis.decoder.MOST", 36 * 200)
    fewer = LOOK._fewer(rows, 36, material, closed=True)
    assert len(fewer.read_by) == 100 and 100 <= len(fewer.test) < 103 and set(fewer.test) < set(rows.test)
    assert set(np.unique(table.source[fewer.test], return_counts=True)[1]) == {3}


def test_a_dead_feature_that_wakes_up_does_not_outweigh_all_others() -> None:
    rng = numpy_rng(2)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    x[:, 2] = 1
    pictures = rng.integers(0, 256, (200, 5)).astype(np.uint8)
    draw, again = (drawing(x, pictures, 1, 8, 0, 153) for _ in range(2))
    np.testing.assert_array_equal(draw(x), again(x))
    awake = x.copy()
    awake[:, 2] = 1e6
    np.testing.assert_array_equal(draw(x), draw(awake))


def test_what_cannot_be_drawn_is_refused_in_one_line() -> None:
    table, pictures = bars()
    with pytest.raises(InvariantNetsError, match="needs the pictures.*images=<folder>"):
        LOOK(Material(table, "ip1"))
    with pytest.raises(InvariantNetsError, match="all pictures are alike"):
        look(table, np.zeros_like(pictures))
    with pytest.raises(InvariantNetsError, match="are constant on known rows"):
        look(replace(table, features={"ip1": np.ones((len(table), 2), np.float32)}), pictures)
    with pytest.raises(InvariantNetsError, match="no nuisance can be read"):
        look(replace(table, nuisances=()), pictures)
    one = [
        table.source[(table.split == part) & (table.label == label)][0] for part in ("train", "val") for label in (0, 1)
    ]
    few = table.rows((table.split == "test") | np.isin(table.source, one[:3]))
    with pytest.raises(InvariantNetsError, match="probes need|half of the known rows train the decoder"):
        look(few, pictures)
