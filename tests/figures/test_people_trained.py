from __future__ import annotations

import numpy as np
import pytest

from invariantnets.figures import Scene, people_trained
from invariantnets.figures.people_trained import people_figure
from invariantnets.figures.style import render


def panels(figure) -> dict:
    return {axes.get_title(): axes for axes in figure.axes if axes.get_visible()}


def points(axes, name: str) -> np.ndarray:
    (found,) = (c[0].get_xydata() for c in axes.containers if c.get_label() == name)
    return np.array(found)


def test_a_curve_a_method_and_a_panel_a_measure(make_face_results):
    series = {
        "softmax": {n: [make_face_results(0.5, {"yaw": 0.8, "pitch": 0.4})] for n in (5000, 200)},
        "ours": {200: [make_face_results(r, {"yaw": r / 2}) for r in (0.4, 0.6)]},
    }
    figure = people_figure(series)
    of = panels(figure)
    assert list(of) == ["R² of yaw", "R² of pitch", "rank 1 (%)"]  # no EER was measured
    assert points(of["R² of yaw"], "softmax") == pytest.approx(np.array([[200, 0.8], [5000, 0.8]]))
    assert points(of["rank 1 (%)"], "ours") == pytest.approx(np.array([[200, 50]]))
    assert of["R² of yaw"].get_xscale() == "log"
    assert [t.get_text() for t in of["rank 1 (%)"].get_xticklabels()] == ["200", "5,000"]
    render(figure, "svg")  # its legend has room


def test_a_failed_probe_has_no_point_and_nothing_no_figure(make_face_results):
    series = {"a": {n: [make_face_results(0.5, {"yaw": r2})] for n, r2 in ((200, None), (1000, 0.4))}}
    assert list(points(panels(people_figure(series))["R² of yaw"], "a")[:, 0]) == [1000]
    assert people_figure({"a": {200: [[]], 1000: [[]]}}) is None


def test_each_data_set_has_its_own(make_face_results, drawn):
    groups = {f"{data} {n}": [make_face_results(0.5, {"yaw": 0.1})] for data in ("faces", "frames") for n in (2, 20)}
    of = {f"net on {data}": {"a": {f"{data} {n}": n for n in (2, 20)}} for data in ("faces", "frames")}
    found = drawn(people_trained.draw, Scene(groups, people=of))
    assert [d.title for d in found] == [f"People trained on: net on {data}" for data in ("faces", "frames")]
    assert len({d.file for d in found}) == 2 and "over people" in found[0].caption
