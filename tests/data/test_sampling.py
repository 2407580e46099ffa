from __future__ import annotations

import numpy as np
import pytest
import torch

from invariantnets.data.sampling import EpochSampler, Request
from invariantnets.errors import InvariantNetsError

LABEL = np.random.default_rng(0).permutation(np.repeat(np.arange(4), [5, 11, 2, 7]))  # 25 images
VARIANTS = 7


def make(batch_size: int = 4, batches: int = 5, **changes: object) -> EpochSampler:
    return EpochSampler(LABEL, VARIANTS, batch_size, batches, **changes)


def epoch(sampler: EpochSampler, number: int) -> list[Request]:
    sampler.set_epoch(number)
    return list(sampler)


def same(first: list[Request], second: list[Request]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a.image, b.image) and torch.equal(a.variant, b.variant) for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("pairs", ["same_image", "same_class"])
def test_an_epoch_is_a_function_of_seed_and_number(pairs: str) -> None:
    sampler = make(views=2, pairs=pairs, seed=3)
    torch.manual_seed(0)
    first = epoch(sampler, 5)
    epoch(sampler, 2)
    torch.manual_seed(1)
    np.random.default_rng().random()
    assert same(first, epoch(sampler, 5))
    assert same(first, epoch(make(views=2, pairs=pairs, seed=3), 5)), "a resumed run starts at any epoch"
    assert not same(first, epoch(sampler, 6))
    assert not same(first, epoch(make(views=2, pairs=pairs, seed=4), 5))


@pytest.mark.parametrize("views", [1, 2, 7])
def test_shapes(views: int) -> None:
    sampler = make(views=views)
    batches = epoch(sampler, 0)
    assert len(sampler) == len(batches) == 5
    for batch in batches:
        assert batch.image.shape == batch.variant.shape == (4, views)
        assert batch.image.dtype == batch.variant.dtype == torch.int64
        assert 0 <= batch.variant.min() and batch.variant.max() < VARIANTS


@pytest.mark.parametrize(("batch_size", "batches"), [(4, 5), (25, 1), (3, 1), (60, 2), (7, 11)])
@pytest.mark.parametrize("pairs", ["same_image", "same_class"])
def test_every_image_once_a_pass_wherever_batches_and_epochs_end(batch_size: int, batches: int, pairs: str) -> None:
    sampler = make(batch_size, batches, views=2, pairs=pairs)
    epochs = -(-6 * len(LABEL) // (batch_size * batches))
    stream = torch.cat([batch.image[:, 0] for number in range(epochs) for batch in epoch(sampler, number)])
    passes = stream[: len(stream) // len(LABEL) * len(LABEL)].view(-1, len(LABEL))
    assert len(passes) >= 6
    assert (passes.sort(1).values == torch.arange(len(LABEL))).all()
    assert not (passes[0] == passes[1]).all(), "each pass has an order of its own"


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("pairs", ["same_image", "same_class"])
@pytest.mark.parametrize("number", [0, 3])
def test_processes_share_out_the_epoch_of_one(world: int, pairs: str, number: int) -> None:
    whole = epoch(make(4 * world, views=2, pairs=pairs), number)
    shares = [epoch(make(4, views=2, pairs=pairs, rank=rank, world=world), number) for rank in range(world)]
    for step, batch in enumerate(whole):
        assert torch.equal(torch.cat([share[step].image for share in shares]), batch.image)
        assert torch.equal(torch.cat([share[step].variant for share in shares]), batch.variant)
        if number == 0 and world * 4 * (step + 1) <= len(LABEL):  # within the first pass
            assert len(batch.image[:, 0].unique()) == 4 * world, "shares have no image in common"


def test_views_of_one_image_are_different_variants() -> None:
    for batch in epoch(make(50, 20, views=3), 0):
        assert (batch.image == batch.image[:, :1]).all()
        variants = batch.variant.sort(1).values
        assert (variants[:, 1:] != variants[:, :-1]).all()


def test_variants_are_drawn_evenly() -> None:
    for pairs in ("same_image", "same_class"):
        variant = torch.cat([batch.variant for batch in epoch(make(50, 140, views=2, pairs=pairs), 0)])
        for view in variant.T:
            assert (view.bincount(minlength=VARIANTS) - 1000).abs().max() < 150  # 5 standard deviations


def test_views_of_one_class_are_other_images_of_it() -> None:
    image = torch.cat([batch.image for batch in epoch(make(50, 100, views=3, pairs="same_class"), 0)]).numpy()
    assert (LABEL[image] == LABEL[image[:, :1]]).all()
    assert (image[:, 1:] != image[:, :1]).all(), "never the anchor itself"
    for anchor in range(len(LABEL)):  # each of the others, about as often as any
        partner = np.bincount(image[image[:, 0] == anchor, 1:].ravel(), minlength=len(LABEL))
        others = np.flatnonzero(LABEL == LABEL[anchor])
        others = others[others != anchor]
        expected = partner.sum() / len(others)
        assert np.abs(partner[others] - expected).max() < 5 * np.sqrt(expected)


def test_one_variant_will_do_for_one_view() -> None:
    sampler = EpochSampler(LABEL, 1, 4, 5)
    assert all((batch.variant == 0).all() for batch in sampler)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": "same_person"}, "pairs=same_person: choose same_image or same_class"),
        (
            {"views": 8},
            "views=8 of one image need 8 variants .*, but these data have 7; or use pairs=same_class",
        ),
    ],
)
def test_impossible_requests_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        make(**changes)


def test_pairs_of_a_class_with_one_image_are_refused() -> None:
    label = np.array([0, 0, 1, 2, 2])
    with pytest.raises(InvariantNetsError, match="class 1 has one"):
        EpochSampler(label, VARIANTS, 4, 5, views=2, pairs="same_class")
    EpochSampler(label, VARIANTS, 4, 5, views=1, pairs="same_class")
    EpochSampler(np.array([0, 0, 2, 2]), VARIANTS, 4, 5, views=2, pairs="same_class")  # no image of class 1 at all


def test_shifts_are_a_function_of_the_epoch_and_leave_the_rows_alone() -> None:
    requests = epoch(make(views=2, shift=1), 3)
    for request, without in zip(requests, epoch(make(views=2), 3), strict=True):
        assert torch.equal(request.image, without.image) and without.shift is None
        assert request.shift is not None and request.shift.shape == (*request.image.shape, 2)
    shifts = torch.cat([request.shift for request in requests if request.shift is not None])
    assert shifts.unique().tolist() == [-1, 0, 1]
    assert np.array_equal(shifts, make(views=2, shift=1).epoch_shifts(3))
    with pytest.raises(InvariantNetsError, match=r"data\.shift=-1"):
        make(shift=-1)
