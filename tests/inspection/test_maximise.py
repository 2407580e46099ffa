"""Activation maximisation: it finds a maximum that is known, keeps to its range, and says what it cannot do."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from invariantnets.backbones import lenet
from invariantnets.data import RotatedImages
from invariantnets.errors import InvariantNetsError
from invariantnets.inspection import Maximise
from invariantnets.inspection.maximise import _clusters, ascend, roughness
from invariantnets.randomness import numpy_rng
from specimens import looked, three_digits


@pytest.fixture(scope="module")
def images() -> RotatedImages:
    return three_digits()


def test_a_linear_neuron_is_driven_to_the_corners_of_the_range() -> None:
    """Without jitter to speak of: a filter that is constant over the picture has its maximum at white."""
    start = torch.full((2, 1, 8, 8), 100.0)
    sign = torch.tensor([1.0, -1.0])[:, None, None, None]
    found = ascend(lambda x: (sign * x).mean((1, 2, 3)), start, 60, 0.0, numpy_rng(0))
    assert found[0].min() == 255 and found[1].max() == 0


def test_smoothness_costs_roughness() -> None:
    filters = torch.rand(16, 16, generator=torch.Generator().manual_seed(0)) - 0.5
    start = torch.full((1, 1, 16, 16), 128.0)

    def activation(x: Tensor) -> Tensor:
        return (filters * x).mean((1, 2, 3)) / 10

    rough, smooth = (ascend(activation, start, 40, cost, numpy_rng(0)) for cost in (0.0, 0.1))
    assert roughness(smooth) < 0.5 * roughness(rough) and activation(rough) > activation(start)


def test_roughness_is_the_mean_step_between_neighbours() -> None:
    x = torch.arange(5.0).expand(1, 1, 4, 5)
    assert roughness(x).item() == 1 and roughness(2 * x + 7).item() == 2


def test_facets_are_clusters_the_largest_first() -> None:
    far = (np.arange(30) >= 18).astype(np.int64)
    x = numpy_rng(0).normal(size=(30, 12)) + 20 * far[:, None]
    assert np.array_equal(_clusters(x, 2, 0), far) and np.array_equal(_clusters(-x[::-1], 2, 0), far[::-1])
    assert not _clusters(x[:17], 2, 0).any() and not _clusters(np.ones((30, 3)), 2, 0).any()  # too few for two


def test_it_goes_beyond_the_real_pictures_and_again_the_same(images: RotatedImages) -> None:
    torch.manual_seed(0)
    network = lenet(num_classes=3, embedding_dim=20).eval()
    look = Maximise(rows=120, drawn=1, steps=30, smoothness=0.2)
    kept: dict[str, Any] = {}
    found = looked(network, images, look, kept)
    values = {(r.metric, r.where["facet"]): r.value for r in found}
    reached = [v for (metric, _), v in values.items() if metric == "activation_reached"]
    begun = [v for (metric, _), v in values.items() if metric == "activation_begun"]
    assert len(reached) == 2 and min(reached) > 1 >= max(begun) and {r.target for r in found} == {"ip1"}
    assert {r.n for r in found} == {120}
    arrays = kept["maximise"]
    assert len(arrays["titles"]) == 2 and arrays["1_tiles"].shape == (6, 28, 28, 1)
    assert [r.value for r in looked(network, images, look)] == [r.value for r in found]


def test_a_channel_counts_by_its_largest_place(images: RotatedImages) -> None:
    torch.manual_seed(0)
    network = lenet(num_classes=3, embedding_dim=20).eval()
    found = looked(
        network, images, Maximise(rows=100, layers=["conv1"], neurons={"conv1": [4]}, steps=5, smoothness=0.2)
    )
    assert {r.where["neuron"] for r in found} == {"4"}
    assert min(r.value for r in found if r.metric == "activation_reached") > 0.5


class Foreign:
    """No ``nn.Module``."""

    layer_names, embedding, classifier = ("input", "a"), "a", None

    def features(self, image: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        return {name: image.flatten(1).float() for name in names}


def test_what_cannot_be_is_one_line(images: RotatedImages) -> None:
    network = lenet(num_classes=3, embedding_dim=8)
    linear = network.layers["ip1"][1]
    assert isinstance(linear, nn.Linear)
    with torch.no_grad():
        linear.weight[5], linear.bias[5] = 0, -1
    for of, look, said in (
        (network, Maximise(rows=99), "from the top 50 of 100 test pictures or more, and there are 99"),
        (network, Maximise(neurons={"ip1": [5]}), r"neurons\.ip1: neuron 5 never fires for these"),
        (network, Maximise(neurons={"ip1": [8]}), r"neurons\.ip1: there is no neuron 8; it has 8"),
        (Foreign(), Maximise(), "ONNX has none"),
    ):
        with pytest.raises(InvariantNetsError, match=said) as caught:
            looked(of, images, look)
        assert "\n" not in str(caught.value)
