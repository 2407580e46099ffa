from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from invariantnets.data import Batch, RotatedImages, VariedImages
from invariantnets.data.banked import Bank
from invariantnets.data.perturbation import PERTURBATIONS, lighten, rotate, scale, translate
from invariantnets.data.sources import Images, digits
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


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_every_nuisance_has_its_bank(name: str) -> None:
    images, values = few(), VALUES[name]
    data = VariedImages(few, 10, [1, 28, 28], name, values)
    assert data.spec.nuisances == (PERTURBATIONS[name].nuisance,)
    for split in ("train", "val", "test"):
        bank, upright = data.bank(split), images.image[images.split == split]
        assert (bank.nuisance[name] == torch.tensor(values, dtype=torch.float32)).all()
        for column, value in enumerate(values):
            assert torch.equal(bank.image[:, column], PERTURBATIONS[name].apply(upright, value))


def test_an_unknown_nuisance_is_refused() -> None:
    with pytest.raises(
        InvariantNetsError, match=r"data\.nuisance=colour: choose from angle, scale, translation, light"
    ):
        VariedImages(few, 10, [1, 28, 28], "colour", [0, 1])
    with pytest.raises(InvariantNetsError, match=r"data\.values: "):
        VariedImages(few, 10, [1, 28, 28], "scale", "1:2")


def test_one_nuisance_of_many_is_the_nuisance_alone() -> None:
    for name, values in VALUES.items():
        alone, among = VariedImages(few, 10, [1, 28, 28], name, values), several({name: values})
        assert alone.spec == among.spec and alone.values == among.values
        for split in ("train", "val", "test"):
            (one, other) = (data.bank(split) for data in (alone, among))
            assert torch.equal(one.image, other.image) and one.first_source == other.first_source
            assert torch.equal(one.nuisance[name], other.nuisance[name])


def several(vary: dict[str, object], **changes: object) -> VariedImages:
    return VariedImages(few, 10, [1, 28, 28], vary=vary, **changes)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_several_nuisances_are_applied_one_after_the_other(split: str) -> None:
    # Given in another order than they are applied in: turned, sized, moved, lit.
    data = several({"light": [-1, 0], "translation": "-2:4:6", "scale": [0.7, 1], "angle": [30, 0, -15]})
    batches = list(data.loader(split, 7))
    images = few()
    upright = images.image[torch.from_numpy(images.split == split)]
    image, index, source = (torch.cat([getattr(b, k) for b in batches]) for k in ("image", "index", "source"))
    assert [n.name for n in data.spec.nuisances] == list(batches[0].nuisance) == list(data.values)
    assert index.flatten().tolist() == list(range(24 * len(upright)))
    assert (source == source[:, :1]).all() and len(source[:, 0].unique()) == len(upright)
    column = 0
    for angle in (30, 0, -15):
        for factor in (0.7, 1):
            for pixels in (-2, 4):
                for stops in (-1, 0):
                    by_hand = lighten(translate(scale(rotate(upright, angle), factor), pixels), stops)
                    assert torch.equal(image[:, column], by_hand)
                    cell = {"angle": angle, "scale": factor, "translation": pixels, "light": stops}
                    for name, value in cell.items():
                        known = torch.cat([b.nuisance[name] for b in batches])
                        assert known.dtype == torch.float32
                        assert (known[:, column] == torch.tensor(value, dtype=torch.float32)).all()
                    column += 1
    assert image.shape[1] == column


def test_all_neutral_values_together_leave_the_image_untouched() -> None:
    data, images = several({"angle": [0, 15], "scale": [1.2, 1], "translation": [0, 3], "light": [-2, 0]}), few()
    neutral = torch.stack([v[0] == n for v, n in zip(data.bank("val").nuisance.values(), (0, 1, 0, 0), strict=True)])
    (column,) = neutral.all(0).nonzero().flatten().tolist()
    assert torch.equal(data.bank("val").image[:, column], images.image[images.split == "val"])


@pytest.mark.parametrize("pairs", ["same_image", "same_class"])
def test_training_draws_every_cell_and_knows_which(pairs: str) -> None:
    data = several({"angle": [-30, 0, 30], "light": [-1, 1]}, views=2, pairs=pairs, batch_size=50, epoch_batches=12)
    images = few()
    upright = images.image[torch.from_numpy(images.split == "train")]
    drawn = torch.zeros(6, dtype=torch.int64)
    for batch in data.train_dataloader():
        assert torch.equal(batch.index // 6, batch.source)
        drawn += batch.index.flatten().remainder(6).bincount(minlength=6)
        for (b, v), where in np.ndenumerate(batch.source.numpy()):
            angle, light = (float(batch.nuisance[name][b, v]) for name in ("angle", "light"))
            assert torch.equal(batch.image[b, v], lighten(rotate(upright[where][None], angle), light)[0])
    # 1,200 draws: 200 a cell, five standard deviations of 13.
    assert (drawn.sum() == 1200) and ((drawn - 200).abs() < 65).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "say what varies, by data.nuisance= and data.values=, or by data.vary="),
        ({"nuisance": "light"}, "say what varies"),
        ({"vary": {}}, r"data\.vary: give one nuisance or more"),
        ({"vary": {"light": None}}, r"data\.vary: give one nuisance or more"),
        ({"vary": {"light": [0]}, "nuisance": "angle", "values": [0]}, "no data.nuisance beside it"),
        ({"vary": {"colour": [0]}}, r"data\.vary\.colour: choose from angle, scale, translation, light"),
        ({"vary": {"light": [0, 0]}}, r"data\.vary\.light: needs at least one value, and no value twice"),
    ],
)
def test_several_nuisances_are_said_well(given: dict[str, object], message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        VariedImages(few, 10, [1, 28, 28], **given)


def test_more_variants_than_memory_are_refused_before_any_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    angles = list(range(360))
    several({"angle": angles, "light": [0]}).setup()
    pages = {"SC_PAGE_SIZE": 100 * 784, "SC_PHYS_PAGES": 360 * 21}  # bytes of a variant of all images; how many fit
    monkeypatch.setattr("os.sysconf", pages.__getitem__)
    several({"angle": angles, "light": "0:20:1"}).setup()
    data = several({"angle": angles, "light": "0:21:1"})
    message = (
        r"100 images in 7,920 variants each \(angle, light\) take 0\.6 GB, of 0\.6 GB of memory; give fewer values"
    )
    with pytest.raises(InvariantNetsError, match=message):
        data.setup()
    assert data.checksum is None


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


@pytest.mark.parametrize(
    ("angles", "kinds", "kind"),
    [
        ("-90:90:45", None, "continuous"),
        ("-180:135:45", None, "circular"),
        ("0:315:45", None, "circular"),
        ("-180:135:45", {"angle": "continuous"}, "continuous"),
        ("-45:45:15", {"angle": "circular"}, "circular"),
    ],
)
def test_angles_wrap_beyond_half_a_turn(angles: str, kinds: dict[str, str] | None, kind: str) -> None:
    (nuisance,) = make(angles=angles, kinds=kinds).spec.nuisances
    assert (nuisance.name, nuisance.kind, nuisance.unit) == ("angle", kind, "°")


@pytest.mark.parametrize("kinds", [{"angel": "circular"}, {"angle": "binary"}, {"angle": "round"}])
def test_a_kind_that_cannot_be(kinds: dict[str, str]) -> None:
    with pytest.raises(
        InvariantNetsError, match=r"data\.kinds\.(angel|angle): choose continuous, circular or categorical, of angle"
    ):
        make(kinds=kinds)
