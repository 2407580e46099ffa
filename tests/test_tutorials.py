"""The notebooks of docs/tutorials run from their first cell to their last."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from programs import LINEAR, ROOT, SMALL, THIN, run

FOLDER = ROOT / "docs" / "tutorials"
QUICK = (*SMALL, *THIN, *LINEAR, "recipes.init_from.trainer.max_epochs=1")


def cells(name: str) -> list[str]:
    read = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in read), "kept without outputs: numbers would grow old"
    return ["".join(cell["source"]) for cell in read if cell["cell_type"] == "code"]


def follow(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the cells in turn; lines for the shell as small jobs."""
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    for cell in cells(name):
        for command in re.findall(r"^!python (.*)$", cell, re.MULTILINE):
            program, *words = command.split()
            recipe = "model=lenet_forget" in words
            small = [w for w in QUICK if recipe or not w.startswith("recipes")] if program == "train.py" else []
            run(program, *words, *small, cwd=folder)
        exec(re.sub(r"^!.*$", "", cell, flags=re.MULTILINE), names)
    return names


def test_what_do_my_embeddings_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = follow("embeddings", tmp_path, monkeypatch)
    (strongest,) = names["shown"][names["shown"].probe == "strongest"].itertuples()
    assert strongest.value > 0.5, "the ink is in the unit-length features"
    for file in ("selectivity.pdf", "class_error.svg", "scree.pdf", "figures_data.csv", "report.html"):
        assert (tmp_path / file).stat().st_size > 1000, file


@pytest.mark.slow  # its commands are README's, which are tried in a quick run
def test_train_a_network_that_forgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = follow("forget", tmp_path, monkeypatch)
    assert {row[0] for row in names["rows"]} == {"lenet", "forget"} and len(names["rows"]) == 6
    page = (tmp_path / "outputs" / "tutorial" / "report.html").read_text(encoding="utf-8")
    assert "What groups differ by" in page
