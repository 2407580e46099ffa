from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from invariantnets.report.papers.strangers import compare, people
from invariantnets.results.result import Result
from invariantnets.results.runs import read_sweep
from invariantnets.run import report_sweep

FOUR = ("yaw", "pitch", "light_azimuth", "light_elevation")
LITTLE = dict.fromkeys(FOUR, 0.04)
MUCH = dict.fromkeys(FOUR, 0.6)


@pytest.fixture
def job(make_run, make_face_results) -> Callable[..., None]:
    """One job of a method in the folder ``s``: what it leaves of the four, its EER, its rank 1."""

    def make(
        method: str,
        seed: int,
        leaks: Mapping[str, float | None] | None = None,
        eer: float = 0.06,
        rank1: float = 0.5,
        most: float | None = None,
        at: int = 1000,
        data: str = "synthetic_faces",
        more: tuple[Result, ...] = (),
        folder: str = "",
        release: str = "",
    ):
        found = make_face_results(rank1, leaks or MUCH, seed)
        (first,) = (r for r in found if r.metric == "rank1")
        found.append(replace(first, metric="eer", value=eer, probe="verification/cosine", chance=0.5))
        if most is not None:
            found += [
                replace(r, metric="r2_at_most", probe="any", value=most, n_fit=None)
                for r in found
                if r.probe == "strongest"
            ]
        config = {
            "method": method,
            "data": {"num_classes": at},
            "model": {"backbone": {"bottleneck": 256, "embedding": "F7"}},
        }
        extra = (f"method={method}", f"data.num_classes={at}", *([f"release={release}"] if release else []))
        same = {"seed": seed, "config": config, "extra": extra, "draw": False, "data": data}
        make_run(f"s/{folder or f'{method}-{at}-{seed}'}", model="mini", found=[*found, *more], **same)

    return make


@pytest.fixture
def table(tmp_path) -> Callable[[], dict[str, dict[str, str]]]:
    """The rows by method, and by people and data where they are not as usual."""

    def read() -> dict[str, dict[str, str]]:
        found = compare(read_sweep(tmp_path / "s").groups)
        rows = [dict(zip(found.header, row, strict=True)) for row in found.rows]
        usual = {"1,000", "synthetic_faces", "–"}
        named = {
            " ".join([r["method"], *(r[k] for k in ("people trained on", "data") if r[k] not in usual)]): r
            for r in rows
        }
        assert len(named) == len(rows)
        return named

    return read


def aim(tmp_path) -> tuple[str, str]:
    """Who reaches it, and what others lack."""
    _, _, said = compare(read_sweep(tmp_path / "s").groups).note.partition("reached by ")
    reached, _, lacking = said.partition(" What is lacking: ")
    return reached, lacking


def test_differences_are_taken_within_seeds(job, table):
    for seed, (eer, gain) in enumerate([(0.060, 0.010), (0.080, 0.014), (0.070, 0.012)], 1):
        job("softmax", seed, eer=eer, rank1=0.50 + eer)
        job("ours", seed, {**MUCH, "yaw": 0.2 + seed / 100}, eer=eer - gain, rank1=0.56 + eer)
    job("ours", 4, eer=0.9)  # softmax has no such seed
    rows = table()
    assert list(rows) == ["ours", "ours, less softmax", "softmax", "chance"]
    less = rows["ours, less softmax"]
    half = 4.302653 * 0.2 / math.sqrt(3)  # Student's t of two degrees of freedom, points of per cent
    assert less["EER"] == f"−1.20 ± 0.20 [−{1.2 + half:.2f}, −{1.2 - half:.2f}]"
    assert less["rank 1"] == "+6.00 ± 0.00 [6.00, 6.00]"
    assert less["R² of yaw"].startswith("−0.380 ± 0.010 [") and less["R² of pitch"].startswith("+0.000 ± 0.000")
    assert (less["seeds"], rows["ours"]["seeds"]) == ("3", "4")
    assert rows["softmax"]["EER"] == "7.00 ± 1.00 %"
    behind = [rows["softmax"][k] for k in ("strongest readers (nuisances × seeds)", "n rows", "strangers")]
    assert behind == ["linear, label-blind (12)", "4,000", "200"]
    assert (rows["chance"]["EER"], rows["chance"]["rank 1"], rows["chance"]["R² of yaw"]) == ("50.0 %", "0.5 %", "0.00")


def test_what_no_reader_exceeds_stands_beside_where_it_is_known(job, table, tmp_path):
    job("softmax", 1)
    assert compare(read_sweep(tmp_path / "s").groups) is None  # nothing to compare with
    job("released", 1, LITTLE, most=0.31)
    rows = table()
    most = {name: row["yaw, any reader at most"] for name, row in rows.items() if name != "chance"}
    assert most == {"released": "0.310 [0.010, 0.070]", "released, less softmax": "–", "softmax": "–"}


def test_a_network_that_was_released_afterwards_is_no_baseline(job, table):
    for release, eer in (("none", 0.10), ("lda", 0.30)):
        job("softmax", 1, eer=eer, release=release, folder=f"softmax-{release}")
        job("ours", 1, eer=eer - 0.01, release=release, folder=f"ours-{release}")
    less = {name: row["EER"] for name, row in table().items() if "less" in name}
    assert less == {
        "ours, less softmax": "−1.00 (one seed)",
        "softmax, released: lda, less softmax": "+20.00 (one seed)",
        "ours, released: lda, less softmax": "+19.00 (one seed)",
    }


def test_only_the_same_people_and_data_are_compared(job, table):
    job("softmax", 1, eer=0.10)
    job("ours", 1, eer=0.09)
    job("softmax", 1, eer=0.30, at=200)
    job("ours", 1, eer=0.20, at=200)
    job("softmax", 1, eer=0.50, data="synthetic_frames", folder="softmax-1000-1/transfer")
    job("ours", 1, eer=0.45, data="synthetic_frames", folder="ours-1000-1/transfer")
    job("alone", 1, at=5000)
    less = {name: row["EER"] for name, row in table().items() if "less" in name}
    assert less == {
        "ours, less softmax": "−1.00 (one seed)",
        "ours, less softmax 200": "−10.00 (one seed)",
        "ours, less softmax synthetic_frames": "−5.00 (one seed)",
    }


@pytest.mark.parametrize(
    ("of", "lacks"),
    [
        ({}, ""),
        ({"leaks": {**LITTLE, "pitch": 0.06}}, "pitch 0.060"),
        ({"eer": 0.0601}, "EER +0.01"),
        ({"rank1": 0.49}, "rank 1 −1.00"),
        ({"leaks": {**LITTLE, "yaw": None}}, "no reader of yaw passed in all seeds"),
        ({"leaks": {**LITTLE, "yaw": -0.3}}, "no reader of yaw carries over"),
        ({"leaks": {**LITTLE, "|yaw|": 0.06}}, "|yaw| 0.060"),
        ({"leaks": {**LITTLE, "|yaw|": 0.01}}, ""),
        ({"leaks": {name: 0.01 for name in FOUR[:3]}}, "light_elevation was not probed in all seeds"),
    ],
)
def test_who_reaches_the_aim(job, tmp_path, of, lacks):
    for seed in (1, 2):
        job("softmax", seed)
        job("ours", seed, **{"leaks": LITTLE, "eer": 0.06, "rank1": 0.5, **of})
    reached, lacking = aim(tmp_path)
    name = "ours (1,000 people, 256 features, synthetic_faces)"
    assert reached.startswith("none." if lacks else f"{name}.")
    assert f"{name}: {lacks}" in lacking if lacks else not lacking


@pytest.mark.parametrize(("low", "high", "found"), [(-0.012, 0.003, False), (-0.01, 0.06, True), (-0.4, -0.1, True)])
def test_what_every_reader_fails_at_is_forgotten_where_each_is_at_chance_on_strangers(
    job, make_face_results, tmp_path, low, high, found
):
    (row,) = (r for r in make_face_results(leaks={"yaw": 0.0}) if (r.probe, r.metric) == ("ridge", "r2"))
    tried = replace(row, value=(low + high) / 2, low=low, high=high, status="failed")
    for seed in (1, 2):
        job("softmax", seed)
        job("ours", seed, {**LITTLE, "yaw": None}, more=(tried, replace(tried, probe="knn", low=-0.01, high=0.01)))
    reached, lacking = aim(tmp_path)
    assert reached.startswith("none." if found else "ours (")
    assert ("no reader of yaw passed in all seeds" in lacking) is found


def test_a_loss_that_seeds_do_not_rule_out_is_said(job, tmp_path):
    for seed, eer in ((1, 0.055), (2, 0.064)):
        job("softmax", seed)
        job("ours", seed, LITTLE, eer=eer, rank1=0.6)
    reached, _ = aim(tmp_path)
    assert "synthetic_faces), though a loss of EER is not ruled out." in reached


def test_a_reader_that_was_not_chosen_and_reads_more_on_test_counts(job, make_face_results, tmp_path):
    (row,) = (r for r in make_face_results(leaks={"yaw": 0.2}) if (r.probe, r.metric) == ("ridge", "r2"))
    job("softmax", 1)
    job("ours", 1, LITTLE, more=(replace(row, probe="knn"),))
    reached, lacking = aim(tmp_path)
    assert reached.startswith("none.") and "on test another reads 0.200 of yaw" in lacking


def test_methods_on_several_numbers_of_people_are_series(job, tmp_path):
    for at in (200, 1000):
        job("softmax", 1, at=at)
        job("ours", 1, LITTLE, at=at)
    job("alone", 1)
    found = people(read_sweep(tmp_path / "s").groups)
    (series,) = found.values()
    assert list(found) == ["mini on synthetic_faces"] and set(series) == {"softmax", "ours"}
    assert sorted(series["ours"].values()) == [200, 1000]


def test_classes_that_were_trained_on_are_no_strangers(make_run, make_results, tmp_path):
    for method in ("softmax", "ours"):
        make_run(f"s/{method}", found=make_results(0.3), config={"method": method}, extra=(f"method={method}",))
    groups = read_sweep(tmp_path / "s").groups
    assert compare(groups) is None and people(groups) == {}


def test_the_sweeps_report(job, tmp_path):
    for at in (200, 1000):
        for method in ("softmax", "ours"):
            job(method, 1, LITTLE, at=at)
    report_sweep(tmp_path / "s")
    assert "| ours, less softmax |" in (tmp_path / "s" / "strangers.md").read_text(encoding="utf-8")
    page = (tmp_path / "s" / "report.html").read_text(encoding="utf-8")
    assert "Strangers: pose, light, and who it is" in page and "People trained on: mini on synthetic_faces" in page
