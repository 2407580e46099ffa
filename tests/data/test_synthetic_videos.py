from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from invariantnets.data import Bank, SyntheticFaces, SyntheticVideos
from invariantnets.data.synthetic_videos import WALKING
from invariantnets.errors import InvariantNetsError
from invariantnets.features.extract import extract
from invariantnets.foreign import Pixels

SIZES = {"images_per_identity": 2, "val_images": 1, "test_identities": 3, "test_images": 2}
FRAMES, PACE = 9, 4


def make(**changes: Any) -> SyntheticVideos:
    known = {"frames": FRAMES, "pace": PACE, "ranges": {"video_frame": 1.0}, **SIZES}
    return SyntheticVideos(4, [3, 24, 24], **{**known, **changes})


@pytest.fixture(scope="module")
def test_bank() -> Bank:
    return make().bank("test")


def test_a_video_is_an_image_whose_variants_are_its_frames(test_bank: Bank) -> None:
    assert test_bank.image.shape == (6, FRAMES, 3, 24, 24)
    assert test_bank.label.tolist() == [4, 4, 5, 5, 6, 6]
    data = make()
    table = extract(Pixels(), data, ["input"], classifies=False).part("test")
    assert len(np.unique(table.source)) == 6 and np.bincount(table.source)[-1] == FRAMES
    assert len(np.unique(table.name)) == 6 * FRAMES
    folder = {str(name).rpartition("/")[0] for name in table.name[table.source == table.source[0]]}
    assert folder == {"synthetic/0/1048576/0"}


def test_the_walk_is_smooth_and_within_its_ranges() -> None:
    data = make(frames=40, pace=10)
    walk = data.walk("train")
    for name in WALKING:
        spread, values = data.ranges[name], walk[name]
        reach = float(spread[-1]) - float(spread[0])
        assert values.min() >= spread[0] - 1e-6 and values.max() <= spread[-1] + 1e-6
        # Half a cosine over ten frames is steepest in its middle: π/20 of the way in a frame.
        assert values.diff(dim=1).abs().max() <= reach * math.pi / 20
        assert values.std(1).min() > 0, f"{name} stands still"
    for name in set(walk) - set(WALKING):
        assert (walk[name] == walk[name][:, :1]).all()
    assert walk["video_frame"].all() and walk["blur"].unique().numel() == 8


def test_drawn_poses_are_those_of_stills_and_all_of_a_video_are_others() -> None:
    data = make()
    stills = SyntheticFaces(4, [3, 24, 24], ranges={"video_frame": 1.0}, **{**SIZES, "images_per_identity": 8})
    walk, known = data.walk("train"), stills.nuisance["train"]
    assert data.poses == 4  # of nine frames the last stands at the third of them
    for name in WALKING:
        drawn = known[name].view(4, 2, 4)  # person, video, pose
        assert torch.allclose(walk[name].view(4, 2, FRAMES)[..., [0, 4, 8]], drawn[..., :3], atol=1e-5)


def test_the_seed_is_all_that_decides_and_other_people_are_tested(test_bank: Bank) -> None:
    assert torch.equal(make().bank("test").image, test_bank.image)
    assert not torch.equal(make(sample_seed=1).bank("test").image, test_bank.image)
    assert not set(make().identities("train")) & set(make().identities("test"))
    assert make().checksum is None and make(pace=3).load() != make().load()


def test_the_cache_holds_the_same(test_bank: Bank, tmp_path) -> None:
    for _ in range(2):
        bank = make(cache=True, cache_dir=str(tmp_path)).bank("test")
        assert torch.equal(bank.image, test_bank.image)
        one, some = bank.pixels(torch.tensor([3]), torch.tensor([7])), torch.tensor([[0, 5], [2, 2]])
        assert torch.equal(one, test_bank.image[[3], [7]])
        assert torch.equal(bank.pixels(some, some), test_bank.image[some, some])


def test_where_a_picture_stands_elsewhere_the_first_frame_stands(test_bank: Bank) -> None:
    data = make()
    assert torch.equal(data.redrawn("test", torch.tensor([0, 4]), {}), test_bank.image[[0, 4], 0])


@pytest.mark.parametrize(("changes", "message"), [({"frames": 0}, "data.frames=0"), ({"pace": 0}, "data.pace=0")])
def test_what_is_no_video(changes: dict[str, int], message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        make(**changes)
