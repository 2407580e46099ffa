"""Maps by t-SNE: neighbours against scikit-learn, what they tell against a slow version, and known truths."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from invariantnets import FeatureTable, run_suite
from invariantnets.analysis import Material, Tsne
from invariantnets.errors import InvariantNetsError
from invariantnets.evaluation import Evaluation
from invariantnets.figures.drawing import Scene
from invariantnets.figures.tsne import draw
from invariantnets.randomness import numpy_rng
from invariantnets.results import Result
from invariantnets.statistics.neighbours import neighbours_elsewhere

IMAGES, VARIANTS = 120, 3


def variants() -> FeatureTable:
    """Three variants of each image, alike; ``place`` is in the features, ``tag`` is drawn for each image, ``side``
    goes with the place, and of every fifth image the place is unknown."""
    rng = numpy_rng(0, 1)
    source = np.repeat(np.arange(IMAGES), VARIANTS)
    place, tag = rng.random(IMAGES)[source], rng.random(IMAGES)[source]
    x = np.stack([10 * place, np.sin(10 * place)], 1) @ rng.normal(size=(2, 12))
    x = x + 0.1 * rng.normal(size=(IMAGES, 12))[source] + 0.01 * rng.normal(size=(len(source), 12))
    return FeatureTable.from_arrays(
        x.astype(np.float32), label=source % 2, source=source, split=np.full(len(source), "test"),
        place=np.where(source % 5, place, np.nan), tag=tag, side=np.where(place > 0.5, "right", "left"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return run_suite(variants(), [], analyses=[Tsne(perplexity=15)], protocols=None)


def of(results: list[Result], target: str, space: str, images: str = "all") -> Result:
    (one,) = [
        r
        for r in results
        if r.about == "analysis" and (r.target, r.probe, r.where["images of"]) == (target, f"tsne/{space}", images)
    ]
    return one


def test_neighbours_are_those_of_scikit_learn_but_for_their_own_source() -> None:
    rng = numpy_rng(1)
    x, source = rng.normal(size=(90, 5)).astype(np.float32), rng.integers(0, 25, 90)
    near = neighbours_elsewhere(x, source, 7)
    for row in range(90):
        others = np.flatnonzero(source != source[row])
        expected = NearestNeighbors(n_neighbors=7, algorithm="brute").fit(x[others]).kneighbors(x[row : row + 1])[1][0]
        assert near[row].tolist() == others[expected].tolist()


def test_what_neighbours_tell_agrees_with_a_slow_version(found: Evaluation) -> None:
    table = variants()
    x = table.features["features"].astype(np.float64)
    for target in ("place", "tag", "side"):
        value, right, error, around = table.nuisance[target], [], 0.0, 0.0
        known = np.isfinite(value)
        middle = value[known].mean()
        for row in np.flatnonzero(known):
            others = np.flatnonzero(table.source != table.source[row])
            near = others[np.argsort(((x[others] - x[row]) ** 2).sum(1), kind="stable")[:10]]
            said = value[near][np.isfinite(value[near])]
            error += (value[row] - said.mean()) ** 2
            around += (value[row] - middle) ** 2
            votes = [(said == v).sum() for v in said]
            right.append(said[int(np.argmax(votes))] == value[row])
        expected = np.mean(right) if target == "side" else 1 - error / around
        assert of(found.results, target, "features").value == pytest.approx(expected, abs=1e-6)
        assert of(found.results, target, "features").n == known.sum()


def test_what_is_there_is_told_and_what_is_not_is_chance(found: Evaluation) -> None:
    for space in ("features", "map"):
        place, tag, side = (of(found.results, target, space) for target in ("place", "tag", "side"))
        assert place.value > 0.9 and side.value > 0.9 and side.metric == "accuracy"
        # The variants of an image have its tag, and would tell it; those of other images do not.
        assert abs(tag.value - tag.chance) < 0.12 and tag.low < 0
        assert -0.2 < tag.chance < -0.05  # a mean of ten unrelated values errs by a tenth more than that of all
        assert tag.sources == 2  # two "people"
    one = of(found.results, "place", "features", "0")
    assert one.value > 0.8 and one.sources == 48 and "over images" in one.note  # 60 images, 12 of unknown place


def test_the_map_is_as_the_seed_says_and_of_drawn_sources() -> None:
    table, kept = variants(), []
    for seed in (0, 0, 1):
        material = Material(table, "features", seed, keep=lambda name, arrays: kept.append(arrays))
        results = Tsne(rows=200, identity="none", perplexity=10)(material)
    assert np.array_equal(kept[0]["map"], kept[1]["map"]) and not np.array_equal(kept[0]["map"], kept[2]["map"])
    assert len(kept[0]["map"]) == 198 and "198 of 360 test images, drawn by source" in results[0].note
    assert "one_map" not in kept[0]


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"perplexity": 1.0}, "analysis.tsne.perplexity=1.0: more than 1"),
        ({"identity": "Bob"}, "identity=Bob: nobody of test is called so; who has most images is '0'"),
        ({"rows": 10}, "a map takes 20 test rows, and there are 10"),
    ],
)
def test_what_cannot_be_mapped_is_one_line(knobs: dict[str, Any], said: str) -> None:
    with pytest.raises(InvariantNetsError, match=said):
        Tsne(**knobs)(Material(variants(), "features"))


def test_tables_of_which_nothing_is_known() -> None:
    table = variants()
    bare = replace(table, label=np.zeros_like(table.label), num_classes=1, nuisance={}, nuisances=())
    with pytest.raises(InvariantNetsError, match="nothing is known of the images that differs"):
        Tsne()(Material(bare, "features"))
    with pytest.raises(InvariantNetsError, match="all 360 images are of one source"):
        Tsne()(Material(replace(table, source=np.zeros(360, int)), "features"))
    blank = replace(table, features={"features": np.ones((360, 3), np.float32)})
    with pytest.raises(InvariantNetsError, match="all features are constant"):
        Tsne()(Material(blank, "features"))
    few = table.rows(np.arange(30))
    results = Tsne()(Material(replace(few, label=np.arange(30), num_classes=30), "features"))
    assert "no map of one person: 20 images are needed, and there are 1 of who has most" in results[0].note


def test_the_figures_show_the_map_with_its_numbers(found: Evaluation) -> None:
    scene = Scene({"": [found.results]}, layer=found.layer, table=found.table, arrays=found.arrays)
    every, one = draw(scene)
    panels = [axes for axes in every.figure.axes if axes.get_title()]
    assert {axes.get_title().partition("\n")[0] for axes in panels} == {"place", "side", "tag"}
    shown = next(axes for axes in panels if axes.get_title().startswith("place"))
    values = found.arrays["tsne"]["values"][:, found.arrays["tsne"]["names"].tolist().index("place")]
    points = found.arrays["tsne"]["map"][np.isfinite(values)]
    assert np.asarray(shown.collections[1].get_offsets()) == pytest.approx(points)
    told = of(found.results, "place", "map").value
    assert f"{told:.2f} on the map" in shown.get_title()
    assert "Read those numbers first" in every.caption and "image of 0, by t-SNE; 180 of them" in one.caption
