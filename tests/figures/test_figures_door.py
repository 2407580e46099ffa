"""The lists of figures: each draws what it has results for, in the order of reports, into files that are listed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from measured_of_all import asked_for, looked_into, of_parts

from bounds import bounds_of
from invariantnets.analysis import ANALYSES
from invariantnets.errors import InvariantNetsError
from invariantnets.figures import RUN, SWEEP, Scene, attribute_errors, draw_run, draw_sweep
from invariantnets.figures.drawing import PARTS
from invariantnets.inspection import INSPECTIONS
from invariantnets.results.result import Result

OF_RUN = {
    "readable": ["readable.svg"],
    "attributes": ["attributes.svg"],
    "selectivity": ["selectivity.svg"],
    "label_efficiency": ["label_efficiency.svg"],
    "prediction": ["prediction_angle.svg"],
    "depth": ["depth_angle.svg"],
    "training": ["training.svg", "training_layers.svg"],
    "class_error": ["class_error.svg"],
    "recognition_depth": ["recognition_depth.svg"],
    "protocols": ["verification.svg", "closed_set.svg", "open_set.svg"],
    "parts": ["parts.svg"],
    "attribute_errors": ["attribute_errors.svg"],
    "pose_depth": ["pose_depth_yaw.svg"],
    "per_class": ["per_class_yaw.svg"],
    "identity_tests": ["identity_tests_yaw.png", "identity_tests_yaw_roc.svg"],
    "lda_draws": ["lda_draws.svg"],
    "unit_deletion": ["unit_deletion.svg"],
    "nesting": ["nesting.svg"],
    "discard": ["discard.svg"],
    "quality": ["quality.png"],
    "tsne": ["tsne.png", "tsne_one.png"],
    "decoder": ["decoder.png"],
    "neurons": ["neurons_conv1.png", "neurons_F7.png", "neurons_similarity.png"],
    "maximise": ["maximise.png"],
    "nuisance_neurons": ["nuisance_neurons.png", "nuisance_neurons_silenced.svg"],
    "correspondence": ["correspondence.svg", "correspondence_pictures.png"],
    "thresholds": ["thresholds.svg", "thresholds_promise.svg"],
    "groups": ["groups_team.svg"],
    "invariance": ["invariance.svg", "invariance_nuisances.svg", "invariance_depth.svg"],
    "scree": ["scree.svg"],
    "heat_maps": ["heat_map.png", "blocks.png"],
    "norm": ["norm_entropy.svg", "norm_rank.svg", "norm_correlation.svg"],
}
OF_SWEEP = {
    "widths": ["width_net_on_lfw-6e849640.svg"],
    "people_trained": ["people_net_on_lfw-6e849640.svg"],
    "new_classes": ["new_classes_angle.svg", "new_classes_yaw.svg"],
    "two_sided": ["two_sided_bits_angle.svg", "two_sided_sigma_angle.svg"],
    "pareto": ["pareto_angle.svg", "pareto_yaw.svg"],
    "trade_off": ["trade_off_angle.svg", "trade_off_yaw.svg"],
    "layers": ["layers_angle.svg"],
    "label_efficiency": ["label_efficiency_angle.svg"],
    "prediction": ["prediction_angle_ridge.svg", "prediction_angle_ridge_per_label-1e76f3f0.svg"],
    "class_error": ["class_error.svg"],
    "protocols": ["verification.svg", "closed_set.svg", "open_set.svg"],
    "attribute_errors": ["attribute_errors.svg"],
}


def name(draw) -> str:
    return draw.__module__.rpartition(".")[2]


def curve(results: list[Result]) -> list[Result]:
    """The strongest probe of the angle at two numbers of labelled rows."""
    (best,) = (r for r in results if (r.target, r.probe, r.metric) == ("angle", "strongest", "r2"))
    return [replace(best, value=best.value / part, where={"labelled_rows": 9000 // part}) for part in (9, 1)]


@pytest.fixture
def full_run(make_results, make_face_results, make_attribute_results, measured, table) -> Scene:
    here = make_results(layer="F7") + make_face_results(leaks={"yaw": 0.4})
    here += make_attribute_results({f"attribute_{i}": (0.03 * i, 0.5 + 0.07 * i) for i in range(6)})
    here += [r for r in measured() if r.target == "norm"] + curve(here)
    found, arrays = asked_for()
    looks, more = looked_into()
    here += found + looks + of_parts()
    deep = [replace(r, layer="conv1") for r in found if r.probe.startswith("pose_knn")]
    depths = {"": [make_results(layer="conv1") + deep + here]}
    log = {"step": np.array([9, 19]), "names": np.array(["online/yaw_r2", "online/C1/yaw_r2"])}
    log["values"] = np.array([[0.6, 0.7], [0.3, 0.6]])
    return Scene({"": [here]}, depths, layer="F7", table=table(layer="F7"), arrays={**arrays, **more, "training": log})


@pytest.fixture
def full_sweep(make_results, make_face_results) -> Scene:
    def run(r2: float):
        found = make_results(r2, layer="F7") + make_face_results(r2, {"yaw": r2})
        return found + curve(found)

    groups = {n: [run(0.1 * i)] for i, n in enumerate(("a", "b", "c", "d"), 1)}
    for i, n in enumerate(groups):  # two are codes, two have noise
        how = {"codes": 2**i, "bits": i} if i < 2 else {"sigma": 0.1 * i}
        groups[n][0].extend(bounds_of(groups[n][0], 0.1 * i + 0.2, **how))
    told, _ = asked_for()
    for i, of_group in enumerate(groups.values()):  # attributes by SVMs, and by the own answers of one network
        svms = [r for r in told if r.probe == "attributes"]
        of_group[0].extend(svms + [replace(r, probe="attributes/own answers") for r in svms] * (i == 0))
    depths = {n: [make_results(layer="conv1") + run for run in runs] for n, runs in groups.items()}
    of = {"net on lfw": {"ours": {"a": 200, "b": 1000}}}
    grown = {"net": {8: (groups["a"], groups["b"]), 16: (groups["c"], groups["d"])}}
    widths = {"net on lfw": {"a": 8, "b": 16}}
    return Scene(groups, depths, widths=widths, methods={"a", "b"}, people=of, new_classes=grown)


@pytest.mark.parametrize("draw", RUN, ids=name)
def test_of_a_run_each_draws_its_results_and_nothing_without(draw, full_run, drawn, run_scene):
    found = drawn(draw, full_run)
    assert [d.file for d in found] == OF_RUN[name(draw)]
    assert all(d.title and d.caption.endswith(".") and "{" not in d.caption for d in found)
    assert drawn(draw, run_scene([])) == []


@pytest.mark.parametrize("draw", SWEEP, ids=name)
def test_of_a_sweep_each_draws_its_results_and_nothing_without(draw, full_sweep, drawn):
    found = drawn(draw, full_sweep)
    assert [d.file for d in found] == OF_SWEEP[name(draw)]
    assert all(d.title and d.caption.endswith(".") and "{" not in d.caption for d in found)
    assert drawn(draw, Scene({"a": [[]]}, {"a": [[]]})) == []


def test_attributes_of_a_sweep_have_a_mark_for_each_group_and_reader(full_sweep, drawn):
    (shown,) = drawn(attribute_errors.compare, full_sweep)
    for axes, metric in zip(shown.figure.axes, ("false_negative_rate", "false_positive_rate"), strict=True):
        marks = sorted(float(bars.lines[0].get_xdata()[0]) for bars in axes.containers)
        told = [r for (run,) in full_sweep.groups.values() for r in run if r.metric == metric]
        told = [r for r in told if r.probe in ("attributes", "attributes/own answers")]
        assert marks == pytest.approx(sorted(100 * r.value for r in told)) and len(marks) == 5
    (legend,) = shown.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "a, own answers", "b", "c", "d"]


def test_no_figure_is_in_no_list():
    files = {path.stem for path in Path(__file__).parents[2].glob("src/invariantnets/figures/*.py")}
    own = {"alignment", "selection"}  # of one face, and of a pool: no results
    assert files - {"__init__", "drawing", "style", "overlaid", *own} == {name(d) for d in (*RUN, *SWEEP)}


@pytest.mark.parametrize("figures, scene", [(RUN, "full_run"), (SWEEP, "full_sweep")])
def test_what_leaks_comes_first_then_recognition_then_description(figures, scene, drawn, request):
    about = [d.about for draw in figures for d in drawn(draw, request.getfixturevalue(scene))]
    known = [part for part in about if part in PARTS]
    assert known == sorted(known, key=PARTS.index)
    assert {part for part in about if part not in PARTS} <= {f"analysis/{name}" for name in (*ANALYSES, *INSPECTIONS)}


def listed(folder: Path) -> list[dict[str, str]]:
    return json.loads((folder / "figures.json").read_text(encoding="utf-8"))


def test_run_lists_just_what_it_wrote(make_results, table, tmp_path):
    draw_run(make_results() + make_results(0.99, layer="conv1"), table(), "ip1", tmp_path)
    entries = listed(tmp_path)
    assert {e["file"] for e in entries} | {"figures.json"} == {p.name for p in tmp_path.iterdir()}
    assert [e["file"] for e in entries] == [
        "selectivity.svg",
        "prediction_angle.svg",
        "depth_angle.svg",
        "class_error.svg",
        "recognition_depth.svg",
        "scree.svg",
        "heat_map.png",
        "blocks.png",
    ]
    assert all(set(e) == {"file", "title", "caption", "about", "layer"} and e["layer"] == "ip1" for e in entries)


def test_without_table_only_results_are_drawn(make_results, tmp_path):
    draw_run(make_results(), None, "ip1", tmp_path)
    files = ["selectivity.svg", "prediction_angle.svg", "class_error.svg", "scree.svg"]
    assert [e["file"] for e in listed(tmp_path)] == files


def test_table_without_nuisance(table, tmp_path):
    draw_run([], table(nuisances=False), "ip1", tmp_path)
    assert [e["file"] for e in listed(tmp_path)] == ["heat_map.png", "blocks.png"]


def test_same_input_same_bytes(make_results, table, tmp_path):
    for part in "ab":
        draw_run(make_results() + make_results(layer="conv1"), table(), "ip1", tmp_path / part)
        draw_sweep({"x": [make_results()], "y": [make_results(0.5)]}, tmp_path / part / "sweep")
    files = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    assert len(files) > 8
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_settings_of_matplotlib_are_left_alone(make_results, tmp_path):
    before = dict(matplotlib.rcParams)
    draw_run(make_results(), None, "ip1", tmp_path)
    assert dict(matplotlib.rcParams) == before


def test_hostile_nuisance_name_stays_in_the_folder(make_results, tmp_path):
    results = [replace(r, target="../x") if r.target == "angle" and not r.where else r for r in make_results()]
    draw_sweep({"a": [results]}, tmp_path / "figures")
    assert [p.name for p in tmp_path.iterdir()] == ["figures"]


def test_unwritable_folder_is_one_line(make_results, tmp_path):
    (tmp_path / "figures").write_text("a file where the folder should be")
    with pytest.raises(InvariantNetsError, match="figures"):
        draw_run(make_results(), None, "ip1", tmp_path / "figures")


def test_the_figure_of_the_documentation_draws(full_run, drawn):
    text = (Path(__file__).parents[2] / "docs" / "figures.md").read_text(encoding="utf-8")
    names: dict = {}
    exec(text.partition("```python\n")[2].partition("```")[0], names)
    errors = [replace(r, metric="mae") for r in full_run.run if r.metric == "rmse" and not r.where]
    scene = replace(full_run, groups={"": [[*full_run.run, *errors]]})
    found = drawn(names["draw"], scene)
    assert [d.file for d in found] == ["error_angle.svg", "error_yaw.svg"]
    assert len(found[0].figure.axes[0].patches) == 3  # ridge, per label and MLP


def test_silenced_neurons_are_drawn_where_they_were_measured():
    """Curves end where most are silenced, and what lies below the axis is drawn on it."""
    found, kept = asked_for()
    from invariantnets.figures.nuisance_neurons import map_figure, silenced_figure

    figure = silenced_figure([r for r in found if "silenced" in r.where])
    assert len(figure.axes) == 6
    assert min(np.min(line.get_ydata()) for axes in figure.axes for line in axes.get_lines()) >= -0.5
    assert max(np.max(line.get_xdata()) for axes in figure.axes for line in axes.get_lines()[:3]) == 22.5
    drawn, less = map_figure(kept["nuisance_neurons"])
    images = [axes.images[0].get_array() for axes in drawn.axes if axes.images]
    assert [image.shape for image in images] == [(2, 256), (2, 4)] and "256 neurons" in less
    assert images[1].max() == pytest.approx(kept["nuisance_neurons"]["r2_1"].max() ** 0.5)
