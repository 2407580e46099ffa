"""Attributes that are rare, or that never vary within a class: what a report may say of them, and what it may not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from invariantnets.report import render_run, render_sweep
from invariantnets.report.headline import facts, sentences
from invariantnets.results.select import above_half

NOTHING = "found nothing"
HOLDS = "holds chance, which does not prove that nothing is there"


@pytest.mark.parametrize(("auc", "nothing"), [(0.86, False), (0.56, False), (0.54, True), (0.3, True)])
def test_nothing_is_found_only_where_the_auc_does_not_say_otherwise(make_attribute_results, auc, nothing):
    """R² 0.02 [-0.03, 0.07] holds chance; intervals of the AUC reach 0.05 to either side."""
    said = sentences(make_attribute_results({"Bald": (0.02, auc)}), "F7", {})
    assert (NOTHING in said[0]) is nothing
    assert f"AUC {auc:.2f} [{auc - 0.05:.2f}, {auc + 0.05:.2f}] where guessing gives 0.50" in said[0]
    assert ("that of the AUC does not: it is there" in said[0]) is not nothing


@pytest.mark.parametrize("auc", [0.5, 0.9])
def test_an_r2_above_chance_is_something_whatever_the_auc(make_attribute_results, auc):
    assert NOTHING not in sentences(make_attribute_results({"Bald": (0.2, auc)}), "F7", {})[0]


def test_another_honest_probe_is_heard_but_none_that_is_told(make_attribute_results):
    told = make_attribute_results({"Bald": (0.02, 0.5)})
    assert above_half(told, "Bald") is None and NOTHING in sentences(told, "F7", {})[0]
    heard = make_attribute_results({"Bald": (0.02, 0.5)}, other=0.8)
    assert "but by kNN the AUC is 0.80 [0.75, 0.85]" in sentences(heard, "F7", {})[0]
    assert NOTHING not in sentences(heard, "F7", {})[0]


def test_where_every_probe_failed_an_auc_is_still_told(make_attribute_results):
    found = make_attribute_results({"Bald": (-0.1, 0.8)})
    lost = [replace(r, value=float("nan"), status="failed") if r.probe == "strongest" else r for r in found]
    lost = [r for r in lost if (r.probe, r.metric) != ("strongest", "auc")]
    (said,) = sentences(lost, "F7", {})
    assert "no probe of the Bald succeeded" in said and "By linear, label-blind, its AUC is 0.80 [0.75, 0.85]" in said


def test_of_many_the_same_holds(make_attribute_results):
    values = {"rare": (0.02, 0.9), "plain": (0.5, 0.9), "none": (0.02, 0.52), "nil": (-0.1, 0.4), "zero": (0.0, 0.5)}
    first, second, third = sentences(make_attribute_results(values), "F7", {})
    assert first.startswith(
        "From F7, 2 of 5 nuisances can be read better than chance (R² 0, AUC 0.5), best plain (R² 0.5"
    )
    assert "rare (R² 0.02 [−0.03, 0.07], AUC 0.90 [0.85, 0.95])" in first
    assert second == f"The interval of none and zero {HOLDS}."
    stray = "the reader does not carry over to the test rows, which is not evidence of invariance."
    assert third == f"R² of nil is below chance: {stray}"
    said = sentences(make_attribute_results(values, other=0.7), "F7", {})
    assert "none (AUC 0.70 [0.65, 0.75] by kNN)" in said[1] and not any(HOLDS in s for s in said)


def test_large_numbers_show_the_auc(make_attribute_results):
    names = [fact.name for fact in facts(make_attribute_results({"Bald": (0.02, 0.9)}), {})]
    assert names == ["R² of Bald", "AUC of Bald"]


def test_an_angle_that_wraps_is_told_in_degrees(make_face_results):
    found = [r for r in make_face_results(leaks={"yaw": 0.9}) if r.target == "yaw"]
    found = [replace(r, metric="mae", value=12.8, chance=90.0) if r.metric == "rmse" else r for r in found]
    assert "mean error (MAE) 12.8° where guessing gives 90.0°" in sentences(found, "F7", {"yaw": "°"})[0]


def test_what_is_constant_within_a_class_has_its_floor(
    make_attribute_results, make_results, make_face_results, make_run, plain
):
    found = make_attribute_results({"gender": (0.9, 0.95)}, fixed=True)
    leak, constant = sentences(found, "F7", {})
    assert "n = 400 rows of 40 independent sources" in leak  # neither classes nor people are told
    assert "n = 400 rows of 40 classes" in sentences([*found, *make_results(layer="F7")], "F7", {})[0]
    assert "n = 400 rows of 40 people" in sentences([*found, *make_face_results()], "F7", {})[0]
    assert constant == (
        "The gender is constant within each class: identity alone tells it (class-only floor: R² 1.00 [0.95, 1.00] by "
        "the true class)."
    )
    page = plain(render_run(make_run("run", found=found)).read_text(encoding="utf-8"))
    assert "constant within each class, so that identity alone tells it" in page
    assert "class-only floor, true class" in page and "false negatives, of 8 positive rows" in page


def test_it_is_said_what_is_positive(make_attribute_results, make_run, plain):
    found = make_attribute_results({"gender": (0.9, 0.95)})
    found = [replace(r, note="positive is 'm'") if r.metric.endswith("_rate") else r for r in found]
    page = plain(render_run(make_run("run", found=found)).read_text(encoding="utf-8"))
    assert page.count("positive: 'm'") == 2 and "false negatives, of 8 positive rows (positive: 'm')" in page


def test_forty_attributes_are_one_table(make_attribute_results, make_run, plain, tmp_path):
    found = make_attribute_results({f"attribute_{i}": (0.02 * i, 0.5 + 0.01 * i) for i in range(40)}, fixed=True)
    html = render_run(make_run("s/0", found=found)).read_text(encoding="utf-8")
    before, _, after = html.partition("Each of 40, in full")
    assert before.count("<table") == 1 and after.count("<table") == 40
    assert before.count('<th scope="row">attribute_') == 40 and "8 of 400" in before
    sweep = plain(render_sweep(tmp_path / "s").read_text(encoding="utf-8"))
    assert "AUC, strongest honest probe" in sweep


@pytest.mark.parametrize("count", [0, 2, 30])
def test_what_was_assumed_is_listed(make_results, make_run, plain, count):
    folder = make_run("run")
    record = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    remarks = [f"nuisance 'x{i}' is not probed: <one value only>; drop it" for i in range(count)]
    (folder / "provenance.json").write_text(json.dumps(record | ({"remarks": remarks} if count else {})))
    html = render_run(folder).read_text(encoding="utf-8")
    assert (f"What was assumed ({count})" in html) is (count > 0)
    assert all(
        f"<li>nuisance &#39;x{i}&#39; is not probed: &lt;one value only&gt;; drop it</li>" in html for i in range(count)
    )
    assert ('<details class="remarks" open>' in html) is (0 < count <= 6)


def test_what_could_not_be_probed_is_named_and_not_called_a_failure(make_attribute_results, make_run, plain):
    found = make_attribute_results({"Bald": (0.2, 0.8)})
    unasked = replace(found[0], value=float("nan"), low=None, high=None, status="failed", probe="strongest")
    unasked = replace(unasked, target="hat", note="not probed: it has one value only in test")
    assert "The hat was not probed: it has one value only in test." in sentences([*found, unasked], "F7", {})
    assert facts([*found, unasked], {}) == facts(found, {})
    many = make_attribute_results({f"a{i}": (0.2, 0.8) for i in range(5)})
    first, *_, last = sentences([*many, unasked], "F7", {})
    assert "5 of 5 nuisances" in first and last == "Not probed: hat."
    page = plain(render_run(make_run("run", found=[*many, unasked])).read_text(encoding="utf-8"))
    assert "hat not probed" in page and "How well the hat can be read: not probed" in page and "failed" not in last
