from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from invariantnets.analysis.norm import describe_norm
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.protocols import run_protocols
from invariantnets.report import render_run, render_sweep
from invariantnets.results.result import to_jsonl


@pytest.fixture
def make_faces_run(make_run: Callable[..., Path]) -> Callable[..., Path]:
    """A run that was judged by the protocols and nothing else."""

    def make(folder: str, seed: int = 1, noise: float = 0.0) -> Path:
        rng = np.random.default_rng(seed)
        label = np.repeat(np.arange(20), 5)
        x = np.maximum(rng.normal(size=(20, 12))[label] + noise * rng.normal(size=(100, 12)), 0).astype(np.float32)
        table = FeatureTable(
            {"ip1": x}, label, np.full(100, "test"), np.arange(100), {"blur": rng.random(100)}, (Nuisance("blur"),), 20
        )
        path = make_run(folder, seed=seed, extra=(f"noise={noise}",), draw=False)
        results = run_protocols(table, "ip1", seed=seed) + describe_norm(table, "ip1")
        (path / "results.jsonl").write_text(to_jsonl(results), encoding="utf-8")
        (path / "figures").mkdir()
        (path / "figures" / "figures.json").write_text(json.dumps([]))
        return path

    return make


def test_people_and_norm_have_their_tables_and_are_no_nuisance(
    make_faces_run: Callable[..., Path], plain: Callable[[str], str]
) -> None:
    html = plain(render_run(make_faces_run("run")).read_text(encoding="utf-8"))
    assert "How well people are recognised" in html and "What the length of the features tells" in html
    assert "How well the identity can be read" not in html and "How well the norm can be read" not in html
    assert "No nuisance was probed at ip1" in html
    assert (
        "Of people in the test rows, none of whom a reader was fitted to, by cosine: two images are rightly told to "
        "show one person or two with 100.0 % "
        "[83.2, 100.0] (400 pairs), a face is found first in the gallery with 100.0 % [83.2, 100.0] (80 probes), "
        "and, if strangers may raise 1 % false alarms, with 100.0 % [69.2, 100.0] (90 probes, strangers among them)."
    ) in html


def test_a_sweep_has_the_columns_of_the_2015_papers_table(make_faces_run: Callable[..., Path], tmp_path: Path) -> None:
    for seed in (1, 2):
        make_faces_run(f"sweep/sharp{seed}", seed)
        make_faces_run(f"sweep/blurred{seed}", seed, noise=2.0)
    html = render_sweep(tmp_path / "sweep").read_text(encoding="utf-8")
    for column in ("verification", "rank 1", "rank 10", "DIR at 1 % FAR"):
        assert f">{column}</th>" in html
    assert "100.0 ± 0.0 %" in html
    drawn = json.loads((tmp_path / "sweep" / "figures" / "figures.json").read_text())
    assert [entry["file"] for entry in drawn] == ["verification.svg", "closed_set.svg", "open_set.svg"]
