"""Several tables in one report."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from invariantnets import FeatureTable, compare, run_suite
from invariantnets.data import RotatedImages
from invariantnets.data.sources import digits
from invariantnets.errors import InvariantNetsError
from invariantnets.subjects import from_backbone


def table(noise: float) -> FeatureTable:
    rng = np.random.default_rng(0)
    yaw, label = rng.uniform(-40, 40, 400), np.arange(400) % 4
    x = np.stack([np.cos(label), np.sin(label), yaw / 40], 1) + noise * rng.normal(size=(400, 3))
    return FeatureTable.from_arrays(x, label=label, yaw=yaw)


QUICK = {"probes": ["mav", "ridge"]}


def test_each_is_what_it_is_alone_and_all_are_in_one_report(tmp_path: Path) -> None:
    tables = {"clean": table(0.05), "noisy": table(1.0)}
    found = compare(tables, **QUICK)
    frame = found.to_frame()
    assert list(frame.name.unique()) == ["clean", "noisy"]
    for name, alone in tables.items():
        own = run_suite(alone, **QUICK).to_frame()
        rows = frame[frame.name == name].drop(columns="name").reset_index(drop=True)
        assert rows.equals(own)
    page = found.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "The yaw is least readable from noisy" in page and "and most from clean" in page
    assert "The class is best recognised by clean" in page and "data:image/" in page
    assert list(tmp_path.iterdir()) == [tmp_path / "report.html"]
    assert repr(found).startswith("clean\n- From features, ") and "\n\nnoisy\n- From" in repr(found)
    assert found._repr_html_().startswith("<iframe")
    assert {path.name for path in found.save(tmp_path / "all").parent.iterdir()} >= {"0", "1", "report.html", "figures"}


def test_one_is_not_enough_and_a_bad_one_is_named() -> None:
    with pytest.raises(InvariantNetsError, match="give two tables or more; run_suite measures one"):
        compare({"a": table(0)}, **QUICK)
    with pytest.raises(InvariantNetsError, match="^b: layers=ip1: there is no such layer"):
        compare({"b": table(0), "c": table(0)}, layers="ip1", **QUICK)


def test_networks_stand_beside_each_other_too() -> None:
    images = RotatedImages(digits, num_classes=3, image_shape=[1, 28, 28], angles=[-40, 0, 40], classes=[0, 1, 2])
    subjects = {name: from_backbone(Rows(name), images, probe_images=60) for name in ("mean", "amax")}
    found = compare(subjects, probes=["ridge"], data="digits")
    frame = found.to_frame()
    assert dict(zip(frame.name, frame.layer, strict=True)) == {"mean": "mean", "amax": "amax"}
    assert {e.record["name"] for e in found.evaluations.values()} == {"mean on digits", "amax on digits"}


class Rows:
    """What a reduction makes of each row of a picture."""

    classifier = None

    def __init__(self, how: str):
        self.layer_names, self.embedding = [how], how

    def features(self, image: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        return {name: getattr(image.float(), name)(3).flatten(1) for name in names}
