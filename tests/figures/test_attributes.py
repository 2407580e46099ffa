from __future__ import annotations

from dataclasses import replace

import numpy as np

from invariantnets.figures import attributes, readable

MANY = {f"attribute_{i}": (0.01 * i, 0.45 + 0.05 * i) for i in range(9)}


def test_one_row_each_best_on_top_and_hollow_where_chance_is_inside(make_attribute_results, drawn, run_scene):
    (found,) = drawn(attributes.draw, run_scene(make_attribute_results(MANY)))
    (axes,) = found.figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(MANY)
    points = [line for line in axes.lines if line.get_marker() == "o"]
    placed = {int(line.get_ydata()[0]): (line.get_xdata()[0], line.get_markerfacecolor()) for line in points}
    assert [placed[i][0] for i in range(9)] == [auc for _, auc in MANY.values()]
    # Intervals reach 0.05 to either side.
    assert [placed[i][1] == "white" for i in range(9)] == [auc - 0.05 <= 0.5 for _, auc in MANY.values()]


def test_what_is_constant_within_classes_is_marked(make_attribute_results, drawn, run_scene):
    (found,) = drawn(attributes.draw, run_scene(make_attribute_results(MANY, fixed=True)))
    assert all(label.get_text().endswith(" *") for label in found.figure.axes[0].get_yticklabels())


def test_few_attributes_need_no_figure_of_their_own(make_attribute_results, drawn, run_scene):
    few = run_scene(make_attribute_results(dict(list(MANY.items())[:5])))
    assert not drawn(attributes.draw, few) and len(drawn(readable.draw, few)) == 1


def test_forty_are_one_figure(make_attribute_results, make_face_results, drawn, run_scene):
    forty = make_attribute_results({f"a{i}": (0.1, 0.6) for i in range(40)})
    (found,) = drawn(attributes.draw, run_scene(forty))
    assert found.figure.get_figheight() < 9 and len(found.figure.axes[0].get_yticks()) == 40
    assert not drawn(readable.draw, run_scene(forty))
    mixed = run_scene(forty + make_face_results(leaks={"yaw": 0.4}))
    (found,) = drawn(readable.draw, mixed)
    assert len(found.figure.axes[0].get_yticks()) == 41


def test_an_attribute_whose_every_probe_failed_is_left_out(make_attribute_results, drawn, run_scene):
    found = make_attribute_results(MANY)
    lost = [replace(r, value=np.nan, status="failed") if r.target == "attribute_8" else r for r in found]
    (figure,) = drawn(attributes.draw, run_scene(lost))
    assert len(figure.figure.axes[0].get_yticks()) == 8
