from __future__ import annotations

import numpy as np
import pytest
import torch

from invariantnets.backbones import deepface
from invariantnets.backbones.gradient import Gradients


def test_agrees_with_numpy() -> None:
    image = np.random.default_rng(0).random((2, 3, 7, 9)).astype(np.float32)
    grey, length, direction = Gradients()(torch.from_numpy(image)).double().numpy().transpose(1, 0, 2, 3)
    expected = image.transpose(0, 2, 3, 1) @ np.array([0.299, 0.587, 0.114])
    assert grey == pytest.approx(expected, abs=1e-6)
    padded = np.pad(expected, ((0, 0), (1, 1), (1, 1)), mode="edge")
    down, across = (np.gradient(padded, axis=axis)[:, 1:-1, 1:-1] for axis in (1, 2))
    assert length == pytest.approx(4 * np.hypot(across, down), abs=1e-5)
    assert direction == pytest.approx(np.arctan2(down, across) / np.pi, abs=1e-4)


def test_what_is_flat_has_no_edge_and_no_derivative_that_is_no_number() -> None:
    image = torch.full((1, 3, 4, 4), 0.3, requires_grad=True)
    found = Gradients()(image)
    assert not found[:, 1:].any()
    found.sum().backward()
    assert image.grad.isfinite().all()


def test_light_that_is_added_changes_the_grey_alone() -> None:
    image = torch.rand(2, 3, 6, 6)
    before, after = Gradients()(image), Gradients()(image + 0.25)
    assert torch.allclose(before[:, 1:], after[:, 1:], atol=1e-3) and not torch.allclose(before[:, 0], after[:, 0])


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_a_layer_before_the_first(channels: int) -> None:
    sizes = {"filters": [4, 4, 4, 4, 4], "kernels": [5, 5, 5, 3, 3], "bottleneck": 16}
    network = deepface((channels, 48, 48), 5, **sizes, gradient=True)
    assert list(network.layer_names[:3]) == ["input", "gradient", "C1"]
    found = network.features(torch.randint(256, (2, channels, 48, 48), dtype=torch.uint8), ["gradient", "F7"])
    assert found["gradient"].shape == (2, 3, 48, 48) and found["F7"].shape == (2, 16)
    plain = deepface((channels, 48, 48), 5, **sizes)
    assert "gradient" not in plain.layer_names and len(network.state_dict()) == len(plain.state_dict())
