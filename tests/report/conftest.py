from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from html import unescape
from pathlib import Path

import pytest

from invariantnets.figures import draw_run
from invariantnets.results.result import Result, to_jsonl


@pytest.fixture
def plain() -> Callable[[str], str]:
    """The text of a page, as it is read: without tags, every space a plain one."""

    def text(html: str) -> str:
        return re.sub(r"\s+", " ", unescape(re.sub(r"<style>.*?</style>|<[^>]*>", "", html, flags=re.S)))

    return text


@pytest.fixture
def make_run(make_results, tmp_path) -> Callable[..., Path]:
    """A folder as ``evaluate.py`` leaves it, with made-up results."""

    def make(
        folder: str,
        model: str = "lenet",
        seed: int = 1,
        extra: tuple[str, ...] = (),
        name: str = "",
        draw: bool = True,
        data: str = "rotated_mnist",
        backbone: Mapping[str, int] | None = None,
        found: Sequence[Result] | None = None,
        config: Mapping[str, object] | None = None,
        **results,
    ) -> Path:
        path = tmp_path / folder
        path.mkdir(parents=True)
        found = make_results(seed=seed, **results) if found is None else found
        (path / "results.jsonl").write_text(to_jsonl(found), encoding="utf-8")
        record = {
            "name": name or f"{model} on {data}",
            "model": model,
            "data": data,
            "seed": seed,
            "overrides": [f"model={model}", f"data={data}", f"seed={seed}", *extra],
            "units": {"angle": "°"},
            "config": {"seed": seed, "model": {"backbone": backbone or {"embedding_dim": 500}}, **(config or {})},
            "versions": {"python": "3.11.7", "torch": "2.15.0"},
            "commit": "0123abc",
            "data_checksum": {
                "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
            },
            "checkpoint": "checkpoints/best.ckpt",
            "started": "2026-01-31T12:00:00+00:00",
            "seconds": 12.34,
            "command": "python train.py",
        }
        (path / "provenance.json").write_text(json.dumps(record), encoding="utf-8")
        if draw:
            draw_run(found, None, found[-1].layer, path / "figures")
        return path

    return make
