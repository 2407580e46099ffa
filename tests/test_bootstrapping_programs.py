"""Semantic bootstrapping from outside: one command from a checkpoint to a report on people never seen."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from invariantnets.results.result import read_jsonl
from look_alikes import MODEL, checkpoint
from programs import EXPERIMENTS, POOL, SMALL, run, start

GROW = (*SMALL, *POOL, "model=deepface_plus_mini", "data=bootstrap")


@pytest.fixture
def initial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An untrained network that says it was trained on person 0."""
    monkeypatch.setitem(MODEL["constraints"]["softmax"], "layer", "F8")
    monkeypatch.setitem(
        MODEL,
        "backbone",
        {
            "_target_": "invariantnets.backbones.deepface",
            "image_shape": [3, 40, 40],
            "num_classes": 2,
            "filters": [16, 16, 16, 16, 16],
            "kernels": [5, 5, 5, 3, 3],
            "bottleneck": 32,
        },
    )
    return checkpoint(tmp_path / "initial.ckpt")


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def test_one_command_from_a_checkpoint_to_a_report(tmp_path: Path, initial: Path) -> None:
    cached = {"INVARIANTNETS_CACHE": str(tmp_path / "cache")}
    out, _ = run("train.py", *GROW, f"data.features_from={initial}", "hydra.run.dir=run", cwd=tmp_path, **cached)
    folder = tmp_path / "run"
    assert out.splitlines()[-1] == str(folder / "report.html")
    products = {path.name for path in (folder / "bootstrap").iterdir()}
    assert {"features.npy", "normals.npy", "selection.json", "pictures.parquet", "selection_sheet.png"} <= products
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    for name, values in weights(initial).items():
        if name.startswith(("backbone.layers.C1.", "backbone.layers.C3.")):
            assert torch.equal(best["state_dict"][name], values), "C1 and C3 are the initial network's, and frozen"
    chosen = json.loads((folder / "bootstrap" / "selection.json").read_text())["identities"]
    ours = best["invariantnets"]
    assert ours["config"]["data"]["num_classes"] == chosen
    assert len(ours["identities"]) == chosen + 1 and "synthetic/0/0" in ours["identities"], "nobody anyone has seen"

    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    probes = [word for word in (*SMALL, *POOL) if word.startswith(("probe.", "probes.", "protocols."))]
    run("evaluate.py", f"ckpt_path={moved}/checkpoints/best.ckpt", *probes, "hydra.run.dir=out", cwd=tmp_path, **cached)
    assert read_jsonl(tmp_path / "out" / "results.jsonl") == read_jsonl(moved / "results.jsonl")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ((), "data.features_from"),
        (("data.features_from=train",), "data.features_from=train: deepface_plus_mini has no recipe for it"),
        (("data.features_from=none.ckpt",), "none.ckpt: no such checkpoint"),
    ],
)
@pytest.mark.slow
def test_without_a_network_there_is_one_line(tmp_path: Path, overrides: tuple[str, ...], expected: str) -> None:
    out, err = run("train.py", *GROW, *overrides, "hydra.run.dir=run", cwd=tmp_path, code=2)
    assert expected in err.splitlines()[-1] and err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in err + out


@pytest.mark.slow
def test_killed_while_it_trains_and_continued_equals_uninterrupted(tmp_path: Path, initial: Path) -> None:
    cached = {"INVARIANTNETS_CACHE": str(tmp_path / "cache")}
    command = (*GROW, f"data.features_from={initial}", "trainer.max_epochs=6", "evaluate=false")
    run("train.py", *command, "hydra.run.dir=whole", cwd=tmp_path, **cached)
    process = start("train.py", *command, "hydra.run.dir=broken", cwd=tmp_path, **cached)
    last = tmp_path / "broken" / "checkpoints" / "last.ckpt"
    while not last.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert torch.load(last, weights_only=True)["epoch"] < 5, "killed too late to prove anything"
    run("train.py", *command, "hydra.run.dir=broken", "ckpt_path=last", cwd=tmp_path, **cached)
    for name, values in weights(tmp_path / "whole" / "checkpoints" / "last.ckpt").items():
        assert torch.equal(weights(last)[name], values), name


@pytest.mark.slow
def test_two_processes_extract_the_features_of_one(tmp_path: Path, initial: Path) -> None:
    cached = {"INVARIANTNETS_CACHE": str(tmp_path / "cache")}
    more = (
        "trainer.max_epochs=1",
        "evaluate=false",
        "data.pool.images_per_identity=12",
    )  # more than a batch of the network
    command = (*GROW, f"data.features_from={initial}", *more)
    run("train.py", *command, "hydra.run.dir=one", cwd=tmp_path, **cached)
    out, _ = run("train.py", *command, "trainer=ddp", "trainer.accelerator=cpu", "hydra.run.dir=two",
                 cwd=tmp_path, **cached)  # fmt: skip
    assert "process 1 of 2" in out and "process 2 of 2" in out
    for name in ("features.npy", "normals.npy", "selection.parquet"):
        one, two = ((tmp_path / run / "bootstrap" / name).read_bytes() for run in ("one", "two"))
        assert one == two, name
    assert not (tmp_path / "two" / "bootstrap" / "features.npy.parts").exists()
    assert (tmp_path / "two" / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.slow
def test_the_comparison_ends_in_one_table(tmp_path: Path) -> None:
    few = (*SMALL, *EXPERIMENTS["taigman2015_bootstrapping"], "hydra.sweep.dir=sweep")
    cached = {"INVARIANTNETS_CACHE": str(tmp_path / "cache")}
    run("train.py", "experiment=taigman2015_bootstrapping", *few, cwd=tmp_path, **cached)
    sizes = []
    for job in range(3):
        config = json.loads((tmp_path / "sweep" / str(job) / "provenance.json").read_text())["config"]
        assert config["data"]["features_from"].endswith("initial_seed=1/checkpoints/best.ckpt")
        assert config["model"]["init_from"] == config["data"]["features_from"]
        results = read_jsonl(tmp_path / "sweep" / str(job) / "results.jsonl")
        assert {r.sources for r in results if r.probe == "strongest"} == {40}
        sizes.append(config["data"]["num_classes"])
    assert sizes[0] == sizes[1], "random and look-alikes are as many people"
    assert "82.1" in (tmp_path / "sweep" / "bootstrapping.md").read_text(encoding="utf-8"), "the paper's best rank 1"
