from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from invariantnets.data import Lfw
from invariantnets.errors import InvariantNetsError

COUNTS = {"Ann_B": 4, "Cy": 1, "Di": 3, "Eve": 2}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, (person, count) in enumerate(COUNTS.items()):
        folder = tmp_path / "lfw" / person
        folder.mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (20, 20), (60 * number, 40 * i, 0)).save(folder / f"{person}_{i + 1:04d}.jpg")
    (tmp_path / "lfw" / ".DS_Store").write_text("")
    (tmp_path / "peopleDevTrain.txt").write_text("3\nAnn_B\t4\nCy\t1\nDi\t3\n")
    return tmp_path


def make(root: Path, **changes: Any) -> Lfw:
    return Lfw(str(root), [3, 8, 8], str(root / "cache"), **{"images": "lfw", **changes})


def test_everything_is_test(root: Path) -> None:
    data = make(root)
    test = data.bank("test")
    assert [len(data.bank(split)) for split in ("train", "val", "test")] == [0, 0, 10]
    assert test.label.tolist() == [0] * 4 + [1] + [2] * 3 + [3] * 2
    assert data.names("test").tolist() == [f"{p}/{p}_{i + 1:04d}" for p, count in COUNTS.items() for i in range(count)]
    assert np.allclose(test.image[:, 0, 0, 4, 4], 60 * test.label, atol=8)
    assert data.spec.nuisances == () and data.identities("test") == tuple(COUNTS)


def test_people_of_a_list_are_trained_on_and_all_others_are_test(root: Path) -> None:
    data = make(root, train_people="peopleDevTrain.txt", num_classes=3, val_fraction=0.3)
    assert data.bank("test").label.tolist() == [3, 3] and data.identities("test") == ("Eve",)
    assert np.bincount(data.bank("train").label).tolist() == [3, 1, 2]
    assert np.bincount(data.bank("val").label, minlength=3).tolist() == [1, 0, 1]
    assert not set(data.names("train")) & set(data.names("val"))


def test_people_with_few_images_can_be_left_out(root: Path) -> None:
    options = {"train_people": "peopleDevTrain.txt", "views": 2, "pairs": "same_class"}
    with pytest.raises(InvariantNetsError, match="1 people have one, e.g. Cy"):
        make(root, num_classes=3, **options).setup()
    data = make(root, num_classes=2, min_images=2, **options)
    data.setup()
    assert data.identities("train") == ("Ann_B", "Di") and len(data.bank("test")) == 2


def test_the_middle_is_cropped(root: Path) -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    image[6:14, 6:14] = 200
    Image.fromarray(image).save(root / "lfw" / "Cy" / "Cy_0001.jpg", quality=100)
    whole, middle = (make(root, center_crop=crop) for crop in (None, 8))
    (before,), (after,) = (data.bank("test").image[COUNTS["Ann_B"]] for data in (whole, middle))
    assert (after > 180).all() and (before[:, 0] < 20).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": "lfw-deepfunneled"}, "lfw-deepfunneled: no images .* data.root=… .* data.images=…"),
        ({"train_people": "people.txt"}, "people.txt: cannot be read"),
        ({"train_people": "peopleDevTrain.txt", "num_classes": 4}, "set data.num_classes=3"),
        ({"center_crop": 21}, "10 of 10 images cannot be read"),
    ],
)
def test_bad_input_is_refused(root: Path, changes: dict, message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        make(root, **changes).setup()


def test_a_person_of_the_list_without_a_folder_is_refused(root: Path) -> None:
    (root / "peopleDevTrain.txt").write_text("1\nFay\t4\n")
    with pytest.raises(InvariantNetsError, match="1 people of .*peopleDevTrain.txt have no folder in .*, e.g. Fay"):
        make(root, train_people="peopleDevTrain.txt").setup()


def test_some_real_images(tmp_path: Path) -> None:
    real = Path(os.environ.get("INVARIANTNETS_DATA", "absent")) / "lfw" / "lfw-deepfunneled-crop160"
    if not real.is_dir():
        pytest.skip("INVARIANTNETS_DATA names no folder that holds lfw/lfw-deepfunneled-crop160")
    (tmp_path / "lfw").mkdir()
    for person in ("Aaron_Peirsol", "Zico"):
        (tmp_path / "lfw" / person).symlink_to(real / person)
    data = make(tmp_path)
    assert len(data.bank("test")) == 4 + 3
    assert data.bank("test").image.float().std() > 20
