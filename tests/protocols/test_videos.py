"""Pairs of videos by random pairs of their frames."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.protocols import run_videos
from invariantnets.protocols.pair_lists import read_pair_list
from invariantnets.protocols.similarity import chi2_elements, fit_chi2
from invariantnets.protocols.templates import pool_templates
from invariantnets.protocols.verification import Pairs, cross_validate
from invariantnets.protocols.videos import Videos, by_frames
from invariantnets.results.result import Result

PEOPLE, VIDEOS, FRAMES = 24, 3, 6


@pytest.fixture
def table() -> FeatureTable:
    """Of each person three videos of six frames, which are scattered about the person and about the video."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(PEOPLE), VIDEOS * FRAMES)
    video = np.repeat(np.arange(PEOPLE * VIDEOS), FRAMES)
    x = rng.normal(size=(PEOPLE, 12))[person] + 0.6 * rng.normal(size=(PEOPLE * VIDEOS, 12))[video]
    x = np.maximum(x + 1.2 * rng.normal(size=x.shape), 0).astype(np.float32)
    made = FeatureTable(
        features={"F7": x},
        label=person,
        split=np.full(len(x), "test"),
        source=video + 1000,
        nuisance={},
        nuisances=(),
        num_classes=PEOPLE,
        name=np.array([f"p{v // VIDEOS:02d}/{v % VIDEOS}/{v % VIDEOS}.{i}" for i, v in enumerate(video)]),
    )
    return made.rows(rng.permutation(len(x)))


def run(table: FeatureTable, **knobs) -> dict[tuple[str, str], Result]:
    found = run_videos(table, "F7", **{"bootstrap": 20, "folds": 4, "pairs_per_fold": 12, **knobs})
    return {(r.probe.removeprefix("verification/"), r.metric): r for r in found if not r.where}


def test_frames_are_drawn_of_their_videos(table: FeatureTable) -> None:
    videos = Videos.of(table.source)
    wanted = np.array([5, 0, 71, 5])
    drawn = videos.draw(wanted, 300, np.random.default_rng(0))
    for rows, video in zip(drawn, wanted, strict=True):
        assert set(rows) == set(np.flatnonzero(table.source == 1000 + video))
    uneven = Videos.of(np.array([7, 3, 7, 7]))
    assert set(uneven.draw(np.array([0, 1]), 50, np.random.default_rng(0))[0]) == {1}


def test_scores_are_means_over_pairs_of_frames_by_weights_of_others() -> None:
    """Against a loop over every pair of frames."""
    rng = np.random.default_rng(1)
    x = rng.random((40, 5))
    pairs = Pairs(np.arange(12), np.arange(12), np.arange(12) % 2 == 0, np.arange(12) // 4)
    drawn, learned = rng.integers(40, size=(2, 12, 7)), rng.integers(40, size=(2, 12, 3))
    scores, _ = cross_validate(pairs, by_frames(x, pairs, drawn, learned, "chi2", 0))
    train = np.flatnonzero(pairs.fold != 1)
    left, right = ([row for pair in train for row in rows[pair]] for rows in learned)
    weights = fit_chi2(x[left], x[right], np.array([pairs.same[pair] for pair in train for _ in range(3)]), 0)
    for pair in np.flatnonzero(pairs.fold == 1):
        each = [
            chi2_elements(x[a], x[b]) @ weights.weights + weights.intercept
            for a, b in zip(drawn[0, pair], drawn[1, pair], strict=True)
        ]
        assert scores[pair] == pytest.approx(np.mean(each), abs=1e-9)
    plain, _ = cross_validate(pairs, by_frames(x, pairs, drawn, learned, "cosine", 0))
    assert plain[3] == pytest.approx(np.mean([x[a] @ x[b] for a, b in zip(*drawn[:, 3], strict=True)]))


def test_many_pairs_of_frames_tell_more_than_one(table: FeatureTable) -> None:
    found = run(table, similarities=["cosine", "chi2"])
    for kind in ("cosine", "chi2"):
        assert found[kind, "auc"].value > found[f"{kind}, one pair of frames", "auc"].value + 0.03
        assert (found[kind, "eer"].n, found[kind, "eer"].sources) == (96, PEOPLE)
        assert found[kind, "eer"].low < found[kind, "eer"].value < found[kind, "eer"].high
    assert "mean of 100 pairs of frames, weights learned from 50 of each" in found["chi2", "eer"].note


def test_mean_features_are_the_templates(table: FeatureTable) -> None:
    templates, source = pool_templates(table.features["F7"], table.source)
    first = np.array([np.flatnonzero(table.source == one)[0] for one in source])
    still = replace(table.rows(first), features={"F7": np.repeat(templates, 2, 0)[::2]})
    doubled = still.rows(np.repeat(np.arange(len(still)), 2))  # a video of two frames that are the same
    found = run(doubled)
    assert found["cosine", "auc"].value == run(table)["cosine, mean features", "auc"].value


def test_the_seed_is_all_that_decides(table: FeatureTable) -> None:
    assert run(table, seed=1) == run(table, seed=1) != run(table, seed=2)
    assert run(table, seed=1)["cosine", "eer"].seed == 1


def write_splits(path: Path, moved: str = "") -> Path:
    """As YouTube Faces has them: of each fold pairs of one person, then of two."""
    lines = ["split number, pair number, first name, second name, similarity, is same"]
    for fold in range(4):
        own = [f"p{fold * 6 + i:02d}" for i in range(6)]
        pairs = [(f"{p}/0", f"{p}/2", 1) for p in own] + [(f"{p}/1", f"{q}/1", 0) for p, q in pairwise(own)]
        lines += [f"{fold + 1}, {i + 1}, {a}, {b}, 0.5, {same}" for i, (a, b, same) in enumerate(pairs)]
    path.write_text("\n".join(lines + ([moved] if moved else [])))
    return path


def test_the_list_of_youtube_faces(table: FeatureTable, tmp_path: Path) -> None:
    path = write_splits(tmp_path / "splits.txt")
    listed = read_pair_list(path)
    assert listed.dialect.startswith("YouTube Faces") and len(listed.pairs) == 44
    assert listed.pairs[6][:4] == ("p00/1", "p01/1", False, 1) and listed.pairs[6].line == "line 8"
    found = run(table, list=path, similarities=["chi2"])
    assert found["chi2", "accuracy"].n == 44 and "YouTube Faces" in found["chi2", "accuracy"].note
    assert "standard error over 4 folds" in found["chi2", "accuracy"].note
    without = replace(table, label=np.zeros_like(table.label), num_classes=1)
    assert run(without, list=path)["cosine", "eer"].value == run(table, list=path)["cosine", "eer"].value


FAULTS = {
    "people": "frames of one video .* show two people, .*: they would be in two folds; give every video a source",
    "folders": "frames of one video are in two folders, 'p00/.' and 'p00/.': give every video",
    "folds": "video 'p00/1' .*is in two folds: what is learned from its frames would be tested on them",
    "stills": "no video has two frames: the source of each row is its video",
    "kernel": "'kernel' compares pairs of images",
    "unknown": "image 'p77/0' .*is on the list but not in the feature table, whose names are like 'p../.'",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_is_one_clear_line(table: FeatureTable, tmp_path: Path, fault: str) -> None:
    knobs: dict[str, object] = {}
    if fault == "people":
        table = replace(table, source=table.source // 4)
    elif fault == "folders":
        table = replace(table, source=np.where(table.source == 1001, 1000, table.source))
        knobs["list"] = write_splits(tmp_path / "splits.txt")
    elif fault == "folds":
        knobs["list"] = write_splits(tmp_path / "splits.txt", "3, 12, p00/1, p17/2, 0.1, 0")
    elif fault == "unknown":
        knobs["list"] = write_splits(tmp_path / "splits.txt", "4, 12, p77/0, p20/0, 0.1, 0")
    elif fault == "stills":
        table = replace(table, source=np.arange(len(table)))
    else:
        knobs["similarities"] = ["kernel"]
    with pytest.raises(InvariantNetsError, match=FAULTS[fault]):
        run(table, **knobs)
