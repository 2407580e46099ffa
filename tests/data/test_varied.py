from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from invariantnets.data import Batch, RotatedImages, VariedImages
from invariantnets.data.banked import Bank
from invariantnets.data.sources import Images, digits
from invariantnets.data.variation import VARIATIONS, rotate
from invariantnets.errors import InvariantNetsError

ANGLES = [-30.0, 0.0, 15.0]


def few(images: int = 100) -> Images:
    every = digits()
    rows = slice(0, images)
    return Images(every.image[rows], every.label[rows], every.split[rows])


def make(**changes: object) -> RotatedImages:
    known = {"source": few, "num_classes": 10, "image_shape": [1, 28, 28], "angles": ANGLES, "batch_size": 8}
    return RotatedImages(**{**known, "epoch_batches": 6, **changes})


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("batch_size", [7, 1000])
def test_evaluation_sees_every_image_at_every_angle_once(split: str, batch_size: int) -> None:
    data = make()
    images = few()
    upright = images.image[torch.from_numpy(images.split == split)]
    batches = list(data.loader(split, batch_size))
    assert len(batches) == len(data.loader(split, batch_size))
    image, index, source = (torch.cat([getattr(b, k) for b in batches]) for k in ("image", "index", "source"))
    angle = torch.cat([b.nuisance["angle"] for b in batches])
    assert index.flatten().tolist() == list(range(len(upright) * len(ANGLES)))
    assert (angle == torch.tensor(ANGLES)).all() and angle.dtype == torch.float32
    assert (source == source[:, :1]).all() and len(source[:, 0].unique()) == len(upright)
    for view, degrees in enumerate(ANGLES):
        assert torch.equal(image[:, view], rotate(upright, degrees))


def test_rotation_zero_leaves_the_image_untouched() -> None:
    data, images = make(), few()
    for split in ("train", "val", "test"):
        rows = torch.from_numpy(images.split == split)
        assert torch.equal(data.bank(split).image[:, ANGLES.index(0.0)], images.image[rows])


VALUES = {"angle": [-30, 0], "translation": [-6, 0, 2], "scale": [0.7, 1, 1.2, 1.3], "light": [-1, 0, 3]}


@pytest.mark.parametrize("name", VARIATIONS)
def test_every_nuisance_has_its_bank(name: str) -> None:
    images, values = few(), VALUES[name]
    data = VariedImages(few, 10, [1, 28, 28], name, values)
    assert data.spec.nuisances == (VARIATIONS[name].nuisance,)
    for split in ("train", "val", "test"):
        bank, upright = data.bank(split), images.image[images.split == split]
        assert (bank.nuisance[name] == torch.tensor(values, dtype=torch.float32)).all()
        for column, value in enumerate(values):
            assert torch.equal(bank.image[:, column], VARIATIONS[name].vary(upright, value))


def test_an_unknown_nuisance_is_refused() -> None:
    with pytest.raises(
        InvariantNetsError, match=r"data\.nuisance=colour: choose from angle, translation, scale, light"
    ):
        VariedImages(few, 10, [1, 28, 28], "colour", [0, 1])
    with pytest.raises(InvariantNetsError, match=r"data\.values: "):
        VariedImages(few, 10, [1, 28, 28], "scale", "1:2")


def test_no_image_is_in_two_splits() -> None:
    data = make(source=digits)
    upright, sources = {}, {}
    for split in ("train", "val", "test"):
        bank = data.bank(split)
        upright[split] = {bytes(x.numpy()) for x in bank.image[:, 1]}
        sources[split] = set(range(bank.first_source, bank.first_source + len(bank)))
        seen = set(torch.cat([b.source.flatten() for b in data.loader(split)]).tolist())
        assert seen == sources[split]
    for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
        assert not upright[first] & upright[second]
        assert not sources[first] & sources[second]


def test_processes_share_out_evaluation() -> None:
    data = make()
    bank = data.bank("val")
    seen = []
    for rank in range(3):
        data._share = partial(lambda rank: (rank, 3), rank)  # a process of three
        seen += [i for batch in data.val_dataloader() for i in batch.index.flatten().tolist()]
    assert sorted(seen) == list(range(len(bank) * len(ANGLES)))


@pytest.mark.parametrize("pairs", ["same_image", "same_class"])
def test_training_batches(pairs: str) -> None:
    data, images = make(views=2, pairs=pairs, source=digits), digits()
    train = torch.from_numpy(images.split == "train")
    batches: list[Batch] = list(data.train_dataloader())
    assert len(batches) == 6
    for batch in batches:
        assert batch.image.shape == (8, 2, 1, 28, 28) and batch.image.dtype == torch.uint8
        assert batch.label.dtype == batch.index.dtype == batch.source.dtype == torch.int64
        assert torch.equal(images.label[train][batch.source], batch.label[:, None].expand(-1, 2))
        assert torch.equal(batch.index // len(ANGLES), batch.source)
        for b in range(8):
            for v in range(2):
                upright = images.image[train][batch.source[b, v]][None]
                assert torch.equal(batch.image[b, v], rotate(upright, float(batch.nuisance["angle"][b, v]))[0])


def test_each_batch_is_fetched_by_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    fetch = Bank.__getitem__

    def counted(bank: Bank, rows: object) -> Batch:
        calls.append(1)
        return fetch(bank, rows)

    monkeypatch.setattr(Bank, "__getitem__", counted)
    data = make(views=2)
    assert len(list(data.train_dataloader())) == len(calls) == 6
    calls.clear()
    assert len(list(data.val_dataloader())) == len(calls) == 1


def test_the_stream_does_not_touch_the_global_generator() -> None:
    data = make()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    list(data.train_dataloader())
    list(data.val_dataloader())
    assert torch.equal(torch.get_rng_state(), state)


def test_images_are_loaded_once_and_summed_up() -> None:
    calls: list[int] = []

    def source() -> Images:
        calls.append(1)
        return few()

    data = make(source=source)
    assert data.checksum is None and not calls, "nothing is loaded by the constructor"
    data.setup()
    for split in ("train", "val"):
        data.bank(split)
    assert len(calls) == 1 and data.checksum == few().checksum()
    assert data.spec.image_shape == (1, 28, 28) and data.spec.num_classes == 10
    assert [(n.name, n.kind, n.unit) for n in data.spec.nuisances] == [("angle", "continuous", "°")]


def shifted(by: int) -> Images:
    images = few()
    return Images(images.image, images.label + by, images.split)


def colour() -> Images:
    images = few()
    image: Tensor = images.image.expand(-1, 3, -1, -1)
    return Images(image, images.label, images.split)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": partial(shifted, 1)}, "labels run from 1 to 10, but data.num_classes=10 allows 0 to 9"),
        ({"source": partial(shifted, -1)}, "labels run from -1 to 8"),
        ({"num_classes": 5}, "labels run from 0 to 9, but data.num_classes=5 allows 0 to 4"),
        ({"source": colour}, r"the images are \(3, 28, 28\), but data.image_shape says \(1, 28, 28\)"),
        ({"image_shape": [1, 32, 32]}, r"data.image_shape says \(1, 32, 32\)"),
        ({"angles": []}, "data.angles: "),
        ({"angles": "0:1:0.3"}, "data.angles: a step of 0.3 does not lead"),
    ],
)
def test_declarations_that_do_not_hold_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        make(**changes).setup()


def test_the_checksum_sees_every_part() -> None:
    images = few()
    image, label, split = images.image.clone(), images.label.clone(), images.split.copy()
    image[3, 0, 10, 10] += 1
    label[3] = (label[3] + 1) % 10
    split[np.flatnonzero(split == "val")[0]] = "test"
    sums = {
        images.checksum(),
        Images(image, images.label, images.split).checksum(),
        Images(images.image, label, images.split).checksum(),
        Images(images.image, images.label, split).checksum(),
    }
    assert len(sums) == 4


def test_some_classes_are_kept_and_numbered_anew() -> None:
    every, data = few(), make(classes=[7, 3], num_classes=2)
    for split in ("train", "val", "test"):
        bank, kept = data.bank(split), [every.label[every.split == split] == digit for digit in (7, 3)]
        assert bank.label.bincount().tolist() == [int(rows.sum()) for rows in kept]
        upright = every.image[every.split == split][kept[0]]
        assert torch.equal(bank.image[bank.label == 0][:, ANGLES.index(0.0)], upright)
    with pytest.raises(InvariantNetsError, match=r"data\.classes: the source has no class 12; it has"):
        make(classes=[12]).setup()


@pytest.mark.parametrize("wanted", [1, 20, 1000])
def test_fewer_training_images_and_the_same_others(wanted: int) -> None:
    whole, data, other = make(), make(train_images=wanted), make(train_images=wanted, seed=1)
    whole.setup()
    for split in ("val", "test"):
        assert torch.equal(data.bank(split).image, whole.bank(split).image)
    images = data.bank("train").image
    assert len(images) == min(wanted, len(whole.bank("train")))
    known = {bytes(x.numpy()) for x in whole.bank("train").image}
    assert {bytes(x.numpy()) for x in images} <= known
    assert torch.equal(images, make(train_images=wanted).bank("train").image)
    if wanted == 20:
        assert not torch.equal(images, other.bank("train").image)
