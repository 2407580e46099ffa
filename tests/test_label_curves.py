"""How a reading goes on with more labelled rows, on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from invariantnets.results import read_jsonl
from programs import QUICK, run


def test_a_curve_its_heading_its_bits_and_the_spread_over_seeds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 6))
    yaw = 20 * x[:, 0] + 10 * rng.normal(size=500)
    split = np.repeat(["train", "val", "test"], [200, 100, 200])
    np.savez(tmp_path / "mine.npz", features=x, yaw=yaw, label=np.arange(500) % 4, split=split)
    words = ["probes.label_rows=[40,120]", "probes.seeds=2", "probe.trees=null", "probe.knn=null"]
    run("evaluate.py", "features=mine.npz", *QUICK, *words, "hydra.run.dir=out", cwd=tmp_path)
    results = [r for r in read_jsonl(tmp_path / "out" / "results.jsonl") if r.target == "yaw"]
    curve = {r.where["labelled_rows"]: r for r in results if "labelled_rows" in r.where and r.metric == "r2"}
    assert list(curve) == [40, 120, 300]
    assert [r.n_fit for r in curve.values()] == [40, 120, 300] and {r.n for r in curve.values()} == {200}
    assert curve[300].value > 0.7 and abs(curve[300].value - 0.8) < 0.1  # 0.8 is there: the noise has half the width
    (spread,) = (r for r in results if r.metric == "r2_over_seeds" and not r.where)
    assert 0 <= spread.value < 0.05
    (bits,) = (r for r in results if r.metric == "description_length")
    assert bits.value < bits.chance
    (heading,) = (r for r in results if r.metric == "r2_heading")
    assert heading.status == "failed" and "cannot be said" in heading.note  # of three sizes
    assert (tmp_path / "out" / "figures" / "label_efficiency.svg").is_file()
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "labelled rows" in page and "cannot be said" in page
