"""What is read and what can be read at most, drawn and said side by side."""

from __future__ import annotations

import pytest

from bounds import bounds_of
from grouped import grouped
from invariantnets.figures import Scene, two_sided
from invariantnets.figures.pareto import pareto_figure
from invariantnets.report.headline import facts, sentences
from invariantnets.report.sweep_headline import sweep_sentences


def coded(results, codes: int, bits: float, most: float):
    return results + bounds_of(results, most, codes=codes, bits=bits)


@pytest.fixture
def groups(make_results):
    return {
        f"net codes={codes}": [coded(make_results(r2, 0.97, seed=seed), codes, bits, r2 + 0.1) for seed in (1, 2)]
        for codes, bits, r2 in ((20, 4.3, 0.1), (10, 3.3, 0.0), (100, 6.6, 0.3))
    }


def test_releases_stand_by_their_bits_with_both_sides(groups, drawn):
    (figure,) = drawn(two_sided.draw, Scene(groups))
    above, below = figure.figure.axes
    accuracy, (read, most) = above.containers[0], below.containers
    assert accuracy[0].get_xdata() == pytest.approx([3.3, 4.3, 6.6])  # in the order of bits
    assert accuracy[0].get_ydata() == pytest.approx([97, 97, 97])
    assert read[0].get_ydata() == pytest.approx([0, 0.1, 0.3]) and most[0].get_ydata() == pytest.approx([0.1, 0.2, 0.4])
    (adjusted,) = (line for line in below.lines if line.get_linestyle() == ":")
    assert adjusted.get_ydata() == pytest.approx([0.05, 0.15, 0.35])
    assert below.get_legend_handles_labels()[1] == ["net"]


def test_one_release_is_no_curve(groups, drawn):
    one = dict(list(groups.items())[:1])
    assert drawn(two_sided.draw, Scene(one)) == []


def test_methods_that_are_told_apart_otherwise_have_curves_of_their_own(groups, drawn):
    both = groups | {name.replace("net", "other"): runs for name, runs in groups.items()}
    (figure,) = drawn(two_sided.draw, Scene(both))
    assert figure.figure.axes[1].get_legend_handles_labels()[1] == ["net", "other"]


def test_a_method_has_a_bar_that_nobody_passes(make_results):
    plain, bound = make_results(0.2, 0.97), coded(make_results(0.1, 0.98), 20, 4.3, 0.15)
    (axes,) = pareto_figure({"a": [plain], "b": [bound]}, "angle").axes
    bars = [line for line in axes.lines if line.get_marker() == "|" and len(line.get_xdata()) == 1]
    assert [line.get_xdata()[0] for line in bars] == pytest.approx([0.15])


def test_the_headline_says_both(make_results):
    results = coded(make_results(0.1, 0.98), 20, 4.3, 0.15)
    (said,) = (text for text in sentences(results, "ip1", {"angle": "°"}) if "however trained" in text)
    assert said == (
        "So released in 20 codes, no reader of these rows, however trained, exceeds R² 0.150 [0.140, 0.160]; without "
        "what so many explain by luck, 0.100 [0.090, 0.110]."
    )
    found = {fact.name: fact.value for fact in facts(results, {})}
    assert found["R² of angle, at most"] == "0.150"
    noisy = make_results(0.1) + bounds_of(make_results(0.1), 0.15, sigma=0.5)
    (said,) = (text for text in sentences(noisy, "ip1", {}) if "however trained" in text)
    assert said == "So with noise of σ 0.5, no reader of these rows, however trained, exceeds R² 0.150 [0.140, 0.160]."


def test_of_a_sweep_the_least_bound_is_named(groups):
    (said,) = (text for text in sweep_sentences(grouped(groups)) if "however trained" in text)
    assert said.startswith("From net codes=10 no reader of the test rows, however trained, exceeds R² 0.100 ± 0.000 of")


def test_where_every_probe_failed_the_bound_is_still_said(make_results):
    results = coded(make_results(0.0, failed=True), 10, 3.3, 0.001)
    assert any("exceeds R² 0.001" in text for text in sentences(results, "ip1", {}))
