"""The network of DeepFace (Taigman et al. 2014, section 3.1) and its relatives of 2015."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from invariantnets.backbones.backbone import LayeredBackbone
from invariantnets.backbones.embedding import FixedNorm, noise_layer
from invariantnets.backbones.gradient import Gradients
from invariantnets.backbones.locally_connected import LocallyConnected2d
from invariantnets.errors import InvariantNetsError


def deepface(
    image_shape: Sequence[int] = (3, 152, 152),
    num_classes: int = 4030,
    filters: Sequence[int] = (32, 16, 16, 16, 16),
    kernels: Sequence[int] = (11, 9, 9, 7, 5),
    bottleneck: int = 4096,
    dropout: float = 0.5,
    embedding: str = "F7",
    embedding_norm: float | None = None,
    embedding_noise: float = 0.0,
    learned_noise: bool = False,
    gradient: bool = False,
) -> LayeredBackbone:
    """C1, M2, C3 (convolutions), L4–L6 (locally connected, L5 with stride 2), F7, F8; ReLU after all but F8.

    The defaults are the paper's. Each name stands for the activation after the ReLU; dropout comes
    after F7 and belongs to F8, so that the features are never dropped. F8 starts from N(0, 0.01²), as
    all of the paper's layers do, the others as He et al. (2015) draw them, since from so little the
    signal dies in the local layers; biases start at 0. (With F8 drawn like the others, the first steps
    shut the few units of a narrow F7 for good: of a width of 8, 4 % were open after 20 steps.)

    Args:
        image_shape: ``(C, H, W)``.
        num_classes: width of F8.
        filters: of C1, C3, L4, L5, L6. The network of 2015, section 3.4, has 32 in L4–L6.
        kernels: sides of the same.
        bottleneck: width of F7, the representation (2015, section 3.2: 4096 down to 8).
        dropout: share of F7 that F8 does not see in training.
        embedding: the layer that is probed.
        embedding_norm: Euclidean length that F7 is scaled to after its ReLU; None leaves it.
        embedding_noise: σ per component of the Gaussian noise that F8 sees in training: the layer ``noise``.
        learned_noise: whether that is only where σ starts, see `LearnedNoise`.
        gradient: whether C1 reads grey, gradient length and direction in place of colours: the layer ``gradient``.

    Raises:
        InvariantNetsError: images too small, a bottleneck that is none or wider than F7's input, a
            share outside [0, 1), an unknown layer, a length that is none, or negative noise.
    """
    channels, *size = image_shape
    c1, c3, l4, l5, l6 = filters
    k1, k3, k4, k5, k6 = kernels
    sides = {"C1": [side - k1 + 1 for side in size]}
    sides["M2"] = [math.ceil((side - 3) / 2) + 1 for side in sides["C1"]]
    sides["C3"] = [side - k3 + 1 for side in sides["M2"]]
    sides["L4"] = [side - k4 + 1 for side in sides["C3"]]
    sides["L5"] = [(side - k5) // 2 + 1 for side in sides["L4"]]
    sides["L6"] = [side - k6 + 1 for side in sides["L5"]]
    for name, side in sides.items():
        if min(side) < 1:
            raise InvariantNetsError(
                f"images of {tuple(image_shape)} leave no pixel after {name}: take larger images "
                f"(data.image_shape) or smaller kernels than {tuple(kernels)}"
            )
    width = l6 * math.prod(sides["L6"])
    if not 1 <= bottleneck <= width:
        raise InvariantNetsError(f"bottleneck={bottleneck}: F7 has {width} inputs; choose a width from 1 to {width}")
    if not 0 <= dropout < 1:
        raise InvariantNetsError(f"dropout={dropout}: choose a share of at least 0 and less than 1")
    scores = nn.Linear(bottleneck, num_classes)
    length = [] if embedding_norm is None else [FixedNorm(embedding_norm)]
    edges: dict[str, nn.Module] = {"gradient": Gradients()} if gradient else {}
    channels = 3 if gradient else channels
    layers = {
        **edges,
        "C1": nn.Sequential(nn.Conv2d(channels, c1, k1), nn.ReLU()),
        "M2": nn.MaxPool2d(3, 2, ceil_mode=True),
        "C3": nn.Sequential(nn.Conv2d(c1, c3, k3), nn.ReLU()),
        "L4": nn.Sequential(LocallyConnected2d(c3, l4, sides["C3"], k4), nn.ReLU()),
        "L5": nn.Sequential(LocallyConnected2d(l4, l5, sides["L4"], k5, stride=2), nn.ReLU()),
        "L6": nn.Sequential(LocallyConnected2d(l5, l6, sides["L5"], k6), nn.ReLU()),
        "F7": nn.Sequential(nn.Flatten(), nn.Linear(width, bottleneck), nn.ReLU(), *length),
        **noise_layer(bottleneck, embedding_noise, learned_noise),
        "F8": nn.Sequential(nn.Dropout(dropout), scores),
    }
    backbone = LayeredBackbone(layers, embedding=embedding, classifier="F8")
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | LocallyConnected2d):
            local = isinstance(module, LocallyConnected2d)
            fan_in = module.weight[0, 0, 0].numel() if local else module.weight[0].numel()
            nn.init.normal_(module.weight, 0, 0.01 if module is scores else math.sqrt(2 / fan_in))
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return backbone
