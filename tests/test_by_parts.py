"""One table of all parts at the end of a sweep: who is recognised, and what the scores know."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from invariantnets import evaluation
from invariantnets.by_parts import PeopleByParts, of_all_parts, scores_of
from invariantnets.errors import InvariantNetsError
from invariantnets.evaluation import evaluate, subject_of
from invariantnets.features.io import save_table
from invariantnets.features.table import FeatureTable
from invariantnets.probes import DEFAULT
from invariantnets.results.result import read_jsonl

TEST, TRAINED, PICTURES, WIDTH = 24, 5, 8, 6
SUMS = ("global alone", "parts without global", "global and parts, not filled", "global and parts, filled")
RATES = {"global": 1.0, "face": 0.6, "poselet 0": 0.4, "poselet 1": 0.4}


def table_of(part: str, seed: int = 0) -> FeatureTable:
    """What the network of one part makes of the pictures on which it fires, of people trained on and of others."""
    rng = np.random.default_rng([seed, *part.encode()])
    person = np.repeat(np.arange(TRAINED + TEST), PICTURES)
    picture = np.tile(np.arange(PICTURES), TRAINED + TEST)
    split = np.where(person >= TRAINED, "test", np.where(picture % 4 == 3, "val", "train"))
    yaw = np.random.default_rng(seed).uniform(-90, 90, len(person))
    x = rng.normal(size=(TRAINED + TEST, WIDTH))[person] + 0.5 * rng.normal(size=(len(person), WIDTH))
    x[:, 0] += yaw / 45
    name = np.array([f"people/0/{who}/{k // 2}/{k % 2}" for who, k in zip(person, picture, strict=True)])
    fires = (rng.random(len(person)) < RATES[part]) | (person < TRAINED)
    columns = {"label": person, "split": split, "name": name, "yaw": yaw, "light": rng.normal(size=len(person))}
    known = {key: values[fires] for key, values in columns.items()}
    return FeatureTable.from_arrays({"fc7": x[fires]}, units={"yaw": "deg"}, **known)


def test_rows_of_parts_are_joined_by_the_picture() -> None:
    tables = {part: table_of(part) for part in RATES}
    whole = of_all_parts(tables, 0)
    assert len(whole) == sum(int((table.split == "test").sum()) for table in tables.values())
    assert whole.num_classes == TEST and set(whole.split) == {"val", "test"}
    lend = {split: set(whole.label[whole.split == split]) for split in ("val", "test")}
    assert len(lend["val"]) == len(lend["test"]) == TEST // 2 and not lend["val"] & lend["test"]
    assert len(np.unique(whole.source)) == TEST * PICTURES
    for source in np.unique(whole.source)[:20]:
        rows = whole.source == source
        assert all(len(np.unique(whole.nuisance[name][rows])) == 1 for name in ("yaw", "album"))
        assert len(np.unique(whole.nuisance["part"][rows])) == rows.sum()
    assert len(np.unique(whole.nuisance["album"])) == TEST * PICTURES // 2


def test_scores_keep_the_nuisances_of_their_pictures() -> None:
    whole = of_all_parts({part: table_of(part) for part in RATES}, 0)
    known = dict(scores_of(whole, ["yaw"], 0))
    assert list(known) == ["features of global", *(f"scores, {name}" for name in SUMS)]
    theirs = known["features of global"]
    assert [n.name for n in theirs.nuisances] == ["yaw"] and theirs.nuisances[0].unit == "°"
    assert len(theirs) == TEST // 2 * PICTURES
    # The first feature moves by 1 in 45 degrees beside its noise.
    assert np.corrcoef(theirs.features["features"][:, 0], theirs.nuisance["yaw"])[0, 1] > 0.6


def test_parts_without_names_cannot_be_joined() -> None:
    tables = {part: replace(table_of(part), name=None) for part in RATES}
    with pytest.raises(InvariantNetsError, match="'global': its rows have no names"):
        of_all_parts(tables, 0)


def test_people_are_those_of_the_names_however_tables_number_them() -> None:
    """A part that never fires on somebody numbers the others anew."""
    tables = {part: table_of(part) for part in RATES}
    shuffled = {**tables, "face": replace(tables["face"], label=np.roll(tables["face"].label, 1))}
    one, other = of_all_parts(tables, 0), of_all_parts(shuffled, 0)
    assert (one.label == other.label).all() and (one.split == other.split).all()
    for source in np.unique(one.source):
        assert len(np.unique(one.label[one.source == source])) == 1


def jobs_of(folder: Path, seed: int) -> list[Path]:
    found = []
    for part in RATES:
        job = folder / f"{seed} {part}"
        table = table_of(part, seed)
        subject = replace(subject_of(table), config={"seed": seed, "data": {"part": part}})
        evaluate(subject, [], protocols=None, seed=seed).save(job)
        save_table(table, job / "features" / "fc7")
        found.append(job)
    return found


@pytest.mark.filterwarnings("ignore")
def test_a_sweep_ends_with_people_and_with_what_scores_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, lines = jobs_of(tmp_path, 1), [probe for probe in DEFAULT if probe.name == "ridge"]  # others take 40 s
    assert lines
    monkeypatch.setattr(evaluation, "evaluate", lambda subject, probes=lines, **rest: evaluate(subject, probes, **rest))
    sets = {"two": ["global", "face"], "poselets": ["poselet *"]}
    PeopleByParts(sets, ["yaw"])(tmp_path, [*jobs, tmp_path / "a job that failed"])
    printed = capsys.readouterr().out.split("\n")
    assert {str(tmp_path / name / "report.html") for name in ("people", "scores")} <= set(printed)
    found = read_jsonl(tmp_path / "people" / "1" / "results.jsonl")
    right = {r.probe: r.value for r in found if r.metric == "accuracy" and not r.where}
    assert right["piper/image/filled"] > 1 / 12 and {"piper/image/two", "piper/album/poselets"} <= set(right)
    read = read_jsonl(tmp_path / "scores" / "1 scores, global and parts, filled" / "results.jsonl")
    assert {r.target for r in read if r.about == "nuisance"} == {"yaw"}
    with pytest.raises(InvariantNetsError, match="a second job of seed 1 looked at 'global'"):
        PeopleByParts(sets, ["yaw"])(tmp_path / "again", [*jobs, jobs[0]])
    shutil.rmtree(jobs[0] / "features")
    with pytest.raises(InvariantNetsError, match="features"):
        PeopleByParts(sets, ["yaw"])(tmp_path / "without", jobs)
