from __future__ import annotations

from invariantnets.report.papers.comparison import Comparison

TABLE = Comparison("A title", ("what", "ours"), [("width", "1"), ("R² of yaw", "0.5 ± 0.1")], "What differs.", "file")


def test_markdown_is_a_table_and_its_note():
    lines = TABLE.to_markdown().splitlines()
    assert lines == [
        "| what | ours |",
        "| --- | --- |",
        "| width | 1 |",
        "| R² of yaw | 0.5 ± 0.1 |",
        "",
        "What differs.",
    ]


def test_a_bar_ends_no_cell():
    lines = Comparison("A title", ("R² of |yaw|", "b|"), [("0.5", "c")], "", "file").to_markdown().splitlines()
    assert lines[0] == r"| R² of \|yaw\| | b\| |"


def test_columns_of_text_are_aligned():
    head, rule, *rows, empty, note = TABLE.to_text().splitlines()
    assert {line.index(cell) for line, cell in zip([head, *rows], ("ours", "1", "0.5"), strict=True)} == {11}
    assert set(rule) == {"-"} and (empty, note) == ("", "What differs.")
