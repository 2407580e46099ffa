"""What pages say of readers: who reads more on test than the chosen one, what it had, and when a small R² is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from grouped import grouped
from invariantnets.report import render_run, render_sweep
from invariantnets.report.beside import beside_sections
from invariantnets.report.headline import facts, sentences
from invariantnets.report.papers.forgetting import compare
from invariantnets.report.sweep_headline import sweep_sentences
from invariantnets.results import Result, to_jsonl
from invariantnets.results.runs import read_run, read_sweep
from invariantnets.results.select import kept, reads_more

Make = Callable[..., list[Result]]


@pytest.fixture
def beaten(make_results: Make) -> Make:
    """A run whose MLP was chosen; on test ``more`` (kNN) has another R², by which it may exceed 0.8 ± 0.01."""

    def make(more: float, chosen: float = 0.8, told: bool = False, **options) -> list[Result]:
        found = make_results(r2=chosen, **options)
        found = [replace(r, low=chosen - 0.01, high=chosen + 0.01) if r.probe == "strongest" else r for r in found]
        (mlp,) = (r for r in found if (r.probe, r.metric) == ("mlp", "r2"))
        bounds = {"low": more - 0.01, "high": more + 0.01}
        return [*found, replace(mlp, probe="knn", value=more, uses_answer=told, **bounds)]

    return make


@pytest.mark.parametrize(("more", "is_more"), [(0.83, True), (0.821, True), (0.8195, False), (0.5, False)])
def test_a_reader_counts_where_its_interval_lies_wholly_above(beaten: Make, more: float, is_more: bool) -> None:
    found = beaten(more)
    assert [r.probe for r in reads_more(found, "angle")] == ["knn"] * is_more
    said = [s for s in sentences(found, "ip1", {}) if "on test" in s]
    bounds = f"[{more - 0.01:.2f}, {more + 0.01:.2f}]"
    text = f"Of the angle, validation chose MLP; on test kNN reads more: R² {more:.2f} {bounds}."
    assert said == [text] * is_more
    (fact, *_) = facts(found, {})
    assert ("on test, more is read by kNN" in fact.detail) is is_more and "fitted to 9,000 rows" in fact.detail


def test_who_is_told_the_answer_does_not_count(beaten: Make) -> None:
    assert not reads_more(beaten(0.9, told=True), "angle")


def test_where_none_was_chosen_what_is_above_chance_counts(beaten: Make) -> None:
    failed = beaten(0.3, chosen=-0.2, failed=True)
    failed = [replace(r, value=float("nan"), low=None, high=None) if r.probe == "strongest" else r for r in failed]
    first, second, *_ = sentences(failed, "ip1", {})
    assert "no probe of the angle succeeded" in first
    assert second == "Of the angle, validation let no probe pass; on test kNN reads more: R² 0.30 [0.29, 0.31]."
    # None of two that are worse than guessing reads more.
    assert not reads_more(beaten(-0.2, chosen=-0.69), "angle") and reads_more(beaten(0.02, chosen=-0.69), "angle")


def test_tables_mark_both(beaten: Make, make_run, plain) -> None:
    page = plain(render_run(make_run("run", found=beaten(0.9), draw=False)).read_text(encoding="utf-8"))
    assert "strongest honest probe: MLP on test, another reads more" in page
    assert "kNN reads more on test than what validation chose" in page
    assert page.count("reads more on test than what") == 1


def test_of_many_nuisances_each_is_flagged(make_attribute_results, make_run, plain) -> None:
    found = make_attribute_results({f"a{i}": (0.1, 0.7) for i in range(6)})
    knn = [replace(r, probe="knn") for r in found if (r.probe, r.metric, r.target) == ("ridge", "r2", "a3")]
    found += [replace(r, value=0.4, low=0.35, high=0.45) for r in knn]
    said = [s for s in sentences(found, "F7", {}) if "on test" in s]
    assert said == ["Of the a3, validation chose linear, label-blind; on test kNN reads more: R² 0.40 [0.35, 0.45]."]
    page = plain(render_run(make_run("run", found=found, draw=False)).read_text(encoding="utf-8"))
    assert (
        "a3 on test, more is read by kNN" in page and page.count("on test, more is read by kNN") == 2
    )  # and its title


def test_an_auc_that_another_has_is_said_too(make_attribute_results) -> None:
    found = make_attribute_results({"Bald": (0.3, 0.7)}, other=0.9)
    (said,) = (s for s in sentences(found, "F7", {}) if "on test" in s)
    assert said.endswith("on test kNN reads more: AUC 0.90 [0.85, 0.95].")


def test_a_sweep_says_of_how_many_runs(beaten: Make, make_run, tmp_path, plain) -> None:
    for seed, more in ((1, 0.9), (2, 0.7)):
        make_run(f"s/{seed}", seed=seed, found=beaten(more, seed=seed), draw=False)
    make_run("s/3", model="mu_lenet", found=beaten(0.95), draw=False)
    page = plain(render_sweep(tmp_path / "s").read_text(encoding="utf-8"))
    assert (
        "Validation did not choose the best on test: of the angle from lenet more is read by kNN (1 of 2 runs); of the "
        "angle from mu_lenet more is read by kNN." in page
    )
    assert "lenet on test, more is read by kNN (1 of 2 runs)" in page


def test_a_column_beside_the_network_is_flagged_too(beaten: Make, make_run) -> None:
    run = make_run("run", draw=False)
    random = [replace(r, subject="random weights") for r in beaten(0.9)]
    (run / "results.jsonl").write_text(to_jsonl([*beaten(0.8), *random]), encoding="utf-8")
    (section,) = beside_sections(read_run(run))
    (table,) = section.tables
    own, theirs, _ = table.parts["angle: R²"][0].cells
    assert own == "0.80 [0.79, 0.81]" and theirs == "0.80 [0.79, 0.81] (more by kNN)"
    assert "fitted to 9,000 rows" in table.shared


def test_selectivity_is_a_number(make_results: Make, make_run, plain) -> None:
    found = [replace(r, control=0.05) if r.metric == "r2" and r.control is not None else r for r in make_results(0.9)]
    by = {(r.probe, r.metric): r.selectivity for r in found if r.about == "nuisance"}
    assert by["mlp", "r2"] == pytest.approx(0.85) and by["mlp", "rmse"] is None and by["strongest", "r2"] is None
    page = plain(render_run(make_run("run", found=found, draw=False)).read_text(encoding="utf-8"))
    assert "shuffled controlselectivity" in page and re.search(r"0\.90 \[0\.89, 0\.91\] ?0\.00 ?0\.05 ?0\.85", page)


def test_an_r2_below_chance_is_a_reader_that_does_not_carry_over(beaten: Make) -> None:
    said = sentences(beaten(-0.7, chosen=-0.69), "ip1", {})[0]
    assert "reads the angle with R² −0.69 [−0.70, −0.68] (chance 0" in said
    assert said.endswith("this reader does not carry over to the test rows, which is not evidence of invariance.")
    assert facts(beaten(-0.7, chosen=-0.69), {})[0].detail.count("no evidence of invariance") == 1


def test_it_is_never_least_readable(make_results: Make) -> None:
    values = {"sound": 0.01, "stray": -0.69, "nothing": -0.005, "leaks": 0.5}
    groups = {name: [make_results(r2=value)] for name, value in values.items()}
    first, second, *_ = sweep_sentences(grouped(groups))
    assert first.startswith("The angle is least readable from nothing (R² −0.005")
    assert "most from leaks" in first and "stray" not in first
    assert second.startswith("A reader of the angle does not carry over to the test rows for stray (R² −0.690")
    # The mean over seeds is not brought down by one that does not carry over.
    mixed = kept([make_results(r2=0.5), make_results(r2=-0.69)], "angle")
    assert mixed is not None and (mixed.mean, mixed.runs, mixed.failed) == (0.5, 1, 1)


def test_groups_at_chance_are_named_together(make_results: Make) -> None:
    groups = {name: [make_results(r2=value)] for name, value in {"a": 0.0, "b": -0.01, "c": 0.5}.items()}
    assert sweep_sentences(grouped(groups))[0] == (
        "The angle is least readable from a (R² 0.000, n = 1 seed, fitted to 9,000 rows) and b (R² −0.010, n = 1 seed, "
        "fitted to 9,000 rows), and most from c (R² 0.500, n = 1 seed, fitted to 9,000 rows); chance is 0."
    )


def test_who_does_not_carry_over_or_is_beaten_has_not_reached_the_aim(beaten: Make, make_run, tmp_path) -> None:
    values = {"forgets": (0.01, 0.0), "stray": (-0.69, -0.7), "hides": (0.01, 0.3)}
    for method, (chosen, more) in values.items():
        found = beaten(more, chosen=chosen, mav=0.995)
        make_run(f"s/{method}", found=found, config={"method": method}, extra=(f"method={method}",), draw=False)
    table = compare(read_sweep(tmp_path / "s").groups)
    assert table is not None
    assert (
        "reached by forgets. Not counted: hides (on test kNN reads R² 0.30 [0.29, 0.31]), stray (R² −0.69: its reader "
        "does not carry over to the test rows)." in table.note
    )
    (which,) = (row[table.header.index("which is strongest (seeds)")] for row in table.rows if row[0] == "hides")
    assert which == "MLP (1); on test, more is read by kNN"
