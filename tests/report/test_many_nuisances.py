from __future__ import annotations

import json
from dataclasses import replace

import pytest

from grouped import grouped
from invariantnets.report import render_run, render_sweep
from invariantnets.report.headline import facts, sentences
from invariantnets.report.sweep_headline import sweep_sentences

MANY = {"yaw": 0.9, "pitch": 0.3, "roll": 0.02, "smile": None, "hat": 0.7, "blur": 0.5, "noise": 0.01}


def test_headline_names_three_and_counts_the_rest(make_face_results):
    leak, *others = sentences(make_face_results(leaks=MANY), "F7", {})
    assert leak == (
        "From F7, 4 of 7 nuisances can be read better than chance (R² 0), best yaw (R² 0.90 [0.87, 0.93]), hat (R² "
        "0.70 [0.67, 0.73]) and blur (R² 0.50 [0.47, 0.53]), by the strongest honest probe of each; n = 4,000 rows "
        "of 200 people."
    )
    assert others[0] == "The interval of roll and noise holds chance, which does not prove that nothing is there."
    assert others[1] == "No probe of smile succeeded; this is not evidence of invariance."
    assert others[2].startswith("Of people in the test rows") and len(others) == 3


def test_headline_when_nothing_can_be_read(make_face_results):
    said = sentences(make_face_results(leaks=dict.fromkeys(MANY)), "F7", {})
    assert said[0] == "From F7, 0 of 7 nuisances can be read better than chance (R² 0)."
    assert "not evidence of invariance" in said[1]


def test_few_nuisances_have_a_sentence_each(make_face_results):
    few = dict(list(MANY.items())[:4])
    said = sentences(make_face_results(leaks=few), "F7", {})
    assert [any(f"the {name}" in sentence for sentence in said) for name in few] == [True] * 4


def test_large_numbers_are_of_those_read_best(make_face_results):
    names = [f.name for f in facts(make_face_results(leaks=MANY), {"yaw": "°"}) if " of " in f.name]
    assert names == ["R² of yaw", "RMSE of yaw", "R² of hat", "RMSE of hat", "R² of blur", "RMSE of blur"]


def test_a_sweep_compares_those_read_best_in_any_group(make_face_results):
    groups = {
        "wide": [make_face_results(0.7, MANY)],
        "narrow": [make_face_results(0.5, {**MANY, "yaw": 0.4, "noise": 0.95})],
    }
    first, *said = sweep_sentences(grouped(groups, "faces"))
    assert first == "Of 7 nuisances, noise, yaw and hat can be read best."
    assert said[1].startswith("The yaw is least readable from narrow (R² 0.40") and len(said) == 4
    assert said[3].startswith("On faces, a face is most often found first in the gallery by wide: 70.0 %")


def test_people_of_different_data_are_not_compared(make_face_results):
    groups = {"a": [make_face_results(0.7)], "b": [make_face_results(0.5)]}
    said = sweep_sentences(grouped(groups, {"a": "faces", "b": "lfw"}))
    assert [s.partition(",")[0] for s in said] == ["On faces", "On lfw"]


def test_classes_of_different_data_are_not_compared(make_results):
    groups = {"a": [make_results(mav=0.9)], "b": [make_results(mav=0.8)]}
    said = sweep_sentences(grouped(groups, {"a": "digits", "b": "letters"}))
    assert said[-2].startswith("On digits, the class is best recognised by a")
    assert said[-1].startswith("On letters, the class is best recognised by b")


@pytest.mark.parametrize("many", [True, False])
def test_tables_and_columns(make_run, make_face_results, tmp_path, many):
    leaks = MANY if many else dict(list(MANY.items())[:4])
    results = make_face_results(leaks=leaks)
    folder = make_run("s/0", found=results)
    make_run("s/1", seed=2, found=[replace(r, value=r.value / 2) for r in results])
    html = render_run(folder).read_text(encoding="utf-8")
    assert ("<summary>How well the yaw can be read: R² 0.90 [0.87, 0.93]</summary>" in html) is many
    assert ("<h3>How well the yaw can be read</h3>" in html) is not many
    listed = json.loads((folder / "figures" / "figures.json").read_text(encoding="utf-8"))
    assert sum(entry["file"] == "readable.svg" for entry in listed) == 1
    html = render_sweep(tmp_path / "s").read_text(encoding="utf-8")
    assert html.count(">R², strongest honest probe</th>") == len(leaks)
    assert html.count(">R², linear</th>") == sum(value is not None for value in leaks.values())
    assert ("<summary>How well the yaw can be read: R² 0.68</summary>" in html) is many
    assert ("<h3>How well the yaw can be read</h3>" in html) is not many
    trade_offs = sorted(p.stem for p in (tmp_path / "s" / "figures").glob("trade_off_*"))
    assert trade_offs == [
        f"trade_off_{name}" for name in (("blur", "hat", "pitch", "yaw") if many else ("pitch", "roll", "yaw"))
    ]
    said = "Of 7 nuisances, the 4 that are read best have a figure of this kind."
    assert html.count(said) == (4 if many else 0)
