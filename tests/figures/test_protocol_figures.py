from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from invariantnets.figures import Scene, norm, protocols
from invariantnets.results.result import read_jsonl, to_jsonl


def test_everything_is_drawn_from_results_that_were_on_disk(measured, drawn, run_scene, tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text(to_jsonl(measured()))
    scene = run_scene(read_jsonl(tmp_path / "results.jsonl"))
    assert [d.file for d in (*drawn(protocols.draw, scene), *drawn(norm.draw, scene))] == [
        "verification.svg",
        "closed_set.svg",
        "open_set.svg",
        "norm_entropy.svg",
        "norm_rank.svg",
        "norm_correlation.svg",
    ]


@pytest.mark.parametrize(
    ("groups", "similarities", "names"),
    [
        (("",), ("cosine",), ["cosine"]),
        (("",), ("cosine", "inner_product"), ["cosine", "normalised inner product"]),
        (("narrow", "wide"), ("cosine",), ["narrow", "wide"]),
    ],
)
def test_legends_name_what_differs(measured, drawn, groups, similarities, names) -> None:
    scene = Scene({name: [measured(seed, similarities)] for seed, name in enumerate(groups)})
    for _, figure, *_ in drawn(protocols.draw, scene):
        assert [t.get_text() for t in figure.legends[0].get_texts()] == [*names, "chance"]


def test_curves_are_the_numbers_in_per_cent(measured, run_scene, drawn) -> None:
    results = measured()
    closed = next(d for d in drawn(protocols.draw, run_scene(results)) if d.file == "closed_set.svg")
    line, chance = closed.figure.axes[0].lines
    rows = [r for r in results if r.metric == "cmc"]
    assert line.get_ydata() == pytest.approx([100 * r.value for r in rows])
    assert chance.get_ydata() == pytest.approx([100 * (k + 1) / 24 for k in range(24)])


def test_seeds_are_averaged(measured, drawn) -> None:
    runs = [measured(0), measured(1)]
    figure = drawn(protocols.draw, Scene({"a": runs}))[0].figure
    values = np.array([[100 * r.value for r in run if r.metric == "tar"] for run in runs])
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx(values.mean(0))
