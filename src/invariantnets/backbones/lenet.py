"""LeNet as shipped with Caffe's MNIST example, the network of Rudd et al. (2016), section 4."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from invariantnets.backbones.backbone import LayeredBackbone
from invariantnets.backbones.embedding import FixedNorm, noise_layer
from invariantnets.errors import InvariantNetsError


def lenet(
    image_shape: Sequence[int] = (1, 28, 28),
    num_classes: int = 10,
    embedding_dim: int = 500,
    embedding: str = "ip1",
    embedding_norm: float | None = None,
    embedding_noise: float = 0.0,
    learned_noise: bool = False,
    conv2_relu: bool = False,
    channels: Sequence[int] = (20, 50),
    kept_dim: int | None = None,
) -> LayeredBackbone:
    """conv1 20@5×5, pool1, conv2 50@5×5, pool2, ip1 with ReLU, ip2. Pixels are divided by 256.

    As in Caffe, where the ReLU works in place, ``ip1`` names the activation *after* it.

    Args:
        image_shape: ``(C, H, W)``.
        num_classes: width of ip2.
        embedding_dim: width of ip1.
        embedding: the layer that is probed.
        embedding_norm: Euclidean length that ip1 is scaled to after its ReLU; None leaves it.
        embedding_noise: σ per component of the Gaussian noise that ip2 sees in training: the layer ``noise``.
        learned_noise: whether that is only where σ starts, see `LearnedNoise`.
        conv2_relu: whether a ReLU follows pool2 (and belongs to it); Caffe has none.
        channels: filters of conv1 and of conv2; Caffe has 20 and 50.
        kept_dim: width of a second half of the embedding, the layer ``kept``: a linear map of pool2 with ReLU, as ip1
            is, that ip2 does not read and that has neither length nor noise; None for a network without.

    Raises:
        InvariantNetsError: an image too small for two 5×5 convolutions, no width, an unknown layer, a length
            that is none, or negative noise.
    """
    if embedding_dim < 1:
        raise InvariantNetsError(f"embedding_dim={embedding_dim}: ip1 needs at least one feature")
    if kept_dim is not None and kept_dim < 1:
        raise InvariantNetsError(f"kept_dim={kept_dim}: kept needs at least one feature")
    colours, height, width = image_shape
    first, second = channels
    height, width = (((side - 4) // 2 - 4) // 2 for side in (height, width))
    if min(height, width) < 1:
        raise InvariantNetsError(
            f"images of {tuple(image_shape)} leave no pixel after pool2: LeNet needs at least 16×16"
        )
    flat = second * height * width
    ip1: list[nn.Module] = [nn.Flatten(), nn.Linear(flat, embedding_dim), nn.ReLU()]
    kept = {"kept": nn.Sequential(nn.Flatten(), nn.Linear(flat, kept_dim), nn.ReLU())} if kept_dim else {}
    if embedding_norm is not None:
        ip1.append(FixedNorm(embedding_norm))
    layers = {
        "conv1": nn.Conv2d(colours, first, 5),
        "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(first, second, 5),
        "pool2": nn.Sequential(nn.MaxPool2d(2), nn.ReLU()) if conv2_relu else nn.MaxPool2d(2),
        **kept,
        "ip1": nn.Sequential(*ip1),
        **noise_layer(embedding_dim, embedding_noise, learned_noise),
        "ip2": nn.Linear(embedding_dim, num_classes),
    }
    backbone = LayeredBackbone(layers, embedding=embedding, classifier="ip2", asides=kept)
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = math.sqrt(3 / module.weight[0].numel())  # Caffe's "xavier": variance 1 / fan-in
            nn.init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return backbone
