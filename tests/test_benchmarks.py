"""Every benchmark runs at a toy size, so that what it calls cannot move away unnoticed. The ratios mean nothing."""

from __future__ import annotations

import importlib
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from invariantnets import FeatureTable
from invariantnets.poselets import Hits
from invariantnets.protocols.part_vectors import part_vectors
from programs import ROOT

MODULES = (
    "training", "constraints", "solvers", "locally_connected", "faces", "cache", "probes", "networks", "bootstrapping",
    "identity_tests", "lda_draws", "attributes", "releases", "alignment", "gpu", "kernels",
)  # fmt: skip
# Reached by others, or not a table of `make bench`.
OTHERS = {
    "__init__",
    "__main__",
    "evaluation",
    "features",
    "head_parts",
    "poselet_pictures",
    "poselets",
    "readers",
    "readers_speed",
    "reference_spaces",
    "scale",
    "sparse_parts",
    "timing",
    "truth",
}


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delenv("INVARIANTNETS_DATA", raising=False)  # the embedded digits


def test_none_is_forgotten() -> None:
    files = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert files == {*MODULES, *OTHERS}
    printed = re.findall(r"(\w+)\.measure\(", (ROOT / "benchmarks" / "__main__.py").read_text())
    assert set(printed) == {*MODULES, "evaluation"} - {"gpu"}  # a program of its own


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("ignore")  # `make bench` ignores them too: so small, nothing converges
def test_runs(name: str) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    found = module.measure(**module.TOY)
    rows = found if isinstance(next(iter(found.values())), dict) else {name: found}
    assert all(math.isfinite(value) for row in rows.values() for value in row.values())
    table = importlib.import_module("benchmarks.__main__").table(name, rows).splitlines()
    assert len(table) == 2 + len(rows)


@pytest.mark.filterwarnings("ignore")
def test_the_stages_of_an_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    """In this process, where `make bench` starts one, and on as many images as are wanted."""
    module = importlib.import_module("benchmarks.evaluation")
    found = json.loads(json.dumps(module.evaluate(**module.TOY)))
    assert found["total"]["rows"] == 7 * sum(module.TOY["sizes"].values())
    assert {"features", "description", "figures"} < set(found)


@pytest.mark.filterwarnings("ignore")
def test_parts_of_heads_and_parts_that_are_drawn(tmp_path: Path) -> None:
    """The two tables of docs/piper.md, at a toy size."""
    heads, sparse = (importlib.import_module(f"benchmarks.{name}") for name in ("head_parts", "sparse_parts"))
    frame = heads.frame_of(**heads.TOY)
    fires = frame.groupby("part")["picture"].nunique() / frame["picture"].nunique()
    assert fires["global"] == 1 and 0 < fires["profile"] < fires["frontal"] < 1
    assert frame.loc[frame["part"] == "frontal", "yaw"].abs().max() < 30
    assert frame.groupby("album")["person"].nunique().max() == 1
    table = FeatureTable.from_frame(frame, label="person", source="picture", split="split")
    known = {name: x.shape for name, x, _ in part_vectors(table, "features")}
    tested = frame["picture"].nunique() // 2
    assert known["features of global"][0] == known["scores, global and parts, filled"][0] == tested
    drawn = sparse.measure(**sparse.TOY)
    sparse.figure(tmp_path / "gain.svg", {"a": drawn})
    assert (tmp_path / "gain.svg").stat().st_size > 1000 and np.isfinite(drawn.to_numpy()).all()


def test_what_is_said_of_poselets() -> None:
    """Of hits that are made up: which poselets fire again at the same place, and an interval that is known."""
    module = importlib.import_module("benchmarks.poselets")
    boxes = np.array([(0, 0, 10, 10), (20, 0, 30, 10), (0, 0, 10, 10)], float)
    before = Hits(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.9, 0.8, 0.3]), boxes)
    later = before._replace(box=boxes + [[1], [9], [0]])
    np.testing.assert_array_equal(module.again(before, later, 2, strongest=False), [(1, 2), (1, 1)])
    np.testing.assert_array_equal(module.again(before, later, 2, strongest=True), [(1, 1), (1, 1)])
    assert list(module.firing(before, [0.5, 0.9]).poselet) == [0]
    x = np.random.default_rng(0).normal(size=400)
    mean, low, high = module.interval(lambda w: np.average(x, weights=w), np.arange(400))
    assert mean == pytest.approx(x.mean()) and high - low == pytest.approx(2 * 1.966 * x.std(ddof=1) / 20, rel=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_poselets(tmp_path: Path) -> None:
    """The tables and the sheet of docs/poselets.md, at a toy size."""
    pytest.importorskip("anny")
    pytest.importorskip("skimage")
    module = importlib.import_module("benchmarks.poselets")
    found = module.measure(**module.TOY, sheet_at=str(tmp_path / "sheet.jpg"))
    assert found["spread, 10 nearest"]["value"] < found["spread, 10 random patches"]["value"] / 3
    assert found["AP, poselets"]["n"] > 0 and (tmp_path / "sheet.jpg").stat().st_size > 1000


def test_the_cost_of_a_pool(tmp_path: Path) -> None:
    """Its steps one after the other, which the command spreads over processes; what was made is not made again."""
    scale, pools = (importlib.import_module(f"benchmarks.{name}") for name in ("scale", "bootstrapping"))
    pool = pools.make_pool(8)
    population = scale.Population.fit(pool.features, np.repeat(np.arange(len(pool)), pool.counts))
    made = [scale._part(tmp_path, population, 60, start, start + 30)["identities made now"] for start in (0, 30, 0)]
    assert made == [30, 30, 0]
    more = tmp_path / "more.npy"
    scale.draw_more(more, np.load(tmp_path / "normals-0.npy"), 50)
    files = [tmp_path / "normals-0.npy", tmp_path / "normals-30.npy", more]
    assert scale._search(files, np.load(files[0])[:5])["seeds/s"] > 0


def test_the_references_of_strongest() -> None:
    """Two of them on a small part of one table, ours beside them. Rows of length one have their length beside them."""
    module = importlib.import_module("benchmarks.readers")
    (row,) = module.measure(**module.TOY).values()
    assert set(row) == {"strongest", *module.TOY["references"], "strongest / best"}
    assert row["lasso"] > 0.99
    assert row["strongest / best"] == row["strongest"] / max(row["lasso"], row["quadratic"])


@pytest.mark.filterwarnings("ignore")
def test_the_cost_of_all_readers() -> None:
    """Two of them; the command asks all, on tables a hundred times as large. Every second is somebody's."""
    module = importlib.import_module("benchmarks.readers_speed")
    found = module.measure(**module.TOY)
    assert set(found) == {*module.SIZES, "times, of ten times the rows"}
    for row in (found[name] for name in module.SIZES):
        assert row["ridge"] > 0 and row["knn"] > 0
        assert row["total"] == pytest.approx(row["ridge"] + row["knn"] + row["all else"])


def test_the_truth_beside_the_estimates() -> None:
    """Of 24 people in test two groups of 12: each interval is set beside the mean of the other."""
    truth = importlib.import_module("benchmarks.truth")
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(80), 6)
    yaw = rng.normal(0, 20, len(who))
    x = rng.normal(size=(80, 8))[who] + 0.1 * yaw[:, None] * rng.normal(size=8) + rng.normal(size=(len(who), 8))
    split = np.repeat(["train", "val", "test"], [40 * 6, 16 * 6, 24 * 6])
    table = FeatureTable.from_arrays(x.astype(np.float32), label=who, split=split, yaw=yaw)
    rows = truth.measure(table, ["bins", "unit_deletion"], people=12)
    named = {(row["probe"], row["metric"], row["where"]): row for row in rows}
    row = named["bins/line", "mae", '{"|yaw|": "all"}']
    assert 0 < row["mean"] < 16 and row["right"] in (0.0, 0.5, 1.0) and row["width"] > 0 and len(row["first"]) == 3
    found = truth.summary(rows)
    assert set(found) == {"bins", "unit_deletion"} and found["bins"]["numbers"] > 4
