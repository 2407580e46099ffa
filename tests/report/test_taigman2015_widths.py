from __future__ import annotations

from pathlib import Path
from statistics import stdev

import pytest

from invariantnets.report import render_sweep
from invariantnets.report.papers.comparison import Comparison
from invariantnets.report.papers.taigman2015_widths import PAPER, compare, widths
from invariantnets.results.runs import Group, Run, read_sweep
from invariantnets.run import report_sweep

LEAKS = {"yaw": 0.8, "light_azimuth": 0.5, "smile": None}


def group(width: int | None, *results, model: str = "deepface_mini", data: str = "synthetic_faces", more: str = ""):
    provenance = {"config": {"model": {"backbone": {} if width is None else {"bottleneck": width}}}}
    return Group(f"{model} on {data} {width}{more}", model, data, [Run(Path(), r, provenance) for r in results])


@pytest.fixture
def groups(make_face_results) -> list[Group]:
    return [
        group(256, make_face_results(0.7, LEAKS), make_face_results(0.8, LEAKS)),
        group(100, make_face_results(0.5, LEAKS)),
        group(256, make_face_results(0.3), data="lfw"),
        group(100, make_face_results(0.4), data="lfw"),
    ]


def row(table: Comparison | None, width: int, where: str) -> dict[str, str]:
    assert table is not None
    (found,) = (r for r in table.rows if r[0] == str(width) and where in r[1])
    return dict(zip(table.header, found, strict=True))


def test_ours_is_below_the_papers(groups: list[Group]) -> None:
    table = compare(groups)
    assert [r[:2] for r in table.rows[3:8]] == [
        ("256", "paper on LFW"),
        ("256", "ours on synthetic_faces"),
        ("256", "ours on lfw"),
        ("128", "paper on LFW"),
        ("100", "ours on synthetic_faces"),
    ]
    assert [r[0] for r in table.rows if r[1] == "paper on LFW"] == [str(width) for width in PAPER]


def test_the_papers_numbers_are_as_printed(groups: list[Group]) -> None:
    found = row(compare(groups), 256, "paper")
    assert list(found.values())[2:6] == ["97.17 %", "72.3 %", "90.4 %", "46.3 %"]
    assert row(compare(groups), 8, "paper")["DIR at 1 % FAR"] == "0.33 %"
    assert all(len(row) == 4 for row in PAPER.values())


def test_seeds_are_averaged_and_one_keeps_its_interval(groups: list[Group]) -> None:
    found = row(compare(groups), 256, "synthetic")
    assert found["rank 1"] == f"75.0 ± {100 * stdev([0.7, 0.8]):.1f} %"
    assert (found["R² of yaw"], found["seeds"]) == ("0.80 ± 0.00", "2")
    assert row(compare(groups), 100, "lfw")["rank 1"] == "40.0 % [38.0, 42.0]"


def test_nuisances_where_they_were_probed(groups: list[Group]) -> None:
    found = row(compare(groups), 100, "synthetic")
    assert found["R² of expression"] == "failed (1 of 1)"
    assert row(compare(groups), 100, "lfw")["R² of yaw"] == "–"
    assert not [name for name in compare(groups[2:]).header if name.startswith("R²")]


def test_the_note_says_what_differs_and_which_width_is_best(groups: list[Group]) -> None:
    note = compare(groups).note
    assert all(text in note for text in ("4,030 people", "152×152", "kernel SVM", "4,249", "7,484 in 5,748"))
    best = (
        "Rank 1 is highest at 256 in the paper, 256 for deepface_mini on synthetic_faces, 100 for deepface_mini on lfw."
    )
    assert note.endswith(best)


def test_two_widths_of_one_network_each_in_one_setting(groups: list[Group], make_face_results) -> None:
    results = make_face_results()
    assert compare(groups[:1]) is None
    assert compare([group(None, results), group(None, results, more=" lr=1")]) is None
    assert compare([group(4096, results, model="deepface"), group(8, results)]) is None
    twice = [*groups, group(256, results, data="lfw", more=" lr=1")]
    assert list(widths(twice)) == ["deepface_mini on synthetic_faces"]
    assert not [r for r in compare(twice).rows if "lfw" in r[1]]


def test_several_networks_are_named(groups: list[Group], make_face_results) -> None:
    more = [group(width, make_face_results(), model="deepface", data="lfw") for width in (4096, 8)]
    table = compare([*groups, *more])
    assert row(table, 8, "ours")["where"] == "ours, deepface on lfw"
    assert row(table, 256, "lfw")["where"] == "ours, deepface_mini on lfw"


@pytest.mark.parametrize("config", [None, [], {"model": "lenet"}, {"model": {"backbone": {"bottleneck": None}}}])
def test_a_network_without_the_key_has_no_width(config, make_face_results) -> None:
    runs = [Run(Path(), make_face_results(), {"config": config})]
    assert widths([Group(name, "lenet", "faces", runs) for name in "ab"]) == {}


def test_a_sweep_with_transfer(make_run, make_face_results, tmp_path: Path, capsys) -> None:
    for width, rank1 in ((256, 0.7), (8, 0.1)):
        for seed in (1, 2):
            shared = {"model": "deepface_mini", "seed": seed, "backbone": {"bottleneck": width}, "draw": False}
            shared["extra"] = (f"model.backbone.bottleneck={width}",)
            faces = make_face_results(rank1, LEAKS, seed)
            make_run(f"s/{width}-{seed}", data="synthetic_faces", found=faces, **shared)
            make_run(f"s/{width}-{seed}/transfer", data="lfw", found=make_face_results(rank1 / 2), **shared)
    sweep = read_sweep(tmp_path / "s")
    assert not sweep.missing and [len(g.runs) for g in sweep.groups] == [2, 2, 2, 2]
    report_sweep(tmp_path / "s")
    markdown = (tmp_path / "s" / "bottleneck.md").read_text(encoding="utf-8")
    assert markdown == compare(sweep.groups).to_markdown()
    assert not (tmp_path / "s" / "rudd2016.md").exists()
    assert "ours on lfw" in capsys.readouterr().out
    html = render_sweep(tmp_path / "s").read_text(encoding="utf-8")
    assert "<h2>Beside table 1 of Taigman et al. (2015)</h2>" in html and "97.17 %" in html
    assert "On lfw, a face is most often found first in the gallery by deepface_mini on lfw bottleneck=256" in html
    assert "Rank 1 of the closed set against yaw left" in html
    drawn = {p.name for p in (tmp_path / "s" / "figures").glob("*.svg")}
    assert {f"width_deepface_mini_on_{data}.svg" for data in ("lfw-c77c6150", "synthetic_faces-cb6d3e27")} <= drawn
    assert {"closed_set_lfw.svg", "closed_set_synthetic_faces.svg"} <= drawn and "closed_set.svg" not in drawn
