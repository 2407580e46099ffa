"""Parts of drawn people: what is cut out, which faces are frontal, and files that are kept, damaged and made again."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

from invariantnets import poselets
from invariantnets.data import PeopleParts, SyntheticPeople, part_finding
from invariantnets.data.part_finding import Learned, cut_out, frontal_face
from invariantnets.data.people import mesh
from invariantnets.errors import InvariantNetsError

CACHE = Path(os.environ.get("INVARIANTNETS_CACHE", "~/.cache/invariantnets")).expanduser()
installed = pytest.mark.skipif(
    find_spec("anny") is None or find_spec("skimage") is None or not mesh.kept(str(CACHE)).exists(),
    reason="needs anny, scikit-image, and the body that `python train.py data=synthetic_people` makes once, in 90 s",
)


def pool(size: int = 128, **changes) -> SyntheticPeople:
    sizes = {"albums": 2, "val_albums": 1, "pictures": 2, "test_identities": 4, "test_albums": 2}
    return SyntheticPeople(3, [3, size, size], cache_dir=str(CACHE), **{**sizes, **changes})


def parts(part: str = "global", folder: Path | str = "none", **changes) -> PeopleParts:
    known = {"poselets": 2, "candidates": 2, "examples": 10, **changes}
    return PeopleParts(pool(), part, [3, 32, 32], 3, cache_dir=str(folder), **known)


def test_what_is_cut_out_is_the_mean_of_its_pixels() -> None:
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    down, across = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    images[1] = (3 * across + down).clamp(max=255)  # samples between pixels are exact there
    box = np.array([[-0.5, -0.5, 63.5, 63.5], [15.5, 7.5, 47.5, 39.5]])  # the whole of one, and 32 pixels of the other
    found = cut_out(images, box, 32)
    assert np.abs(found[0] - avg_pool2d(images[:1].float(), 2)[0].numpy()).max() <= 0.5
    np.testing.assert_array_equal(found[1], images[1, :, 8:40, 16:48].numpy())
    assert cut_out(images[:0], np.zeros((0, 4)), 32).shape == (0, 3, 32, 32)


def test_a_wide_box_is_stretched_to_a_square_and_the_border_goes_on() -> None:
    images = torch.zeros(1, 3, 40, 40, dtype=torch.uint8)
    images[..., 20:] = 200  # the right half
    found = cut_out(images, np.array([[9.5, -0.5, 29.5, 9.5]]), 20)[0, 0]
    assert (found[:, :9] == 0).all() and (found[:, 11:] == 200).all()
    beyond = cut_out(images, np.array([[29.5, -0.5, 59.5, 29.5]]), 20)
    assert (beyond == 200).all()


@pytest.mark.parametrize(
    ("nose", "left", "right", "frontal"),
    [(50, 60, 40, True), (66, 60, 40, False), (50, 40, 60, False), (41, 60, 40, True)],
    ids=["towards the camera", "turned away", "from behind", "turned"],
)
def test_a_face_is_frontal_where_the_nose_is_between_the_eyes(nose: float, left: float, right: float, frontal) -> None:
    ears = [(left + 10, 50), (right - 10, 50)]
    found = frontal_face(np.array([(nose, 55), (left, 50), (right, 50), *ears], float))
    assert (found is not None) == frontal
    if found is not None:
        assert found[2] - found[0] == pytest.approx(part_finding.FACE_SIDE * (ears[0][0] - ears[1][0]))
        assert found[0] < min(left, right, nose) and found[2] > max(left, right, nose)


def test_poselets_are_read_as_they_were_written() -> None:
    rng = np.random.default_rng(0)
    one = [
        (
            poselets.Detector(rng.normal(size=(3, k + 2, 36)), float(k)),
            poselets.Calibration(1.5, -float(k)),
            poselets.Keypoints(rng.normal(size=(5, 2)), rng.normal(size=(5, 2, 2))),
        )
        for k in range(3)
    ]
    written = Learned(*map(list, zip(*one, strict=True)))
    read = Learned.of(written.flat())
    for mine, theirs in zip(zip(*written, strict=True), zip(*read, strict=True), strict=True):
        for a, b in zip(mine, theirs, strict=True):
            assert type(a) is type(b)
            for x, y in zip(a, b, strict=True):
                np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"part": "hat"}, "data.part=hat: choose of global, face, poselet 0, poselet 1, all"),
        ({"part": "poselet 2"}, "choose of global, face, poselet 0, poselet 1"),
        ({"image_shape": [1, 32, 32]}, "parts are .3, side, side."),
        ({"num_classes": 4}, "data.num_classes=4, but the pool has 3"),
        ({"poselets": 0}, "data.poselets=0: must be 1 or more"),
        ({"cache_dir": ""}, "data.cache_dir: name a folder"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict, message: str) -> None:
    given = {"part": "global", "image_shape": [3, 32, 32], "num_classes": 3, "poselets": 2, "cache_dir": "none"}
    with pytest.raises(InvariantNetsError, match=message):
        PeopleParts(pool(), **{**given, **changes})


@pytest.mark.slow
@installed
def test_parts_of_pictures_find_each_other_and_damaged_files_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part_finding, "TRAIN", (24, 2))
    monkeypatch.setattr(part_finding, "VAL", (14, 2))
    monkeypatch.setattr(part_finding, "EMPTY", 4)
    whole, face, poselet = (parts(part, tmp_path) for part in ("global", "face", "poselet 0"))
    whole.setup()
    face.setup()
    for split in ("train", "val", "test"):
        everything = whole.names(split)
        assert list(everything) == list(whole.people.names(split))
        for some in (face, poselet):
            assert set(some.names(split)) <= set(everything)
        row = face.fires(split)
        assert (face.bank(split).label == whole.bank(split).label[row]).all()
        for name, values in face.bank(split).nuisance.items():
            assert (values == whole.bank(split).nuisance[name][row]).all()
    if not len(poselet.fires("val")):  # few people, few pictures
        with pytest.raises(InvariantNetsError, match="data.part=poselet 0: it fires on no picture of val"):
            poselet.setup()
    assert 0 < len(face.fires("test")) < len(whole.fires("test"))
    every = parts("all", tmp_path)
    assert len(every.bank("test")) == sum(len(parts(part, tmp_path).fires("test")) for part in whole.parts)
    assert every.names("test") is None
    first = face.bank("test").image.clone()
    broken = next(whole.folder.glob("test-*.npz"))
    before = {path: path.stat().st_mtime_ns for path in whole.folder.glob("*.npz")}
    broken.write_bytes(broken.read_bytes()[:1000])
    again = parts("face", tmp_path)
    again.setup()
    assert (again.bank("test").image == first).all()
    made = [path for path, then in before.items() if path.stat().st_mtime_ns != then]
    assert made == [broken]
