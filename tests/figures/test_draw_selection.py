from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from invariantnets.bootstrapping.selection import Selection, select
from invariantnets.data import renderer
from invariantnets.errors import InvariantNetsError
from invariantnets.figures.selection import (
    NEAREST,
    SEEDS,
    draw_selection,
    overlap_figure,
    random_similarity,
    sheet_figure,
    shown_identities,
    similarity_figure,
)


def made(normals: np.ndarray, seeds: int = 10, k: int = 20) -> Selection:
    return select(normals, seeds=seeds, k=k, rng=np.random.default_rng(0), checkpoint="net", pool="pool")


@pytest.fixture(scope="module")
def normals() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(200, 6)).astype(np.float32)


def blank(selection: Selection) -> np.ndarray:
    """Faces that are flat, each as bright as the number of its identity."""
    shown = shown_identities(selection).astype(np.uint8)
    return np.broadcast_to(shown[:, None, None, None], (len(shown), 3, 4, 4))


def test_rows_are_seeds_then_look_alikes_with_their_cosine(normals):
    selection = made(normals)
    (axes,) = sheet_figure(selection, blank(selection)).axes
    people = np.reshape([int(image.get_array()[0, 0, 0]) for image in axes.images], (SEEDS, -1))
    text = {t.get_position(): t.get_text() for t in axes.texts}
    ranks = [1, 2, 3, 4, 5, 10, 19]
    assert [label for (_, y), label in text.items() if y < 0] == ["seed", *(f"rank {r}" for r in ranks)]
    below = np.reshape([label for (_, y), label in text.items() if y > 0], people.shape)
    unit = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    for shown, label, seed in zip(people, below, selection.seed[:SEEDS], strict=True):
        nearest = np.argsort(-(unit @ unit[seed]), kind="stable")  # the seed itself, then look-alikes
        assert list(shown) == [seed, *nearest[ranks]]
        assert list(label) == [f"no. {seed}", *(f"{unit[i] @ unit[seed]:.2f}" for i in shown[1:])]
    assert len(ranks) == NEAREST + 2


@pytest.mark.parametrize("k", [1, 2, 4])
def test_few_look_alikes_are_shown_once_each(normals, k):
    selection = made(normals, seeds=2, k=k)
    assert len(sheet_figure(selection, blank(selection)).axes[0].images) == 2 * k


def test_random_pairs_have_the_cosines_of_random_pairs():
    normals = np.zeros((50, 3), np.float16)
    normals[:4] = [[2, 0, 0], [0, 3, 0], [0, 0, 1], [-1, 0, 0]]
    found = random_similarity(normals, np.random.default_rng(0), pairs=40_000)
    # Of 12 ordered pairs of different people with a hyperplane, two are opposite and the others orthogonal.
    assert set(found) == {0.0, -1.0}
    assert len(found) == pytest.approx(40_000 * 12 / 50**2, rel=0.2)
    assert np.mean(found == -1) == pytest.approx(1 / 6, abs=0.07)


def test_histograms_count_everybody_but_the_seeds_themselves(normals):
    selection = made(normals)
    chance = random_similarity(normals, np.random.default_rng(0), 500)
    (axes,) = similarity_figure(selection, chance).axes
    heights = {patch.get_label(): patch.get_data() for patch in axes.patches}
    random, selected, nearest = heights.values()
    assert list(heights) == [
        f"random pairs (n = {len(chance)})",
        "selected (n = 190)",
        "the nearest of each seed (n = 10)",
    ]
    for data, values in (
        (random, chance),
        (selected, selection.similarity[:, 1:]),
        (nearest, selection.similarity[:, 1]),
    ):
        assert data.values.sum() == pytest.approx(100)
        middle = (data.edges[1:] + data.edges[:-1]) / 2
        assert middle @ data.values / 100 == pytest.approx(values.mean(), abs=np.diff(data.edges).max())


def test_overlap_is_symmetric_and_groups_what_belongs_together():
    rng = np.random.default_rng(0)
    centre = np.repeat(10 * np.eye(2, 5), 30, axis=0)
    selection = made((centre + rng.normal(size=(60, 5))).astype(np.float32), seeds=12, k=15)
    image = overlap_figure(selection).axes[0].images[0].get_array().filled(np.nan)
    assert np.array_equal(image, image.T, equal_nan=True) and np.isnan(np.diag(image)).all()
    strangers = image == 0  # of the other of the two groups: they stand in two corners
    first = int(strangers[0].argmax())
    assert 0 < first < 12 and strangers[:first, first:].all() and not strangers[:first, :first].any()
    assert np.nanmax(image) == 100 * (selection.overlap() - 15 * np.eye(12)).max() / 15


def test_files_and_their_list(normals, tmp_path):
    selection = made(normals)
    for name in "ab":
        draw_selection(selection, blank(selection), np.linspace(-1, 1, 9), tmp_path / name)
    listed = json.loads((tmp_path / "a" / "figures.json").read_text(encoding="utf-8"))
    files = {"selection_sheet.png", "selection_similarity.svg", "selection_overlap.png"}
    assert {entry["file"] for entry in listed} == files
    assert "8 of 10 seeds" in listed[0]["caption"]
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    draw_selection(made(normals, seeds=1), blank(made(normals, seeds=1)), np.linspace(-1, 1, 9), tmp_path / "one")
    assert not (tmp_path / "one" / "selection_overlap.png").exists()


def test_a_face_too_few(normals, tmp_path):
    selection = made(normals)
    with pytest.raises(InvariantNetsError, match=r"pictures for \d+ identities"):
        draw_selection(selection, blank(selection)[1:], np.zeros(1), tmp_path)


def test_rendered_people(tmp_path):
    """Neighbours by the identity's own code stand in for hyperplanes: the sheet shows the faces that they belong to."""
    number = torch.arange(40)
    codes = renderer.identity(0, number)
    selection = made(codes.numpy(), seeds=2, k=4)
    shown = torch.from_numpy(shown_identities(selection))
    drawn = renderer.nuisances(renderer.check_ranges({}), 0, shown, torch.zeros_like(shown), codes[shown])
    faces = renderer.render(codes[shown], renderer.frontal(drawn), 24).image.numpy()
    images = sheet_figure(selection, faces).axes[0].images
    for line, seed in enumerate(selection.seed.tolist()):
        expected = faces[shown.tolist().index(seed)].transpose(1, 2, 0)
        assert np.array_equal(images[4 * line].get_array(), expected)
