from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from invariantnets.data import SyntheticFaces, renderer
from invariantnets.data.synthetic_faces import TEST_NUMBER, VAL_SAMPLE
from invariantnets.errors import InvariantNetsError

SPLITS = ("train", "val", "test")


def make(**changes: Any) -> SyntheticFaces:
    known = {"num_classes": 4, "image_shape": [3, 16, 16], "images_per_identity": 5, "val_images": 2, "device": "cpu"}
    return SyntheticFaces(**{**known, "test_identities": 3, "test_images": 4, **changes})


def test_people_and_pictures_of_each_split() -> None:
    data = make()
    labels = {split: np.bincount(data.bank(split).label).tolist() for split in SPLITS}
    assert labels == {"train": [5] * 4, "val": [2] * 4, "test": [0] * 4 + [4] * 3}
    assert data.identities("train") == data.identities("val") == tuple(f"synthetic/0/{i}" for i in range(4))
    assert data.identities("test") == tuple(f"synthetic/0/{TEST_NUMBER + i}" for i in range(3))
    names = np.concatenate([data.names(split) for split in SPLITS]).tolist()
    assert len(set(names)) == len(names) == 20 + 8 + 12
    assert names[6] == "synthetic/0/1/1" and names[20] == f"synthetic/0/0/{VAL_SAMPLE}"
    source = torch.cat([b.source.flatten() for split in SPLITS for b in data.loader(split)])
    assert source.tolist() == list(range(40))


def test_each_row_is_what_the_renderer_draws() -> None:
    data = make(identity_seed=3, sample_seed=4, ranges={"yaw": [-10, 10]})
    for split in SPLITS:
        bank = data.bank(split)
        for row, name in enumerate(data.names(split).tolist()):
            _, seed, *numbers = name.split("/")
            number, sample = (torch.tensor([int(n)]) for n in numbers)
            codes = renderer.identity(int(seed), number)
            nuisance = renderer.nuisances({"yaw": [-10, 10]}, 4, number, sample, codes)
            expected = renderer.render(codes, nuisance, 16).image[0].int()
            assert (bank.image[row, 0].int() - expected).abs().max() <= 1  # blocks may round otherwise
            assert all(bank.nuisance[n.name][row, 0] == nuisance[n.name][0] for n in data.spec.nuisances)
        assert bank.nuisance["yaw"].abs().max() <= 10


def test_who_is_tested_on_does_not_depend_on_who_is_trained_on() -> None:
    first, second = make(), make(num_classes=6, images_per_identity=1)
    assert torch.equal(first.bank("test").image, second.bank("test").image)
    assert torch.equal(first.bank("val").image, second.bank("val").image[:8])


@pytest.mark.parametrize("changes", [{"identity_seed": 1}, {"sample_seed": 1}, {"ranges": {"yaw": [0, 5]}}])
def test_seeds_and_ranges_change_pictures_and_checksum(changes: dict) -> None:
    first, again, other = make(), make(), make(**changes)
    assert torch.equal(first.bank("val").image, again.bank("val").image) and first.checksum == again.checksum
    assert not torch.equal(first.bank("val").image, other.bank("val").image) and first.checksum != other.checksum


def test_the_stream_changes_no_picture() -> None:
    first, second = make(), make(seed=7, batch_size=3, views=2, pairs="same_class")
    first.setup()
    second.setup()
    assert first.checksum == second.checksum
    batch = next(iter(second.train_dataloader()))
    assert batch.image.shape == (3, 2, 3, 16, 16) and (batch.source[:, 0] != batch.source[:, 1]).all()


def test_drawn_once_with_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {split: make().bank(split).image for split in SPLITS}
    make(cache=True, cache_dir=str(tmp_path)).prepare_data()
    assert len(list(tmp_path.glob("*.u8"))) == 3
    monkeypatch.setattr(SyntheticFaces, "_draw", lambda *_: pytest.fail("drawn again"))
    again = make(cache=True, cache_dir=str(tmp_path), seed=9)
    assert all(torch.equal(again.bank(split).image, drawn[split]) for split in SPLITS)


def test_another_renderer_draws_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(cache=True, cache_dir=str(tmp_path)).bank("val")
    before = make()
    before.setup()
    monkeypatch.setattr("invariantnets.data.synthetic_faces._sources", lambda: "other code")
    data = make(cache=True, cache_dir=str(tmp_path))
    data.bank("val")
    assert len(list(tmp_path.glob("*.u8"))) == 2 and data.checksum != before.checksum


@pytest.mark.parametrize(
    ("ranges", "gone"),
    [
        ({"yaw": 0}, {"yaw"}),
        ({"glasses": 0}, {"glasses", "dark_glasses"}),
        ({"video_frame": 0}, {"video_frame", "blur", "noise", "compression"}),
    ],
)
def test_what_never_varies_is_no_nuisance(ranges: dict, gone: set[str]) -> None:
    declared = {n.name for n in make(images_per_identity=100, ranges=ranges).spec.nuisances}
    assert declared == {n.name for n in renderer.NUISANCES} - gone


def test_frontal_pictures_are_of_the_person_alone() -> None:
    data = make()
    frontal, bank = data.frontal("test"), data.bank("test")
    assert frontal.shape == (12, 3, 16, 16) and frontal.dtype == torch.uint8
    for label in (4, 5, 6):
        own = frontal[bank.label == label]
        assert (own == own[:1]).all()
    assert len(frontal.flatten(1).unique(dim=0)) == 3


def test_nobody_may_be_left_out() -> None:
    data = make(test_identities=0)
    assert len(data.bank("test")) == 0 and data.identities("test") == ()
    assert data.frontal("test").shape == (0, 3, 16, 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_shape": [1, 16, 16]}, r"image_shape=\[1, 16, 16\]: the renderer draws \[3, size, size\]"),
        ({"image_shape": [3, 16, 20]}, "the renderer draws"),
        ({"num_classes": 1}, "data.num_classes=1: must be 2 to"),
        ({"images_per_identity": 0}, "data.images_per_identity=0: must be 1 to"),
        ({"test_identities": -1}, "data.test_identities=-1: must be 0 to"),
        ({"ranges": {"pose": 1}}, "pose"),
        ({"cache": True}, "data.cache=true needs data.cache_dir"),
        ({"views": 2}, "or use pairs=same_class"),
    ],
)
def test_bad_input_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        make(**changes).train_dataloader()
