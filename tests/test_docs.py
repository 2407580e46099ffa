"""The Python of the docs runs, block after block, and gives the numbers that the text says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from programs import ROOT, environment

DATA = os.environ.get("INVARIANTNETS_DATA")
REAL = Path(DATA) if DATA and (Path(DATA) / "real_faces").is_dir() else None


def test_the_notebook_example(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 4
    shown = """
frame = results.to_frame()
(best,) = frame[(frame.target == "ink") & (frame.probe == "strongest") & (frame.metric == "r2")].itertuples()
assert best.chosen["probe"] in ("ridge", "stack") and best.about == "nuisance"
print(f"R² of {best.value:.2f} (n = {best.n} test rows, 95 % interval {best.low:.2f} to {best.high:.2f}")
page = results._repr_html_()
assert page.startswith("<iframe") and page.count("data:image/") >= 5
assert set(run_suite(table, probes=[SparseLine()]).to_frame().probe) >= {"lasso", "strongest"}
"""
    (tmp_path / "example.py").write_text("\n".join([*blocks, shown]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "example.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in " ".join(text.split())
    assert "<td" in (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "data:image/" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(REAL is None, reason="INVARIANTNETS_DATA names no folder with real_faces")
def test_the_real_networks(tmp_path: Path) -> None:
    """What the page says first, by its own lines, with the linear probe alone."""
    text = (ROOT / "docs" / "real_networks.md").read_text(encoding="utf-8")
    first, second = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    first = first.replace("for name, file in files.items()})", 'for name, file in files.items()}, ["ridge"])')
    second = second.replace("known.index.to_numpy()", "known.index.to_numpy()[:640]").split("levels = ")[0]
    shown = """
frame = found.to_frame()
best = frame[(frame.metric == "r2") & (frame.probe == "ridge")].set_index(["name", "target"]).value
assert abs(best["dlib", "yaw"]) < 0.05 and best["MobileFace", "smile"] > 0.65, best
assert all(np.isfinite(part[at]).all() for part in parts for at in layers)
"""
    (tmp_path / "example.py").write_text("\n".join([first, second, shown]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
