from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from invariantnets.data.bootstrap import Pictures
from invariantnets.report.papers.comparison import Comparison
from invariantnets.report.papers.taigman2015_look_alikes import PAPER, compare
from invariantnets.results.runs import Group, Run
from invariantnets.run import report_sweep

LEAKS = {"yaw": 0.8, "light_azimuth": None}


def group(by: str | None, *results, noise: float = 0.0, data: str = "bootstrap", people=(300, 300), pictures: str = ""):
    runs = [
        Run(Path(), r, {"config": {"data": {"by": by, "label_noise": noise, "num_classes": n, "pictures": pictures}}})
        for r, n in zip(results, people[: len(results)], strict=True)
    ]
    return Group(f"{by} {noise} {data}", "deepface_plus_mini", data, runs)


@pytest.fixture
def groups(make_face_results) -> list[Group]:
    return [
        group("hyperplanes", make_face_results(0.7, LEAKS), make_face_results(0.8, LEAKS)),
        group("random", make_face_results(0.5, LEAKS), make_face_results(0.6, LEAKS), people=(310, 305)),
        group("instances", make_face_results(0.4, LEAKS)),
        group("random", make_face_results(0.3), noise=0.1),
        group("instances", make_face_results(0.35), noise=0.1),
        group("random", make_face_results(0.1), data="lfw"),
    ]


def row(table: Comparison | None, by: str, where: str, noise: str) -> dict[str, str]:
    assert table is not None
    rows = [dict(zip(table.header, r, strict=True)) for r in table.rows]
    (found,) = (r for r in rows if (r["chosen by"], r["where"], r["label noise"]) == (by, where, noise))
    return found


def test_the_papers_numbers_are_as_printed(groups):
    """Sums over table 2, typed in anew from the paper, and a few single numbers."""
    values = {key: np.array([[float(v) for v in row] for row in widths.values()]) for key, widths in PAPER.items()}
    assert [v.shape for v in values.values()] == [(4, 4)] * 3
    sums = [v.sum(0).round(2).tolist() for v in values.values()]
    assert sums == [[388.34, 276.4, 354.5, 195.8], [387.4, 272.4, 350.3, 196.8], [391.07, 312.9, 368.5, 227.5]]
    assert PAPER["hyperplanes", "55K", "4.5M"]["1024+"] == ("98.00", "82.1", "93.7", "59.2")
    assert PAPER["random", "250K", "7.5M"]["1024"] == ("97.67", "74.9", "90.9", "58.7")


def test_ours_stand_below_the_papers_of_the_same_choice(groups):
    rows = compare(groups).rows
    assert [r[0] for r in rows] == ["random"] * 11 + ["hyperplanes"] * 5 + ["instances"] * 2 + ["chance"] * 2
    assert [r[1] for r in rows if r[0] == "random"][8:] == ["ours on bootstrap"] * 2 + ["ours on lfw"]


def test_means_over_seeds_and_what_is_left(groups):
    found = row(compare(groups), "hyperplanes", "ours on bootstrap", "0 %")
    assert found["rank 1"] == "75.0 ± 7.1 %" and found["R² of yaw"] == "0.80 ± 0.00"
    assert (found["R² of light"], found["seeds"], found["people"]) == ("failed (2 of 2)", "2", "300")
    assert row(compare(groups), "random", "ours on bootstrap", "0 %")["people"] == "305 to 310"
    assert row(compare(groups), "instances", "ours on bootstrap", "10 %")["rank 1"] == "35.0 % [33.0, 37.0]"


def test_chance_of_each_data_set(groups):
    found = row(compare(groups), "chance", "on bootstrap", "–")
    assert (found["verification"], found["rank 1"], found["rank 10"]) == ("50.0 %", "0.5 %", "5.0 %")
    assert row(compare(groups), "chance", "on lfw", "–")["R² of yaw"] == "–"


def test_the_note_says_who_wins_among_equals(groups):
    assert compare(groups).note.endswith(
        "Rank 1 is highest by hyperplanes in the paper, hyperplanes for ours on bootstrap at 0 % label noise, "
        "instances for ours on bootstrap at 10 % label noise."
    )


def test_pictures_are_counted_where_their_table_is(make_face_results, tmp_path):
    path = tmp_path / "pictures.parquet"
    Pictures(np.arange(5), np.array(["train"] * 3 + ["val"] * 2), np.array([0, 1, 0, 0, 1])).save(path)
    groups = [group("random", make_face_results(), pictures=str(path)), group("instances", make_face_results())]
    assert row(compare(groups), "random", "ours on bootstrap", "0 %")["pictures"] == "3"
    assert row(compare(groups), "instances", "ours on bootstrap", "0 %")["pictures"] == "–"


def test_two_ways_to_choose_or_no_table(groups, make_face_results):
    assert compare(groups[:1]) is None
    assert compare([groups[0], group(None, make_face_results())]) is None
    assert compare([groups[1], groups[3]]) is None


def test_a_sweep(make_run, make_face_results, tmp_path, capsys):
    for by, rank1 in (("random", 0.3), ("hyperplanes", 0.4)):
        for seed in (1, 2):
            shared = {"model": "deepface_plus_mini", "data": "bootstrap", "seed": seed, "draw": False}
            backbone = {"bottleneck": 256}
            config = {"data": {"by": by, "label_noise": 0.0, "num_classes": 300}}
            found = make_face_results(rank1, LEAKS, seed)
            make_run(
                f"s/{by}-{seed}", found=found, config=config, backbone=backbone, extra=(f"data.by={by}",), **shared
            )
    report_sweep(tmp_path / "s")
    markdown = (tmp_path / "s" / "bootstrapping.md").read_text(encoding="utf-8")
    assert "| hyperplanes | ours on bootstrap | 300 | – | 256 | 0 % | 68.0 ± 0.0 % | 40.0 ± 0.0 % |" in markdown
    assert "Beside table 2" in (tmp_path / "s" / "report.html").read_text(encoding="utf-8")
    assert "ours on bootstrap" in capsys.readouterr().out
