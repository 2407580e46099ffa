"""Networks of others through the program: their numbers, and what is set beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from onnx_files import exported, small

from invariantnets.foreign import timm
from invariantnets.results.result import read_jsonl
from invariantnets.results.runs import read_run
from programs import RIDGE, run

TINY = (
    "data=rotated_digits", "data.classes=[0,1,2]", "data.num_classes=3", "data.angles=[-40,0,40]", "probe_images=60",
    *RIDGE, "hydra.run.dir=out",
)  # fmt: skip


def strongest(folder: Path, subject: str) -> dict[str, float]:
    return {
        r.layer: r.value
        for r in read_jsonl(folder / "results.jsonl")
        if (r.target, r.probe, r.metric, r.subject) == ("angle", "strongest", "r2", subject)
    }


@pytest.mark.slow
def test_random_weights_and_pixels_are_columns(tmp_path: Path) -> None:
    torch.save(timm("test_resnet", seed=5).network.state_dict(), tmp_path / "weights.pth")
    words = ("backbone=timm", "backbone.name=test_resnet", "backbone.weights=weights.pth", "backbone.image_size=32")
    run("evaluate.py", *words, *TINY, "layers=[layer1,global_pool]", cwd=tmp_path)
    folder = tmp_path / "out"
    assert set(strongest(folder, "")) == set(strongest(folder, "random weights")) == {"layer1", "global_pool"}
    (pixels,) = strongest(folder, "pixels").values()
    assert 0.5 < pixels < 1
    found = read_run(folder)
    assert {r.subject for r in found.results} == {""} and {r.subject for r in found.beside} == {
        "random weights",
        "pixels",
    }
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Beside random weights and pixels" in page and f"{pixels:.2f}"[:4] in page
    record = json.loads((folder / "provenance.json").read_text())["config"]["network"]
    assert record["library"] == "timm" and record["preprocessing"]["crop"] == 0.95


@pytest.mark.slow
def test_onnx_has_no_random_weights_and_says_so(tmp_path: Path) -> None:
    exported(small(), tmp_path / "small.onnx")
    words = ("backbone=onnx", "backbone.path=small.onnx", "backbone.mean=0.5", "backbone.std=0.5")
    out, _ = run("evaluate.py", *words, *TINY, "layers=all", cwd=tmp_path)
    said = "no random weights are set beside this network: how they are drawn is not known"
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert said in out and said in page
    assert len(strongest(tmp_path / "out", "")) == 5 and not strongest(tmp_path / "out", "random weights")
    assert list(strongest(tmp_path / "out", "pixels")) == ["pixels"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("beside=[noise]",), "there is no 'noise'; choose from random, pixels, or []"),
        (("layers=[scored]",), "there is no layer 'scored' in this network; did you mean scores"),
        (("backbone.mean=null",), "an ONNX file does not say how its pictures are prepared"),
    ],
)
def test_mistakes_are_found_before_the_work(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    exported(small(), tmp_path / "small.onnx")
    onnx = ("backbone=onnx", "backbone.path=small.onnx", "backbone.mean=0.5", "backbone.std=0.5")
    _, err = run("evaluate.py", *onnx, *TINY, *words, cwd=tmp_path, code=2)
    assert message in err.splitlines()[-1]


def test_a_module_of_the_current_folder_named_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "class Means:\n    layer_names, embedding, classifier = ['rows'], 'rows', None\n\n"
        "    def features(self, image, names):\n        return {'rows': image.float().mean(3).flatten(1)}\n"
    )
    run("evaluate.py", "backbone=module", "backbone.target=mine:Means", *TINY, "beside=[]", cwd=tmp_path)
    results = read_jsonl(tmp_path / "out" / "results.jsonl")
    assert {(r.layer, r.subject) for r in results} == {("rows", "")}
    assert strongest(tmp_path / "out", "")["rows"] > 0.1, "a turned digit has other rows"
    assert "<h2>Beside" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
