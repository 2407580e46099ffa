from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from invariantnets.report.papers.rudd2016 import HEADER, compare
from invariantnets.results.runs import Group, Run


def group(model: str, *results, data: str = "rotated_mnist") -> Group:
    return Group(f"{model} on {data}", model, data, [Run(Path(), r) for r in results])


@pytest.fixture
def groups(make_results):
    return [
        group("lenet", *(make_results(mav=m, softmax=s, r2=0.7) for m, s in ((0.92, 0.986), (0.93, 0.988)))),
        group("mu_lenet", [r for r in make_results(mav=0.97) if r.probe != "softmax"]),
        group("pair_lenet", make_results(mav=0.96), make_results(mav=0.96, failed=True)),
    ]


@pytest.fixture
def table(groups):
    return compare(groups)


def row(table, quantity: str, network: str) -> dict[str, str]:
    (found,) = (r for r in table.rows if r[0].startswith(quantity) and r[1] == network)
    return dict(zip(HEADER, found, strict=True))


def test_accuracy_beside_the_published(table):
    deviation = 100 * np.std([0.92, 0.93], ddof=1)
    found = row(table, "MAV accuracy", "LeNet")
    assert found["Rudd et al."] == "89.90 %"
    assert found["ours"] == f"92.50 ± {deviation:.2f} %"
    assert (found["seeds"], found["difference"]) == ("2", "+2.60 points")
    assert row(table, "softmax", "LeNet")["difference"] == "−0.28 points"


def test_one_seed_shows_its_interval(table):
    assert row(table, "MAV accuracy", "μ-LeNet")["ours"] == "97.00 % [96.00, 98.00]"


def test_both_readings_of_the_estimated_angle(table):
    assert row(table, "per-angle MAV, label-blind", "LeNet")["ours"].startswith("93.50")
    answer = row(table, "per-angle MAV, angle by true label", "LeNet")
    assert answer["ours"].startswith("94.50") and "uses the answer" in answer["quantity"]
    assert answer["Rudd et al."] == "95.44 %"


def test_angle_error_in_degrees(table):
    found = row(table, "angle RMSE, regressor per true label", "LeNet")
    assert (found["Rudd et al."], found["ours"], found["difference"]) == ("about 15°", "15.0 ± 0.0°", "+0.0°")
    assert row(table, "angle RMSE, one", "PAIR-LeNet")["ours"].endswith("(1 of 2 failed)")


def test_what_neither_has_is_no_row(table):
    assert not [r for r in table.rows if r[0].startswith("softmax") and r[1] == "μ-LeNet"]


def test_only_its_data_and_each_network_once(groups, make_results):
    assert compare([]) is None and compare(groups[:2]) is None
    assert compare([*groups, groups[0]]) is None
    elsewhere = group("lenet", make_results(mav=0.5), data="faces")
    assert compare([*groups, elsewhere]) == compare(groups)
