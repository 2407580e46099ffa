from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from invariantnets.data import CelebA
from invariantnets.data.celeba import ATTRIBUTES
from invariantnets.errors import InvariantNetsError

# (person, partition) of twelve images: 0 train, 1 valid, 2 test.
IMAGES = [(7, 0), (3, 0), (9, 2), (7, 0), (5, 1), (3, 0), (9, 2), (7, 0), (5, 1), (3, 0), (8, 2), (7, 0)]
SIGNS = np.random.default_rng(0).choice([-1, 1], (len(IMAGES), 40))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The official files' format, in small; torchvision is made to look for them without their checksums."""
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    files = [f"{i + 1:06d}.jpg" for i in range(len(IMAGES))]
    for i, file in enumerate(files):
        Image.new("RGB", (178, 218), (20 * i, 0, 0)).save(folder / "img_align_celeba" / file)

    def write(name: str, header: str, rows: list[str]) -> None:
        lines = ([str(len(files)), header] if header else []) + [
            f"{f} {row}" for f, row in zip(files, rows, strict=True)
        ]
        (folder / name).write_text("\n".join(lines) + "\n")

    signs = [" ".join(f"{s:2d}" for s in row) for row in SIGNS]
    write("list_attr_celeba.txt", " ".join(ATTRIBUTES) + " ", signs)
    write("list_bbox_celeba.txt", "image_id x_1 y_1 width height", ["   95  71 226 313"] * len(files))
    points = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
    write("list_landmarks_align_celeba.txt", points, ["69 109 106 113 77 142 73 152 108 154"] * len(files))
    write("identity_CelebA.txt", "", [str(person) for person, _ in IMAGES])
    write("list_eval_partition.txt", "", [str(partition) for _, partition in IMAGES])
    monkeypatch.setattr(datasets.CelebA, "file_list", [(i, None, name) for i, _, name in datasets.CelebA.file_list])
    return tmp_path


def make(root: Path, **changes: Any) -> CelebA:
    return CelebA(str(root), [3, 16, 16], str(root / "cache"), **{"num_classes": 2, "val_fraction": 0.3, **changes})


def test_official_partitions_with_validation_held_out_of_train(root: Path) -> None:
    data = make(root)
    data.setup()
    assert data.identities("train") == ("00003", "00007") and data.identities("test") == ("00008", "00009")
    assert [len(data.bank(split)) for split in ("train", "val", "test")] == [5, 2, 3]
    assert sorted(data.bank("train").label.tolist() + data.bank("val").label.tolist()) == [0] * 3 + [1] * 4
    assert data.bank("test").label.tolist() == [3, 3, 2]
    assert make(root, test_partition="valid").bank("test").label.tolist() == [2, 2]


def test_rows_belong_together(root: Path) -> None:
    data = make(root)
    assert [n.name for n in data.spec.nuisances] == list(ATTRIBUTES)
    assert all(n.kind == "binary" and n.categories == ("no", "yes") for n in data.spec.nuisances)
    for split in ("train", "val", "test"):
        bank = data.bank(split)
        for row, name in enumerate(data.names(split).tolist()):
            number = int(name) - 1
            assert bank.image[row, 0, 0].float().mean() == pytest.approx(20 * number, abs=3)
            codes = [int(bank.nuisance[a][row, 0]) for a in ATTRIBUTES]
            assert codes == (SIGNS[number] > 0).astype(int).tolist()
            assert (data.identities("train") + data.identities("test"))[bank.label[row]] == f"{IMAGES[number][0]:05d}"


def test_some_attributes_will_do(root: Path) -> None:
    data = make(root, attributes=["Smiling", "Eyeglasses"])
    assert list(data.bank("train").nuisance) == ["Smiling", "Eyeglasses"] == [n.name for n in data.spec.nuisances]


def test_files_that_are_not_the_official_ones_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # torchvision's own checksums again
    with pytest.raises(InvariantNetsError, match=r"CelebA: no usable files .* download=True"):
        make(root).setup()


def test_a_person_in_two_partitions_is_refused(root: Path) -> None:
    path = root / "celeba" / "list_eval_partition.txt"
    path.write_text(path.read_text().replace("000001.jpg 0", "000001.jpg 2"))
    with pytest.raises(InvariantNetsError, match=r"1 people are in both train and test \(00007\)"):
        make(root).setup()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attributes": ["Smile"]}, "data.attributes: 'Smile' is none of 5_o_Clock_Shadow"),
        ({"test_partition": "val"}, "data.test_partition=val: choose test or valid"),
        ({"num_classes": 8192}, "data.num_classes=8192, but train has 2 people"),
    ],
)
def test_bad_input_is_refused(root: Path, changes: dict, message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        make(root, **changes).setup()


def test_no_files_name_both_ways_out(tmp_path: Path) -> None:
    with pytest.raises(InvariantNetsError, match=r"paths.data_dir=… or INVARIANTNETS_DATA, or .*download=True"):
        make(tmp_path).setup()
