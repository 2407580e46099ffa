from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from invariantnets.analysis.norm import describe_norm, describe_recognition
from invariantnets.features.table import FeatureTable
from invariantnets.figures.recognition import (
    correlation_figure,
    curve_figure,
    entropy_figure,
    norm_figures,
    protocol_figures,
    rank_figure,
)
from invariantnets.nuisance import Nuisance
from invariantnets.protocols import run_protocols
from invariantnets.results.result import Result, read_jsonl, to_jsonl


def measured(seed: int = 0, similarities: tuple[str, ...] = ("cosine",)) -> list[Result]:
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(24), 5)
    x = np.maximum(rng.normal(size=(24, 12))[label] + rng.normal(size=(120, 12)), 0).astype(np.float32)
    columns = {"blur": rng.random(120), "place": label % 3.0}
    nuisances = (Nuisance("blur"), Nuisance("place", "categorical", "", ("a", "b", "c")))
    entropy = (5 - x.sum(1) / 4).astype(np.float32)
    table = FeatureTable(
        {"F7": x}, label, np.full(120, "test"), np.arange(120), columns, nuisances, 24, entropy=entropy
    )
    found = run_protocols(table, "F7", seed=seed, similarities=similarities, bootstrap=20)
    return found + describe_norm(table, "F7") + describe_recognition(table, "F7")


def test_everything_is_drawn_from_results_that_were_on_disk(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text(to_jsonl(measured()))
    results = read_jsonl(tmp_path / "results.jsonl")
    drawn = [*protocol_figures({"": [results]}), *norm_figures(results)]
    assert [file for file, figure, _, _ in drawn if figure is not None] == [
        "verification.svg",
        "closed_set.svg",
        "open_set.svg",
        "norm_entropy.svg",
        "norm_rank.svg",
        "norm_correlation.svg",
    ]
    assert all(title and caption for _, _, title, caption in drawn)


def test_without_results_nothing_is_drawn() -> None:
    assert not any(figure for _, figure, _, _ in (*protocol_figures({"": [[]]}), *norm_figures([])))


@pytest.mark.parametrize(
    ("groups", "similarities", "names"),
    [
        (("",), ("cosine",), ["cosine"]),
        (("",), ("cosine", "inner_product"), ["cosine", "normalised inner product"]),
        (("narrow", "wide"), ("cosine",), ["narrow", "wide"]),
    ],
)
def test_legends_name_what_differs(groups, similarities, names) -> None:
    runs = {name: [measured(seed, similarities)] for seed, name in enumerate(groups)}
    for _, figure, _, _ in list(protocol_figures(runs))[:3]:
        assert [t.get_text() for t in figure.legends[0].get_texts()] == [*names, "chance"]


def test_curves_are_the_numbers_in_per_cent() -> None:
    results = measured()
    figure = curve_figure({"cosine": ([results], "closed_set/cosine")}, "cmc", "rank", ("rank", "found (%)"))
    line, chance = figure.axes[0].lines
    rows = [r for r in results if r.metric == "cmc"]
    assert line.get_ydata() == pytest.approx([100 * r.value for r in rows])
    assert chance.get_ydata() == pytest.approx([100 * (k + 1) / 24 for k in range(24)])


def test_seeds_are_averaged() -> None:
    runs = [measured(0), measured(1)]
    figure = curve_figure({"a": (runs, "verification/cosine")}, "tar", "far", ("", ""))
    values = np.array([[100 * r.value for r in run if r.metric == "tar"] for run in runs])
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx(values.mean(0))


def test_norm_figures_show_their_numbers() -> None:
    results = measured()
    entropy = [r.value for r in results if r.metric == "mean_entropy"]
    assert entropy_figure(results).axes[0].lines[0].get_ydata() == pytest.approx(entropy)
    ranks = [r for r in results if r.probe == "retrieval_rank" and r.metric == "mean_norm"]
    ticks = [t.get_text() for t in rank_figure(results).axes[0].get_xticklabels()]
    assert [t.partition("\n")[0] for t in ticks] == [r.where["rank"] for r in ranks]
    names = {t.get_text() for t in correlation_figure(results).axes[0].get_yticklabels()}
    assert names == {"prediction entropy", "retrieval rank", "blur", "place: a", "place: b", "place: c"}


def test_an_undefined_correlation_has_no_row() -> None:
    results = [replace(r, value=float("nan")) if r.probe == "blur" else r for r in measured()]
    names = {t.get_text() for t in correlation_figure(results).axes[0].get_yticklabels()}
    assert "blur" not in names and "prediction entropy" in names
