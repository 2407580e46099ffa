"""Chains of convolutions for faces: networks A and B of Parde et al. (2016), and VGG-Face (Parkhi et al. 2015)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from invariantnets.backbones.backbone import LayeredBackbone
from invariantnets.backbones.embedding import FixedNorm, noise_layer
from invariantnets.errors import InvariantNetsError

# Of red, green and blue in the pictures of VGG-Face (Parkhi et al. 2015), of 0 to 255.
VGGFACE_MEAN = (129.1863, 104.7624, 93.5940)


class Grey(nn.Module):
    """Luma of red, green and blue (ITU-R BT.601); what is grey already stays as it is."""

    def forward(self, input: Tensor) -> Tensor:
        """``(N, 3 or 1, H, W)`` → ``(N, 1, H, W)``."""
        if input.shape[1] == 1:
            return input
        weight = torch.tensor([0.299, 0.587, 0.114], dtype=input.dtype, device=input.device)
        return (input * weight[:, None, None]).sum(1, keepdim=True)


class LessMean(nn.Module):
    """Pixels of 0 to 255 less the mean of each channel, of pixels that `LayeredBackbone` has divided by 256."""

    def __init__(self, mean: Sequence[float]):
        super().__init__()
        self.mean = tuple(mean)

    def forward(self, input: Tensor) -> Tensor:
        """``(N, C, H, W)`` → the same."""
        mean = torch.tensor(self.mean, dtype=input.dtype, device=input.device)
        return 256 * input - mean[:, None, None]

    def extra_repr(self) -> str:
        """The mean."""
        return str(self.mean)


def parde_a(
    image_shape: Sequence[int] = (1, 100, 100),
    num_classes: int = 10548,
    filters: Sequence[int] = (32, 64, 64, 128, 96, 192, 128, 256, 160),
    bottleneck: int = 320,
    dropout: float = 0.4,
    embedding: str = "pool5",
    embedding_norm: float | None = None,
    embedding_noise: float = 0.0,
    learned_noise: bool = False,
) -> LayeredBackbone:
    """Network A (table I): five pairs of 3×3 convolutions of grey faces, each pair pooled; pool5 averages; fc6.

    Without biases and the slopes of its PReLU it has 5,126,688 weights, the table's 5006.5 K with K = 1,024. Pooling
    rounds up, as the table's 13 of 25 and 7 of 13. First weights are He et al.'s (2015) for PReLU, fc6's N(0, 0.01²).

    Args:
        image_shape: ``(C, H, W)``; of three channels the luma is read.
        num_classes: width of fc6.
        filters: of conv11, conv12, conv21, … conv51.
        bottleneck: of conv52, and so the width of pool5, the representation.
        dropout: share of pool5 that fc6 does not see in training.
        embedding: the layer that is probed.
        embedding_norm: Euclidean length that pool5 is scaled to; None leaves it.
        embedding_noise: σ per component of the Gaussian noise that fc6 sees in training: the layer ``noise``.
        learned_noise: whether that is only where σ starts, see `LearnedNoise`.

    Raises:
        InvariantNetsError: other channels, not nine numbers of filters, a share outside [0, 1), an unknown layer, a
            length that is none, or negative noise.
    """
    if image_shape[0] not in (1, 3):
        raise InvariantNetsError(
            f"image_shape={list(image_shape)}: network A reads grey pictures, or red, green and blue"
        )
    if len(filters) != 9:
        raise InvariantNetsError(f"filters={list(filters)}: network A has nine convolutions before conv52")
    layers: dict[str, nn.Module] = {}
    before, names = 1, [f"conv{block}{place}" for block in range(1, 6) for place in (1, 2)]
    for name, count in zip(names, [*filters, bottleneck], strict=True):
        grey = [Grey()] if name == "conv11" else []
        layers[name] = nn.Sequential(*grey, nn.Conv2d(before, count, 3, padding=1), nn.PReLU(count))
        before = count
        if name.endswith("2") and name != "conv52":
            layers[f"pool{name[4]}"] = nn.MaxPool2d(2, ceil_mode=True)
    length = [] if embedding_norm is None else [FixedNorm(embedding_norm)]
    layers["pool5"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *length)
    layers |= noise_layer(before, embedding_noise, learned_noise)
    layers["fc6"] = nn.Sequential(_dropout(dropout), nn.Linear(before, num_classes))
    return _started(LayeredBackbone(layers, embedding=embedding, classifier="fc6"), slope=0.25)


def parde_b(
    image_shape: Sequence[int] = (3, 227, 227),
    num_classes: int = 10548,
    filters: Sequence[int] = (96, 256, 384, 384, 512, 512, 512),
    width: int = 1024,
    bottleneck: int = 512,
    dropout: float = 0.0,
    embedding: str = "fc7",
    embedding_norm: float | None = None,
    embedding_noise: float = 0.0,
    learned_noise: bool = False,
) -> LayeredBackbone:
    """Network B (table II): AlexNet's plan with PReLU, seven convolutions, fc6, the representation fc7, fc8.

    The table contradicts itself. Its strides of 2 in conv2 to conv4 leave no 6×6 to pool7, which the 18.8 million
    weights of fc6 need (6 · 6 · 512 · 1024): the strides are 1 here, and AlexNet's pools of 3×3/2 come after conv1,
    conv2 and conv7 (227 → 55 → 27 → 13 → 6). Its 10.8 million of fc8 are 1024 × 10548, but fc8 reads the 512 of fc7;
    its 2.3 million of conv5 would read 512 maps, but conv4 gives 384. So there are 34.1 million weights, not 39.8.
    It names neither dropout nor AlexNet's normalisation: neither is here. First weights as in `parde_a`.

    Args:
        image_shape: ``(C, H, W)``.
        num_classes: width of fc8.
        filters: of conv1 to conv7.
        width: of fc6.
        bottleneck: of fc7, the representation.
        dropout: share of fc7 that fc8 does not see in training.
        embedding: the layer that is probed.
        embedding_norm: Euclidean length that fc7 is scaled to; None leaves it.
        embedding_noise: σ per component of the Gaussian noise that fc8 sees in training: the layer ``noise``.
        learned_noise: whether that is only where σ starts, see `LearnedNoise`.

    Raises:
        InvariantNetsError: as of `parde_a`; not seven numbers of filters, images too small.
    """
    if len(filters) != 7:
        raise InvariantNetsError(f"filters={list(filters)}: network B has seven convolutions")
    channels, *sides = image_shape
    for kernel, stride in ((11, 4), (3, 2), (3, 2), (3, 2)):  # conv1, pool1, pool2, pool7; the others keep the size
        sides = [(side - kernel) // stride + 1 for side in sides]
        _some_pixels(image_shape, sides)
    layers: dict[str, nn.Module] = {}
    before = channels
    for i, (count, kernel) in enumerate(zip(filters, (11, 5, 3, 3, 3, 3, 3), strict=True), 1):
        stride, padding = (4, 0) if i == 1 else (1, kernel // 2)
        layers[f"conv{i}"] = nn.Sequential(nn.Conv2d(before, count, kernel, stride, padding), nn.PReLU(count))
        if i in (1, 2, 7):
            layers[f"pool{i}"] = nn.MaxPool2d(3, 2)
        before = count
    length = [] if embedding_norm is None else [FixedNorm(embedding_norm)]
    layers["fc6"] = nn.Sequential(nn.Flatten(), nn.Linear(before * math.prod(sides), width), nn.PReLU(width))
    layers["fc7"] = nn.Sequential(nn.Linear(width, bottleneck), nn.PReLU(bottleneck), *length)
    layers |= noise_layer(bottleneck, embedding_noise, learned_noise)
    layers["fc8"] = nn.Sequential(_dropout(dropout), nn.Linear(bottleneck, num_classes))
    return _started(LayeredBackbone(layers, embedding=embedding, classifier="fc8"), slope=0.25)


def vggface(
    image_shape: Sequence[int] = (3, 224, 224),
    num_classes: int = 2622,
    filters: Sequence[int] = (64, 128, 256, 512, 512),
    width: int = 4096,
    bottleneck: int = 4096,
    dropout: float = 0.5,
    embedding: str = "fc7",
    embedding_norm: float | None = None,
    embedding_noise: float = 0.0,
    learned_noise: bool = False,
) -> LayeredBackbone:
    """The plan of VGG-Face, configuration D of VGG: 13 convolutions of 3×3 in five blocks, fc6, fc7, fc8; ReLU.

    Pixels are read as red, green, blue of 0 to 255 less `VGGFACE_MEAN`, as its published weights expect; those are not
    part of this package.

    Args:
        image_shape: ``(3, H, W)``.
        num_classes: width of fc8.
        filters: of the convolutions of each block: two, two, three, three, three.
        width: of fc6.
        bottleneck: of fc7, the representation.
        dropout: share of fc6 and of fc7 that the next layer does not see in training.
        embedding: the layer that is probed.
        embedding_norm: Euclidean length that fc7 is scaled to; None leaves it.
        embedding_noise: σ per component of the Gaussian noise that fc8 sees in training: the layer ``noise``.
        learned_noise: whether that is only where σ starts, see `LearnedNoise`.

    Raises:
        InvariantNetsError: as of `parde_a`; not five numbers of filters, images too small or not of three channels.
    """
    if len(filters) != 5:
        raise InvariantNetsError(f"filters={list(filters)}: VGG-Face has five blocks of convolutions")
    channels, *sides = image_shape
    if channels != 3:
        raise InvariantNetsError(f"image_shape={list(image_shape)}: VGG-Face reads red, green and blue")
    sides = [side // 32 for side in sides]
    _some_pixels(image_shape, sides)
    layers: dict[str, nn.Module] = {}
    before = channels
    for block, (count, deep) in enumerate(zip(filters, (2, 2, 3, 3, 3), strict=True), 1):
        for place in range(1, deep + 1):
            less = [LessMean(VGGFACE_MEAN)] if block == place == 1 else []
            layers[f"conv{block}_{place}"] = nn.Sequential(*less, nn.Conv2d(before, count, 3, padding=1), nn.ReLU())
            before = count
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    length = [] if embedding_norm is None else [FixedNorm(embedding_norm)]
    layers["fc6"] = nn.Sequential(nn.Flatten(), nn.Linear(before * math.prod(sides), width), nn.ReLU())
    layers["fc7"] = nn.Sequential(_dropout(dropout), nn.Linear(width, bottleneck), nn.ReLU(), *length)
    layers |= noise_layer(bottleneck, embedding_noise, learned_noise)
    layers["fc8"] = nn.Sequential(_dropout(dropout), nn.Linear(bottleneck, num_classes))
    backbone = _started(LayeredBackbone(layers, embedding=embedding, classifier="fc8"), slope=0.0)
    with torch.no_grad():
        first = next(m for m in backbone.modules() if isinstance(m, nn.Conv2d))
        first.weight /= 64  # its pixels have this size, and not that of 1
    return backbone


def _dropout(share: float) -> nn.Dropout:
    if not 0 <= share < 1:
        raise InvariantNetsError(f"dropout={share}: choose a share of at least 0 and less than 1")
    return nn.Dropout(share)


def _some_pixels(image_shape: Sequence[int], sides: Sequence[int]) -> None:
    if min(sides) < 1:
        raise InvariantNetsError(
            f"images of {tuple(image_shape)} leave no pixel after the pools: take larger images (data.image_shape)"
        )


def _started(backbone: LayeredBackbone, slope: float) -> LayeredBackbone:
    """First weights after He et al. (2015), for a ReLU with this slope below 0; of the classifier N(0, 0.01²)."""
    for name, layer in backbone.layers.items():
        for module in layer.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = module.weight[0].numel()
                deviation = 0.01 if name == backbone.classifier else math.sqrt(2 / ((1 + slope**2) * fan_in))
                nn.init.normal_(module.weight, 0, deviation)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
    return backbone
