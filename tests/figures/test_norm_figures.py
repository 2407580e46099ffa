from __future__ import annotations

from dataclasses import replace

import pytest

from invariantnets.figures.norm import correlation_figure, entropy_figure, rank_figure


def test_norm_figures_show_their_numbers(measured) -> None:
    results = measured()
    entropy = [r.value for r in results if r.metric == "mean_entropy"]
    assert entropy_figure(results).axes[0].lines[0].get_ydata() == pytest.approx(entropy)
    ranks = [r for r in results if r.probe == "retrieval_rank" and r.metric == "mean_norm"]
    ticks = [t.get_text() for t in rank_figure(results).axes[0].get_xticklabels()]
    assert [t.partition("\n")[0] for t in ticks] == [r.where["rank"] for r in ranks]
    names = {t.get_text() for t in correlation_figure(results).axes[0].get_yticklabels()}
    assert names == {"prediction entropy", "retrieval rank", "blur", "place: a", "place: b", "place: c"}


def test_an_undefined_correlation_has_no_row(measured) -> None:
    results = [replace(r, value=float("nan")) if r.probe == "blur" else r for r in measured()]
    names = {t.get_text() for t in correlation_figure(results).axes[0].get_yticklabels()}
    assert "blur" not in names and "prediction entropy" in names
