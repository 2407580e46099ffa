from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.figures import draw_run, draw_sweep
from invariantnets.figures.plots import class_error_figure, depth_figure, prediction_figure, trade_off_figure
from invariantnets.figures.style import render
from invariantnets.nuisance import Nuisance


def table(nuisances: bool = True) -> FeatureTable:
    rng = np.random.default_rng(0)
    n = 210
    label = np.arange(n) % 10
    features = np.maximum(rng.normal(size=(n, 24)) + 3 * np.eye(10, 24)[label], 0).astype(np.float32)
    features[:, 20] = 0
    angle = rng.choice([-45.0, 0.0, 45.0], n)
    split = np.repeat(["train", "val", "test"], n // 3)
    return FeatureTable(
        {"ip1": features},
        label,
        split,
        np.arange(n),
        {"angle": angle} if nuisances else {},
        (Nuisance("angle", "continuous", "°"),) if nuisances else (),
        10,
    )


def listed(folder: Path) -> list[dict[str, str]]:
    return json.loads((folder / "figures.json").read_text(encoding="utf-8"))


def test_run_lists_just_what_it_wrote(make_results, tmp_path):
    draw_run(make_results() + make_results(0.99, layer="conv1"), table(), "ip1", tmp_path)
    entries = listed(tmp_path)
    assert {e["file"] for e in entries} | {"figures.json"} == {p.name for p in tmp_path.iterdir()}
    assert {e["file"] for e in entries} == {
        "prediction_angle.svg",
        "class_error.svg",
        "scree.svg",
        "heat_map.png",
        "blocks.png",
        "depth_angle.svg",
    }
    assert all(e["title"] and e["caption"] and e["layer"] == "ip1" for e in entries)
    assert "70 of 70 samples" in next(e["caption"] for e in entries if e["file"] == "heat_map.png")


def test_without_table_only_results_are_drawn(make_results, tmp_path):
    draw_run(make_results(), None, "ip1", tmp_path)
    assert {e["file"] for e in listed(tmp_path)} == {"prediction_angle.svg", "class_error.svg", "scree.svg"}


def test_table_without_nuisance(tmp_path):
    draw_run([], table(nuisances=False), "ip1", tmp_path)
    assert [e["file"] for e in listed(tmp_path)] == ["heat_map.png", "blocks.png"]


def test_same_input_same_bytes(make_results, tmp_path):
    for name in "ab":
        draw_run(make_results() + make_results(layer="conv1"), table(), "ip1", tmp_path / name)
        draw_sweep({"x": [make_results()], "y": [make_results(0.5)]}, tmp_path / name / "sweep")
    files = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    assert len(files) > 8
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_settings_of_matplotlib_are_left_alone(make_results):
    import matplotlib

    before = dict(matplotlib.rcParams)
    render(class_error_figure({"MAV": ([make_results()], "mav")}), "svg")
    assert dict(matplotlib.rcParams) == before


def test_bars_are_errors_in_per_cent(make_results):
    figure = class_error_figure(
        {"softmax": ([make_results(softmax=0.98)], "softmax"), "MAV": ([make_results()], "mav")}
    )
    softmax, mav = (c for c in figure.axes[0].containers if c.__class__.__name__ == "BarContainer")
    assert [b.get_height() for b in softmax] == pytest.approx([2.0] * 11)
    assert [b.get_height() for b in mav] == pytest.approx([5.0] * 11)
    red, green, blue, _ = softmax[0].get_facecolor()
    assert red == green == blue


def test_points_of_figure_3_average_the_seeds(make_results):
    figure = prediction_figure({"lenet": ([make_results(), make_results()], "ridge")}, "angle", "°")
    axes = figure.axes[0]
    centre = next(line for line in axes.lines if line.get_marker() == "o")
    assert centre.get_ydata() == pytest.approx([0.8 * a for a in (-45, -30, -15, 0, 15, 30, 45)])
    assert axes.get_xlabel() == "true angle (°)"


def test_a_failed_probe_draws_nothing(make_results):
    assert trade_off_figure({"lenet": [make_results(failed=True)]}, "angle") is None
    both = make_results(layer="conv1") + make_results(layer="ip1", failed=True)
    lines = {c.get_label(): c for c in depth_figure(both, "angle").axes[0].containers}
    assert list(lines["MLP"][0].get_xdata()) == [0]


def test_one_layer_has_no_depth(make_results):
    assert depth_figure(make_results(), "angle") is None


def test_hostile_nuisance_name_stays_in_the_folder(make_results, tmp_path):
    from dataclasses import replace

    results = [replace(r, target="../x") if r.target == "angle" and not r.where else r for r in make_results()]
    draw_sweep({"a": [results]}, tmp_path / "figures")
    assert [p.name for p in tmp_path.iterdir()] == ["figures"]


def test_unwritable_folder_is_one_line(make_results, tmp_path):
    (tmp_path / "figures").write_text("a file where the folder should be")
    with pytest.raises(InvariantNetsError, match="figures"):
        draw_run(make_results(), None, "ip1", tmp_path / "figures")
