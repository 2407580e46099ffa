"""What neurons see: theorems of the deconvnet, a slow reference of the top pictures, and what S must be."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invariantnets.backbones import LayeredBackbone, LocallyConnected2d, lenet
from invariantnets.data import RotatedImages
from invariantnets.errors import InvariantNetsError
from invariantnets.inspection import Neurons, Specimen
from invariantnets.inspection.deconvnet import Projected, as_neurons, project
from invariantnets.inspection.neuron_layers import neuron_layers
from invariantnets.inspection.sheets import alike, arranged, grid, patches_read, sheet_of
from invariantnets.inspection.similarity import (
    interval_of_mean,
    mean_similarity,
    similarity,
    similarity_by_chance,
)
from invariantnets.inspection.top import Top
from invariantnets.randomness import numpy_rng
from specimens import Plain, bytes_of, drawn, looked, three_digits


def test_the_top_pictures_are_those_of_sorting_all_of_them() -> None:
    x = drawn(37, 5, 6)
    top = Top(5, 4, torch.tensor([3, 0]))
    for part in x.split(8):
        top.add(part)
    values, places = x.max(2)
    expected = values.T.sort(dim=1, descending=True)
    torch.testing.assert_close(top.value, expected.values[:, :4])
    assert torch.equal(top.picture, expected.indices[:, :4])
    assert torch.equal(top.place, places.T.gather(1, top.picture))
    assert torch.equal(top.fired, (values > 0).sum(0))
    torch.testing.assert_close(top.spread(), values.clamp(min=0).double().std(0, correction=0))
    torch.testing.assert_close(top.all_of_followed(), values[:, [3, 0]].T)


def test_similarity_by_its_definition() -> None:
    x = np.maximum(numpy_rng(0).normal(size=(6, 40)), 0)
    x[4] = 0
    x[5] = 3 * x[1]
    found = similarity(x, 7)
    best = [set(np.argsort(-row)[:7]) for row in x]

    def half(i: int, j: int) -> float:
        return float(sum(x[i, p] for p in best[j]) / sum(x[i, p] for p in best[i]))

    for i, j in ((0, 1), (2, 3), (1, 5)):
        assert found[i, j] == pytest.approx((half(i, j) + half(j, i)) / 2)
    alive = np.delete(np.arange(6), 4)
    inside = found[np.ix_(alive, alive)]
    assert np.allclose(np.diag(inside), 1) and np.array_equal(inside, inside.T)
    assert inside.min() >= 0 and inside.max() <= 1 + 1e-12 and found[1, 5] == pytest.approx(1)
    assert np.isnan(found[4]).all() and np.isnan(found[:, 4]).all()


def test_the_order_of_pictures_says_nothing() -> None:
    """Also where neurons fire for fewer pictures than are taken."""
    rng = numpy_rng(1)
    x = np.maximum(rng.normal(size=(8, 60)) - 1.5, 0)
    assert ((x > 0).sum(1) < 10).any()
    assert np.allclose(similarity(x, 10), similarity(x[:, rng.permutation(60)], 10), equal_nan=True)


def test_chance_is_what_shuffling_gives() -> None:
    rng = numpy_rng(2)
    x = np.maximum(rng.normal(size=(4, 100)), 0)
    shuffled = np.mean([similarity(rng.permuted(x, axis=1), 10) for _ in range(300)], axis=0)
    assert np.abs(shuffled - similarity_by_chance(x, 10)).max() < 0.02


def test_the_interval_of_the_mean_holds_what_more_draws_say() -> None:
    """Of 60 samples of 300 pictures, the mean S over all samples lies in nine of ten intervals or more."""
    mix = numpy_rng(3).normal(size=(8, 12))

    def sample(seed: int) -> np.ndarray:
        return np.maximum(numpy_rng(4, seed).normal(size=(300, 8)) @ mix, 0).T

    means, inside = [mean_similarity(similarity(sample(i), 15)) for i in range(60)], 0
    for i in range(60):
        low, high = interval_of_mean(sample(i), 15, np.arange(300), numpy_rng(5, i))
        assert low is not None and high is not None
        inside += low <= np.mean(means) <= high
    assert inside >= 53
    assert interval_of_mean(sample(0), 15, np.arange(300) % 10, numpy_rng(0)) == (None, None)


def test_projections_are_as_alike_as_their_cosines_say() -> None:
    one, other = drawn(4, 1, 3, 3, seed=1), drawn(2, 1, 3, 3, seed=2)
    one[3] = 0  # nothing came back: it has no direction
    a, b = (x.flatten(1).numpy() for x in (one[:3], other))
    found = alike(one, other)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    assert found[0] == pytest.approx(np.mean([unit[0][i] @ unit[0][j] for i, j in ((0, 1), (0, 2), (1, 2))]), abs=1e-5)
    assert found[1] == pytest.approx((unit[0] @ unit[1].T).mean(), abs=1e-5)
    assert np.isnan(alike(one[:1], other)[0])


def test_a_neuron_reads_the_patch_under_its_place_with_zeros_beyond_the_border() -> None:
    convolution = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    nn.init.constant_(convolution.weight, 1.0)
    pictures = torch.zeros(2, 1, 5, 5, dtype=torch.uint8)
    pictures[0, 0, 0, 0], pictures[1, 0, 2, 2] = 8, 9
    number, place = torch.zeros(2, dtype=torch.int64), torch.tensor([0, 12])
    found = project(Plain(lambda x: F.relu(convolution(x)), convolution), "a", pictures, number, place)
    assert found.read is not None
    read = patches_read(replace(found, read=found.read.detach()))
    assert read.tolist() == [[0, 0, 0, 0, 8, 0, 0, 0, 0], [0, 0, 0, 0, 9, 0, 0, 0, 0]]
    sheet = sheet_of(pictures, found, 0)
    assert sheet.patch.shape == sheet.projection.shape == (2, 3, 3, 1)
    assert sheet.patch[1, 1, 1, 0] == 9 and sheet.projection.min() == 128 and sheet.empty == 0


def test_what_hardly_counts_is_cut_off() -> None:
    projection = torch.zeros(1, 1, 20, 20)
    projection[0, 0, 5:9, 6:12], projection[0, 0, 0, 0], projection[0, 0, 19, 19] = 1, 0.1, 0.1
    nothing = Projected(torch.cat([projection, 0 * projection]), None, None, 0, frozenset())
    sheet = sheet_of(bytes_of(2, 1, 20, 20), nothing, 0)
    assert sheet.patch.shape == (2, 4, 6, 1) and sheet.empty == 1


def test_likes_lie_together_each_in_a_cell_of_its_own() -> None:
    x = numpy_rng(0).normal(size=(20, 30)) + 8 * (np.arange(20) % 2)[:, None]
    cells = grid(arranged(x, 0), 20)
    assert len(np.unique(cells, axis=0)) == 20
    ways = np.linalg.norm(cells[:, None] - cells[None], axis=2)
    same = (np.arange(20)[:, None] - np.arange(20)[None]) % 2 == 0
    assert ways[same & (ways > 0)].mean() < 0.8 * ways[~same].mean()
    assert arranged(x[:4], 0) is None and arranged(np.ones((9, 3)), 0) is None
    assert grid(None, 3).tolist() == [[0, 0], [0, 1], [0, 2]]


@pytest.fixture(scope="module")
def images() -> RotatedImages:
    return three_digits()


def test_of_a_small_network_all_is_found(images: RotatedImages) -> None:
    torch.manual_seed(0)
    network = lenet(num_classes=3, embedding_dim=30)
    linear = network.layers["ip1"][1]
    assert isinstance(linear, nn.Linear)
    with torch.no_grad():
        linear.weight[5], linear.bias[5] = 0, -1  # one that never fires
    kept: dict[str, Any] = {}
    found = looked(network, images, Neurons(rows=60, top=10, neurons={"ip1": [5, 7]}, sheets=2), kept)
    of = {(r.target, r.metric): r for r in found if not r.where}
    assert of["conv1", "neurons"].value == 20 and of["ip1", "neurons"].value == 30
    assert of["ip1", "dead_fraction"].value >= 1 / 30
    one = of["ip1", "similarity"]
    assert one.low is not None and one.high is not None and one.low < one.value < one.high and one.chance is not None
    assert 0 < one.chance < 1 and 0 < one.value < 1
    fires = {r.where["neuron"]: r.value for r in found if r.metric == "fires_for" and r.target == "ip1"}
    assert fires["5"] == 0 < fires["7"]
    assert "ip1, neuron 5 never fires" in " ".join(r.note for r in found)
    cosines = [r for r in found if r.metric == "projection_cosine"]
    assert {r.target for r in cosines} == {"ip1", "ip2"} and all(r.n == 10 and -1 <= r.value <= 1 for r in cosines)
    arrays = kept["neurons"]
    titles = arrays["sheets"][:, 1].tolist()
    assert [t.partition(":")[0] for t in titles if t.startswith("ip1")] == ["ip1, neuron 7"]
    assert len(titles) == 2 + 2 + 2 + 2 + 1 + 2  # two of each layer, but of ip1 one
    whole = arrays[f"{len(titles) - 3}_patch"]
    assert len(whole) == 10 and min(whole.shape[1:3]) > 20  # ip1 reaches nearly the whole picture
    conv = arrays["0_patch"]
    assert conv.shape == (10, 5, 5, 1)


def test_a_network_without_gradients_has_no_sheets(images: RotatedImages) -> None:
    class Foreign:
        layer_names, embedding, classifier = ("input", "a"), "a", None

        def features(self, image: Tensor, names: Collection[str]) -> dict[str, Tensor]:
            return {name: image.flatten(1).float()[:, 300:420] for name in names}

    kept: dict[str, Any] = {}
    found = looked(Foreign(), images, Neurons(rows=30, top=5), kept)
    assert any("no sheets: into ONNX and TorchScript" in r.note for r in found)
    assert any(r.metric == "similarity" for r in found) and len(kept["neurons"]["sheets"]) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch now prefers torch.export
        scripted = torch.jit.trace(nn.Sequential(nn.Flatten(), nn.ReLU()), torch.zeros(1, 1, 28, 28))
    found = looked(Plain(scripted, scripted), images, Neurons(rows=30, top=5))
    assert any("no sheets" in r.note for r in found)


@pytest.mark.parametrize(
    ("look", "said"),
    [
        (Neurons(rows=30), r"the top 50 of 30 test pictures say nothing; give more pictures, or .*top=15"),
        (
            Neurons(top=5, neurons={"conv1": [20]}),
            r"neurons\.conv1: there is no neuron 20; it has 20, numbered 0 to 19",
        ),
        (Neurons(top=5, neurons={"C1": [0]}), r"'C1' is none of the layers looked into, conv1, pool1"),
        (Neurons(top=5, layers=["input"]), "the input has no neurons"),
    ],
)
def test_what_cannot_be_is_one_line(look: Neurons, said: str, images: RotatedImages) -> None:
    with pytest.raises(InvariantNetsError, match=said) as caught:
        looked(lenet(num_classes=3, embedding_dim=8), images, look)
    assert "\n" not in str(caught.value)


def test_which_numbers_are_neurons() -> None:
    x = drawn(2, 3, 4, 5)
    assert as_neurons(x, False).shape == (2, 3, 20) and as_neurons(x, True).shape == (2, 60, 1)
    assert as_neurons(x[..., 0], False).shape == (2, 4, 3) and as_neurons(x[:, :, 0, 0], False).shape == (2, 3, 1)
    network = LayeredBackbone(
        {
            "C1": nn.Conv2d(1, 2, 3),
            "L2": nn.Sequential(LocallyConnected2d(2, 2, 6, 3), nn.ReLU()),
            "P3": nn.MaxPool2d(2),
            "C4": nn.Conv2d(2, 3, 1),
            "F5": nn.Sequential(nn.Flatten(), nn.Linear(12, 4)),
        },
        "F5",
        "F5",
    )
    specimen = Specimen(None, network, None, network.layer_names)  # type: ignore[arg-type]
    found = neuron_layers(specimen, "neurons", None, None, bytes_of(1, 1, 8, 8))
    assert {one.name: one.neurons for one in found} == {"C1": 2, "L2": 32, "P3": 8, "C4": 3, "F5": 4}
    assert found[1].told(23) == "23 (channel 1 at row 1, column 3)" and found[0].told(1) == "1"
