"""The metrics of a run out of its folder: resumed, grown from another, or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from invariantnets.figures import Scene
from invariantnets.figures.training import draw, training_figure
from invariantnets.results.training_log import training_log

HEAD = "epoch,online/yaw_r2,online/mav_accuracy,step,train/loss,val/accuracy\n"


def write(run: Path, version: int, rows: str, head: str = HEAD) -> Path:
    path = run / "csv" / f"version_{version}" / "metrics.csv"
    path.parent.mkdir(parents=True)
    path.write_text(head + rows)
    return run / "checkpoints" / "best.ckpt"


def column(found, name: str) -> list[float]:
    return found["values"][:, found["names"].tolist().index(name)].tolist()


def test_rows_of_one_step_complete_each_other_and_others_are_left_out(tmp_path: Path) -> None:
    found = training_log(write(tmp_path, 0, "0,,,9,3.5,\n0,0.5,,19,,\n0,,0.8,19,,0.75\n1,,,29,,0.85\n"))
    assert found is not None and found["step"].tolist() == [19, 29]
    assert column(found, "online/yaw_r2")[0] == 0.5 and column(found, "val/accuracy") == [0.75, 0.85]
    assert "train/loss" not in found["names"] and np.isnan(column(found, "online/yaw_r2")[1])


def test_where_a_run_was_resumed_the_later_file_counts(tmp_path: Path) -> None:
    write(tmp_path, 2, "0,0.3,,20,,\n0,0.2,,30,,\n")
    found = training_log(write(tmp_path, 10, "0,0.1,,25,,\n"))
    assert found is not None and (found["step"].tolist(), column(found, "online/yaw_r2")) == ([20, 25], [0.3, 0.1])


def test_the_network_that_it_began_from_comes_before_0(tmp_path: Path) -> None:
    write(tmp_path / "init_from", 0, "0,0.9,,4,,\n0,0.8,,9,,\n")
    found = training_log(write(tmp_path, 0, "0,0.4,,0,,\n0,0.2,,9,,\n"))
    assert found is not None and found["step"].tolist() == [-6, -1, 0, 9]
    assert column(found, "online/yaw_r2") == [0.9, 0.8, 0.4, 0.2]


@pytest.mark.parametrize("rows, head", [("0,,,9,3.5,0.4\n", HEAD), ("0,x,,9,,\n", HEAD), ("1,2\n", "a,online/b_r2\n")])
def test_without_probes_or_damaged_there_is_none(tmp_path: Path, rows: str, head: str) -> None:
    assert training_log(write(tmp_path, 0, rows, head)) is None


def test_without_a_run_there_is_none(tmp_path: Path) -> None:
    assert training_log(None) is None and training_log(tmp_path / "checkpoints" / "best.ckpt") is None
    write(tmp_path, 0, "0,0.5,,9,,\n")
    assert training_log(tmp_path / "best.ckpt") is None
    (tmp_path / "csv" / "version_1").mkdir()
    outside = tmp_path / "metrics.csv"
    outside.write_text(HEAD)
    (tmp_path / "csv" / "version_1" / "metrics.csv").symlink_to(outside)
    assert training_log(tmp_path / "checkpoints" / "best.ckpt") is None


def test_the_figure_has_a_line_for_each_nuisance_that_was_read_twice(tmp_path: Path) -> None:
    head = "epoch,online/yaw_r2,online/once_r2,online/mav_accuracy,step,val/accuracy\n"
    found = training_log(write(tmp_path, 0, "0,0.5,0.9,0.6,9,0.7\n0,0.4,,0.7,19,0.8\n0,-9,,,29,\n", head))
    assert found is not None
    above, below = training_figure(found).axes
    (line,) = (line for line in above.get_lines() if line.get_label() == "yaw")
    assert line.get_xdata().tolist() == [9, 19, 29] and line.get_ydata().tolist() == [0.5, 0.4, -0.5]
    assert [line.get_label() for line in below.get_lines()] == ["its own answers", "nearest class mean"]
    assert below.get_lines()[0].get_ydata().tolist() == [70, 80]
    (drawn,) = draw(Scene({"": [[]]}, layer="F7", arrays={"training": found}))
    assert drawn.about == "leaks" and "began from" not in drawn.caption


def test_layers_come_in_the_order_of_the_network(tmp_path: Path) -> None:
    head = "epoch,online/angle_r2,online/conv1/angle_r2,online/input/angle_r2,online/pool2/angle_r2,step,val/accuracy\n"
    path = write(tmp_path, 0, "0,0.5,0.8,0.9,0.6,9,0.7\n", head)
    found = training_log(path, ["input", "conv1", "pool1", "conv2", "pool2", "ip1"])
    assert found is not None
    layers = [name.split("/")[1] for name in found["names"] if name.count("/") == 2]
    assert layers == ["input", "conv1", "pool2"]
    assert dict(zip(found["names"], found["values"][0], strict=True))["online/input/angle_r2"] == 0.9
