"""The figures of tests within people, of deleted units and of nested shares show their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from invariantnets import FeatureTable, run_suite
from invariantnets.analysis import IdentityTests, Nesting, UnitDeletion
from invariantnets.evaluation import Evaluation
from invariantnets.figures.drawing import Scene
from invariantnets.figures.identity_tests import draw, map_figure, roc_figure
from invariantnets.figures.nesting import shares_figure
from invariantnets.figures.unit_deletion import deletion_figure
from invariantnets.randomness import numpy_rng


@pytest.fixture(scope="module")
def found() -> Evaluation:
    rng = numpy_rng(0)
    who = np.repeat(np.arange(20), 24)
    view, hat = rng.normal(size=len(who)), np.tile([0, 1], len(who) // 2)
    x = rng.normal(size=(20, 12))[who] + rng.normal(size=(len(who), 12)) + 2 * hat[:, None] * (who % 2)[:, None]
    table = FeatureTable.from_arrays(x, label=who, division="identity", view=view, hat=hat)
    asked = [IdentityTests(least=6, nuisance="hat", invariant=2), UnitDeletion(draws=3), Nesting(shuffles=3)]
    return run_suite(table, [], analyses=asked, protocols=None)


def test_the_map_is_of_people_and_features(found: Evaluation) -> None:
    arrays = found.arrays["identity_tests_0"]
    figure = map_figure(arrays)
    main, top, right = figure.axes
    np.testing.assert_array_equal(main.images[0].get_array(), arrays["map"])
    assert [t.get_text() for t in main.get_yticklabels()] == arrays["names"].tolist()
    assert [bar.get_height() for bar in top.patches] == pytest.approx(100 * arrays["map"].mean(0))
    assert [bar.get_width() for bar in right.patches[: len(arrays["map"])]] == pytest.approx(
        100 * arrays["map"].mean(1)
    )
    curves = roc_figure(arrays).axes[0].lines
    assert [line.get_label() for line in curves] == [*arrays["groups"], "chance"]
    many = {**arrays, "map": np.tile(arrays["map"], (20, 1)), "null": np.tile(arrays["null"], 20)}
    assert "80 people" in map_figure(many).axes[0].get_ylabel()


def test_curves_are_the_means_over_draws(found: Evaluation) -> None:
    results = [r for r in found.results if r.probe == "unit_deletion"]
    figure, left_out = deletion_figure(results)
    above, below = figure.axes
    assert left_out == 0 and above.get_ylabel() == "AUC" and below.get_ylabel() == "R²"
    identity = {r.where["units"]: r.value for r in results if (r.target, r.metric) == ("identity", "auc")}
    assert above.lines[0].get_label() == "identity"
    assert dict(zip(*above.lines[0].get_data(), strict=True)) == pytest.approx(identity)


def test_bars_add_up_to_all_of_the_variance(found: Evaluation) -> None:
    shown = [r for r in found.results if r.probe == "nesting/each in turn"]
    bars = shares_figure(shown).axes[0].patches
    assert sum(bar.get_width() for bar in bars) == pytest.approx(200)
    assert bars[0].get_width() == pytest.approx(100 * shown[0].value)


def test_all_are_in_the_report(found: Evaluation, tmp_path: Path) -> None:
    page = found.save(tmp_path).read_text(encoding="utf-8")
    assert not found.failed
    for title in ("person by person: hat", "who differ least: hat", "units are deleted", "what varies within"):
        assert title in page
    assert not list(draw(Scene({"": [[]]})))
