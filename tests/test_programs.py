"""train.py and evaluate.py from outside, as users meet them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from invariantnets.checkpoint import load_checkpoint
from invariantnets.results.result import read_jsonl
from programs import EXPERIMENTS, FEW, LINEAR, SMALL, THIN, run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one finished run, evaluation and report included."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    every_reader = [word for word in SMALL if word not in LINEAR]
    words = (*every_reader, *FEW, "save_features=true", f"hydra.run.dir={folder}")
    out, _ = run("train.py", *words, cwd=folder.parent)
    assert out.splitlines()[-1] == str(folder / "report.html")
    return folder


def test_a_run_leaves_everything(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert {"checkpoints", "csv", "results.jsonl", "provenance.json", "figures", "report.html"} <= names
    results = read_jsonl(trained / "results.jsonl")
    for result in results:
        assert result.n > 0 and result.split in ("train", "test")
        if result.target != "features" and result.metric in ("accuracy", "r2", "rmse", "mae"):
            assert result.chance is not None and result.low <= result.value <= result.high
    assert {"softmax", "mav", "ridge", "ridge/per_label", "knn", "mlp", "strongest"} <= {r.probe for r in results}
    header, *rows = (trained / "csv" / "version_0" / "metrics.csv").read_text().splitlines()
    assert {"val/loss", "val/accuracy", "train/loss"} <= set(header.split(",")) and rows


def test_a_checkpoint_moved_elsewhere_gives_the_same_numbers(trained: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.ckpt"
    shutil.copy(trained / "checkpoints" / "best.ckpt", moved)
    probes = [word for word in SMALL if word.startswith("probes.")]
    run("evaluate.py", f"ckpt_path={moved}", *probes, f"hydra.run.dir={tmp_path / 'out'}", cwd=tmp_path)
    assert read_jsonl(tmp_path / "out" / "results.jsonl") == read_jsonl(trained / "results.jsonl")
    assert json.loads((tmp_path / "out" / "provenance.json").read_text())["checkpoint"] == str(moved)


def test_the_saved_table_gives_the_same_numbers(trained: Path, tmp_path: Path) -> None:
    probes = [word for word in SMALL if word.startswith("probes.")]
    run("evaluate.py", f"features={trained / 'features' / 'ip1'}", *probes, "hydra.run.dir=out", cwd=tmp_path)
    # A table does not say which layer the network's answers came from: they are told of the one that it holds.
    expected = [replace(r, layer="ip1") if r.probe == "softmax" else r for r in read_jsonl(trained / "results.jsonl")]
    assert read_jsonl(tmp_path / "out" / "results.jsonl") == expected


def test_two_processes_train_one_network(tmp_path: Path) -> None:
    """DDP with two processes of 8 images takes the steps of one process with 16.

    In float64: sums over 8 and over 16 images are rounded differently, in single precision by up to 5e-5 after 20
    steps, as the processor's kernels have it. A gradient that is wrong by a factor or by an image shows in either.
    """
    common = (*SMALL, "evaluate=false", "callbacks.online_probes=null", "seed=3", "trainer.precision=64-true")
    run("train.py", *common, "data.batch_size=16", "hydra.run.dir=one", cwd=tmp_path)
    run("train.py", *common, "data.batch_size=8", "trainer=ddp", "trainer.accelerator=cpu",
        "hydra.run.dir=two", cwd=tmp_path)  # fmt: skip
    one, two = (torch.load(tmp_path / k / "checkpoints" / "last.ckpt", weights_only=True) for k in ("one", "two"))
    assert one["global_step"] == two["global_step"]
    for name, weights in one["state_dict"].items():
        assert weights.dtype == torch.float64
        torch.testing.assert_close(two["state_dict"][name], weights, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_two_processes_train_first_what_another_is_made_from(tmp_path: Path) -> None:
    run("train.py", *SMALL, "model=mu_lenet", "trainer=ddp", "trainer.accelerator=cpu", "evaluate=false",
        "hydra.run.dir=run", cwd=tmp_path)  # fmt: skip
    for folder in (tmp_path / "run", tmp_path / "run" / "teacher"):
        assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 20


@pytest.mark.slow
def test_a_bad_job_of_a_sweep_costs_the_others_nothing(tmp_path: Path) -> None:
    _, err = run(
        "train.py", "-m", *SMALL, *FEW, "model.backbone.embedding=ip1,ip7,ip2",
        "hydra.sweep.dir=sweep", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", cwd=tmp_path, code=2,
    )  # fmt: skip
    assert "there is no layer 'ip7'" in err.splitlines()[-1]
    assert len(list((tmp_path / "sweep").glob("*/results.jsonl"))) == 2
    out, _ = run("evaluate.py", "sweep=sweep", cwd=tmp_path)
    assert out.splitlines()[-1] == "sweep/report.html"
    page = (tmp_path / "sweep" / "report.html").read_text()
    assert all(f"{job}/report.html" in page for job in (0, 2))


def test_a_sweep_ends_with_one_report(tmp_path: Path) -> None:
    out, _ = run("train.py", "-m", *SMALL, *FEW, "seed=0,1", "hydra.sweep.dir=sweep", cwd=tmp_path)
    assert out.splitlines()[-1] == "sweep/report.html"
    assert "n = 2 seeds" in (tmp_path / "sweep" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "methods"),
    [
        ("forget", ("mu", "adversary 1.0", "bottleneck 0.01", "leace")),
        ("forget_long", ("quantise 3 supcon+noise+centre σ=0.5",)),
        ("fine_tune", ("fine-tuned, all but ip2 frozen", "fine-tuned, constraints at a tenth, 20 codes")),
        ("mnist_rot", ("softmax", "icl 1.0")),
    ],
)
def test_the_comparison_of_methods_ends_with_a_report(
    tmp_path: Path, experiment: str, methods: tuple[str, ...]
) -> None:
    """Each kind of job: a network that is trained first, an adversary, learned noise, a release after training."""
    few = (*SMALL, *EXPERIMENTS[experiment], "trainer.max_epochs=1", "hydra.sweep.dir=sweep")
    run("train.py", f"experiment={experiment}", *few, cwd=tmp_path)
    for job, method in enumerate(methods):
        folder = tmp_path / "sweep" / str(job)
        assert json.loads((folder / "provenance.json").read_text())["config"]["method"] == method
        results = read_jsonl(folder / "results.jsonl")
        assert all(r.value is not None for r in results if r.probe == "mav")
        assert ("softmax" in {r.probe for r in results}) == (
            not method.startswith(("mu", "leace", "quantise")) and "codes" not in method
        )
        named = {r.probe for r in results if r.about == "analysis"}
        assert ({"adversary/last", "adversary/chosen"} <= named) == (experiment == "mnist_rot")
    assert len(list((tmp_path / "sweep").glob("initial_*seed=0/checkpoints/best.ckpt"))) == 1


def test_both_halves_of_one_network_are_probed_and_the_line_that_keeps_is_in_the_checkpoint(tmp_path: Path) -> None:
    few = (*SMALL, *THIN, "model.backbone.kept_dim=6", "model.init_from=null")
    run("train.py", "model=lenet_split", *few, "hydra.run.dir=out", cwd=tmp_path)
    read = {
        r.layer: r for r in read_jsonl(tmp_path / "out" / "results.jsonl") if (r.target, r.probe) == ("angle", "ridge")
    }
    assert set(read) == {"ip1", "kept"} and all(r.n == read["ip1"].n for r in read.values())
    state = load_checkpoint(tmp_path / "out" / "checkpoints" / "best.ckpt")["state_dict"]
    assert state["constraints.keep.head.weight"].shape == (1, 6) and state["constraints.keep.scale"] > 0
    assert (state["backbone.layers.ip1.1.weight"].shape[0], state["backbone.layers.ip2.weight"].shape[1]) == (48, 48)


def test_a_sweep_of_several_processes_is_refused(tmp_path: Path) -> None:
    _, err = run("train.py", "-m", *SMALL, "trainer=ddp", "trainer.accelerator=cpu", "seed=0,1", cwd=tmp_path, code=2)
    assert "trainer=ddp_spawn" in err.splitlines()[-1]


def test_bad_input_to_evaluate_is_one_line_and_spoils_no_earlier_result(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.ckpt").write_bytes((trained / "checkpoints" / "best.ckpt").read_bytes()[:9000])
    shutil.copytree(trained, tmp_path / "out")
    for given, expected in (
        ("cut.ckpt", "truncated or damaged"),
        ("none.ckpt", "no such checkpoint"),
    ):
        out, err = run("evaluate.py", f"ckpt_path={given}", "hydra.run.dir=out", cwd=tmp_path, code=2)
        assert expected in err.splitlines()[-1] and err.splitlines()[-1].startswith("error: ")
        assert "Traceback" not in err + out
    for name in ("results.jsonl", "report.html"):
        assert (tmp_path / "out" / name).read_bytes() == (trained / name).read_bytes()


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model=pairlenet", "model=pair_lenet"),
        ("model.backbone.embeding_dim=3", "embedding_dim"),
        ("model.optimizer.lr=1e6", "training collapsed"),
        ("data=rotated_kmnist", "INVARIANTNETS_DATA"),
        ("hydra.run.dir=/proc/nowhere", "nowhere"),
    ],
)
def test_bad_input_to_train_is_one_line(tmp_path: Path, override: str, expected: str) -> None:
    offline = {
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "INVARIANTNETS_DATA": str(tmp_path),
    }
    out, err = run("train.py", *SMALL, override, cwd=tmp_path, code=2, **offline)
    assert expected in err.splitlines()[-1] and err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in err + out
