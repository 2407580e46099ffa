"""What the neurons of a layer are, and their activations for many pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from invariantnets.analysis.people import open_set
from invariantnets.backbones.backbone import INPUT
from invariantnets.errors import InvariantNetsError
from invariantnets.inspection.deconvnet import Watched, as_neurons
from invariantnets.inspection.inspection import Specimen, chosen_layers
from invariantnets.inspection.looking import Shown, batches
from invariantnets.inspection.top import Top

__all__ = ["NeuronLayer", "independent_of", "neuron_layers", "seen", "varied", "wanted_neurons"]


@dataclass(frozen=True)
class NeuronLayer:
    """A layer by its neurons.

    Attributes:
        name: of the layer.
        read: what is read of it: its map, where the layer is the mean over one.
        local: whether a neuron is one place of a map, since each place has weights of its own.
        shape: of one picture's activations.
        neurons: how many there are.
    """

    name: str
    read: str
    local: bool
    shape: tuple[int, ...]
    neurons: int

    def told(self, neuron: int) -> str:
        """A neuron for people: of a map without shared weights its place too."""
        if not self.local:
            return str(neuron)
        channel, row, column = np.unravel_index(neuron, self.shape)
        return f"{neuron} (channel {channel} at row {row}, column {column})"


def independent_of(specimen: Specimen, shown: Shown) -> np.ndarray:
    """``(n,)`` what is independent of what is shown: people where nobody was trained on them, else images."""
    return shown.label if open_set(specimen.material.table) else shown.image.numpy()


def wanted_neurons(neurons: Mapping[str, Sequence[int]] | None) -> dict[str, list[int]]:
    """As they were asked for, by names of layers."""
    return {str(layer): list(numbers) for layer, numbers in (neurons or {}).items()}


def neuron_layers(
    specimen: Specimen,
    inspection: str,
    layers: Sequence[str] | None,
    neurons: Mapping[str, Sequence[int]] | None,
    picture: torch.Tensor,
) -> list[NeuronLayer]:
    """The layers that are looked into, in order of execution: all but the input where none is named.

    Args:
        specimen: whose network is in evaluation mode.
        inspection: its name, for messages.
        layers: asked for.
        neurons: layer → neurons asked for.
        picture: ``(1, C, H, W)`` uint8 on the device of the network, to see what the layers are.

    Raises:
        InvariantNetsError: a layer or neuron that is not there; the input, which has no neurons.
    """
    names = chosen_layers(specimen, inspection, layers)
    if layers is not None and INPUT in names:
        raise InvariantNetsError(f"inspect.{inspection}.layers: the input has no neurons; leave it out")
    names = [name for name in names if name != INPUT]
    named = wanted_neurons(neurons)
    for layer in named:
        if layer not in names:
            raise InvariantNetsError(
                f"inspect.{inspection}.neurons: {layer!r} is none of the layers looked into, {', '.join(names)}"
            )
    found = [_layer(specimen, name, picture) for name in names]
    for one in found:
        for neuron in named.get(one.name, []):
            if isinstance(neuron, bool) or not isinstance(neuron, int) or not 0 <= neuron < one.neurons:
                raise InvariantNetsError(
                    f"inspect.{inspection}.neurons.{one.name}: there is no neuron {neuron}; it has {one.neurons:,}, "
                    f"numbered 0 to {one.neurons - 1:,}"
                )
    return found


def _layer(specimen: Specimen, name: str, picture: torch.Tensor) -> NeuronLayer:
    read = getattr(specimen.network, "maps", {}).get(name, name)
    with torch.no_grad(), Watched() as watched:
        x = specimen.network.features(picture, [read])[read]
    local = watched.local and x.ndim == 4
    return NeuronLayer(name, read, local, tuple(x.shape[1:]), as_neurons(x, local).shape[1])


def seen(
    specimen: Specimen,
    shown: Shown,
    device: torch.device,
    layers: Sequence[NeuronLayer],
    followed: Mapping[str, np.ndarray],
    top: int,
) -> dict[str, Top]:
    """All pictures once, through all layers: the top pictures of every neuron.

    Args:
        specimen: whose network is in evaluation mode.
        shown: the pictures.
        device: of the network.
        layers: of it.
        followed: of each layer the neurons of which every activation is kept, int64.
        top: pictures of each neuron.
    """
    tops = {one.name: Top(one.neurons, top, torch.from_numpy(followed[one.name]).to(device), device) for one in layers}
    with torch.no_grad():  # what is kept goes into backward passes later
        for _, pictures in batches(shown, device):
            found = specimen.network.features(pictures, [one.read for one in layers])
            for one in layers:
                tops[one.name].add(as_neurons(found[one.read].to(device), one.local))
    return tops


def varied(layer: NeuronLayer, top: Top, most: int, among: int) -> list[int]:
    """The neurons whose activation varies most, by their places among those that are followed.

    Args:
        layer: theirs.
        top: what was seen.
        most: how many; fewer if fewer vary.
        among: so many of those that are followed, the first. Of a map without shared weights one of each channel.
    """
    spread = top.spread()[top.followed[:among]].cpu().numpy()
    chosen: list[int] = []
    channels: set[int] = set()
    for place in np.argsort(-spread, kind="stable"):
        channel = int(np.unravel_index(int(top.followed[place]), layer.shape)[0]) if layer.local else int(place)
        if channel in channels or not spread[place] > 0:
            continue
        channels.add(channel)
        chosen.append(int(place))
    return chosen[:most]
