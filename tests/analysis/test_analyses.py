"""Every analysis: through the command line's door, by its name, and what it says of a table that cannot be measured.

A new one is a row in `ROWS`: what it must find in the table of `people`, of which the truth is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from invariantnets import FeatureTable, run_suite
from invariantnets.analysis import ANALYSES, Analysis, Decoder, IdentityTests
from invariantnets.division import Division
from invariantnets.evaluation import Evaluation, evaluate, subject_of
from invariantnets.randomness import numpy_rng
from programs import run

# Name of an analysis → what of its results must be true: metric, probe, `where`, least and greatest value.
ROWS: list[tuple[str, str, str, dict[str, Any], float, float]] = [
    ("bins", "mae", "bins/line", {"|yaw|": "all"}, 0.5, 6.0),
    ("bins", "mae", "bins/always the mean", {"|yaw|": "all"}, 13.0, 19.0),
    ("thresholds", "false_match_rate", "thresholds/calibration people", {"promised FMR": "1 %"}, 0.0099, 0.01),
    ("thresholds", "false_non_match_rate", "thresholds/other people", {"promised FMR": "1 %"}, 0.2, 0.8),
    ("groups", "false_non_match_rate", "groups", {"promised FMR": "1 %", "hat": "1"}, 0.2, 0.8),
    ("thresholds", "false_non_match_rate", "thresholds/thresholds chosen so", {"promised FMR": "1 %"}, 0.2, 0.8),
    ("groups", "inequality", "groups/chance taken off", {"measure": "FNMR, worst group over mean"}, 1.0, 1.2),
    ("groups", "inequality", "groups/measured", {"promised FMR": "1 %", "measure": "FDR (1 is equal)"}, 0.9, 1.0),
    ("per_class", "r2", "per_class", {"classes": "mean"}, 0.8, 1.0),
    ("per_class", "balanced_accuracy", "per_class", {"classes": "mean"}, 0.35, 0.65),
    ("per_class", "r2", "per_class/shuffled within the class", {"classes": "mean"}, -1.0, 0.05),
    ("identity_tests", "features_that_differ", "identity_tests", {"people": "mean"}, 0.2, 0.9),
    ("identity_tests", "auc", "identity_tests/side", {"people": "mean"}, 0.95, 1.0),
    ("unit_deletion", "auc", "unit_deletion", {"units": 32}, 0.8, 0.95),
    ("unit_deletion", "r2", "unit_deletion", {"units": 32}, 0.9, 1.0),
    ("unit_deletion", "auc", "unit_deletion", {"units": 2}, 0.55, 0.68),
    ("nesting", "variance_share", "nesting/each in turn", {"of": "people"}, 0.3, 0.6),
    ("nesting", "variance_share", "nesting/each in turn", {"of": "yaw"}, 0.25, 0.45),
    ("nesting", "variance_share", "nesting/beyond all others", {"of": "light"}, 0.0, 0.01),
    ("discard", "fnmr", "discard", {"discarded": "0 %"}, 0.04, 0.05),
    ("discard", "false_match_rate", "discard", {"discarded": "20 %"}, 0.5, 0.8),
    ("discard", "discard_area_beyond", "discard", {}, 0.0, 0.01),
    ("quality", "spearman", "quality/from the origin", {}, -1.0, 1.0),
    ("tsne", "accuracy", "tsne/features", {"images of": "all"}, 0.4, 0.7),
    ("lda_draws", "mae", "lda_draws/likeliest bin", {}, 1.0, 8.0),
    ("lda_draws", "mae", "lda_draws/always the mean", {}, 13.0, 19.0),
    ("lda_draws", "mae", "lda_draws/shuffled", {}, 15.0, 30.0),
    ("lda_draws", "accuracy", "lda_draws/likeliest class", {}, 0.4, 0.68),
    ("attributes", "balanced_accuracy", "attributes", {"group": "identity-independent"}, 0.35, 0.65),
    ("pose_knn", "accuracy", "pose_knn/knn", {}, 0.5, 1.0),
    ("pose_knn", "accuracy", "pose_knn/shuffled", {}, 0.2, 0.8),
    ("decoder", "variance_share", "decoder/drawn from the features", {}, 0.2, 1.0),
    ("decoder", "r2", "decoder/from drawn pictures", {}, 0.7, 1.0),
    ("decoder", "r2", "decoder/shuffled, from drawn pictures", {}, -0.2, 0.05),
    ("decoder", "r2", "decoder/from the pictures themselves", {}, 0.9, 1.0),
    ("adversary", "accuracy", "adversary/last", {}, 0.35, 0.7),
    ("adversary", "accuracy", "adversary/chosen", {}, 0.35, 0.7),
    ("by_value", "accuracy", "by_value/mav", {"hat": "all"}, 0.8, 1.0),
]
# What needs more of each person than the table has, asked for less.
SMALLER: dict[str, Analysis] = {
    "identity_tests": IdentityTests(nuisance="yaw", magnitude=False, least=4),
    "decoder": Decoder(epochs=15, width=32, reader_epochs=2),
}
# Of classes that were trained on, and so of a table that holds other images of the same people.
CLOSED = {"by_value"}


def people(count: int = 40, images: int = 20, division: Division = "identity") -> FeatureTable:
    """Features that hold who it is, a yaw (normal, s.d. 20) and noise; nothing of the light."""
    rng = numpy_rng(0)
    who = np.repeat(np.arange(count), images)
    yaw, light = rng.normal(0, 20, len(who)), rng.random(len(who))
    x = rng.normal(size=(count, 32))[who] + 0.05 * yaw[:, None] * rng.normal(size=32)
    x = np.maximum(x + 0.3 * rng.normal(size=x.shape), 0).astype(np.float32)
    hat = (rng.random(len(who)) > 0.6).astype(int)
    return FeatureTable.from_arrays(x, label=who, division=division, yaw=yaw, light=light, hat=hat)


def pictures_of(table: FeatureTable) -> Callable[[np.ndarray], np.ndarray]:
    """Brighter to the one side by yaw, and somebody's own pattern above it."""

    def shown(rows: np.ndarray) -> np.ndarray:
        own = numpy_rng(1).normal(0, 8, (1 + table.label.max(), 6, 6))[table.label[rows]]
        side = table.nuisance["yaw"][rows, None, None] * np.linspace(-1, 1, 6)
        return np.clip(128 + own + side, 0, 255).round().astype(np.uint8)

    return shown


@pytest.fixture(scope="module")
def found() -> Evaluation:
    table = people()
    subject = replace(subject_of(table), pictures=pictures_of(table))
    asked = [SMALLER.get(name, of()) for name, of in ANALYSES.items() if name not in CLOSED]
    return evaluate(subject, [], analyses=asked, protocols=None)


@pytest.fixture(scope="module")
def closed() -> Evaluation:
    return run_suite(people(division="image"), [], analyses=sorted(CLOSED), protocols=None)


def test_every_analysis_has_a_row_and_a_file_of_its_own() -> None:
    assert {row[0] for row in ROWS} == set(ANALYSES)
    conf = Path(__file__).parents[2] / "conf" / "analysis"
    assert {path.stem for path in conf.glob("*.yaml")} == set(ANALYSES)


@pytest.mark.parametrize(("name", "metric", "probe", "where", "least", "most"), ROWS)
def test_it_finds_what_is_there(
    found: Evaluation, closed: Evaluation, name: str, metric: str, probe: str, where: dict[str, Any], least: float,
    most: float,
) -> None:  # fmt: skip
    results = (closed if name in CLOSED else found).results
    of = [r for r in results if (r.metric, r.probe) == (metric, probe) and where.items() <= r.where.items()]
    assert of and of[0].about == "analysis" and of[0].probe.split("/")[0] == name
    assert least <= of[0].value <= most
    assert of[0].n > 0 and of[0].title and (of[0].low is None or of[0].low <= of[0].value <= of[0].high)


def test_nothing_dies_and_the_report_shows_all(found: Evaluation, closed: Evaluation, tmp_path: Path) -> None:
    for of, names in ((found, set(ANALYSES) - CLOSED), (closed, CLOSED)):
        assert not of.failed
        page = of.save(tmp_path).read_text(encoding="utf-8")
        assert all(ANALYSES[name]().title in page for name in names)
        assert all(r.title in page for r in of.results if r.about == "analysis")


def test_by_the_command_line(tmp_path: Path) -> None:
    table = people(24, 8)
    columns = {"yaw": table.nuisance["yaw"], "label": table.label, "split": table.split}
    np.savez(tmp_path / "t.npz", features=table.features["features"], **columns)
    off = [f"probe.{name}=null" for name in ("mlp", "rbf", "quadratic", "trees", "knn")]
    asked = ["+analysis=bins", "analysis.bins.edges=[0,15,30]"]
    run("evaluate.py", "features=t.npz", *asked, *off, "protocols=none", "hydra.run.dir=run", cwd=tmp_path)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "How far off a line is, by bins" in page and "|yaw|: 15 to 30" in page


def test_one_that_cannot_be_measured_is_one_line_and_all_else_goes_on() -> None:
    told: list[Any] = []
    found = run_suite(people(), ["ridge"], analyses=["bins"], protocols=None, lost=told.append)
    assert not told and not found.failed
    bare = FeatureTable.from_arrays(people().features["features"], label=people().label, division="identity")
    found = run_suite(bare, [], analyses=["bins"], protocols=None, lost=told.append)
    assert "no number among the nuisances" in str(told[0]) and found.results
