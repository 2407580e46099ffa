"""The door that every look into a network goes through: it is given a network with its pixels, and gives results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from invariantnets.analysis.analysis import Material
from invariantnets.backbones import Backbone
from invariantnets.data import BankedImages
from invariantnets.errors import InvariantNetsError
from invariantnets.results.result import Result

__all__ = ["Inspection", "Specimen", "chosen_layers", "under"]


@dataclass(frozen=True)
class Specimen:
    """A network, and what it looks at.

    Attributes:
        material: the table of the layer whose report it is, the seed, what is told of progress and kept for figures.
        network: anything with named layers; those that are a ``nn.Module`` have gradients.
        images: set up, of the table: their split test is what the network is shown.
        layers: that can be inspected, in order of execution, the input first.
        device: where the network runs.
    """

    material: Material
    network: Backbone
    images: BankedImages
    layers: Sequence[str]
    device: str = "cpu"


class Inspection(Protocol):
    """A look into a network, where it is asked for: ``inspect=[invariance]``. Its results are those of an analysis."""

    @property
    def name(self) -> str:
        """Of its results: their ``probe`` is it, or begins with it and a slash."""

    @property
    def title(self) -> str:
        """How it is called while it is made, and in reports."""

    def __call__(self, specimen: Specimen) -> list[Result]:
        """All that it measures, made by `invariantnets.analysis.measured` with ``specimen.material``.

        The network is as it was afterwards, to the bit: no hook is left, also where something raises.

        Raises:
            InvariantNetsError: the network or its data cannot be looked at so; the message names the thing and the fix.
                All else that was asked for goes on.
        """
        ...


@dataclass(frozen=True)
class under:  # noqa: N801 - reads as a sentence where it is used
    """An inspection as an analysis of the layer whose report it stands in."""

    inspection: Inspection
    specimen: Callable[[Material], Specimen]

    @property
    def name(self) -> str:
        """The inspection's."""
        return self.inspection.name

    @property
    def title(self) -> str:
        """The inspection's."""
        return self.inspection.title

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        return self.inspection(self.specimen(material))


def chosen_layers(specimen: Specimen, name: str, wanted: Sequence[str] | None) -> list[str]:
    """Layers to inspect, in order of execution.

    Args:
        specimen: the network.
        name: of the inspection, for the message.
        wanted: some of them; None: all.

    Raises:
        InvariantNetsError: one that is not there.
    """
    known = list(specimen.layers)
    if wanted is None:
        return known
    for layer in wanted:
        if layer not in known:
            raise InvariantNetsError(
                f"inspect.{name}.layers: there is no layer {layer!r}; this network has {', '.join(known)}"
            )
    return [layer for layer in known if layer in wanted]
