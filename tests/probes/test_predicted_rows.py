"""Predictions that are saved on request give the numbers of the results, and name the rows that they are of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, mean_absolute_error, roc_auc_score

from invariantnets import FeatureTable, run_suite
from invariantnets.evaluation import Evaluation
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import read_jsonl
from programs import LINEAR, ROOT, run

READERS = ["ridge", "ridge/per_label", "knn"]
ROWS = 600


def columns() -> dict[str, Any]:
    """Rows in no order of splits, a copy of one among them, an angle that is known of half, and a name of each."""
    rng = numpy_rng(0)
    who, angle = rng.integers(0, 3, ROWS), rng.uniform(0, 360, ROWS)
    yaw, hat = rng.normal(0, 20, ROWS), np.where(rng.random(ROWS) < 0.3, "hat", "none")
    turn = np.deg2rad(angle)
    x = np.stack([yaw / 20, np.cos(turn), np.sin(turn), hat == "hat", who == 1, *rng.normal(size=(2, ROWS))], 1)
    x += 0.5 * rng.normal(size=x.shape)
    split = rng.choice(["test", "train", "val"], ROWS, p=[0.3, 0.5, 0.2])
    angle[rng.random(ROWS) < 0.5] = np.nan
    x, who, yaw, angle, hat = (np.concatenate([v, v[:1]]) for v in (x, who, yaw, angle, hat))
    split = np.append(split, "test")
    split[0] = "train"  # its copy in test is left out
    names = np.array([f"image_{i}" for i in range(ROWS + 1)])
    return {"features": x, "label": np.array(["a", "b", "c"])[who], "split": split, "name": names} | {
        "yaw": yaw, "angle": angle, "hat": hat
    }  # fmt: skip


@pytest.fixture(scope="module")
def kept() -> tuple[Evaluation, dict[str, pd.DataFrame]]:
    frames: dict[str, pd.DataFrame] = {}

    def keep(layer: str, nuisance: str, of: Any) -> None:
        frames[nuisance] = pd.DataFrame(of)

    table = FeatureTable.from_arrays(**columns(), kinds={"angle": "circular"})
    return run_suite(table, READERS, protocols=None, predicted=keep), frames


def result(found: Evaluation, target: str, probe: str, metric: str) -> Any:
    (of,) = (r for r in found.results if (r.target, r.probe, r.metric, r.where) == (target, probe, metric, {}))
    return of


def encoded(frame: pd.DataFrame, probe: str) -> np.ndarray:
    return frame[[c for c in frame if c == probe or c.startswith(f"{probe} [")]].to_numpy(np.float64)


def truth(frame: pd.DataFrame) -> np.ndarray:
    if "ridge [cos]" in frame:
        turn = np.deg2rad(frame["true"])
        return np.stack([np.cos(turn), np.sin(turn)], 1)
    if frame["true"].dtype.kind == "f":
        return frame[["true"]].to_numpy()
    return np.stack([frame["true"] == "hat", frame["true"] == "none"], 1).astype(float)


@pytest.mark.parametrize("target", ["yaw", "angle", "hat"])
@pytest.mark.parametrize("probe", [*READERS, "stack"])
def test_they_give_r2_on_test_and_out_of_fold(kept: Any, target: str, probe: str) -> None:
    found, frames = kept
    of, test = frames[target], frames[target]["split"] == "test"
    expected = result(found, target, probe, "r2")
    assert test.sum() == expected.n
    for rows, value in ((test, expected.value), (~test, expected.validation)):
        part = of[rows]
        true = truth(part)
        off, mean = ((true - encoded(part, name)) ** 2 for name in (probe, "mean"))
        assert 1 - off.sum() / mean.sum() == pytest.approx(value, abs=2e-9)


def test_they_give_the_metrics_of_each_kind(kept: Any) -> None:
    found, frames = kept
    yaw, hat, angle = (frames[name][frames[name]["split"] == "test"] for name in ("yaw", "hat", "angle"))
    mae = result(found, "yaw", "ridge", "mae")
    assert mean_absolute_error(yaw["true"], yaw["ridge"]) == pytest.approx(mae.value, rel=1e-12)
    assert mean_absolute_error(yaw["true"], yaw["mean"]) == pytest.approx(mae.chance, rel=1e-12)
    auc = roc_auc_score(hat["true"] == "none", hat["ridge [none]"])
    assert auc == pytest.approx(result(found, "hat", "ridge", "auc").value, abs=1e-12)
    said = np.where(hat["ridge [hat]"] / hat["mean [hat]"] > hat["ridge [none]"] / hat["mean [none]"], "hat", "none")
    balanced = result(found, "hat", "ridge", "balanced_accuracy")
    assert balanced_accuracy_score(hat["true"], said) == pytest.approx(balanced.value, abs=1e-12)
    read = np.rad2deg(np.arctan2(angle["ridge [sin]"], angle["ridge [cos]"]))
    off = np.abs((read - angle["true"] + 180) % 360 - 180).mean()
    assert off == pytest.approx(result(found, "angle", "ridge", "mae").value, rel=1e-12)


def test_rows_are_those_of_the_table_that_was_given(kept: Any) -> None:
    frames, given = kept[1], columns()
    for name, of in frames.items():
        row = of["row"].to_numpy()
        assert len(np.unique(row)) == len(row) and not np.isin(ROWS, row)  # the copy is not
        for column, theirs in (("name", given["name"]), ("split", given["split"]), ("label", given["label"])):
            assert (of[column].to_numpy() == theirs[row]).all()
        assert (of["true"].to_numpy() == given[name][row]).all()
    test = frames["yaw"]["split"] == "test"
    assert set(frames["yaw"]["row"][test]) == set(np.flatnonzero(given["split"][:-1] == "test"))
    assert len(frames["angle"]) == np.isfinite(given["angle"][:-1]).sum() < len(frames["yaw"]) == ROWS


def test_the_program_writes_them_on_request_and_the_page_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = columns()
    frame = pd.DataFrame(given.pop("features")).add_prefix("f").assign(**given, blur=numpy_rng(1).random(ROWS + 1))
    frame.to_csv(tmp_path / "mine.csv", index=False)
    words = ["features=mine.csv", "nuisances=[yaw,hat]", "protocols=none", *LINEAR]
    run("evaluate.py", *words, "save_predictions=true", "hydra.run.dir=run", cwd=tmp_path)
    folder = tmp_path / "run" / "predictions" / "features"
    assert sorted(path.name for path in folder.iterdir()) == ["hat.parquet", "yaw.parquet"]
    page = (ROOT / "docs" / "probing.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"## Predictions, to plot yourself.*?```python\n(.*?)```", page, re.DOTALL)
    shown: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    exec(block, shown)
    by_name = shown["test"].merge(frame, on="name")
    assert (shown["blur"] == by_name["blur"]).all() and by_name["yaw"].to_numpy() == pytest.approx(by_name["true"])
    (r2,) = (
        r.value
        for r in read_jsonl(tmp_path / "run" / "results.jsonl")
        if (r.target, r.probe, r.metric) == ("yaw", "ridge", "r2")
    )
    assert shown["r2"] == pytest.approx(r2, abs=2e-9) and len(shown["error"]) == len(by_name)
