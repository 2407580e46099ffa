"""A card says what a run was, and no more than its report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from invariantnets import FeatureTable, run_suite
from invariantnets.report.card import card
from invariantnets.results.runs import read_run

CONFIG = {
    "seed": 3,
    "choices": {"data": "rotated_digits", "model": "lenet"},
    "data": {"_target_": "x", "angles": "-45:45:15", "epoch_batches": 60, "cache_dir": "/home/me"},
    "trainer": {"max_epochs": 2, "precision": "32-true"},
    "model": {
        "backbone": {"_target_": "invariantnets.backbones.lenet", "embedding_dim": 500},
        "constraints": {"softmax": {"weight": 1.0}, "pair": None, "centre": {"weight": 0.5}},
    },
}


def test_of_a_trained_network(make_run, tmp_path: Path) -> None:
    make_run("r", draw=False)
    path = tmp_path / "r" / "provenance.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "config": CONFIG, "checkpoint": "best.ckpt", "remarks": ["All is well."]}))
    text = card(read_run(tmp_path / "r"))
    assert "## The network\n`invariantnets.backbones.lenet`, 2 epochs of 60 steps at most, in 32-true." in text
    assert "- centre: weight 0.5" in text and "- pair" not in text and "/home/me" not in text
    assert "## Trained on\n`rotated_digits`, seed 3." in text and "- angles: -45:45:15" in text
    assert "reads the angle with R²" in text and "- All is well." in text


def test_of_a_table_there_is_no_network(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = FeatureTable.from_arrays(rng.normal(size=(120, 4)), label=np.tile([0, 1], 60), yaw=rng.normal(size=120))
    run_suite(table, probes=["ridge"], name="mine").save(tmp_path)
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert text.startswith("---\nlibrary_name: invariantnets\n") and "# features on mine\n" in text
    assert "## The network" not in text and "## Trained on" not in text and "the yaw" in text
