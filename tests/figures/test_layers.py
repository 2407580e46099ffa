from __future__ import annotations

import numpy as np
import pytest

from invariantnets.figures import Scene, draw_sweep, recognition_depth
from invariantnets.figures.layers import by_layer, layered, layers_figure


@pytest.fixture
def net(make_results):
    """A run with R² and MAV accuracy at each of three layers; None is a failed probe."""

    def make(*left: float | None, mav: float = 0.9, seed: int = 0):
        return [
            r
            for layer, r2 in zip(("conv1", "conv2", "ip1")[: len(left)], left, strict=True)
            for r in make_results(0 if r2 is None else r2, mav, layer, seed, failed=r2 is None)
        ]

    return make


def lines(axes) -> dict[str, np.ndarray]:
    return {c.get_label(): np.array(c[0].get_xydata()) for c in axes.containers}


def test_layers_from_the_image_to_the_output(net):
    curve = by_layer([net(0.8, 0.6, 0.1), net(0.8, 0.4, 0.3)], "r2", "angle", "strongest")
    assert list(curve) == ["conv1", "conv2", "ip1"]
    assert [s.mean for s in curve.values()] == pytest.approx([0.8, 0.5, 0.2])


def test_what_is_left_above_and_what_is_known_below(net):
    left, known = layers_figure({"a": [net(0.8, 0.6, 0.1)], "b": [net(0.7, 0.5, 0.2, mav=0.8)]}, "angle").axes
    assert lines(left)["a"][:, 1] == pytest.approx([0.8, 0.6, 0.1])
    assert lines(known)["b"][:, 1] == pytest.approx([80] * 3)
    assert [t.get_text() for t in known.get_xticklabels()] == ["conv1", "conv2", "ip1"]
    assert [list(lines(left)[n][:, 0]) for n in "ab"] == [[0, 1, 2]] * 2


def test_a_failed_layer_interrupts_the_line(net):
    y = lines(layers_figure({"a": [net(0.8, None, 0.1)]}, "angle").axes[0])["a"][:, 1]
    assert list(np.isnan(y)) == [False, True, False]


def test_the_least_of_each_family(net):
    groups = {
        "x 1": [net(0.8, 0.5)],
        "x 2": [net(0.9, 0.2)],
        "y": [net(0.8, 0.7)],
        "x 3": [net(0.8, None)],
        "z": [net(0.1)],
    }
    assert layered(groups, "angle") == ["x 2", "y"]
    assert layers_figure({"z": [net(0.1)]}, "angle") is None


def test_a_reader_that_does_not_carry_over_is_not_the_least(net):
    assert layered({"x 1": [net(0.8, 0.5)], "x 2": [net(0.8, -0.69)], "y 1": [net(0.8, 0.1)]}, "angle") == [
        "x 1",
        "y 1",
    ]
    (low, high), *_ = (axes.get_ylim() for axes in layers_figure({"x 2": [net(0.8, -60.0)]}, "angle").axes)
    assert (low, high) == (-0.5, 1.02)


def test_a_sweep_draws_it_where_layers_were_probed(net, tmp_path):
    runs = {"a": [net(0.8, 0.6, 0.1)], "b": [net(0.8, 0.6, 0.2)]}
    here = {name: [[r for r in run if r.layer == "ip1"] for run in of] for name, of in runs.items()}
    draw_sweep(here, tmp_path / "all", depths=runs)
    draw_sweep(here, tmp_path / "last", depths=here)
    assert (tmp_path / "all" / "layers_angle.svg").exists() and not (tmp_path / "last" / "layers_angle.svg").exists()


def test_there_is_no_empty_panel_where_recognition_was_not_measured(net):
    run = [r for r in net(0.8, 0.6, 0.1) if r.target == "angle"]
    (left,) = layers_figure({"a": [run]}, "angle").axes
    assert left.get_ylabel() == "R² of angle" and left.get_xlabel().startswith("layer")


def test_recognition_stands_above_what_is_read_of_nuisances(make_results, make_face_results):
    def scene(*layers):
        of = [make_face_results(leaks={"yaw": 0.4}, layer=at) for at in layers]
        return Scene({"": [of[-1]]}, {"": [sum(of, [])]}, layer=layers[-1])

    (drawn,) = recognition_depth.draw(scene("C1", "F7"))
    above, below = drawn.figure.axes
    told = {c.get_label(): c[0].get_ydata().tolist() for c in above.containers if len(c[0].get_xdata())}
    assert told["verification accuracy"] == pytest.approx([77, 77])
    assert [c.get_label() for c in below.containers] == ["yaw"] and "over people" in drawn.caption
    assert not list(recognition_depth.draw(scene("F7")))
