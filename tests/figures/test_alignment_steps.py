"""The examples of docs/alignment.md run, and its figure shows every step."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from invariantnets.data import Align
from invariantnets.figures.alignment import steps_figure
from programs import ROOT


def test_the_examples_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "alignment.md").read_text(encoding="utf-8"), re.DOTALL)
    for block in blocks:
        exec(block, names)  # what the page shows
    assert names["camera"].shape == (5, 2, 4)
    with Image.open(tmp_path / "steps.png") as drawn:
        assert np.asarray(drawn.convert("RGB")).std() > 30
    face, points = names["face"].image[0].numpy(), names["points"]
    panels = steps_figure(face, points, Align("frontal").frame(60)).axes
    assert [axes.get_title(loc="left")[0] for axes in panels] == list("abcdefgh")
    shown = [axes.images[0].get_array().shape[0] for axes in panels]
    assert shown == [200, 60, 60, 200, 200, 60, 60, 60], "of the picture, and in its place"
