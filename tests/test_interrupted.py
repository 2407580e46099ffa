"""An evaluation that was killed goes on where it was; one that is complete is not made again; another is made anew."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from invariantnets.errors import InvariantNetsError
from invariantnets.interrupted import Journal, stamp
from invariantnets.probes.progress import watched
from invariantnets.results import Result, read_jsonl
from invariantnets.results.runs import read_sweep
from invariantnets.sweep import refuse_less
from programs import SMALL, THIN, run, start

LAYERS = ("early", "middle", "late")
COMMAND = ("features=table.npz", "layers=[early,middle,late]", "hydra.run.dir=run")


def table(path: Path, seed: int = 0) -> None:
    """Three layers of 30 × 60 rows: each takes about a second."""
    rng = np.random.default_rng(seed)
    label = np.tile(np.arange(30), 60)
    layers = {name: rng.normal(size=(len(label), 48)).astype(np.float32) for name in LAYERS}
    np.savez(path, **layers, label=label, split=np.repeat(["train", "val", "test"], 600), yaw=rng.normal(size=1800))


def numbers(folder: Path) -> set[tuple[object, ...]]:
    found = read_jsonl(folder / "results.jsonl")
    return {(r.layer, r.target, r.probe, r.metric, str(r.where), str(r.value), r.low, r.high) for r in found}


@pytest.mark.slow
def test_killed_it_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    table(tmp_path / "table.npz")
    process = start("evaluate.py", *COMMAND, cwd=tmp_path)
    kept = tmp_path / "run" / "finished"
    while not (kept.is_dir() and list(kept.glob("*.jsonl"))):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert not (tmp_path / "run" / "report.html").exists()

    run("evaluate.py", *COMMAND, cwd=tmp_path)
    said = (tmp_path / "run" / "evaluate.log").read_text()
    assert "measured before, and not again: early" in said and not kept.exists()
    run("evaluate.py", *COMMAND[:-1], "hydra.run.dir=whole", cwd=tmp_path)
    assert numbers(tmp_path / "run") == numbers(tmp_path / "whole")


@pytest.mark.slow
def test_moved_it_is_complete_still(tmp_path: Path) -> None:
    whole = (*SMALL, *THIN, "model=lenet")
    run("train.py", *whole, "hydra.run.dir=here", cwd=tmp_path)
    shutil.copytree(tmp_path / "here", tmp_path / "there" / "copy")
    run("train.py", *whole, "hydra.run.dir=there/copy", "ckpt_path=last", cwd=tmp_path)
    said = (tmp_path / "there" / "copy" / "train.log").read_text()
    assert "complete before, nothing is measured again" in said and "measured anew" not in said


def test_a_sweep_with_a_failed_job_has_a_report_of_the_others(tmp_path: Path) -> None:
    command = ("-m", *SMALL, *THIN, "data.num_classes=2", "data.classes=[0,1],[0,99]", "hydra.sweep.dir=sweep")
    then = "+hydra.callbacks.report.then={_target_: builtins.print, _partial_: true}"  # what an experiment may add
    out, err = run("train.py", *command, then, cwd=tmp_path, code=2)
    assert err.splitlines()[-1].startswith("error: job 1 (")
    assert out.splitlines()[-2].endswith("sweep/report.html")
    assert out.splitlines()[-1].startswith("sweep [") and out.splitlines()[-1].count("PosixPath('sweep/") == 2
    report = (tmp_path / "sweep" / "report.html").read_text(encoding="utf-8")
    assert "1 missing, named below" in report and len(read_sweep(tmp_path / "sweep").groups) == 1


def result(layer: str, value: float) -> Result:
    return Result("r2", value, layer, "yaw", "ridge", split="test", n=1, sources=1, seed=0)


def test_only_whole_layers_are_taken_over_and_the_shown_one_is_measured(tmp_path: Path) -> None:
    first = Journal(tmp_path, {"seed": 0})
    assert first.take_up(LAYERS, "late") == list(LAYERS)
    first.begin("early")
    first.keep([result("early", 1)])
    first.begin("middle")
    first.keep([result("early", 1), result("middle", 0.5)])  # and is killed
    again = Journal(tmp_path, {"seed": 0})
    assert again.take_up(LAYERS, "late") == ["middle", "late"] and again.earlier == [result("early", 1)]
    assert [r.layer for r in again.keep([result("middle", 2)])] == ["early", "middle"]
    assert Journal(tmp_path, {"seed": 0}).take_up(LAYERS, "early") == list(LAYERS)
    again.end(list(LAYERS))
    (tmp_path / "report.html").touch()
    assert Journal(tmp_path, {"seed": 0}).complete == list(LAYERS)
    (tmp_path / "results.jsonl").unlink()
    assert Journal(tmp_path, {"seed": 0}).complete == [], "the record alone is no result"


def test_of_another_evaluation_nothing_is_taken_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table(tmp_path / "table.npz")

    def journal(seed: int) -> Journal:
        return Journal(tmp_path / "run", {"seed": seed, "files": stamp(tmp_path / "table.npz")})

    first = journal(0)
    first.begin("early")
    first.keep([result("early", 1)])
    first.begin("middle")
    assert journal(0).take_up(LAYERS, "late") == ["middle", "late"]
    os.utime(tmp_path / "table.npz", (0, 0))
    assert journal(1).take_up(LAYERS, "late") == list(LAYERS)
    assert "finished.json is of another evaluation (seed, files): all is measured anew" in caplog.text


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    (tmp_path / "finished.json").write_text("[1, 2")
    assert Journal(tmp_path, {"seed": 0}).take_up(LAYERS, "late") == list(LAYERS)


def test_long_steps_say_how_long_the_rest_takes() -> None:
    ticks, told = iter([0.0, 1.0, 30.0, 300.0, 400.0]), []
    assert list(watched("abcd", "MLP", 4, told.append, lambda: next(ticks))) == list("abcd")
    assert told == ["MLP, 2 of 4 nuisances, about 30 s left", "MLP, 3 of 4 nuisances, about 2 min left"]


def test_a_sweep_that_goes_on_says_what_it_said_when_it_began(tmp_path: Path) -> None:
    """Other values of a key are more jobs; a key that is missing would make other jobs, and a report of these alone."""
    began = {"hydra": {"overrides": {"task": ["model=lenet", "seed=1,2", "+trainer.fast=1"]}}}
    OmegaConf.save(OmegaConf.create(began), tmp_path / "multirun.yaml")
    refuse_less(tmp_path, ["ckpt_path=last", "model=lenet", "seed=1,2,3", "trainer.fast=2"])
    refuse_less(tmp_path / "new", ["ckpt_path=last"])
    with pytest.raises(InvariantNetsError, match=r"began with model=lenet seed=1,2 .*here without seed=1,2$"):
        refuse_less(tmp_path, ["model=lenet", "+trainer.fast=1"])
    before = (tmp_path / "multirun.yaml").read_bytes()
    _, err = run("train.py", "-m", "ckpt_path=last", f"hydra.sweep.dir={tmp_path}", cwd=tmp_path, code=2)
    assert "say so again to go on with it, here without model=lenet seed=1,2 +trainer.fast=1" in err
    assert (tmp_path / "multirun.yaml").read_bytes() == before and not (tmp_path / "report.html").exists()
