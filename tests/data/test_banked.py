from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from invariantnets.data import Bank, BankedImages, DataSpec
from invariantnets.data.banked import shifted
from invariantnets.data.sampling import Request
from invariantnets.errors import InvariantNetsError

COUNTS = {"train": 6, "val": 3, "test": 5}


class Made(BankedImages):
    """Images whose pixels say which they are: split, number, variant."""

    def __init__(self, counts: dict[str, int] = COUNTS, variants: int = 2, people=None, **stream):
        super().__init__(DataSpec((1, 1, 3), 3), **stream)
        self.counts, self.variants, self.people, self.loads = counts, variants, people, 0

    def load(self) -> str:
        self.loads += 1
        return "sum"

    def make_bank(self, split: str) -> Bank:
        number, image = ["train", "val", "test"].index(split), torch.zeros(self.counts[split], self.variants, 1, 1, 3)
        image[..., 0], image[..., 1] = number, torch.arange(len(image))[:, None, None, None]
        image[..., 2] = torch.arange(self.variants)[:, None, None]
        nuisance = {"variant": torch.arange(self.variants).float().expand(len(image), -1)}
        return Bank(image.to(torch.uint8), torch.arange(len(image)) % 3, nuisance, 100 * number)

    def identities(self, split: str) -> tuple[str, ...] | None:
        return None if self.people is None else self.people[split]


def test_a_request_is_answered_by_rows_of_the_bank() -> None:
    bank = Made(variants=4).bank("val")
    request = Request(torch.tensor([[2, 2], [0, 1]]), torch.tensor([[3, 0], [1, 2]]))
    batch = bank[request]
    assert batch.image[..., 0, 0, :].tolist() == [[[1, 2, 3], [1, 2, 0]], [[1, 0, 1], [1, 1, 2]]]
    assert batch.label.tolist() == [2, 0]
    assert batch.index.tolist() == [[11, 8], [1, 6]] and batch.source.tolist() == [[102, 102], [100, 101]]
    assert batch.nuisance["variant"].tolist() == [[3, 0], [1, 2]]
    moved = bank.to(torch.device("cpu"))[request]
    assert torch.equal(moved.image, batch.image) and torch.equal(moved.nuisance["variant"], batch.nuisance["variant"])


def test_a_shifted_picture_is_a_crop_of_its_padded_self() -> None:
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 2, 3, 5, 7), np.uint8))
    shift = torch.tensor([[[0, 0], [1, -2]], [[-2, 2], [2, 0]], [[0, 1], [-1, -1]]])
    padded = np.pad(image.numpy(), ((0, 0),) * 3 + ((2, 2),) * 2, mode="edge")
    moved = shifted(image, shift)
    for i, j in np.ndindex(3, 2):
        down, right = shift[i, j].tolist()
        assert np.array_equal(moved[i, j], padded[i, j, :, 2 - down : 7 - down, 2 - right : 9 - right])


def test_training_pictures_are_shifted_and_no_others() -> None:
    data = Made({"train": 64, "val": 3, "test": 5}, shift=1, epoch_batches=1)
    batch = next(iter(data.train_dataloader()))
    still = data.bank("train")[Request(batch.source[:, :1], batch.index[:, :1] % 2)]
    assert not torch.equal(batch.image, still.image)
    (val,) = data.loader("val")
    assert torch.equal(val.image, data.bank("val").image)


@pytest.mark.parametrize("on_device", [True, False])
def test_files_are_read_once(on_device: bool) -> None:
    data = Made(on_device=on_device)
    assert data.checksum is None and data.loads == 0
    data.setup()
    assert data.bank("train") is data.bank("train") and data.loads == 1 and data.checksum == "sum"


def test_an_empty_split_yields_no_batch() -> None:
    data = Made({"train": 0, "val": 0, "test": 5})
    assert [len(list(data.loader(split))) for split in ("train", "val", "test")] == [0, 0, 1]


@pytest.mark.parametrize("missing", ["train", "val"])
def test_training_without_images_is_refused(missing: str) -> None:
    with pytest.raises(InvariantNetsError, match=f"these data have no {missing} images"):
        Made({**COUNTS, missing: 0}).train_dataloader()


@pytest.mark.parametrize("world", [2, 7])
def test_processes_share_out_evaluation_even_where_some_have_nothing(world: int) -> None:
    data, seen = Made(), []
    for rank in range(world):
        data._share = partial(lambda rank: (rank, world), rank)
        batches = list(data.test_dataloader())
        assert len(batches) == len(data.test_dataloader())
        seen += [i for batch in batches for i in batch.index.flatten().tolist()]
    assert sorted(seen) == list(range(10))


def test_people_trained_and_tested_on_are_refused() -> None:
    people = {"train": ("Ann", "Bob", "Cy", "Di", "Eve"), "val": ("Ann",), "test": ("Fay", "Eve", "Bob", "Di", "Ann")}
    data = Made(people=people)
    with pytest.raises(InvariantNetsError, match=r"4 people are in both train and test \(Ann, Bob, Di, …\)"):
        data.bank("test")
    with pytest.raises(InvariantNetsError, match="4 people"):
        data.setup()  # a second attempt does not pass either
    Made(people={**people, "test": ("Fay",)}).setup()
    Made(people={**people, "train": ()}).setup()


def test_data_of_one_variant_name_the_pairs_they_can_give() -> None:
    with pytest.raises(InvariantNetsError, match="these data have 1; or use pairs=same_class"):
        Made(variants=1, views=2).train_dataloader()
    batch = next(iter(Made(variants=1, views=2, pairs="same_class", batch_size=4).train_dataloader()))
    assert batch.image.shape == (4, 2, 1, 1, 3)
    assert np.array_equal(batch.image[:, 0, 0, 0, 1] % 3, batch.image[:, 1, 0, 0, 1] % 3)
