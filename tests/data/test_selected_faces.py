from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from invariantnets.data import SelectedFaces, SyntheticFaces
from invariantnets.data.bootstrap import Pictures, load_pictures
from invariantnets.data.synthetic_faces import TEST_NUMBER
from invariantnets.errors import InvariantNetsError

# Pictures 0–4 of the pool show its person 0, 5–9 person 1, and so on. Picture 7 carries the name of person 3.
CHOSEN = Pictures(
    row=np.array([5, 7, 15, 16, 19, 3, 6]),
    split=np.array(["train"] * 5 + ["val"] * 2),
    identity=np.array([1, 3, 3, 3, 3, 1, 3]),
)


@pytest.fixture(scope="module")
def pool() -> SyntheticFaces:
    return SyntheticFaces(
        num_classes=4, image_shape=[3, 16, 16], images_per_identity=5, val_images=2, test_identities=3, test_images=4,
        first_identity=50, device="cpu",
    )  # fmt: skip


@pytest.fixture
def make(tmp_path: Path, pool: SyntheticFaces):
    def make(chosen: Pictures = CHOSEN, **changes: Any) -> SelectedFaces:
        chosen.save(tmp_path / "pictures.parquet")
        known = {"num_classes": 2, "image_shape": [3, 16, 16], "pictures": str(tmp_path / "pictures.parquet")}
        return SelectedFaces(pool, **{**known, **changes})

    return make


@pytest.mark.parametrize("on_device", [False, True])
def test_chosen_pictures_are_the_pools_under_new_labels(make, pool: SyntheticFaces, on_device: bool) -> None:
    data = make(on_device=on_device)
    seen = {split: list(data.loader(split, batch_size=2)) for split in ("train", "val", "test")}
    for split, rows, labels in (("train", [5, 7, 15, 16, 19], [0, 1, 1, 1, 1]), ("val", [3, 6], [0, 1])):
        bank = pool.bank(split)
        assert torch.equal(torch.cat([b.image for b in seen[split]]), bank.image[rows])
        assert torch.cat([b.label for b in seen[split]]).tolist() == labels
        for name, values in bank.nuisance.items():
            assert torch.equal(torch.cat([b.nuisance[name] for b in seen[split]]), values[rows])
    assert torch.equal(torch.cat([b.image for b in seen["test"]]), pool.bank("test").image)
    assert torch.cat([b.label for b in seen["test"]]).tolist() == [2] * 4 + [3] * 4 + [4] * 4
    sources = [int(s) for split in seen for b in seen[split] for s in b.source.flatten()]
    assert sources == list(range(5 + 2 + 12)), "unique over splits"


def test_the_pool_is_not_copied(make, pool: SyntheticFaces) -> None:
    data = make()
    for split in ("train", "val", "test"):
        assert data.bank(split).image.data_ptr() == pool.bank(split).image.data_ptr()


def test_people_are_those_named_and_those_shown(make) -> None:
    data = make(Pictures(np.array([5, 7, 3]), np.array(["train", "train", "val"]), np.array([0, 3, 0])))
    data.setup()
    assert data.identities("train") == ("synthetic/0/50", "synthetic/0/51", "synthetic/0/53")
    assert data.identities("test") == tuple(f"synthetic/0/{TEST_NUMBER + i}" for i in range(3))
    assert data.names("train").tolist() == ["synthetic/0/51/0", "synthetic/0/51/2"]


def test_training_batches_are_drawn_from_the_chosen(make, pool: SyntheticFaces) -> None:
    data = make(batch_size=5, epoch_batches=1)
    (batch,) = data.train_dataloader()
    expected = {row.tobytes() for row in pool.bank("train").image[CHOSEN.row[:5]].numpy()}
    assert {row.tobytes() for row in batch.image.numpy()} == expected


def test_the_checksum_is_of_the_choice(make) -> None:
    sums = []
    for changed in (
        CHOSEN,
        CHOSEN,
        Pictures(CHOSEN.row[::-1].copy(), CHOSEN.split[::-1], CHOSEN.identity[::-1].copy()),
    ):
        data = make(changed)
        data.setup()
        sums.append(data.checksum)
    assert sums[0] == sums[1] != sums[2]


def test_saved_pictures_are_the_same(tmp_path: Path) -> None:
    CHOSEN.save(tmp_path / "p.parquet")
    again = load_pictures(tmp_path / "p.parquet")
    for name, values in vars(CHOSEN).items():
        assert getattr(again, name).tolist() == values.tolist()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"by": "instance"}, "data.by=instance: choose hyperplanes, random, instances"),
        ({"label_noise": 1.0}, r"data.label_noise=1.0: must lie in \[0, 1\)"),
        ({"image_shape": [3, 24, 24]}, r"data.image_shape=\[3, 24, 24\], but the pool's images are \[3, 16, 16\]"),
        ({"num_classes": 3}, "data.num_classes=3, but .* shows 2 people"),
        ({"pictures": None}, "no pictures have been chosen"),
        ({"pictures": "none.parquet"}, "data.pictures=none.parquet: cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused(make, changes: dict, expected: str) -> None:
    with pytest.raises(InvariantNetsError, match=expected):
        make(**changes).setup()


def test_pictures_of_a_larger_pool_are_refused(make) -> None:
    other = Pictures(np.array([5, 20, 3]), np.array(["train", "train", "val"]), np.array([0, 3, 0]))
    with pytest.raises(InvariantNetsError, match="row 20 of train is none of the pool's 20"):
        make(other).setup()
