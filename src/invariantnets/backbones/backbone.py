"""A network as an ordered set of named layers."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor, nn

from invariantnets.errors import InvariantNetsError

INPUT = "input"


class Backbone(nn.Module):
    """Images in, the activations of any named layers out.

    Args:
        layers: name → module, in order of execution. A layer's activation is what its module
            returns, non-linearity included.
        embedding: the layer whose activations are *the* features.
        classifier: the layer that gives the class scores.
        scale: multiplies the pixels (0–255) first.

    Raises:
        InvariantNetsError: ``embedding`` or ``classifier`` is not a layer.
    """

    def __init__(self, layers: Mapping[str, nn.Module], embedding: str, classifier: str, scale: float = 1 / 256):
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.embedding, self.classifier, self.scale = embedding, classifier, scale
        self.check([embedding, classifier])

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
        """Activations of the named layers; nothing after the last of them is computed.

        Args:
            image: ``(N, C, H, W)``, bytes or floats of 0–255.
            names: layers, in any order.

        Returns:
            name → ``(N, …)``, in order of execution.
        """
        self.check(names)
        x = image.to(next(self.parameters()).dtype) * self.scale
        found = {INPUT: x} if INPUT in names else {}
        missing = set(names) - {INPUT}
        for name, layer in self.layers.items():
            if not missing:
                break
            x = layer(x)
            if name in missing:
                found[name] = x
                missing.remove(name)
        return found

    def forward(self, image: Tensor) -> Tensor:
        """Class scores ``(N, num_classes)``."""
        return self.features(image, [self.classifier])[self.classifier]
