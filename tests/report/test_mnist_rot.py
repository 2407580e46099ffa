from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from invariantnets.report.papers.mnist_rot import HEADER, PUBLISHED, compare
from invariantnets.results.result import Result
from invariantnets.results.runs import read_sweep
from invariantnets.run import report_sweep

A, CHOSEN, MAV = "A, last epoch", "A, epoch chosen on val", "P, MAV"
READER, UNSEEN = "angle by our strongest reader", "P at ±{}, never seen, {}"


def found(a: float, chosen: float, mav: float, reader: float | None, softmax: float | None = 0.99) -> list[Result]:
    """What a job leaves: P, A at both epochs, and the angle by the strongest reader, None: it failed."""

    def result(metric: str, value: float, target: str, probe: str, **fields) -> Result:
        fields = {"low": value - 0.008, "high": value + 0.008, "n_fit": 60_000, **fields}
        return Result(metric, value, "ip1", target, probe, "test", n=10_000, sources=10_000, seed=0, **fields)

    best = {} if reader is None else {"chosen": {"probe": "mlp"}}
    lost = {"status": "failed", "low": None, "high": None}
    r2 = math.nan if reader is None else 0.01
    fresh = {"about": "analysis", "chance": 0.2, "n_fit": 54_000}
    classes = [("mav", mav), *([("softmax", softmax)] if softmax is not None else [])]
    return [
        *(result("accuracy", p, "label", probe, about="class", chance=0.11) for probe, p in classes),
        result("accuracy", 0.24 if reader is None else reader, "angle", "mlp", chance=0.21),
        result("accuracy", 0.9, "angle", "knn", chance=0.21),
        result("r2", r2, "angle", "strongest", chance=0.0, **best, **(lost if reader is None else {})),
        result("accuracy", a, "angle", "adversary/last", control=0.201, **fresh),
        result("accuracy", chosen, "angle", "adversary/chosen", **fresh),
    ]


@pytest.fixture
def job(make_run) -> Callable[..., None]:
    """One job of a method in the folder ``s``, digits at unseen angles beside it where ``unseen`` says how many."""

    def make(method: str, seed: int, unseen: float | None = None, width: int = 500, data: str = "mnist_rot", **of):
        made = found(**{"a": 0.3, "chosen": 0.31, "mav": 0.98, "reader": 0.35, **of})
        recipe = {"trainer": {"max_epochs": 12}, "data": {"epoch_batches": 500}}
        config = {
            "method": method,
            "model": {"backbone": {"embedding_dim": width}},
            "trainer": {"max_epochs": 3},
            "data": {"epoch_batches": 1000},
            "recipes": {"init_from": recipe},
        }
        extra = (f"method={method}", f"model.backbone.embedding_dim={width}")
        where, same = f"s/{method}-{width}-{seed}", {"seed": seed, "config": config, "extra": extra, "draw": False}
        make_run(where, found=made, data=data, **same)
        if unseen is not None:
            other = [r for r in found(0.2, 0.2, unseen, 0.2) if r.target == "label"]
            other += [
                replace(r, probe=f"by_value/{r.probe}", where={"|angle|": f"{at}°"}, value=r.value - 0.01 * (at - 55))
                for r in other
                for at in (55, 65)
            ]
            make_run(f"{where}/transfer", found=other, data="digits at other angles", **same)

    return make


@pytest.fixture
def table(tmp_path) -> Callable[[], dict[str, dict[str, str]]]:
    """The rows by method and features."""

    def read() -> dict[str, dict[str, str]]:
        rows = [dict(zip(HEADER, row, strict=True)) for row in compare(read_sweep(tmp_path / "s").groups).rows]
        assert len({(r["method"], r["features"]) for r in rows}) == len(rows)
        return {f"{r['method']} {r['features']}" if r["features"] != "500" else r["method"]: r for r in rows}

    return read


def test_the_published_stand_above_ours(job, table):
    job("softmax", 1)
    rows = table()
    assert list(rows) == [*(f"{name}, published –" for name in PUBLISHED), "softmax", "chance –"]
    icl = rows["inverse contrastive loss, published –"]
    assert (icl["P, own classifier"], icl[A], icl[MAV], icl["seeds"]) == ("96 %", "33 %", "–", "–")
    chance = rows["chance –"]
    assert (chance[MAV], chance[A], chance[READER]) == ("11.0 %", "20.0 %", "20.0 %")


def test_a_seed_has_its_interval_over_images_and_several_have_that_of_their_mean(job, table):
    job("softmax", 1)
    for seed, a in ((1, 0.20), (2, 0.21), (3, 0.22)):
        job("ours", seed, a=a, reader=a + 0.05)
    rows = table()
    assert rows["softmax"][A] == "30.0 % [29.2, 30.8]"
    half = 4.302653 * 0.01 / math.sqrt(3)  # Student's t of two degrees of freedom
    bounds = f"[{100 * (0.21 - half):.1f}, {100 * (0.21 + half):.1f}]"
    assert rows["ours"][A] == f"21.0 ± 1.0 % {bounds}"
    assert rows["ours"][READER] == "26.0 ± 1.0 %" and rows["ours"]["which it is (seeds)"] == "MLP (3)"
    assert (rows["ours"]["A, shuffled"], rows["ours"]["A fitted to rows"]) == ("20.1 ± 0.0 %", "54,000")
    assert rows["ours"]["steps before + of the method"] == "6,000 + 3,000"
    assert (rows["ours"]["n rows"], rows["ours"]["seeds"]) == ("10,000", "3")


def test_unseen_angles_are_those_of_the_run_beside(job, table):
    job("softmax", 1, unseen=0.7)
    job("softmax", 2, unseen=0.8)
    job("mmd", 1)
    rows = table()
    found = {at: rows["softmax"][UNSEEN.format(at, "MAV")] for at in ("55°", "65°")}
    assert found == {"55°": "75.00 ± 7.07 %", "65°": "65.00 ± 7.07 %"}
    assert rows["softmax"][UNSEEN.format("65°", "own classifier")] == "89.00 ± 0.00 %"
    assert rows["mmd"][UNSEEN.format("55°", "MAV")] == "–" and "digits at other angles" not in str(rows)


def test_widths_are_rows_of_their_own(job, table):
    job("icl", 1, width=30, a=0.4)
    job("icl", 1, a=0.5)
    rows = table()
    assert rows["icl 30"][A].startswith("40.0 %") and rows["icl"][A].startswith("50.0 %")


def test_a_reader_that_failed_names_nothing(job, table):
    job("ours", 1, reader=None)
    job("ours", 2, reader=0.22)
    row = table()["ours"]
    assert row[READER] == "22.0 % [21.2, 22.8] (1 of 2 failed)" and row["which it is (seeds)"] == "MLP (1)"


def test_released_features_have_no_classifier_of_their_own(job, table):
    job("quantise", 1, softmax=None)
    assert table()["quantise"]["P, own classifier"] == "–"


@pytest.mark.parametrize(
    ("of", "reached"),
    [
        ({"a": 0.203, "chosen": 0.204, "mav": 0.991}, True),
        ({"a": 0.203, "chosen": 0.215, "mav": 0.991}, False),  # the epoch that was chosen names more
        ({"a": 0.215, "chosen": 0.204, "mav": 0.991}, False),
        ({"a": 0.19, "chosen": 0.19, "mav": 0.991}, False),  # below chance is no fifth either
        ({"a": 0.203, "chosen": 0.204, "mav": 0.989}, False),
    ],
)
def test_who_reaches_the_aim(job, tmp_path, of, reached):
    job("softmax", 1)
    job("ours", 1, reader=0.26, **of)
    (_, said) = compare(read_sweep(tmp_path / "s").groups).note.split("reached by ")
    named = "ours (1 seed; our strongest reader: 26.0 % [25.2, 26.8])"
    assert said.startswith(f"{named}." if reached else "none.")


def test_only_its_data_with_an_adversary(job, make_run, tmp_path):
    job("softmax", 1, data="rot_digits")
    make_run("s/plain", data="mnist_rot", config={"method": "mu"}, draw=False)
    assert compare(read_sweep(tmp_path / "s").groups) is None
    assert compare([]) is None


def test_the_sweeps_report(job, tmp_path):
    for method in ("softmax", "icl 10.0"):
        job(method, 1, unseen=0.8)
    report_sweep(tmp_path / "s")
    assert "| icl 10.0 |" in (tmp_path / "s" / "mnist_rot.md").read_text(encoding="utf-8")
    assert "MNIST-ROT, beside Akash et al. (2021)" in (tmp_path / "s" / "report.html").read_text(encoding="utf-8")
