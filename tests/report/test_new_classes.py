from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from invariantnets.figures import Scene, new_classes
from invariantnets.report import render_sweep
from invariantnets.report.papers.new_classes import HEADER, compare, swept
from invariantnets.results.runs import read_sweep

OURS = "supcon+noise+centre σ=0.5"
MAV_NEW, R2_NEW, R2_OWN = "MAV, new", "R², new", "R², trained on"


@pytest.fixture
def job(make_run, make_results) -> Callable[..., None]:
    """One job in the folder ``s``, with what was found on the classes trained on and, if anything, on new ones."""

    def make(
        method: str,
        classes: int,
        seed: int,
        own: tuple[float, float | None],
        new: tuple[float, float | None] | None,
        first: int = 1000,
        extra: tuple[str, ...] = (),
    ) -> None:
        config = {
            "method": method,
            "data": {"source": {"classes": classes, "images": 60_000, "first": 0}},
            "transfer": {"data": {"source": {"classes": 100, "first": first}}},
        }
        words = (f"method={method}", f"data.source.classes={classes}", *extra)
        where = f"s/{method}-{classes}-{seed}{''.join(extra)}"
        same = {"model": "lenet_forget", "seed": seed, "config": config, "extra": words, "draw": False}
        for folder, data, chance, found in (
            (where, "rotated_glyphs", 1 / classes, own),
            (f"{where}/transfer", "new_glyphs", 0.01, new),
        ):
            if found is not None:
                mav, r2 = found
                results = make_results(r2=0.0 if r2 is None else r2, mav=mav, seed=seed, failed=r2 is None)
                results = [replace(r, chance=chance) if r.probe == "mav" else r for r in results]
                make_run(folder, data=data, found=results, **same)

    return make


@pytest.fixture
def folder(job, tmp_path):
    for classes, r2 in ((10, 0.6), (1000, 0.08)):
        for seed in (1, 2):
            job("softmax", classes, seed, (0.99, 0.8), (0.90, 0.75 + 0.02 * seed))
            job(OURS, classes, seed, (0.98, 0.1), (0.85 if classes == 10 else 0.92, r2 + 0.01 * seed))
    return tmp_path / "s"


def rows(folder) -> dict[tuple[str, str], dict[str, str]]:
    table = compare(read_sweep(folder).groups)
    found = [dict(zip(HEADER, row, strict=True)) for row in table.rows]
    return {(row["method"], row["classes trained on"]): row for row in found}


def test_a_row_for_each_method_and_number_of_classes(folder) -> None:
    found = rows(folder)
    assert list(found) == [(m, n) for m in ("softmax", OURS) for n in ("10", "1,000")]
    few, many = found[OURS, "10"], found[OURS, "1,000"]
    assert (few["images of each to train on"], many["images of each to train on"]) == ("4,200", "42")
    assert few[MAV_NEW].startswith("85.00 ± 0.00") and few[R2_NEW] == "0.615 ± 0.007"
    assert few[R2_OWN] == "0.100 ± 0.000"
    assert (few["chance of MAV, trained on"], few["chance of MAV, new"]) == ("10.0 %", "1.0 %")
    assert many["chance of MAV, trained on"] == "0.1 %"
    assert (few["n rows"], few["fitted to rows"], few["seeds"]) == ("3,780", "9,000", "2")


def test_the_aim_is_of_new_classes_beside_the_same_network_before(folder) -> None:
    note = compare(read_sweep(folder).groups).note
    assert f"Aim of {OURS}" in note and "reached with 1,000 of 10 and 1,000 classes." in note
    assert "Aim of softmax" not in note
    assert "New: 100 classes from number 1,000 on, none of them" in note


def test_a_low_r2_at_a_lower_accuracy_reaches_nothing(job, tmp_path) -> None:
    job("softmax", 10, 1, (0.99, 0.8), (0.90, 0.7))
    job(OURS, 10, 1, (0.99, 0.1), (0.89, 0.05))
    assert "reached with none of 10 classes." in compare(read_sweep(tmp_path / "s").groups).note


def test_a_probe_that_failed_is_named_and_reaches_nothing(job, tmp_path) -> None:
    job("softmax", 10, 1, (0.99, 0.8), (0.90, 0.7))
    job(OURS, 10, 1, (0.99, 0.1), (0.95, None))
    assert rows(tmp_path / "s")[OURS, "10"][R2_NEW] == "failed (1 of 1)"
    assert "reached with none" in compare(read_sweep(tmp_path / "s").groups).note


def test_one_seed_keeps_its_interval_and_a_seed_without_new_classes_is_told(job, tmp_path) -> None:
    job(OURS, 30, 1, (0.99, 0.1), (0.89, 0.3))
    job(OURS, 30, 2, (0.99, 0.1), None)
    found = rows(tmp_path / "s")[OURS, "30"]
    assert found[MAV_NEW] == "89.00 % [88.00, 90.00]" and found["seeds"] == "2, of new ones 1"


def test_there_is_no_table_of_other_sweeps(job, tmp_path) -> None:
    job(OURS, 100, 1, (0.99, 0.1), None)
    assert compare(read_sweep(tmp_path / "s").groups) is None
    job(OURS, 100, 2, (0.99, 0.1), (0.9, 0.2), first=50)  # half of the new ones were trained on
    assert compare(read_sweep(tmp_path / "s").groups) is None


def test_two_settings_of_a_number_of_classes_are_not_mixed(job, tmp_path) -> None:
    job(OURS, 100, 1, (0.99, 0.1), (0.9, 0.2))
    job(OURS, 100, 1, (0.99, 0.1), (0.9, 0.5), extra=("data.source.images=9000",))
    assert swept(read_sweep(tmp_path / "s").groups) == {}


def test_the_figure_has_a_line_for_each_method_and_side(folder) -> None:
    sides = swept(read_sweep(folder).groups)
    groups = {g.name: [r.here for r in g.runs] for g in read_sweep(folder).groups}
    (drawn,) = new_classes.draw(Scene(groups, new_classes=sides))
    told, read = drawn.figure.axes
    lines = {c.get_label(): c[0].get_xydata().tolist() for c in read.containers}
    sides = ("classes trained on", "new classes")
    assert list(lines) == [f"{method}, {side}" for method in ("softmax", OURS) for side in sides]
    new = lines[f"{OURS}, new classes"]
    assert new == [pytest.approx([10, 0.615]), pytest.approx([1000, 0.095])]
    assert [round(y) for _, y in told.containers[3][0].get_xydata()] == [85, 92]
    assert read.get_xscale() == "log" and "fitted to 9,000 rows" in drawn.caption


def test_a_single_number_of_classes_has_no_figure(job, tmp_path) -> None:
    job(OURS, 30, 1, (0.99, 0.1), (0.89, 0.3))
    groups = read_sweep(tmp_path / "s").groups
    assert swept(groups) and list(new_classes.draw(Scene({}, new_classes=swept(groups)))) == []


def test_the_report_of_the_sweep_holds_both(job, tmp_path) -> None:
    folder = tmp_path / "s"
    for classes in (10, 30):
        job(OURS, classes, 1, (0.99, 0.1), (0.89, 0.3))
    html = render_sweep(folder).read_text(encoding="utf-8")
    assert "How many classes it takes to carry over to new ones" in html
    assert (folder / "figures" / "new_classes_angle.svg").is_file()
