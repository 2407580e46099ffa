from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from invariantnets.alignment.warp import sample
from invariantnets.data import Align, FacesTable, SyntheticFaces, renderer
from invariantnets.data.detector import generic_head
from invariantnets.errors import InvariantNetsError

SIZE = 40
STILL = dict.fromkeys(("hat", "scarf", "glasses", "video_frame", "smile", "mouth_open", "brow_raise", "eyes_closed"), 0)


def faces(align: Align | None, **changed: Any) -> SyntheticFaces:
    sizes = {"images_per_identity": 2, "val_images": 1, "test_identities": 10, "test_images": 3, "device": "cpu"}
    ranges = {"yaw": [-60, 60], **STILL, **changed.pop("ranges", {})}
    data = SyntheticFaces(
        4, [3, SIZE, SIZE], **{**sizes, **changed}, ranges=ranges, align=align, batch_size=2, epoch_batches=1
    )
    data.setup()
    return data


def points(data: SyntheticFaces) -> np.ndarray:
    return data.landmarks("test", torch.arange(30))


def test_the_generic_head_is_a_head() -> None:
    head = generic_head()
    assert head.shape == (68, 3) and np.abs(head[:17, 0] + head[16::-1, 0]).max() < 1, "left as right"
    assert head[30, 2] == head[:, 2].max(), "the nose is foremost"
    assert (head[36:48, 1] > head[48:, 1].max()).all(), "eyes above the mouth"


@pytest.mark.parametrize("how", ["similarity", "frontal"])
def test_points_and_pictures_lie_where_they_are_said_to(how: str) -> None:
    """Points are nearest to the generic ones after a similarity, nearer still from the front; pictures follow them."""
    aligned, plain = faces(Align(how)), faces(None)
    generic = Align(how).frame(SIZE).generic_points
    found = points(aligned)
    off = {name: np.linalg.norm(p - generic, axis=2).mean() for name, p in (("plain", points(plain)), (how, found))}
    assert off[how] < (0.35 if how == "similarity" else 0.12) * off["plain"]
    image = aligned.make_bank("test")
    assert image.image.shape == (30, 1, 3, SIZE, SIZE)
    one = aligned.redrawn("test", torch.tensor([7]), {})
    assert torch.equal(one[0], image.image[7, 0])


@pytest.mark.parametrize("how", ["similarity", "frontal"])
def test_what_was_at_a_point_is_found_at_its_new_place(how: str) -> None:
    """Of a picture that holds at each pixel where that is, the same within a pixel."""
    number = torch.arange(8)
    codes = renderer.identity(0, number)
    ranges = renderer.check_ranges({"yaw": [-40, 40], **STILL})
    values = renderer.nuisances(ranges, 0, number, torch.zeros_like(number), codes)
    where = np.stack(np.meshgrid(np.arange(160), np.arange(160))).astype(np.uint8)
    for place in renderer.render(codes, values, 160).landmarks.double().numpy():
        moved, landmarks, done = Align(how)(where, place, 160)
        assert done
        inside = (landmarks > 1).all(1) & (landmarks < 158).all(1)
        off = np.linalg.norm(sample(moved, landmarks[inside]).T - place[inside], axis=1)
        assert inside.sum() > 60 and np.median(off) < 0.8 and np.quantile(off, 0.9) < 1.6


def test_a_face_from_the_side_is_aligned_by_a_similarity_and_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    side = faces(Align("frontal"), ranges={"yaw": 90, "pitch": 0, "roll": 0})
    pictures = side.make_bank("test").image
    assert "faces are seen from the side, and were aligned by a similarity" in caplog.text
    same = faces(Align("similarity"), ranges={"yaw": 90, "pitch": 0, "roll": 0})
    assert torch.equal(pictures, same.make_bank("test").image)
    np.testing.assert_allclose(points(side), points(same))


def test_aligned_pictures_are_others_than_plain_ones(tmp_path: Any) -> None:
    """In the cache and by the checksum, so that neither is taken for the other."""
    cached = {"cache": True, "cache_dir": str(tmp_path)}
    several = [None, Align("similarity"), Align("frontal"), Align("frontal", mirror=True), Align("frontal", margin=0.4)]
    found = [faces(align, **cached) for align in several]
    assert len({data.load() for data in found}) == len(several)
    assert len({data.make_bank("test").image[0].numpy().tobytes() for data in found}) >= 4
    assert len(list(tmp_path.glob("*.u8"))) == len(several)


def test_a_frontal_face_has_as_many_pixels_as_it_was_drawn_with() -> None:
    """Of a head in the drawn picture, neither is the aligned one made up nor thrown away."""
    align = Align("similarity")
    side = align.drawn(64, renderer.WINDOW)
    number = torch.arange(1)
    codes = renderer.identity(0, number)
    values = renderer.frontal(renderer.nuisances(renderer.check_ranges(STILL), 0, number, number, codes))
    drawn = renderer.render(codes, values, side)
    width = np.ptp(drawn.landmarks[0, :17, 0].numpy())
    _, moved, _ = align(drawn.image[0].numpy(), drawn.landmarks[0].double().numpy(), 64)
    assert np.ptp(moved[:17, 0]) == pytest.approx(width, rel=0.1)


@pytest.fixture
def table(tmp_path: Path) -> dict[str, Any]:
    """Eight files of faces, as large as photographs are, and the table of their points."""
    number = torch.arange(8)
    codes = renderer.identity(0, number // 2)
    ranges = renderer.check_ranges({"yaw": [-30, 30], **STILL})
    values = renderer.nuisances(ranges, 0, number // 2, number % 2, codes)
    drawn = renderer.render(codes, values, 120)
    points = 3 * (drawn.landmarks.double().numpy() + 0.5) - 0.5
    for i, picture in enumerate(drawn.image.numpy()):
        large = picture.repeat(3, 1).repeat(3, 2).transpose(1, 2, 0)
        Image.fromarray(large).save(tmp_path / f"{i}.png")
    columns = {f"{axis}{k}": points[:, k, j] for k in range(68) for j, axis in enumerate("xy")}
    frame = pd.DataFrame(
        {"path": [f"{i}.png" for i in range(8)], "person": [f"p{i // 2}" for i in range(8)], **columns}
    )
    frame.to_csv(tmp_path / "faces.csv", index=False)
    return {
        "table": str(tmp_path / "faces.csv"), "root": str(tmp_path), "cache_dir": str(tmp_path / "cache"),
        "num_classes": 0, "test_fraction": 1, "landmarks": [[f"x{k}", f"y{k}"] for k in range(68)],
        "batch_size": 1, "epoch_batches": 1,
    }  # fmt: skip


@pytest.mark.parametrize("how", ["similarity", "frontal"])
@pytest.mark.parametrize("channels", [1, 3])
def test_files_are_aligned_as_pictures_are(table: dict[str, Any], how: str, channels: int) -> None:
    """Three times as large, they are shrunk before, so that nothing is made of single pixels."""
    data = FacesTable(**table, image_shape=[channels, 40, 40], align=Align(how))
    data.setup()
    found = data.make_bank("test").image[:, 0].numpy()
    assert found.shape == (8, channels, 40, 40)
    for i in range(8):
        with Image.open(Path(table["root"]) / f"{i}.png") as image:
            small = image.resize((120, 120), Image.Resampling.BOX).convert("RGB" if channels == 3 else "L")
        points = data.faces.landmarks[i]
        same, *_ = Align(how)(np.atleast_3d(np.asarray(small)).transpose(2, 0, 1), (points + 0.5) / 3 - 0.5, 40)
        assert np.abs(found[i].astype(int) - same).mean() < 4


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"landmarks": [["x0", "y0"], ["x1", "y1"]]}, "in data.landmarks, 2 are given"),
        ({"template": [[0.1, 0.1]] * 68}, "and no data.template"),
        ({"image_shape": [3, 40, 50]}, "aligned faces are square"),
    ],
)
def test_a_table_that_cannot_be_aligned(table: dict[str, Any], changed: dict[str, Any], said: str) -> None:
    with pytest.raises(InvariantNetsError, match=said):
        FacesTable(**{**table, "image_shape": [3, 40, 40], **changed}, align=Align())


def test_what_cannot_be_aligned() -> None:
    with pytest.raises(InvariantNetsError, match=r"align\.how=3d: choose from similarity, frontal"):
        Align("3d")
    with pytest.raises(InvariantNetsError, match=r"align\.margin=-0\.9"):
        Align(margin=-0.9)
    image, nowhere = np.zeros((3, 9, 9), np.uint8), np.zeros((68, 2))
    for how in ("similarity", "frontal"):
        with pytest.raises(ValueError, match="all at one place"):
            Align(how)(image, nowhere, 9)
        with pytest.raises(ValueError, match="are no numbers"):
            Align(how)(image, nowhere + np.nan, 9)
