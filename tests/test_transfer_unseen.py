"""Angles that were never trained on, after training: by the command line."""

from __future__ import annotations

import json
from pathlib import Path

from invariantnets.results.result import read_jsonl
from programs import FEW, RIDGE, SMALL, run

FEWER = [f"transfer.{word}" for word in FEW]
ASKED = ("+analysis=adversary", "analysis.adversary.epochs=3", "analysis.adversary.batch_size=50")


def test_unseen_angles_after_training(tmp_path: Path) -> None:
    own = ("data=rot_digits", "model=lenet", "model.backbone.embedding_dim=32", "transfer=rot_digits_unseen")
    out, _ = run("train.py", *own, *SMALL, *RIDGE, *FEW, *FEWER, *ASKED, "hydra.run.dir=run", cwd=tmp_path)
    paths = [line for line in out.splitlines() if not line.startswith(("- ", "  ", "["))]
    assert paths == [str(tmp_path / place / "report.html") for place in ("run", "run/transfer")]
    seen = read_jsonl(tmp_path / "run" / "results.jsonl")
    named = [r for r in seen if r.probe.startswith("adversary/")]
    assert [r.target for r in named] == ["angle"] * 3 and named[0].n_fit > 300
    assert any(r.metric == "accuracy" and r.probe == "ridge" for r in seen)  # of a category
    unseen = read_jsonl(tmp_path / "run" / "transfer" / "results.jsonl")
    of_value = {(r.probe, *r.where.values()): r for r in unseen if r.about == "analysis"}
    readers = ("by_value/mav", "by_value/softmax")
    assert set(of_value) == {(probe, value) for probe in readers for value in ("all", "55°", "65°")}
    every = of_value["by_value/mav", "all"]
    assert every.n == 4 * every.sources == 2 * of_value["by_value/mav", "55°"].n
    (mav,) = (r for r in unseen if r.probe == "mav" and not r.where)
    assert (mav.value, mav.low, mav.high, mav.n_fit) == (every.value, every.low, every.high, every.n_fit)
    record = json.loads((tmp_path / "run" / "transfer" / "provenance.json").read_text(encoding="utf-8"))
    assert record["data"] == "rot_digits_unseen" and not record["missing"]
