"""A killed run continues to the very weights that an uninterrupted one reaches."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from invariantnets.folders import held
from invariantnets.results.runs import read_sweep
from mnist_files import write_idx
from programs import FEW, SMALL, run, start

LONG = (*SMALL, "trainer.max_epochs=8", "data.epoch_batches=30", "evaluate=false", "callbacks.online_probes=null")
LIGHT = (*FEW, "data.batch_size=16")


def state(folder: Path) -> dict:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def kill_after_first_checkpoint(*overrides: str, cwd: Path, folder: Path) -> int:
    """SIGKILL soon after the first checkpoint appears; returns the epochs that were saved."""
    process = start("train.py", *overrides, f"hydra.run.dir={folder}", cwd=cwd)
    last = folder / "checkpoints" / "last.ckpt"
    while not last.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return state(folder)["epoch"]


# An adversary's loss goes up and down, so that the last epoch is not the best one; and it has parameters of its own.
ADVERSARY = ("model=lenet", "model.constraints.adversary.ramp=150", "+constraint=adversary")


@pytest.mark.parametrize(
    "model",
    [
        (*LIGHT, "model=mu_lenet"),
        pytest.param((*LIGHT, "model=pair_lenet"), marks=pytest.mark.slow),
        pytest.param(ADVERSARY, marks=pytest.mark.slow),
    ],
    ids=lambda model: model[-1],
)
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, model: tuple[str, ...]) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run("train.py", *LONG, *model, f"hydra.run.dir={whole}", cwd=tmp_path)
    saved = kill_after_first_checkpoint(*LONG, *model, cwd=tmp_path, folder=broken)
    assert saved < 7, "killed too late to prove anything"
    run("train.py", *LONG, *model, f"hydra.run.dir={broken}", "ckpt_path=last", cwd=tmp_path)
    expected, found = state(whole), state(broken)
    assert found["global_step"] == expected["global_step"] == 8 * 30
    for name, weights in expected["state_dict"].items():
        assert torch.equal(weights, found["state_dict"][name]), name
    momentum = [s["momentum_buffer"] for s in expected["optimizer_states"][0]["state"].values()]
    again = [s["momentum_buffer"] for s in found["optimizer_states"][0]["state"].values()]
    assert all(torch.equal(a, b) for a, b in zip(momentum, again, strict=True))


def test_last_finds_the_newest_run_of_the_same_kind_and_continues_in_its_folder(tmp_path: Path) -> None:
    short = (*SMALL, "evaluate=false")
    run("train.py", *short, cwd=tmp_path)
    first = next((tmp_path / "outputs" / "rotated_digits-lenet").glob("*/checkpoints/last.ckpt")).parents[1]
    run("train.py", *short, "trainer.max_epochs=3", "ckpt_path=last", cwd=tmp_path)
    assert state(first)["epoch"] == 2


@pytest.mark.slow
def test_all_processes_go_on_with_the_newest(tmp_path: Path) -> None:
    """Lightning names a folder to each process that it starts, which is not the one that is continued."""
    short = (*SMALL, *FEW, "evaluate=false", "trainer=ddp", "trainer.accelerator=cpu")
    run("train.py", *short, cwd=tmp_path)
    first = next((tmp_path / "outputs" / "rotated_digits-lenet").glob("*/checkpoints/last.ckpt")).parents[1]
    run("train.py", "ckpt_path=last", "trainer.max_epochs=3", "trainer=ddp", "trainer.accelerator=cpu", cwd=tmp_path)
    assert state(first)["epoch"] == 2


def test_a_teacher_is_trained_once_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "mu"
    short = (*SMALL, "model=mu_lenet", "evaluate=false", f"hydra.run.dir={folder}")
    run("train.py", *short, cwd=tmp_path)
    teacher = folder / "teacher" / "checkpoints" / "best.ckpt"
    before = teacher.stat().st_mtime_ns
    run("train.py", *short, "ckpt_path=last", cwd=tmp_path)
    assert teacher.stat().st_mtime_ns == before


def best_epoch(folder: Path) -> int:
    return torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["epoch"]


def same(a: dict, b: dict) -> bool:
    return all(torch.equal(weights, b["state_dict"][name]) for name, weights in a["state_dict"].items())


# The "best" is the worst, so that the first epoch stays it: a run that forgets its score would replace it.
TOLD = ("seed=1", "model.optimizer.lr=0.02", "callbacks.checkpoint.mode=max", "evaluate=false")


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume") / "run"
    run("train.py", *SMALL, *FEW, *TOLD, f"hydra.run.dir={folder}", cwd=folder.parent)
    return folder


def test_a_run_goes_on_as_it_was_wherever_it_lies(two_epochs: Path, tmp_path: Path) -> None:
    """In its folder, in a copy of it, and in a new folder, with nothing typed again; to the same end."""
    here, copied, elsewhere = (tmp_path / name for name in ("here", "copied", "elsewhere"))
    shutil.copytree(two_epochs, copied)
    shutil.copytree(two_epochs, here)
    first, more = state(two_epochs), "trainer.max_epochs=4"
    for folder, start_from in ((here, "last"), (copied, "last"), (elsewhere, two_epochs / "checkpoints" / "last.ckpt")):
        _, err = run("train.py", f"hydra.run.dir={folder}", f"ckpt_path={start_from}", more, cwd=tmp_path)
        assert state(folder)["epoch"] == 3 and same(state(folder), state(here)) and not same(state(folder), first)
        assert best_epoch(folder) == 0, "the score of the best is remembered"
        ours = state(folder)["invariantnets"]
        assert (ours["config"]["seed"], ours["config"]["model"]["optimizer"]["lr"]) == (1, 0.02)
        assert ours["config"]["trainer"]["max_epochs"] == 4 and ours["config"]["data"]["num_classes"] == 3
        assert {"seed=1", "model.optimizer.lr=0.02", more} <= set(ours["overrides"]), "what ran is recorded"
        assert not any(word.startswith(("ckpt_path", "trainer.max_epochs=2")) for word in ours["overrides"])
        assert "goes on with trainer.max_epochs=4, which was 2" in (folder / "train.log").read_text()


def test_a_run_on_files_of_torchvision_goes_on_with_nothing_typed_again(tmp_path: Path) -> None:
    """Its checkpoint fetches nothing, which is no other data set."""
    write_idx(tmp_path, "MNIST")
    folder, mnist = tmp_path / "run", ("data=rotated_mnist", "data.source.val_size=10", "model=lenet", "evaluate=false")
    here = (f"hydra.run.dir={folder}", f"paths.data_dir={tmp_path}")
    run("train.py", *mnist, *LIGHT, "data.epoch_batches=2", "trainer.max_epochs=1", *here, cwd=tmp_path)
    run("train.py", "ckpt_path=last", "trainer.max_epochs=2", *here, cwd=tmp_path)
    assert state(folder)["epoch"] == 1


def test_a_folder_belongs_to_one_run(two_epochs: Path, tmp_path: Path) -> None:
    kept = {path: path.read_bytes() for path in two_epochs.rglob("*") if path.is_file()}
    _, err = run("train.py", *SMALL, f"hydra.run.dir={two_epochs}", cwd=tmp_path, code=2)
    assert err.splitlines() == [
        f"error: {two_epochs}: holds a run already (checkpoints/last.ckpt): go on with it by ckpt_path=last, or choose "
        "another folder with hydra.run.dir=… (a sweep: hydra.sweep.dir=…)"
    ]
    with held(two_epochs):
        for program, *words in (("train.py", "ckpt_path=last"), ("evaluate.py", "features=absent")):
            _, err = run(program, *words, f"hydra.run.dir={two_epochs}", cwd=tmp_path, code=2)
            assert len(err.splitlines()) == 1 and "another run is at work in it; wait for its end" in err
    assert {path: path.read_bytes() for path in kept} == kept, "not even Hydra has written"


def test_images_that_are_others_than_those_of_the_training_are_told(two_epochs: Path, tmp_path: Path) -> None:
    content = state(two_epochs)
    content["invariantnets"]["data_checksum"] = "0" * 64
    torch.save(content, tmp_path / "other.ckpt")
    quick = [word for word in SMALL if word.startswith("probes.")]
    _, err = run("evaluate.py", "ckpt_path=other.ckpt", *quick, "probe.mlp=null", "hydra.run.dir=out", cwd=tmp_path)
    said = "the images, labels or division of rotated_digits are others than those that the network was trained on"
    assert said in err + (tmp_path / "out" / "evaluate.log").read_text()
    assert json.loads((tmp_path / "out" / "provenance.json").read_text())["remarks"] == [said]


def test_an_early_stopped_run_is_at_its_end_until_its_rule_is_another(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    rule = ("+callbacks.early_stopping.min_delta=1000", "callbacks.early_stopping.patience=1")
    run("train.py", *SMALL, *FEW, *rule, "trainer.max_epochs=9", f"hydra.run.dir={folder}", cwd=tmp_path)
    files = [folder / name for name in ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "results.jsonl")]
    ended = state(folder)["epoch"], [path.stat().st_mtime_ns for path in files]
    assert ended[0] == 1, "it stopped early"
    same_again = (f"hydra.run.dir={folder}", "ckpt_path=last", rule[0])
    _, err = run("train.py", *same_again, cwd=tmp_path)
    assert (state(folder)["epoch"], [path.stat().st_mtime_ns for path in files]) == ended
    run("train.py", *same_again, "callbacks.early_stopping.patience=3", "evaluate=false", cwd=tmp_path)
    assert state(folder)["epoch"] == 3, "the patience that is typed holds, not that of the checkpoint"


@pytest.mark.slow
def test_the_jobs_of_a_sweep_are_those_that_it_started(tmp_path: Path) -> None:
    common = ("-m", *SMALL, *FEW, "hydra.sweep.dir=sweep", "hydra.sweep.subdir=seed_${seed}", "probe.mlp=null")
    run("train.py", *common, "seed=0", cwd=tmp_path)
    run("train.py", *common, "seed=1", cwd=tmp_path)
    report = (tmp_path / "sweep" / "report.html").read_text(encoding="utf-8")
    assert "seed_0" in report and "lay in the folder before, and is none of this sweep" in report
    assert len(read_sweep(tmp_path / "sweep", [tmp_path / "sweep" / "seed_1"]).groups[0].runs) == 1
    assert len(read_sweep(tmp_path / "sweep").groups[0].runs) == 2, "whoever names the folder means all"


def test_a_trained_network_that_is_released_is_named_as_released(two_epochs: Path, tmp_path: Path) -> None:
    """Its checkpoint tells how it was trained, the run what was read."""
    start_from, folder = f"ckpt_path={two_epochs / 'checkpoints' / 'last.ckpt'}", tmp_path / "released"
    words = ("method=softmax_lda", "release.width=2", "evaluate=true")
    run("train.py", start_from, *words, f"hydra.run.dir={folder}", cwd=tmp_path)
    config = json.loads((folder / "provenance.json").read_text())["config"]
    assert config["method"] == "2 axes and noise of softmax" and config["release"]["width"] == 2
