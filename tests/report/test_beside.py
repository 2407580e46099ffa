"""The table of what a network reads beside what needs no training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from invariantnets.report import render_run
from invariantnets.report.beside import beside_sections
from invariantnets.results import to_jsonl
from invariantnets.results.runs import read_run, read_sweep


@pytest.fixture
def folder(tmp_path: Path, make_results, make_run) -> Path:
    """A run of two layers; random weights at both, at one of which they failed; the pixels once."""
    run = make_run("run", draw=False)
    own = [*make_results(r2=0.9, layer="conv1"), *make_results(r2=0.8)]
    random = [*make_results(r2=0.5, layer="conv1"), *make_results(failed=True)]
    pixels = make_results(r2=0.7, layer="pixels")
    rows = [
        *own,
        *(replace(r, subject="random weights") for r in random),
        *(replace(r, subject="pixels") for r in pixels),
    ]
    (run / "results.jsonl").write_text(to_jsonl(rows))
    return run


def test_each_layer_has_a_row_and_each_subject_a_column(folder: Path) -> None:
    (section,) = beside_sections(read_run(folder))
    (table,) = section.tables
    assert table.header == ("layer", "this network", "random weights", "pixels", "chance")
    assert list(table.parts) == ["angle: R²", "angle: RMSE in °", "class: accuracy by MAV"]
    first, second = table.parts["angle: R²"]
    assert [first.name, *(cell.split()[0] for cell in first.cells)] == ["conv1", "0.90", "0.50", "0.70", "0.00"]
    assert [second.name, *(cell.split()[0] for cell in second.cells)] == ["ip1", "0.80", "failed", "0.70", "0.00"]
    errors = [row.cells for row in table.parts["angle: RMSE in °"]]
    assert [cell.split("°")[0] for cell in errors[0]] == ["9.5", "21.2", "16.4", "30.0"], "30 √(1 − R²), and the mean's"


def test_nothing_else_in_the_report_hears_of_them(folder: Path) -> None:
    page = render_run(folder).read_text(encoding="utf-8")
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    (folder / "results.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows if not r["subject"]))
    alone = render_run(folder).read_text(encoding="utf-8")
    start, end = page.index("<h2>Beside"), page.index("<h2>Recognition")
    assert "Beside" not in alone
    assert len(page) - (end - start) == pytest.approx(len(alone), abs=200)
    assert not beside_sections(read_run(folder))


def test_why_a_column_is_missing_is_said(folder: Path) -> None:
    provenance = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps({**provenance, "beside": ["no random weights: why not"]}))
    (section,) = beside_sections(read_run(folder))
    assert "no random weights: why not" in section.tables[0].shared


def test_networks_of_a_sweep_are_named_once(tmp_path: Path, make_run) -> None:
    for number, name in enumerate(("resnet18", "resnet50")):
        make_run(f"s/{number}", f"{name}, random weights", extra=("backbone=timm", f"backbone.name={name}"), draw=False)
    names = [group.name for group in read_sweep(tmp_path / "s").groups]
    assert names == ["resnet18, random weights", "resnet50, random weights"]
