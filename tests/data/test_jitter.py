"""Jitter against scipy, its draws, and what of a picture is still known after it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from invariantnets.data import Bank, BankedImages, DataSpec, Jitter
from invariantnets.data.jitter import jittered
from invariantnets.data.sampling import EpochSampler
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance
from invariantnets.randomness import numpy_rng

NONE = dict.fromkeys(("scale", "angle", "shift", "mirror", "blur", "gamma"), 0.0)
NUISANCES = (
    Nuisance("yaw", unit="°"),
    Nuisance("hat", "binary", categories=("no", "yes")),
    Nuisance("left_eye_shut", "binary", categories=("no", "yes")),
    Nuisance("pose", "categorical", categories=("left", "straight", "right")),
    Nuisance("bright", "binary", categories=("no", "yes")),
)


def smooth(seed: int, *shape: int) -> np.ndarray:
    """Pictures without noise: on noise two roundings of one place differ by much."""
    noise = numpy_rng(seed).random(shape)
    return (255 * ndimage.gaussian_filter(noise, (0,) * (len(shape) - 2) + (1.5, 1.5), mode="wrap")).astype(np.uint8)


def slow(picture: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """One picture, pixel places first: scipy's interpolation, blur and a power."""
    size, degrees, right, down, sigma, gamma, mirror = draws.tolist()
    channels, height, width = picture.shape
    y, x = np.mgrid[:height, :width].astype(float)
    x, y = x - (width - 1) / 2 - right * width, y - (height - 1) / 2 - down * height
    turn = np.deg2rad(degrees)
    x, y = (np.cos(turn) * x - np.sin(turn) * y) / 2**size, (np.sin(turn) * x + np.cos(turn) * y) / 2**size
    x = (-x if mirror else x) + (width - 1) / 2
    places = [y + (height - 1) / 2, x]
    found = np.empty(picture.shape)
    for c in range(channels):
        seen = ndimage.map_coordinates(picture[c].astype(float), places, order=1, mode="nearest")
        if sigma:
            widths = [abs(sigma) / 224 * side for side in (height, width)]
            seen, there = (
                ndimage.gaussian_filter(z, widths, mode="constant", truncate=20.0) for z in (seen, np.ones_like(seen))
            )
            seen = seen / there
        found[c] = 255 * (seen / 255) ** 2**gamma
    return found


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 40, 56)], ids=str)
@pytest.mark.parametrize(
    "draws",
    [
        (0.4, 0, 0, 0, 0, 0, 0),
        (-0.3, 0, 0, 0, 0, 0, 0),
        (0, 25, 0, 0, 0, 0, 0),
        (0, 0, 0.11, -0.07, 0, 0, 0),
        (0, 0, 0, 0, 0, 0, 1),
        (0, 0, 0, 0, -6, 0, 0),
        (0, 0, 0, 0, 0, 1.3, 0),
        (0, 0, 0, 0, 0, -2, 0),
        (0.15, -33, 0.06, 0.08, 2.5, -0.7, 1),
    ],
    ids=str,
)
def test_it_is_scipys(shape: tuple[int, ...], draws: tuple[float, ...]) -> None:
    picture, numbers = smooth(0, *shape), np.array(draws, np.float32)
    mine = jittered(torch.from_numpy(picture), torch.from_numpy(numbers)).numpy()
    assert mine.dtype == np.uint8 and np.abs(mine - slow(picture, numbers)).max() < 0.51
    other = np.array([-0.2, 10, 0.02, 0, 3, 0.4, 1], np.float32)  # beside another, each by its own
    both = np.stack([picture, picture])[:, None]
    together = jittered(torch.from_numpy(both), torch.from_numpy(np.stack([numbers, other])[:, None]))
    assert together.shape == both.shape and np.abs(together[0, 0].numpy().astype(int) - mine).max() <= 1
    assert np.abs(together[1, 0].numpy() - slow(picture, other)).max() < 0.51


def test_of_no_strength_it_is_the_identity() -> None:
    draws = Jitter(**NONE).draws(numpy_rng(1), (5, 2))
    assert draws.shape == (5, 2, 7) and not draws.any()
    pictures = torch.from_numpy(numpy_rng(2).integers(0, 256, (5, 2, 3, 33, 50), np.uint8))
    assert torch.equal(jittered(pictures, torch.from_numpy(draws)), pictures)


def test_the_draws_have_the_strengths_that_are_said() -> None:
    draws = Jitter().draws(numpy_rng(3), (20000, 1))[:, 0]
    assert draws[:, :6].std(0) == pytest.approx([0.1, 20, 0.05, 0.05, 3, 1], rel=0.03)
    assert np.abs(draws[:, :6].mean(0) / draws[:, :6].std(0)).max() < 0.03
    assert sorted(set(draws[:, 6])) == [0, 1] and draws[:, 6].mean() == pytest.approx(0.5, abs=0.02)
    assert np.abs(np.corrcoef(draws.T) - np.eye(7)).max() < 0.05


def test_an_epochs_jitter_is_a_function_of_its_number_and_leaves_the_rows_alone() -> None:
    def epoch(jitter: Jitter | None, number: int = 5, **share: int) -> list:
        sampler = EpochSampler(np.arange(9) % 3, 4, 3, 4, views=2, seed=7, jitter=jitter, **share)
        sampler.set_epoch(number)
        return list(sampler)

    first = epoch(Jitter())
    for request, again, still in zip(first, epoch(Jitter()), epoch(None), strict=True):
        assert request.jitter is not None and request.jitter.shape == (3, 2, 7) and still.jitter is None
        assert torch.equal(request.jitter, again.jitter) and torch.equal(request.image, still.image)
    assert not torch.equal(first[0].jitter, epoch(Jitter(), 6)[0].jitter)
    rank = [epoch(Jitter(), rank=r, world=2)[0].jitter for r in (0, 1)]
    assert not torch.equal(*rank)


class Made(BankedImages):
    """Twenty pictures a split."""

    def __init__(self, **stream) -> None:
        super().__init__(DataSpec((3, 16, 16), 2, NUISANCES), batch_size=8, epoch_batches=1, **stream)

    def load(self) -> str:
        return "sum"

    def make_bank(self, split: str) -> Bank:
        nuisance = {n.name: torch.ones(20, 1) for n in self.spec.nuisances}
        return Bank(torch.from_numpy(smooth(4, 20, 1, 3, 16, 16)), torch.arange(20) % 2, nuisance)


def test_training_pictures_are_jittered_no_others_and_what_it_changes_is_not_told() -> None:
    data = Made(jitter=Jitter())
    (batch,) = data.train_dataloader()
    still = data.bank("train").stored[batch.source[:, 0], batch.index[:, 0] * 0]
    assert batch.image.shape == (8, 1, 3, 16, 16) and not torch.equal(batch.image[:, 0], still)
    assert set(batch.nuisance) == {"hat", "bright"}
    for split in ("train", "val", "test"):  # as Moon is prepared, as nets are validated and probed
        (whole,) = data.loader(split)
        assert torch.equal(whole.image, data.bank(split).stored) and set(whole.nuisance) == {n.name for n in NUISANCES}
    (batch,) = Made(jitter=Jitter(mirror=0)).train_dataloader()
    assert set(batch.nuisance) == {"hat", "left_eye_shut", "pose", "bright"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"blur": -1.0}, "data.jitter.blur=-1.0: give 0, for none, or more"),
        ({"mirror": 1.5}, "data.jitter.mirror=1.5: give 0, for none, or more, up to 1"),
        ({"angle": float("nan")}, "data.jitter.angle=nan"),
    ],
)
def test_strengths_that_are_none_are_refused(change: dict[str, float], said: str) -> None:
    with pytest.raises(InvariantNetsError, match=said):
        Jitter(**change)
