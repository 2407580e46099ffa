from __future__ import annotations

import json

import numpy as np
import pytest

from invariantnets.figures import draw_sweep
from invariantnets.figures.pareto import AIM, RUDD2016_MAV, family, frontier, pareto_figure, points
from invariantnets.figures.style import render
from invariantnets.results.select import PEOPLE_ACCURACY


def placed(axes) -> list[np.ndarray]:
    return [np.array(c[0].get_xydata()[0]) for c in axes.containers]


@pytest.mark.parametrize(
    "name, kind", [("supcon+noise σ=0.5", "supcon+noise"), ("mu", "mu"), ("adversary 1.0", "adversary")]
)
def test_family(name, kind):
    assert family(name) == kind


def test_means_over_seeds_with_deviations(make_results):
    groups = {"a": [make_results(0.5, 0.98), make_results(0.3, 0.96)], "b": [make_results(0.01, 0.9)]}
    (axes,) = pareto_figure(groups, "angle").axes
    assert placed(axes) == [pytest.approx([0.4, 97]), pytest.approx([0.01, 90])]
    across, up = axes.containers[0][2]
    assert np.ptp(across.get_segments()[0][:, 0]) == pytest.approx(2 * np.std([0.5, 0.3], ddof=1))
    assert np.ptp(up.get_segments()[0][:, 1]) == pytest.approx(2 * np.std([98, 96], ddof=1))
    assert axes.get_legend_handles_labels()[1] == ["1  a", "2  b"] and [t.get_text() for t in axes.texts] == ["1", "2"]


def test_families_share_a_colour(make_results):
    groups = {name: [make_results()] for name in ("x 1", "x 2", "y")}
    colours = [c[0].get_color() for c in pareto_figure(groups, "angle").axes[0].containers]
    assert colours[0] == colours[1] != colours[2]


def test_failed_probes_stand_beside_the_axis_and_half_failed_ones_are_hollow(make_results):
    sound, lost = make_results(0.2), make_results(0.2, failed=True)
    axes, beside = pareto_figure({"ok": [sound], "half": [sound, lost], "none": [lost, lost]}, "angle").axes
    assert [p[0] for p in placed(axes)] == pytest.approx([0.2, 0.2])
    assert [c[0].get_markerfacecolor() == "white" for c in axes.containers] == [False, True]
    assert len(placed(beside)) == 1 and beside.get_xlabel() == "probes\nfailed"
    assert axes.get_legend_handles_labels()[1] == ["1  ok", "2  half", "3  none"]
    assert len(pareto_figure({"ok": [sound]}, "angle").axes) == 1
    assert len(placed(pareto_figure({"none": [lost]}, "angle").axes[1])) == 1


def test_readers_that_do_not_carry_over_stand_beside_the_axis_and_on_no_frontier(make_results):
    """Each has its place: −0.69 is no less than 0, and what lies just below chance is at chance."""
    groups = {
        "ok": [make_results(0.1, 0.98)],
        "stray": [make_results(-0.69, 0.99)],
        "near": [make_results(-0.01, 0.97)],
    }
    axes, beside = pareto_figure(groups, "angle").axes
    assert [p[0] for p in placed(axes)] == pytest.approx([0.1, 0.0]) and len(placed(beside)) == 1
    assert beside.get_xlabel() == "probes\nfailed\nor R² < 0"
    assert frontier(points(groups, "angle")) == ["near", "ok"]
    half = points({"half": [make_results(0.3), make_results(-0.69)]}, "angle")["half"][0]
    assert (half.mean, half.runs, half.failed) == (0.3, 1, 1)


def test_the_frontier_is_what_nothing_beats(make_results):
    rng = np.random.default_rng(0)
    at = {str(i): rng.random(2) for i in range(40)}
    runs = {name: [make_results(x, y)] for name, (x, y) in at.items()}
    unbeaten = [n for n, (x, y) in at.items() if not any(u < x and v > y for u, v in at.values())]
    assert frontier(points(runs, "angle")) == sorted(unbeaten, key=lambda n: at[n][0])
    alike = {"worse": [make_results(0.2, 0.8)], "better": [make_results(0.2, 0.9)], "x": [make_results(0.3, 0.9)]}
    assert frontier(points(alike, "angle")) == ["better"]
    assert frontier(points({"lost": [make_results(0.0, 0.99, failed=True)], **alike}, "angle")) == ["better"]


@pytest.mark.parametrize("mav", [0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("r2", [-0.02, 0.0, 0.4])
def test_points_and_marks_are_inside(make_results, r2, mav):
    (axes,) = pareto_figure({"a": [make_results(r2, mav)]}, "angle", published=True).axes
    ((x, y),) = placed(axes)
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert left < x < right and left < AIM[0] < right
    assert low < min(y, 100 * RUDD2016_MAV) and 100 * AIM[1] < high <= 100 and y <= high + 0.1
    assert axes.patches[0].get_bbox().extents == pytest.approx([left, 99.2, 0.02, high])
    assert "97.18 %" in axes.texts[-1].get_text()


def test_a_method_that_is_far_below_stands_on_the_edge_with_its_accuracy_in_the_legend(make_results):
    groups = {"a": [make_results(0.5, 0.99)], "far": [make_results(0.4, 0.8)], "b": [make_results(0.3, 0.97)]}
    (axes,) = pareto_figure(groups, "angle").axes
    low = axes.get_ylim()[0]
    assert placed(axes) == [pytest.approx(at) for at in ([0.5, 99], [0.4, low], [0.3, 97])] and 80 < low < 97
    assert [c[0].get_marker() == "v" for c in axes.containers] == [False, True, False]
    assert axes.get_legend_handles_labels()[1] == ["1  a", "2  far (80.0 %)", "3  b"]


@pytest.mark.parametrize("longest, columns", [(20, 2), (64, 1)])
def test_the_legend_has_two_columns_where_they_fit(make_results, longest, columns):
    groups = {"x" * n: [make_results()] for n in (1, 2, longest)}
    figure = pareto_figure(groups, "angle")
    render(figure, "png")
    (legend,) = figure.legends
    assert legend._ncols == columns
    assert legend.get_window_extent().x1 <= figure.bbox.x1


def test_people_never_trained_on(make_face_results):
    groups = {"a": [make_face_results(0.7, {"yaw": 0.4})]}
    assert placed(pareto_figure(groups, "yaw", PEOPLE_ACCURACY).axes[0]) == [pytest.approx([0.4, 70])]
    assert pareto_figure(groups, "yaw") is None


def test_of_many_methods_the_unbeaten_are_laid_over_each_other(make_results, tmp_path):
    groups = {f"m {i}": [make_results(0.1 * i, 0.9 + 0.01 * (i % 4))] for i in range(1, 9)}
    draw_sweep(groups, tmp_path, data=dict.fromkeys(groups, "rotated_mnist"), methods=list(groups))
    entries = {e["file"]: e for e in json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))}
    assert "pareto_angle.svg" in entries and "trade_off_angle.svg" not in entries
    assert (
        "Of 8 methods, 7 can be told apart: the first, those that none beats" in entries["class_error.svg"]["caption"]
    )


def test_each_data_set_has_a_figure(make_results, tmp_path):
    groups = {f"{m} on {data}": [make_results()] for m in ("a", "b") for data in ("digits", "rotated_mnist")}
    draw_sweep(groups, tmp_path, data={n: n.split()[2] for n in groups}, methods=list(groups))
    files = {p.name for p in tmp_path.iterdir()}
    assert {"pareto_angle_digits.svg", "pareto_angle_rotated_mnist.svg"} <= files and "pareto_angle.svg" not in files
