"""Tables that people bring, on the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from programs import ROOT, environment, run

QUICK = ("probe.mlp=null", "probe.knn=null")


def test_columns_are_told_on_the_command_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, yaw = rng.normal(size=(240, 5)), rng.uniform(-60, 60, 240)
    x[:, 2] += yaw / 20
    frame = pd.DataFrame(x, columns=[f"emb_{i}" for i in range(5)])
    frame["yaw"], frame["who"], frame["photo of"] = yaw, np.tile(["007", "7", "8"], 80), np.arange(240) // 2
    frame["part"], frame["light"] = np.repeat(["train", "val", "test"], 80), rng.normal(size=240)
    frame.to_csv(tmp_path / "faces.of.mine", sep=";", decimal=",", index=False)
    words = ["label=who", "split=part", "source='photo of'", "nuisances=[yaw]"]
    run("evaluate.py", "features=faces.of.mine", *words, "magnitudes=[yaw]", *QUICK, "hydra.run.dir=out", cwd=tmp_path)
    results = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert {result["target"] for result in results if result["about"] == "nuisance"} == {"yaw", "|yaw|"}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "The |yaw|" in page or "the |yaw|" in page
    (best,) = [
        r for r in results if (r["target"], r["probe"], r["metric"]) == ("yaw", "ridge", "r2") and not r["where"]
    ]
    assert best["value"] > 0.5 and best["n"] == 80 and best["sources"] == 40


@pytest.mark.parametrize(
    "word", ["label=who", "nuisances=[yaw]", "ignore=[bbox]", "kinds={yaw: circular}", "images=faces"]
)
def test_what_is_told_of_tables_is_refused_elsewhere(tmp_path: Path, word: str) -> None:
    _, err = run("evaluate.py", "backbone=torchvision", "data=rotated_digits", word, cwd=tmp_path, code=2)
    key = word.partition("=")[0]
    assert err.splitlines()[-1] == f"error: {key}= tells of features=<table>; backbone= has its own"


def test_the_page_on_tables(tmp_path: Path) -> None:
    """Its Python runs, and gives the remarks that the text names."""
    text = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    shown = """
import numpy as np
said = " ".join(again.meta["remarks"])
for words in ("semicolons, decimals by commas", "column 1 has no name", "0 … 63 were taken", "drawn by image"):
    assert words in said, words
assert np.array_equal(again.features["features"], table.features["features"])
assert np.array_equal(again.split, table.split)
"""
    (tmp_path / "example.py").write_text(f"{block}\n{shown}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "example.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
