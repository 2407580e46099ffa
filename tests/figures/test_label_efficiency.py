from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from invariantnets.figures import Scene, label_efficiency
from invariantnets.results.result import Result

SIZES = (100, 1000, 10_000)
Run = Callable[..., list[Result]]


@pytest.fixture
def run() -> Run:
    """What a run measures of one nuisance at three sizes; None is a size at which every probe failed."""

    def of(*values: float | None, target: str = "angle", law: tuple[float, float, float] | None = None, seed: int = 0):
        common = {"layer": "ip1", "target": target, "probe": "strongest", "split": "test", "seed": seed}
        common |= {"n": 500, "sources": 500, "chance": 0.0}
        found = [Result("r2", 0.9, low=0.88, high=0.92, **common)]
        for size, value in zip(SIZES, values, strict=True):
            left = 0.0 if value is None else value
            reach = {"low": left - 0.02, "high": left + 0.03, "where": {"labelled_rows": size}}
            found.append(Result("r2", left, status="failed" if value is None else "ok", **reach, **common))
        if law is None:
            return [*found, Result("r2_heading", float("nan"), status="failed", note="cannot be said: …", **common)]
        a, b, c = law
        chosen = {"a": a, "b": b, "c": c, "labelled_rows": 100_000}
        end = a - b * 100_000.0**-c
        return [*found, Result("r2_heading", end, low=end - 0.01, high=end + 0.02, chosen=chosen, **common)]

    return of


def line(axes, name: str) -> np.ndarray:
    (found,) = (each for each in axes.lines if each.get_label() == name)
    return np.array(found.get_xydata())


def test_a_line_for_each_nuisance_with_its_band(run, run_scene, drawn):
    scene = run_scene(run(0.2, 0.5, 0.6) + run(0.7, 0.8, 0.85, target="light"))
    (figure,) = drawn(label_efficiency.draw, scene)
    (axes,) = figure.figure.axes
    np.testing.assert_allclose(line(axes, "angle"), [(100, 0.2), (1000, 0.5), (10_000, 0.6)])
    np.testing.assert_allclose(line(axes, "light")[:, 1], [0.7, 0.8, 0.85])
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "labelled rows"
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(0.18) and band[:, 1].max() == pytest.approx(0.63)
    assert (figure.file, figure.about) == ("label_efficiency.svg", "leaks") and "Dashed" not in figure.caption


def test_where_it_is_heading_is_dashed_and_no_measurement(run, run_scene, drawn):
    (figure,) = drawn(label_efficiency.draw, run_scene(run(0.2, 0.5, 0.6, law=(0.65, 4.5, 0.5))))
    (axes,) = figure.figure.axes
    (dashed,) = (
        np.array(each.get_xydata()) for each in axes.lines if each.get_linestyle() == "--" and len(each.get_xdata()) > 2
    )
    assert dashed[0] == pytest.approx((10_000, 0.65 - 0.045)) and dashed[-1] == pytest.approx(
        (100_000, 0.65 - 4.5 / 10**2.5)
    )
    assert "no measurement" in figure.caption


def test_a_size_where_every_probe_failed_interrupts_the_line(run, run_scene, drawn):
    (figure,) = drawn(label_efficiency.draw, run_scene(run(None, 0.5, 0.6)))
    (axes,) = figure.figure.axes
    assert np.isnan(line(axes, "angle")[0, 1])
    (lost,) = (np.array(each.get_xydata()) for each in axes.lines if each.get_marker() == "x")
    np.testing.assert_allclose(lost, [(100, 0)])


def test_of_a_sweep_a_line_for_each_group_over_its_seeds(run, drawn):
    law = (0.65, 4.5, 0.5)
    groups = {
        "softmax": [run(0.2, 0.5, 0.6, seed=0, law=law), run(0.4, 0.6, 0.7, seed=1)],
        "forget": [run(0.0, 0.1, 0.2, law=law)],
        "old": [[r for r in run(0.3, 0.3, 0.3) if not r.where]],
    }
    (figure,) = drawn(label_efficiency.draw, Scene(groups))
    (axes,) = figure.figure.axes
    np.testing.assert_allclose(line(axes, "softmax")[:, 1], [0.3, 0.55, 0.65])
    # Of one of two runs it cannot be said, hence not of the group.
    dashed = [each for each in axes.lines if each.get_linestyle() == "--" and len(each.get_xdata()) > 2]
    assert len(dashed) == 1 and dashed[0].get_color() == label_efficiency.colour(1)
    assert figure.file == "label_efficiency_angle.svg" and "s.d. over seeds" in figure.caption
    assert "old" not in {each.get_label() for each in axes.lines}


def test_nothing_without_sizes(run, run_scene, drawn):
    assert drawn(label_efficiency.draw, run_scene([r for r in run(0.2, 0.5, 0.6) if not r.where])) == []
