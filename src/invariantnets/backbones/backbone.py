"""What probing needs of a network, what training needs besides, and the networks that have both."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from invariantnets.errors import InvariantNetsError

INPUT = "input"


class Backbone(Protocol):
    """What probing needs of a network, wherever it came from: named layers.

    One that is a ``nn.Module`` is moved to the device and read in evaluation mode; any other is given its images
    on the CPU. It may have a ``record``, plain JSON of where it came from, which goes into ``provenance.json``;
    ``record["network"]`` is what titles call it.
    """

    @property
    def layer_names(self) -> Sequence[str]:
        """The layers that ``layers=all`` means, in order of execution."""

    @property
    def embedding(self) -> str:
        """The layer whose activations are *the* features."""

    @property
    def classifier(self) -> str | None:
        """The layer that gives the class scores; None if none does."""

    def features(self, image: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """Activations of the named layers.

        Args:
            image: ``(N, C, H, W)`` uint8.
            names: of `layer_names`, or others that the network knows of.

        Returns:
            name → ``(N, …)``, in order of execution.

        Raises:
            InvariantNetsError: a layer that it does not have.
        """


class Trainable(Backbone, Protocol):
    """What training under constraints needs besides: layers that are modules, each to be copied, frozen or bound."""

    @property
    def layers(self) -> nn.ModuleDict:
        """Name → module, in order of execution; what they hold is all there is to train."""

    @property
    def classifier(self) -> str:
        """The layer that gives the class scores."""

    def check(self, names: Collection[str]) -> None:
        """Raise InvariantNetsError unless all ``names`` are layers."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """As ``nn.Module`` has it."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """As ``nn.Module`` has it."""

    def to(self, *args: Any, **kwargs: Any) -> Trainable:
        """As ``nn.Module`` has it."""


class LayeredBackbone(nn.Module):
    """A chain of named layers: images in, the activations of any of them out. Pixels are divided by 256.

    Args:
        layers: name → module, in order of execution. A layer's activation is what its module
            returns, non-linearity included.
        embedding: the layer whose activations are *the* features.
        classifier: the layer that gives the class scores.
        asides: layers that lead nowhere: the layer after one reads what the one before it gives, as it does.

    Raises:
        InvariantNetsError: ``embedding``, ``classifier`` or one of ``asides`` is not a layer.
    """

    def __init__(self, layers: Mapping[str, nn.Module], embedding: str, classifier: str, asides: Collection[str] = ()):
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.embedding, self.classifier, self.asides = embedding, classifier, frozenset(asides)
        self.check([embedding, classifier, *asides])

    @property
    def layer_names(self) -> list[str]:
        """All layers in order, the scaled image (``input``) first."""
        return [INPUT, *self.layers]

    def check(self, names: Collection[str]) -> None:
        """Raise InvariantNetsError unless all ``names`` are layers."""
        for name in names:
            if name not in self.layer_names:
                raise InvariantNetsError(f"there is no layer {name!r}; this network has {', '.join(self.layer_names)}")

    def features(self, image: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """Activations of the named layers; nothing after the last of them is computed, nor an aside that is not named.

        Args:
            image: ``(N, C, H, W)``, bytes or floats of 0–255.
            names: layers, in any order.

        Returns:
            name → ``(N, …)``, in order of execution.
        """
        self.check(names)
        x = image.to(next(self.parameters()).dtype) / 256
        found = {INPUT: x} if INPUT in names else {}
        missing = set(names) - {INPUT}
        for name, layer in self.layers.items():
            if not missing:
                break
            if name in self.asides and name not in missing:
                continue
            out = layer(x)
            if name in missing:
                found[name] = out
                missing.remove(name)
            if name not in self.asides:
                x = out
        return found

    def forward(self, image: Tensor) -> Tensor:
        """Class scores ``(N, num_classes)``."""
        return self.features(image, [self.classifier])[self.classifier]
