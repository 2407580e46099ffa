from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from invariantnets.data.lfw_lists import read_blufr
from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.protocols import run_lfw
from invariantnets.protocols.lfw import all_pairs
from invariantnets.protocols.similarity import KINDS, LEARNED, unit

Faces = Callable[..., FeatureTable]
PEOPLE, IMAGES, TRIALS = 24, 4, 3
REAL = Path(os.environ.get("INVARIANTNETS_DATA", "none")) / "lfw"


@pytest.fixture
def table(make_faces: Faces) -> FeatureTable:
    faces = make_faces(people=PEOPLE, images=IMAGES, train=0)
    return faces.rows(np.random.default_rng(0).permutation(len(faces)))  # lists are by name, not by row


def person(who: int) -> str:
    return f"p{who:03d}"


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """The lists of a small LFW: 2 folds of 4 + 4 pairs, 3 trials, one image each in the gallery."""
    pairs = [f"2\t{4}"]
    for fold in range(2):
        people = range(12 * fold, 12 * fold + 8)
        pairs += [f"{person(p)}\t1\t2" for p in people[:4]]
        pairs += [f"{person(p)}\t1\t{person(q)}\t3" for p, q in zip(people[:4], people[4:], strict=True)]
    (tmp_path / "pairs.txt").write_text("\n".join(pairs))
    files = [f"{person(who)}_{i:04d}.jpg" for who in range(PEOPLE) for i in range(1, IMAGES + 1)]
    folder = tmp_path / "identification"
    folder.mkdir()
    for name, first in (("gallery", True), ("probe", False)):
        rows = [f"{f[:4]}/{f} {i} {i // IMAGES}" for i, f in enumerate(files) if (i % IMAGES == 0) == first]
        (folder / f"test_ident_{name}.txt").write_text("\n".join(rows))
    folder = tmp_path / "blufr"
    folder.mkdir()
    (folder / "image_list.txt").write_text("\n".join(files))
    (folder / "labels.txt").write_text("\n".join(str(1 + i // IMAGES) for i in range(len(files))))

    def write(name: str, trials: list[list[int]]) -> None:
        lines = [str(len(trials))]
        for trial in trials:
            lines += [str(len(trial)), *(f"{i + 1}, {files[i]}" for i in trial)]
        (folder / name).write_text("\n".join(lines))

    everybody = list(range(len(files)))
    galleries = [[IMAGES * who for who in range(t, t + 12)] for t in range(TRIALS)]
    write("test_set.txt", [everybody[4 * t :] for t in range(TRIALS)])
    write("gallery_set.txt", galleries)
    write("probe_set.txt", [[i for i in everybody if i not in g] for g in galleries])
    return tmp_path


def test_all_pairs_agree_with_loops_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invariantnets.protocols.lfw._BLOCK_ROWS", 7)
    rng = np.random.default_rng(0)
    x, label = unit(rng.normal(size=(40, 5))), rng.integers(0, 9, 40)
    slow: dict[bool, list[float]] = {True: [], False: []}
    for i in range(40):
        for j in range(i + 1, 40):
            slow[bool(label[i] == label[j])].append(float(x[i] @ x[j]))
    for ours, same in zip(all_pairs(x, label), (True, False), strict=True):
        assert np.sort(ours) == pytest.approx(np.sort(slow[same]), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_lists_are_followed_by_name(table: FeatureTable, lists: Path, kind: str) -> None:
    knobs = {"lists": lists, "similarities": [kind], "enrolled": 10, "impostors": 20, "bootstrap": 20}
    results = {(r.probe.split("/")[0], r.metric): r for r in run_lfw(table, "F7", **knobs) if not r.where}
    x = dict(zip(table.name, unit(table.features["F7"]), strict=True))
    assert results["verification", "accuracy"].n == 16
    if kind in LEARNED:
        assert {protocol for protocol, _ in results} == {"verification"}, "LFW may not be trained on elsewhere"
        return
    assert results["closed_set", "rank1"].n == PEOPLE * (IMAGES - 1)
    assert "gallery of 10, 10 genuine probes, 20 impostors" in results["open_set", "dir_far1"].note
    assert results["blufr_verification", "tar_far0.1"].n > 3000
    if kind == "cosine":
        gallery = [f"{person(who)}/{person(who)}_0001" for who in range(PEOPLE)]
        hits = [
            max(gallery, key=lambda name, probe=probe: x[name] @ x[probe])[:4] == probe[:4]
            for probe in x
            if not probe.endswith("_0001")
        ]
        assert results["closed_set", "rank1"].value == pytest.approx(np.mean(hits))


def test_blufr_reports_mean_and_deviation_of_its_trials(table: FeatureTable, lists: Path) -> None:
    results = run_lfw(table, "F7", lists=lists, enrolled=10, impostors=20, bootstrap=20)
    for metric, probe in (("tar_far0.1", "blufr_verification"), ("dir_far1", "blufr_open_set")):
        here = [r for r in results if r.probe == f"{probe}/cosine"]
        trials = np.array([r.value for r in here if "trial" in r.where])
        by_metric = {r.metric: r.value for r in here if not r.where}
        assert len(trials) == TRIALS and by_metric[metric] == pytest.approx(trials.mean())
        assert by_metric[f"{metric}_mean_minus_sd"] == pytest.approx(trials.mean() - trials.std(ddof=1))
        assert len([r for r in here if "far" in r.where]) == 21


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: replace(t, name=None), "does not name its images"),
        (
            lambda t: t.rows(t.name != "p003/p003_0001"),
            r"image 'p003/p003_0001' \(and \d+ more of \d+\) is on the list",
        ),
        (
            lambda t: replace(t, split=np.where(t.name == "p000/p000_0001", "train", t.split)),
            r"image 'p000/p000_0001' \(and \d+ more\) is of split 'train'",
        ),
    ],
    ids=["no names", "an image missing", "a training image"],
)
def test_refusals(table: FeatureTable, lists: Path, spoil: Callable, message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        run_lfw(spoil(table), "F7", lists=lists)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="no lfw in INVARIANTNETS_DATA")
def test_the_real_lists() -> None:
    trials = read_blufr(REAL / "blufr")
    n, rng = len(trials.name), np.random.default_rng(0)
    x = rng.normal(size=(trials.label.max() + 1, 32))[trials.label] + 1.5 * rng.normal(size=(n, 32))
    table = FeatureTable(
        {"F7": x.astype(np.float32)},
        trials.label,
        np.full(n, "test"),
        np.arange(n),
        {},
        (),
        int(trials.label.max()) + 1,
        name=trials.name,
    )
    results = {(r.probe.split("/")[0], r.metric): r for r in run_lfw(table, "F7", lists=REAL, bootstrap=20)}
    assert results["verification", "accuracy"].n == 6000
    assert results["closed_set", "rank1"].n == 7484
    assert "596 genuine probes, 9,491 impostors" in results["open_set", "dir_far1"].note
    assert results["blufr_verification", "tar_far0.1"].n > 46_000_000
