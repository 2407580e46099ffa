"""Signs of changes by hand, places that touch no part, and what is found where the truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from invariantnets import FeatureTable
from invariantnets.analysis import Material
from invariantnets.backbones import lenet
from invariantnets.data import RotatedImages, SyntheticFaces, renderer
from invariantnets.data.sources import digits
from invariantnets.errors import InvariantNetsError
from invariantnets.inspection import Correspondence
from invariantnets.inspection.correspondence import MIXED, ONE_PLACE, RANDOM
from invariantnets.inspection.places import free_places, hide, parts_of, read_parts, squares
from invariantnets.inspection.sign_pairs import Sums, compared, intervals, signs
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.subjects import from_backbone


def ratio(planes: np.ndarray, over: Sums, under: Sums) -> float:
    return float(planes[over].sum() / planes[under].sum())


def test_identical_changes_differ_nowhere_and_random_ones_by_half() -> None:
    rng = numpy_rng(0)
    same = torch.from_numpy(np.tile(rng.choice([-1, 0, 1], 500), (20, 1)).astype(np.int8))
    assert ratio(compared(same), Sums.DIFFER, Sums.PAIRS) == pytest.approx(0, abs=1e-12)
    m, width = 20, 4000
    planes = compared(torch.from_numpy(rng.choice([-1, 1], (m, width)).astype(np.int8)))
    error = 0.5 / np.sqrt(width * m * (m - 1) / 2)  # pairs of independent signs are uncorrelated
    for over, under in ((Sums.DIFFER, Sums.PAIRS), (Sums.OPPOSITE, Sums.BOTH), (Sums.CHANCE_DIFFER, Sums.PAIRS)):
        assert ratio(planes, over, under) == pytest.approx(0.5, abs=3 * error)


def test_zeros_are_a_sign_of_their_own() -> None:
    sign = torch.tensor([[0, 0, 1, 1, -1], [0, 1, 1, -1, 0], [0, 0, 0, 0, 0]], dtype=torch.int8)
    planes = compared(sign)
    assert planes[Sums.DIFFER][0, 1] == pytest.approx(3 / 5) and planes[Sums.DIFFER][0, 2] == pytest.approx(3 / 5)
    assert planes[Sums.OPPOSITE][0, 1] == pytest.approx(1 / 5) and planes[Sums.BOTH][0, 1] == pytest.approx(2 / 5)
    assert planes[Sums.BOTH][0, 2] == 0 and np.all(planes[:, range(3), range(3)] == 0)
    # Shuffled over the numbers: 1 − (2/5·2/5 + 1/5·1/5 + 2/5·2/5).
    assert planes[Sums.CHANCE_DIFFER][0, 1] == pytest.approx(1 - 9 / 25 + 0.0)
    assert np.array_equal(compared(sign, np.array([0, 0, 1]))[Sums.PAIRS], [[0, 0, 1], [0, 0, 1], [1, 1, 0]])


def test_chance_is_what_shuffled_signs_have() -> None:
    rng = numpy_rng(1)
    sign = rng.choice([-1, 0, 1], (12, 6000), p=[0.1, 0.6, 0.3]).astype(np.int8)
    sign[:, :3000] = sign[0, :3000]  # half of them are alike
    planes, shuffled = (compared(torch.from_numpy(s)) for s in (sign, rng.permuted(sign, axis=1)))
    for chance, real, under, chance_under in (
        (Sums.CHANCE_DIFFER, Sums.DIFFER, Sums.PAIRS, Sums.PAIRS),
        (Sums.CHANCE_OPPOSITE, Sums.OPPOSITE, Sums.BOTH, Sums.CHANCE_BOTH),
    ):
        assert ratio(planes, chance, chance_under) == pytest.approx(ratio(shuffled, real, under), abs=0.01)
        assert ratio(planes, real, under) < 0.75 * ratio(planes, chance, chance_under)


def test_rounding_is_no_change() -> None:
    before = torch.tensor([[100.0, 1.0, -3.0]])
    assert signs(before, before + torch.tensor([[1e-5, 0.5, -1e-3]])).tolist() == [[0, -1, 1]]


def test_the_interval_is_the_jackknife_of_pairs() -> None:
    rng = numpy_rng(2)
    planes = compared(torch.from_numpy(rng.choice([-1, 0, 1], (9, 50)).astype(np.int8)))
    pair = planes[Sums.DIFFER], planes[Sums.PAIRS]
    lower = 0.5 * planes[Sums.DIFFER], planes[Sums.PAIRS]
    (value, low, high), _, (gap, gap_low, gap_high) = intervals([pair, lower], np.arange(9), [(0, 1)])
    left = [np.delete(np.delete(pair[0], i, 0), i, 1).sum() / 56 for i in range(9)]
    error = np.sqrt(8 / 9 * np.sum((left - np.mean(left)) ** 2))
    assert value == pytest.approx(pair[0].sum() / 72) and gap == pytest.approx(value / 2)
    assert low < value < high and 2 * 2 < (high - low) / error < 2 * 4
    # Student's t of 8 degrees of freedom, or of the fewer that nine pictures of unequal say are worth.
    assert 2.306 <= (gap_high - gap_low) / error <= 3.182


def test_a_square_of_the_mean_colour_and_nothing_else() -> None:
    pictures = torch.randint(0, 256, (2, 3, 10, 12), dtype=torch.uint8)
    hidden = hide(pictures, np.array([[0, 0], [9, 4]]), 3)
    changed = torch.zeros(2, 10, 12, dtype=torch.bool)
    changed[0, :3, :3] = changed[1, 4:7, 9:12] = True
    mean = pictures.float().mean((2, 3)).round().to(torch.uint8)
    assert torch.equal(hidden[0, :, 0, 2], mean[0]) and torch.equal(hidden[1, :, 6, 11], mean[1])
    assert torch.equal(hidden[~changed[:, None].expand_as(hidden)], pictures[~changed[:, None].expand_as(hidden)])
    assert squares(np.array([[0.0, 0.0], [11.0, 9.0], [5.0, 5.0]]), 3, 10, 12).tolist() == [[0, 0], [9, 7], [4, 4]]


def test_free_places_touch_no_part() -> None:
    rng = numpy_rng(3)
    parts = squares(rng.normal(16, 2, (8, 2, 2)), 5, 40, 40)
    own, same = free_places(parts, 5, 40, 40, 8, 30, rng)
    assert own is not None and same is not None and own.shape == same.shape == (30, 8, 2)
    for places in (own, same):
        assert (np.abs(places[:, :, None] - parts).max(-1) >= 5).all()
    assert (same == same[:, :1]).all() and len(np.unique(own.reshape(-1, 2), axis=0)) > 50
    assert free_places(squares(rng.normal(4, 1, (3, 1, 2)), 5, 9, 9), 5, 9, 9, 8, 2, rng) == (None, None)


def test_landmarks_of_the_renderer_are_those_of_its_pictures() -> None:
    data = SyntheticFaces(2, [3, 32, 32], 2, 1, 3, 2, device="cpu")
    image = torch.tensor([4, 1])
    rows = data.rows["test"]
    nuisance = {name: values[image] for name, values in data.nuisance["test"].items()}
    drawn = renderer.render(renderer.identity(0, rows.number[image]), nuisance, 32)
    assert torch.equal(drawn.image, data.bank("test").pixels(image, torch.zeros(2, dtype=torch.int64)))
    points = data.landmarks("test", image)
    assert np.allclose(points, drawn.landmarks.numpy()) and points.shape == (2, 68, 2)
    assert data.landmarks("test", image[:0]).shape == (0, 68, 2)
    straight = SyntheticFaces(2, [3, 64, 64], 2, 1, 2, 2, ranges={"yaw": 0, "roll": 0}, device="cpu")
    names, middle = parts_of(straight.landmarks("test", torch.arange(4)))
    at = dict(zip(names, middle.transpose(1, 0, 2), strict=True))
    assert (at["left eye"][:, 0] > at["nose"][:, 0]).all() and (at["right eye"][:, 0] < at["nose"][:, 0]).all()
    assert (at["nose"][:, 1] < at["mouth"][:, 1]).all() and (at["left eye"][:, 1] < at["nose"][:, 1]).all()


def test_parts_out_of_a_file(tmp_path: Path) -> None:
    images: Any = SimpleNamespace(names=lambda split: np.array(["b", "c", "a"]))
    nameless: Any = SimpleNamespace(names=lambda split: None)
    table = tmp_path / "parts.csv"
    table.write_text("name,left_eye_x,left_eye_y,chin_x,chin_y\na,1,2,3,4\nb,5,6,7,8\n")
    names, middle = read_parts(table, images, "test")
    assert names == ["left eye", "chin"] and middle[0].tolist() == [[5, 6], [7, 8]]
    assert middle[2].tolist() == [[1, 2], [3, 4]] and np.isnan(middle[1]).all()
    points = np.arange(20.0).reshape(2, 5, 2)
    np.savez(tmp_path / "five.npz", name=["c", "a"], points=points)
    names, middle = read_parts(tmp_path / "five.npz", images, "test")
    assert middle[1, names.index("right eye")].tolist() == [0, 1] and middle[1, names.index("mouth")].tolist() == [7, 8]
    np.savez(tmp_path / "seven.npz", name=["c"], points=points[:1].repeat(7, 1)[:, :7])
    with pytest.raises(InvariantNetsError, match="7 points say nothing of parts"):
        read_parts(tmp_path / "seven.npz", images, "test")
    with pytest.raises(InvariantNetsError, match=r"none.npz: cannot be read"):
        read_parts(tmp_path / "none.npz", images, "test")
    with pytest.raises(InvariantNetsError, match="have no names"):
        read_parts(table, nameless, "test")
    table.write_text("name,chin_x,chin_y\na,1,2\na,3,4\n")
    with pytest.raises(InvariantNetsError, match="'a' is there twice"):
        read_parts(table, images, "test")


def results_of(look: Correspondence, images: Any, channels: int, size: int) -> list[Result]:
    torch.manual_seed(0)
    network = lenet(num_classes=3, embedding_dim=40, image_shape=[channels, size, size])
    specimen = from_backbone(network, images).specimen
    assert specimen is not None
    table = FeatureTable.from_arrays(numpy_rng(0).normal(size=(60, 3)), label=[0, 1] * 30)
    kept: dict[str, Any] = {}
    found = look(specimen(replace(Material(table, "ip1"), keep=kept.__setitem__)))
    assert set(kept) == {"correspondence"}
    hidden = dict.fromkeys(r.where["hidden"] for r in found)
    assert kept["correspondence"]["names"].tolist() == ["whole", *(name for name in hidden if name != MIXED)]
    return found


def test_parts_of_aligned_faces_against_places() -> None:
    faces = SyntheticFaces(2, [3, 32, 32], 1, 1, 12, 4, device="cpu")
    found = results_of(Correspondence(layers=["input", "ip1"], rows=20, draws=2), faces, 3, 32)
    of = {(r.target, r.where["hidden"], r.metric): r for r in found}
    parts = ("left eye", "right eye", "nose", "mouth")
    assert dict.fromkeys(key[1] for key in of) == dict.fromkeys((*parts, RANDOM, ONE_PLACE, MIXED))
    one = of["input", "left eye", "sign_disagreement"]
    assert 5 <= one.n == one.sources <= 12 and one.low < one.value < one.high < one.chance
    assert "one picture of each person" in one.note and "a yaw of at most 30" in one.note
    for part in parts:  # aligned, so that their squares lie over each other
        gap = of["input", part, "sign_disagreement_below_random"]
        values = [of["input", name, "sign_disagreement"].value for name in (RANDOM, part)]
        assert gap.value == pytest.approx(values[0] - values[1]) and gap.value > 0 and gap.chance == 0
    assert of["input", ONE_PLACE, "sign_disagreement"].value < of["input", RANDOM, "sign_disagreement"].value
    assert of["input", "nose", "unchanged"].value > 0.9
    few = Correspondence(rows=3)
    with pytest.raises(InvariantNetsError, match=r"3 pictures are left of 48, and 5 are needed"):
        results_of(few, faces, 3, 32)


def test_without_landmarks_places_alone_and_a_line_that_says_so() -> None:
    data = RotatedImages(digits, 3, [1, 28, 28], [-40.0, 0.0, 40.0], classes=[0, 1, 2])
    found = results_of(Correspondence(layers=["ip1"], rows=8, draws=1), data, 1, 28)
    assert {r.where["hidden"] for r in found} == {RANDOM, ONE_PLACE}
    assert all("give inspect.correspondence.landmarks=" in r.note and "have no yaw" in r.note for r in found)
    with pytest.raises(InvariantNetsError, match="show each image in 3 variants"):
        results_of(Correspondence(landmarks="parts.npz"), data, 1, 28)
