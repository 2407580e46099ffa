from __future__ import annotations

import numpy as np
import pytest

from invariantnets.figures import Scene, draw_sweep, trade_off
from invariantnets.figures.style import render
from invariantnets.figures.widths import shown_nuisances, width_figure
from invariantnets.results.select import read_best, with_figures

LEAKS = {"hat": 0.6, "smile": 0.1, "blur": 0.7, "yaw": 0.9, "noise": 0.2, "light_azimuth": None, "roll": 0.3}


def lines(axes) -> dict[str, np.ndarray]:
    return {c.get_label(): np.array(c[0].get_xydata()) for c in axes.containers}


def test_curves_are_means_over_seeds_on_a_logarithmic_axis(make_face_results):
    runs = {8: [make_face_results(0.1, {"yaw": 0.9})], 256: [make_face_results(r, {"yaw": 0.5}) for r in (0.6, 0.8)]}
    figure = width_figure(runs)
    people, leaks = figure.axes
    assert people.get_xscale() == "log" and [t.get_text() for t in leaks.get_xticklabels()] == ["8", "256"]
    curve = lines(people)["rank 1"]
    assert curve[:, 1] == pytest.approx([10, 70]) and list(curve[:, 0]) == [8, 256]
    assert lines(leaks)["yaw"][:, 1] == pytest.approx([0.9, 0.5])
    whiskers = [c for c in people.containers if c.get_label() == "rank 1"][0][2][0].get_segments()
    assert np.ptp(whiskers[1][:, 1]) == pytest.approx(2 * 100 * np.std([0.6, 0.8], ddof=1))


def test_a_part_without_results_is_left_out(make_face_results):
    only_people = width_figure({w: [make_face_results()] for w in (8, 16)})
    assert [axes.get_ylabel() for axes in only_people.axes] == ["people recognised (%)"]
    leaks = [r for r in make_face_results(leaks={"yaw": 0.5}) if r.target == "yaw"]
    assert [a.get_ylabel() for a in width_figure({8: [leaks], 16: [leaks]}).axes] == ["R² (strongest honest probe)"]
    assert width_figure({8: [[]], 16: [[]]}) is None


def test_a_failed_probe_has_no_point(make_face_results):
    runs = {8: [make_face_results(leaks={"yaw": None})], 16: [make_face_results(leaks={"yaw": 0.5})]}
    assert len(lines(width_figure(runs).axes[1])["yaw"]) == 1


def test_yaw_light_and_expression_come_first_then_what_is_read_best(make_face_results):
    assert shown_nuisances({8: [make_face_results(leaks=LEAKS)]}) == ["yaw", "light_azimuth", "smile", "blur", "hat"]
    assert shown_nuisances({8: [make_face_results(leaks={"hat": 0.2, "angle": 0.3})]}) == ["angle", "hat"]


def test_best_read_in_any_group_by_the_mean_over_its_seeds(make_face_results):
    groups = [
        [make_face_results(leaks={"a": 0.5, "b": 0.8, "c": None}), make_face_results(leaks={"a": 0.7, "b": 0.2})],
        [make_face_results(leaks={"b": 0.55})],
    ]
    assert read_best(groups) == ["a", "b"]  # means: 0.6 and 0.5 in the first group, 0.55 in the second
    assert read_best(groups, 1) == ["a"]
    assert with_figures(groups) == ["a", "b", "c"]
    assert with_figures([[make_face_results(leaks=LEAKS)]]) == ["yaw", "blur", "hat", "roll"]


def test_the_trade_off_of_people_never_trained_on(make_face_results, drawn):
    (found,) = drawn(trade_off.draw, Scene({"a": [make_face_results(0.7, {"yaw": 0.4})]}))
    (axes,) = found.figure.axes
    (point,) = axes.containers[0][0].get_xydata()
    assert point == pytest.approx([0.4, 70.0])
    assert axes.get_ylabel() == "rank 1 of the closed set (%)"


def test_a_run_far_below_chance_has_no_place_on_the_trade_off_and_one_just_below_stands_at_chance(make_results, drawn):
    (found,) = drawn(trade_off.draw, Scene({"lenet": [make_results(-0.69), make_results(-0.01), make_results(0.3)]}))
    (points,) = (c[0].get_xdata() for c in found.figure.axes[0].containers)
    assert list(points) == [0.0, 0.3] and "fitted to 9,000 rows" in found.caption


def test_a_run_whose_probes_failed_has_no_trade_off(make_results, drawn):
    assert drawn(trade_off.draw, Scene({"lenet": [make_results(failed=True)]})) == []


def test_curves_of_other_data_are_not_laid_over_each_other(make_face_results, tmp_path):
    groups = {f"net on {data} k={k}": [make_face_results(0.1 * k)] for data in ("lfw", "made") for k in (1, 2)}
    data = {name: name.split()[2] for name in groups}
    widths = {"net on lfw": {"net on lfw k=1": 1, "net on lfw k=2": 2}}
    draw_sweep(groups, tmp_path, data=data, widths=widths)
    curves = [f"{p}_{d}.svg" for d in ("lfw", "made") for p in ("verification", "closed_set", "open_set")]
    assert {p.name for p in tmp_path.iterdir()} == {"figures.json", "width_net_on_lfw-6e849640.svg", *curves}


def test_a_long_legend_leaves_the_axes_their_height(make_face_results, drawn):
    def height(groups: int) -> float:
        runs = {f"a group with a long name {i}": [make_face_results(0.1 * i, {"yaw": 0.5})] for i in range(groups)}
        figure = drawn(trade_off.draw, Scene(runs))[0].figure
        render(figure, "svg")  # lays out
        return figure.axes[0].get_position().height * figure.get_figheight()

    assert height(8) == pytest.approx(height(3), abs=0.1)
