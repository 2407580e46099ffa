"""The label-efficiency curve on pages: shown where it was measured, and missed where it was not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from invariantnets.report import render_run
from invariantnets.report.efficiency import curve_tables
from invariantnets.report.papers.forgetting import compare
from invariantnets.results.result import Result
from invariantnets.results.runs import read_sweep


@pytest.fixture
def with_curve(make_results):
    """A run with what its strongest probe reads of the angle by ever more rows; with few it has failed."""

    def make(**options) -> list[Result]:
        found = make_results(**options)
        (best,) = (r for r in found if (r.probe, r.metric) == ("strongest", "r2"))
        curve = [
            replace(best, value=value, low=value - 0.01, high=value + 0.01, n_fit=rows, where={"labelled_rows": rows})
            for rows, value in ((9000, 0.9), (300, 0.2), (1000, 0.5))
        ]
        lost = replace(best, value=-0.1, n_fit=100, status="failed", where={"labelled_rows": 100})
        heading = replace(best, metric="r2_heading", value=0.93)
        bits = replace(best, metric="description_length", value=2.31, chance=2.8)
        return [*found, *curve, lost, heading, bits]

    return make


def test_rows_ascend_and_the_whole_stands_below(with_curve) -> None:
    (table,) = curve_tables(with_curve(), ["angle", "light"])
    assert table.title == "How many labelled rows it takes to read the angle"
    assert table.parts[""][-1].cells == ("2.31", "2.80", "–"), "beside what it takes without the features"
    assert [(row.name, row.cells[0]) for row in table.parts[""]] == [
        ("100", "failed"),
        ("300", "0.20 [0.19, 0.21]"),
        ("1,000", "0.50 [0.49, 0.51]"),
        ("9,000", "0.90 [0.89, 0.91]"),
        ("R² it is heading for, with ten times the rows", "0.93"),
        ("description length (bits per row)", "2.31"),
    ]


def test_a_run_shows_it_once_and_explains_it(with_curve, make_run, make_results, plain) -> None:
    html = render_run(make_run("run", found=with_curve(), draw=False)).read_text(encoding="utf-8")
    page = plain(html)
    assert page.count("R² it is heading for") == 1 == page.count("description length (bits per row)")
    assert "<dfn>Label efficiency</dfn>" in html and "<dfn>Description length</dfn>" in html
    without = plain(render_run(make_run("other", found=make_results(), draw=False)).read_text(encoding="utf-8"))
    assert "labelled rows" not in without


def test_forgetting_shows_it_or_says_that_it_is_missing(with_curve, make_results, make_run, tmp_path) -> None:
    for method, found in (("mu", with_curve()), ("leace", make_results())):
        make_run(f"s/{method}", found=found, config={"method": method}, extra=(f"method={method}",), draw=False)
    table = compare(read_sweep(tmp_path / "s").groups)
    assert table is not None
    cells = {row[0]: row[table.header.index("R² by labelled rows")] for row in table.rows}
    assert cells["mu"] == "100: failed; 300: 0.20; 1,000: 0.50; 9,000: 0.90; heading for 0.93"
    assert cells["leace"] == "not measured" and "was not measured of the angle after leace:" in table.note
    for method in ("mu", "leace"):
        make_run(
            f"t/{method}", found=make_results(), config={"method": method}, extra=(f"method={method}",), draw=False
        )
    without = compare(read_sweep(tmp_path / "t").groups)
    assert without is not None
    assert "R² by labelled rows" not in without.header and "of the angle after any method:" in without.note
