"""What may stand beside a checkpoint: its own network with fresh weights, and the pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate

from invariantnets.results.result import read_jsonl
from invariantnets.results.runs import read_run
from invariantnets.subjects import untrained
from programs import run

CONFIG: dict[str, Any] = {
    "model": {
        "_target_": "invariantnets.module.InvariantNet",
        "backbone": {"_target_": "invariantnets.backbones.lenet", "image_shape": [1, 28, 28], "embedding_dim": 8},
        "constraints": {"softmax": {"_target_": "invariantnets.constraints.Softmax", "layer": "ip2", "num_classes": 3}},
        "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.01},
        "scheduler": {"_target_": "invariantnets.module.inverse_decay", "_partial_": True},
    },
    "data": {
        "_target_": "invariantnets.data.RotatedImages",
        "source": {"_target_": "invariantnets.data.sources.digits", "_partial_": True},
        "num_classes": 3,
        "classes": [0, 1, 2],
        "image_shape": [1, 28, 28],
        "angles": [-40, 0, 40],
    },
    "choices": {"model": "lenet", "data": "rotated_digits"},
    "seed": 3,
}
READERS = ("mlp", "knn", "rbf", "quadratic", "trees")
ASKED = ("probe_images=60", *(f"probe.{name}=null" for name in READERS), "hydra.run.dir=out")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A network of ours as train.py leaves it, whose weights happen to be random."""
    torch.manual_seed(0)
    model = instantiate(CONFIG["model"], _convert_="all")
    ours = {"format": 1, "config": CONFIG, "wandb_id": None}
    torch.save({"state_dict": model.state_dict(), "epoch": 1, "invariantnets": ours}, tmp_path / "best.ckpt")
    return tmp_path / "best.ckpt"


def test_fresh_weights_are_a_draw_of_the_runs_seed(checkpoint: Path) -> None:
    torch.manual_seed(7)
    state = torch.get_rng_state()
    image = torch.randint(256, (4, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    def read(seed: int) -> torch.Tensor:
        return untrained(checkpoint, {**CONFIG, "seed": seed}).features(image, ["ip1"])["ip1"]

    assert torch.equal(read(3), read(3)) and not torch.equal(read(3), read(4))
    assert torch.equal(torch.get_rng_state(), state), "nobody else's numbers change"
    own = instantiate(CONFIG["model"], _convert_="all").eval().backbone.features(image, ["ip1"])["ip1"]
    assert own.shape == read(3).shape and not torch.equal(own, read(3))


def test_random_weights_and_pixels_stand_beside_it_where_asked_for(checkpoint: Path, tmp_path: Path) -> None:
    words = (f"ckpt_path={checkpoint}", *ASKED, "layers=[pool2,ip1]")
    run("evaluate.py", *words, "beside=[random,pixels]", cwd=tmp_path)
    found = read_run(tmp_path / "out")
    assert {r.layer for r in found.results if r.probe != "softmax"} == {"pool2", "ip1"}
    assert {(r.subject, r.layer) for r in found.beside} == {
        ("random weights", "pool2"),
        ("random weights", "ip1"),
        ("pixels", "pixels"),
    }
    assert "Beside random weights and pixels" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_nothing_stands_beside_it_unasked(checkpoint: Path, tmp_path: Path) -> None:
    run("evaluate.py", f"ckpt_path={checkpoint}", *ASKED, cwd=tmp_path)
    assert {r.subject for r in read_jsonl(tmp_path / "out" / "results.jsonl")} == {""}


def test_a_table_has_no_weights(tmp_path: Path) -> None:
    _, err = run("evaluate.py", "features=a.npz", "beside=[random]", "hydra.run.dir=out", cwd=tmp_path, code=2)
    assert "beside= is of a network, ckpt_path= or backbone=, and not of features=" in err.splitlines()[-1]
