"""The figures that read the probes: what stands where, and what is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from invariantnets.figures import Scene, class_error, depth, heat_maps, prediction, readable, selectivity
from invariantnets.figures.style import clipped, render

LEAKS = {"hat": 0.6, "smile": 0.1, "blur": 0.7, "yaw": 0.9, "noise": 0.2, "light_azimuth": None, "roll": 0.3}


def bars(figure):
    return [c for c in figure.axes[0].containers if c.__class__.__name__ == "BarContainer"]


def ticks(axis) -> list[str]:
    return [t.get_text() for t in axis.get_ticklabels()]


def test_bars_are_errors_in_per_cent(make_results, run_scene, drawn):
    (found,) = drawn(class_error.draw, run_scene(make_results(softmax=0.98)))
    softmax, mav, _, told = bars(found.figure)
    assert [b.get_height() for b in softmax] == pytest.approx([2.0] * 11)
    assert [b.get_height() for b in mav] == pytest.approx([5.0] * 11)
    red, green, blue, _ = softmax[0].get_facecolor()
    assert red == green == blue
    assert [c[0].get_hatch() for c in (mav, told)] == [None, "////"]


@pytest.mark.parametrize("count, form", [(10, 4), (12, 4), (13, 0), (180, 0)])
def test_more_bars_than_can_be_seen_become_strips(make_results, renamed, drawn, run_scene, count, form):
    (figure,) = drawn(class_error.draw, run_scene(renamed(make_results(), [f"p{i}" for i in range(count)])))
    assert len(bars(figure.figure)) == form
    assert (f"of {count} classes" in figure.caption) == (form == 0)


def test_classes_are_called_by_their_names(make_results, renamed, drawn, run_scene):
    people = ["Zoë", "all", "Ann", "Bartholomew Fitzgerald", 7]
    (found,) = drawn(class_error.draw, run_scene(renamed(make_results(), people)))
    assert ticks(found.figure.axes[0].xaxis) == ["7", "Ann", "Bartholomew…", "Zoë", "all", "all"]
    heights = [b.get_height() for b in bars(found.figure)[1]]  # MAV: 95 % less what each lost
    assert heights == pytest.approx([55.0, 30.0, 42.5, 5.0, 17.5, 5.0])


def test_strips_hold_every_class_and_name_the_worst(make_results, renamed, run_scene, drawn):
    people = [f"person {i}" for i in range(30)]
    (found,) = drawn(class_error.draw, run_scene(renamed(make_results(), people)))
    (axes,) = found.figure.axes
    strips = [line for line in axes.lines if line.get_marker() == "|" and len(line.get_xdata()) == 30]
    assert sorted(strips[1].get_xdata()) == pytest.approx(5 + 100 * np.linspace(0, 0.5, 30))
    assert [set(strip.get_ydata()) for strip in strips] == [{0}, {1}, {2}, {3}]
    names = ["softmax", "MAV", "MAV per angle, estimated", "MAV per angle, estimated by true label *"]
    assert [t.get_text() for t in axes.texts] == names
    labels = axes.get_legend_handles_labels()[1]
    assert labels[:5] == [f"person {i}" for i in (29, 28, 27, 26, 25)]
    worst = next(line for line in axes.lines if line.get_label() == "person 29")
    assert worst.get_xdata()[:2] == pytest.approx([51.3, 55])


def test_a_legend_of_long_names_is_inside_the_figure(make_results, renamed, run_scene, drawn):
    people = [f"a person with a long name, number {i}" for i in range(60)]
    (found,) = drawn(class_error.draw, run_scene(renamed(make_results(), people)))
    render(found.figure, "png")
    assert found.figure.legends[0].get_window_extent().x1 <= found.figure.bbox.x1


def test_twenty_methods_of_twenty_classes_are_seven_strips(make_results, renamed, drawn):
    groups = {f"m {i}": [renamed(make_results(0.04 * i, 0.9 + 0.004 * i), list(range(20)))] for i in range(20)}
    (found,) = drawn(class_error.draw, Scene(groups))
    assert [t.get_text() for t in found.figure.axes[0].texts] == [f"m {i}, MAV" for i in (0, 1, 3, 7, 11, 15, 19)]
    assert "Of 20 groups, 7 can be told apart: the first, 6 of those that none beats" in found.caption


@pytest.mark.parametrize("text, short", [("Ann", "Ann"), (7, "7"), ("x" * 12, "x" * 12), ("x" * 13, "x" * 11 + "…")])
def test_clipped(text, short):
    assert clipped(text) == short


def test_predictions_stand_at_their_true_values_whatever_is_beside_them(make_results, run_scene, drawn):
    results = make_results()
    results += [replace(r, probe="ridge/b", value=r.value / 2) for r in results if r.probe == "ridge" and r.where]
    (found,) = drawn(prediction.draw, run_scene(results, units={"angle": "°"}))
    means, deviations = found.figure.axes
    true = np.array([-45, -30, -15, 0, 15, 30, 45])
    marked = [line for line in means.lines if line.get_marker() not in ("None", "")]
    assert [list(line.get_xdata()) for line in marked] == [list(true)] * 3
    assert [line.get_ydata()[0] for line in marked] == pytest.approx([-36, -36, -18])
    assert [list(line.get_ydata()) for line in deviations.lines] == [[9.0] * 7, [9.0] * 7, [4.5] * 7]
    assert deviations.get_xlabel() == "true angle (°)" and means.get_ylabel() == "predicted angle (°)"


def test_predictions_of_seeds_are_averaged(make_results, drawn):
    halved = [replace(r, value=r.value / 2) if r.metric == "predicted_mean" else r for r in make_results()]
    found = drawn(prediction.draw, Scene({"lenet": [make_results(), halved]}))
    assert [d.file for d in found] == ["prediction_angle_ridge.svg", "prediction_angle_ridge_per_label-1e76f3f0.svg"]
    centre = next(line for line in found[0].figure.axes[0].lines if line.get_marker() == "o")
    assert centre.get_ydata() == pytest.approx([0.6 * a for a in (-45, -30, -15, 0, 15, 30, 45)])


def test_a_failed_probe_has_a_gap_in_the_layers(make_results, run_scene, drawn):
    both = make_results(layer="conv1") + make_results(layer="ip1", failed=True)
    (found,) = drawn(depth.draw, run_scene(both))
    lines = {c.get_label(): c for c in found.figure.axes[0].containers}
    assert list(np.isnan(lines["MLP"][0].get_xydata()[:, 1])) == [False, True]


def test_one_layer_has_no_depth(make_results, run_scene, drawn):
    assert drawn(depth.draw, run_scene(make_results())) == []


def test_what_can_be_read_is_sorted_and_failures_are_named(make_face_results, run_scene, drawn):
    (found,) = drawn(readable.draw, run_scene(make_face_results(leaks=LEAKS)))
    (axes,) = found.figure.axes
    names = ticks(axes.yaxis)
    assert names == ["light_azimuth", "smile", "noise", "roll", "hat", "blur", "yaw"]
    points = {int(y): x for c in axes.containers for x, y in c[0].get_xydata()}
    assert points == {i: pytest.approx(LEAKS[name]) for i, name in enumerate(names) if LEAKS[name] is not None}
    assert [t.get_text().strip() for t in axes.texts] == ["every probe failed"]


def test_one_nuisance_needs_no_overview(make_face_results, run_scene, drawn):
    assert drawn(readable.draw, run_scene(make_face_results(leaks={"yaw": 0.5}))) == []


def test_each_probe_stands_beside_its_control(make_results, run_scene, drawn):
    results = [replace(r, control=-3.0) if r.probe == "mlp" else r for r in make_results(0.9)]
    results += [replace(r, target="noise", value=0.1) for r in results if r.metric == "r2" and r.probe == "mlp"]
    results += [replace(r, target="noise", status="failed") for r in results if r.metric == "r2" and r.probe == "ridge"]
    (found,) = drawn(selectivity.draw, run_scene(results))
    (axes,) = found.figure.axes
    points = {c.get_label(): c[0].get_xydata() for c in axes.containers}
    assert {n: list(p[:, 0]) for n, p in points.items()} == {
        "linear, label-blind": [pytest.approx(0.7)],
        "MLP": [pytest.approx(0.9), pytest.approx(0.1)],
    }
    assert list(np.round(points["MLP"][:, 1])) == [0, -1] and ticks(axes.yaxis) == ["angle", "noise"]
    controls = [line.get_xdata() for line in axes.lines if line.get_marker() == "|"]
    assert [sorted(set(x)) for x in controls if len(x)] == [[-0.001], [-0.5]]  # the caption says so of those below
    (lost,) = (line for line in axes.lines if line.get_marker() == "x" and len(line.get_xdata()))
    assert list(np.round(lost.get_ydata())) == [-1]


def test_what_is_far_below_chance_presses_no_other_together(make_results, make_face_results, run_scene, drawn):
    """R² −60 says no more than −0.5: a reader that does not carry over."""
    every = [readable.draw, run_scene(make_face_results(leaks={"yaw": 0.5, "blur": -60.0}))]
    every += [selectivity.draw, run_scene(make_results(-60.0))]
    every += [depth.draw, run_scene([*make_results(0.5, layer="conv1"), *make_results(-60.0)])]
    for draw, scene in zip(every[::2], every[1::2], strict=True):
        (found,) = drawn(draw, scene)
        (axes,) = found.figure.axes
        lowest = min(axes.get_xlim()[0], axes.get_ylim()[0]) if draw is depth.draw else axes.get_xlim()[0]
        assert -0.7 < lowest < 0 and "does not carry over" in found.caption


def test_one_probe_is_no_comparison(make_face_results, run_scene, drawn):
    assert drawn(selectivity.draw, run_scene(make_face_results(leaks={"yaw": 0.5, "hat": 0.4}))) == []


def test_heat_maps_of_few_classes_show_all_of_them_by_name(table, run_scene, drawn, make_results):
    people = tuple(f"person {i}" for i in range(10))
    scene = run_scene(make_results(), table=table(names=people), units={"angle": "°"})
    plain, blocks = drawn(heat_maps.draw, scene)
    (axes, _), (block_axes, _) = plain.figure.axes, blocks.figure.axes
    assert ticks(axes.xaxis) == list(people) == ticks(block_axes.xaxis)
    assert ticks(block_axes.yaxis) == [*people, "none"][: len(ticks(block_axes.yaxis))]
    assert "70 of 70 samples, drawn" in plain.caption and axes.get_xlabel().endswith("then by angle (°)")


def test_heat_maps_of_many_people_show_twenty_of_them_in_blocks(table, run_scene, drawn, make_results):
    plain, blocks = drawn(heat_maps.draw, run_scene(make_results(), table=table(classes=180)))
    assert "140 of 1,260 samples and 20 of 180 classes" in plain.caption
    shown = [int(t) for t in ticks(plain.figure.axes[0].xaxis)]
    assert len(set(shown)) == 20 and shown == sorted(shown)
    image = blocks.figure.axes[0].images[0].get_array()
    assert image.shape == (364, 140)
    high = image[(image > 6).any(1)]  # two features of each of the twenty
    assert [int(np.flatnonzero(row > 6)[0]) // 7 for row in high] == [i // 2 for i in range(40)]
