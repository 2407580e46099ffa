"""Data in which every image is seen at one angle, drawn once, as in MNIST-ROT."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from invariantnets.data import RotatedImages, VariedImages
from invariantnets.data.perturbation import lighten, rotate
from invariantnets.data.sources import Images, digits
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import SPLITS

ANGLES = [-45.0, -22.5, 0.0, 22.5, 45.0]
EVERY = digits()


def few(images: int = 200) -> Images:
    return Images(EVERY.image[:images], EVERY.label[:images], EVERY.split[:images])


def other_division() -> Images:
    images = few()
    return Images(images.image, images.label, np.roll(images.split, 7))


def make(**changes: object) -> RotatedImages:
    known = {"source": few, "num_classes": 10, "image_shape": [1, 28, 28], "angles": ANGLES, "batch_size": 8}
    return RotatedImages(**{**known, "one_each": True, "pairs": "same_class", "epoch_batches": 4, **changes})


TURNED = {  # pixels of an image at an angle → of the image as it was
    (bytes(after), angle): bytes(before)
    for angle in ANGLES
    for before, after in zip(few().image.numpy(), rotate(few().image, angle).numpy(), strict=True)
}


def drawn(data: VariedImages) -> dict[bytes, float]:
    """The pixels of each image as it was → its angle, of all splits."""
    found: dict[bytes, float] = {}
    for split in SPLITS:
        bank = data.bank(split)
        for image, angle in zip(bank.image[:, 0].numpy(), bank.nuisance["angle"][:, 0].tolist(), strict=True):
            found[TURNED[bytes(image), angle]] = angle
    return found


@pytest.mark.parametrize("split", SPLITS)
def test_every_image_is_seen_at_one_angle_which_is_known(split: str) -> None:
    data, images = make(), few()
    upright = images.image[torch.from_numpy(images.split == split)]
    bank = data.bank(split)
    assert bank.variants == 1 and len(bank) == len(upright) and len(bank.nuisance["angle"].unique()) == len(ANGLES)
    batches = list(data.loader(split, 7))
    image, index, source, angle = (
        torch.cat([x for b in batches for x in (b.nuisance["angle"] if k == "angle" else getattr(b, k))])
        for k in ("image", "index", "source", "angle")
    )
    assert index.tolist() == list(range(len(upright)))
    assert torch.equal(source, bank.first_source + torch.arange(len(upright)))
    for before, after, degrees in zip(upright, image, angle.tolist(), strict=True):
        assert torch.equal(rotate(before[None], degrees)[0], after)


def test_in_training_too() -> None:
    data, images = make(views=2), few()
    upright, angles = images.image[images.split == "train"], data.bank("train").nuisance["angle"][:, 0]
    for batch in data.train_dataloader():
        assert torch.equal(batch.nuisance["angle"], angles[batch.source])
        for where in np.ndindex(*batch.source.shape):
            own = batch.source[where]
            assert torch.equal(batch.image[where], rotate(upright[own][None], float(angles[own]))[0])


def test_the_draw_is_the_images_own() -> None:
    whole = make()
    angles = drawn(whole)
    assert len(angles) == 200
    for same in (
        {"seed": 5},
        {"source": other_division},
        {"train_images": 30, "seed": 3},
        {"classes": [7, 2], "num_classes": 2},
        {"source": lambda: few(60)},
    ):
        some = drawn(make(**same))
        assert some and some.items() <= angles.items()
    other = drawn(make(draw_seed=1))
    assert 0.05 < np.mean([other[key] == angle for key, angle in angles.items()]) < 0.35  # a fifth by chance


def test_of_several_nuisances_each_image_has_one_combination() -> None:
    vary = {"angle": [-45, 0, 45], "light": [-1, 1]}
    data = VariedImages(few, 10, [1, 28, 28], vary=vary, one_each=True, pairs="same_class")
    bank, upright = data.bank("test"), few().image[few().split == "test"]
    cells = set()
    for image, before, angle, light in zip(bank.image[:, 0], upright, *bank.nuisance.values(), strict=True):
        assert torch.equal(image, lighten(rotate(before[None], float(angle)), float(light))[0])
        cells.add((float(angle), float(light)))
    assert len(cells) == 6


def test_test_images_at_angles_of_their_own() -> None:
    data, usual = make(test_angles=[-65, 55]), make()
    for split in ("train", "val"):
        assert torch.equal(data.bank(split).image, usual.bank(split).image)
    bank, upright = data.bank("test"), few().image[few().split == "test"]
    assert (bank.nuisance["angle"] == torch.tensor([-65.0, 55.0])).all() and bank.variants == 2
    assert bank.first_source == usual.bank("test").first_source
    for column, degrees in enumerate((-65, 55)):
        assert torch.equal(bank.image[:, column], rotate(upright, degrees))
    turned = make(one_each=False, test_angles=[65])
    assert turned.bank("train").variants == 5 and turned.bank("test").variants == 1


def test_categories_are_the_values_in_order() -> None:
    data = make(kinds={"angle": "categorical"}, angles=[22.5, 0, -45])
    (nuisance,) = data.spec.nuisances
    assert (nuisance.kind, nuisance.categories) == ("categorical", ("-45°", "0°", "22.5°"))
    code, degrees = data.bank("train").nuisance["angle"], make(angles=[22.5, 0, -45]).bank("train").nuisance["angle"]
    assert code.dtype == degrees.dtype and torch.equal(torch.tensor([-45, 0, 22.5])[code.long()], degrees)
    at_all = make(kinds={"angle": "categorical"}, test_angles=[45, -45]).bank("test").nuisance["angle"]
    assert (at_all == torch.tensor([4.0, 0.0])).all()
    sized = VariedImages(few, 10, [1, 28, 28], "scale", [1, 0.75], kinds={"scale": "categorical"})
    assert sized.spec.nuisances[0].categories == ("0.75", "1")
    assert (sized.bank("val").nuisance["scale"] == torch.tensor([1.0, 0.0])).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"views": 2, "pairs": "same_image"},
            r"one_each=true: each image is seen at one angle.*data\.pairs=same_class",
        ),
        ({"test_angles": [55], "kinds": {"angle": "categorical"}}, r"test_angles: 55 has no name.*angle: continuous"),
        ({"test_angles": []}, r"data\.test_angles: needs at least one value"),
        ({"test_angles": [9999]}, r"data\.test_angles: angle 9999 leaves nothing to see"),
    ],
)
def test_what_cannot_be_is_said(given: dict[str, object], message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        make(**given)


def test_test_values_are_of_one_nuisance() -> None:
    with pytest.raises(InvariantNetsError, match=r"data\.test_values: of one nuisance alone.*angle, light"):
        VariedImages(few, 10, [1, 28, 28], vary={"angle": [0], "light": [0]}, test_values=[1])
    with pytest.raises(InvariantNetsError, match=r"data\.values: 40 pixels move images"):
        VariedImages(few, 10, [1, 28, 28], "translation", [0], test_values=[40]).setup()


def test_memory_is_that_of_one_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"SC_PAGE_SIZE": 200 * 784, "SC_PHYS_PAGES": 1}  # the images once
    monkeypatch.setattr("os.sysconf", pages.__getitem__)
    make().setup()
    with pytest.raises(InvariantNetsError, match="200 images in 5 variants"):
        make(one_each=False).setup()
