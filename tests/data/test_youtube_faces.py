"""The layout of YouTube Faces, on a folder that is made up: the data themselves are not at hand."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from invariantnets.data import YouTubeFaces
from invariantnets.errors import InvariantNetsError
from invariantnets.features.extract import extract
from invariantnets.foreign import Pixels
from invariantnets.protocols import run_videos

PEOPLE, VIDEOS, FRAMES = 8, 2, 12


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each person is a colour, each video a brightness of it."""
    root, rng = tmp_path_factory.mktemp("ytf"), np.random.default_rng(0)
    colours = rng.integers(60, 200, size=(PEOPLE, 3))
    for person in range(PEOPLE):
        for video in range(VIDEOS):
            folder = root / "aligned_images_DB" / f"Person_{person}" / str(video)
            folder.mkdir(parents=True)
            for frame in range(FRAMES):
                colour = tuple((colours[person] + 10 * video + rng.integers(-20, 20, 3)).tolist())
                Image.new("RGB", (16, 16), colour).save(folder / f"aligned_detect_{video}.{90 + frame}.jpg")
    lines = ["split number, pair number, first, second, similarity, same"]
    for fold in range(2):
        own = [f"Person_{4 * fold + i}" for i in range(4)]
        lines += [f"{fold + 1}, {i + 1}, {p}/0, {p}/1, 0, 1" for i, p in enumerate(own)]
        lines += [f"{fold + 1}, {i + 5}, {p}/0, {q}/1, 0, 0" for i, (p, q) in enumerate(pairwise(own))]
    (root / "splits.txt").write_text("\n".join(lines))
    return root


def make(root: Path, tmp_path: Path, **changes: Any) -> YouTubeFaces:
    return YouTubeFaces(str(root), [3, 8, 8], str(tmp_path / "cache"), **changes)


def test_frames_are_in_order_and_those_of_a_video_are_one_source(root: Path, tmp_path: Path) -> None:
    data = make(root, tmp_path)
    bank = data.bank("test")
    assert [len(data.bank(split)) for split in ("train", "val", "test")] == [0, 0, PEOPLE * VIDEOS * FRAMES]
    assert bank.label.tolist() == np.repeat(np.arange(PEOPLE), VIDEOS * FRAMES).tolist()
    frames = [name.rpartition(".")[2] for name in data.names("test")[:FRAMES]]
    assert frames == [str(90 + i) for i in range(FRAMES)], "100 comes after 99"
    assert bank.group.tolist() == np.repeat(np.arange(PEOPLE * VIDEOS), FRAMES).tolist()


def test_few_frames_are_spread_over_the_video(root: Path, tmp_path: Path) -> None:
    names = make(root, tmp_path, max_frames=3)
    names.setup()
    assert [name.rpartition(".")[2] for name in names.names("test")[:3]] == ["90", "96", "101"]


def test_its_own_list_is_followed(root: Path, tmp_path: Path) -> None:
    table = extract(Pixels(), make(root, tmp_path), ["input"], classifies=False)
    results = run_videos(table, "input", list=root / "splits.txt", similarities=["cosine", "chi2"], bootstrap=20)
    accuracy = {r.probe: r for r in results if r.metric == "accuracy"}
    assert accuracy["verification/cosine"].n == 14 and accuracy["verification/cosine"].sources == PEOPLE
    assert accuracy["verification/cosine"].value > 0.7


def test_a_folder_without_frames_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvariantNetsError, match=r"aligned_images_DB: no frames <person>/<video>/<frame>.jpg"):
        make(tmp_path, tmp_path).setup()
