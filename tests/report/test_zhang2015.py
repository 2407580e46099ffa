from __future__ import annotations

from pathlib import Path

from invariantnets.report.papers.zhang2015 import PAPER, compare
from invariantnets.results.result import Result
from invariantnets.results.runs import Group, Run
from invariantnets.results.words import NONE


def results(more: float, *probes: str) -> list[Result]:
    """Of both ways to halve, the accuracy of each sum; it rises with its number."""
    return [
        Result(
            "accuracy", k / 20 + more, "F7", "identity", f"piper/{way}/{probe}", split="test", n=90, sources=9, seed=0,
            about="identity", low=k / 20, high=k / 20 + 0.1, chance=1 / 9,
        )
        for way in ("image", "album")
        for k, probe in enumerate(probes, 1)
    ]  # fmt: skip


EVERY = [probe for probe, _ in PAPER.values()]


def group(*runs: list[Result]) -> list[Group]:
    return [Group("all parts", "all parts", "people", [Run(Path(), run) for run in runs])]


def test_ours_stands_beside_the_papers_for_every_sum() -> None:
    table = compare(group(results(0.0, *EVERY), results(0.1, *EVERY)))
    assert table is not None and table.file == "zhang2015"
    assert [row[1] for row in table.rows] == [
        "67.60 %", "46.66 %", "72.18 %", "79.95 %", "78.79 %", "78.08 %", "75.35 %", "83.05 %", "0.17 %",
    ]  # fmt: skip
    assert table.rows[0][2:] == ("10.0 ± 7.1 %", "10.0 ± 7.1 %")
    assert table.rows[-2][2] == "45.0 ± 7.1 %" and table.rows[-1] == ("chance", "0.17 %", "11.1 %", "11.1 %")
    assert "n = 90 pictures of 9 people, seeds: 2" in table.note


def test_what_was_not_summed_has_no_row_and_other_parts_no_table() -> None:
    table = compare(group(results(0.0, "global", "part face", "filled")))
    assert table is not None and [row[0] for row in table.rows] == [
        "global alone", "face alone (the paper's DeepFace)", "all, filled", "chance",
    ]  # fmt: skip
    assert all(NONE not in row for row in table.rows)
    assert compare(group(results(0.0, "global", "part nose", "filled"))) is None
