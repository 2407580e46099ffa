"""Groups that were not trained alike are told apart by how, in the report of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from invariantnets.report.trained import compare
from invariantnets.results.runs import Group, Run

ALIKE: dict[str, Any] = {
    "trainer": {"max_epochs": 30, "max_steps": -1},
    "data": {"batch_size": 64, "epoch_batches": None},
    "model": {"init_from": None, "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.01}},
    "recipes": {"init_from": {"trainer": {"max_epochs": 8}}},
}


def group(name: str, **changes: Any) -> Group:
    config = ALIKE | changes
    return Group(name, name, "digits", [Run(Path(name), [], {"config": config})])


def test_only_what_differs_is_shown() -> None:
    short = group("forget", trainer={"max_epochs": 1}, model=ALIKE["model"] | {"init_from": "first.ckpt"})
    found = compare([group("lenet"), short])
    assert found is not None and found.header == ("", "epochs", "first network: epochs")
    assert found.rows == [("lenet", "30", "–"), ("forget", "1", "8")]


def test_names_are_short_and_a_setting_that_is_not_there_is_a_dash() -> None:
    other = group("b", model={"init_from": None, "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.001}}, data={})
    found = compare([group("a"), other])
    assert found is not None and found.rows == [("a", "64", "SGD", "0.01"), ("b", "–", "AdamW", "0.001")]


def test_trained_alike_or_not_trained_here_there_is_no_table() -> None:
    assert compare([group("lenet"), group("pair_lenet")]) is None
    assert compare([Group(n, n, "table", [Run(Path(n), [])]) for n in "ab"]) is None
