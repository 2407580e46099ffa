"""How many neurons of each layer ever fire, and how often: what every other look into a network rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from invariantnets.analysis.analysis import measured
from invariantnets.inspection.inspection import Specimen, chosen_layers
from invariantnets.inspection.looking import batches, looking, show
from invariantnets.results.result import Result

__all__ = ["Firing"]

STREAM = 100


@dataclass(frozen=True)
class Firing:
    """Share of neurons that are above 0 for no picture, and share of all activations that are 0 or less.

    A neuron is one number of a layer: of a map each place. Chance is none: of a layer without a ReLU nothing is dead.

    Args:
        layers: which; None: all.
        rows: test images that are shown, at most.
    """

    layers: Sequence[str] | None = None
    rows: int = 1000
    name: ClassVar[str] = "firing"
    title: ClassVar[str] = "How many neurons fire"

    def __call__(self, specimen: Specimen) -> list[Result]:
        """As `Inspection`."""
        layers = chosen_layers(specimen, self.name, self.layers)
        shown = show(specimen, self.rows, STREAM)
        specimen.material.progress(f"{self.title}: {len(shown)} pictures")
        alive: dict[str, torch.Tensor] = {}
        silent = dict.fromkeys(layers, 0.0)
        with looking(specimen) as device, torch.inference_mode():
            for _, pictures in batches(shown, device):
                for layer, x in specimen.network.features(pictures, layers).items():
                    fires = x.flatten(1) > 0
                    alive[layer] = fires.any(0) | alive.get(layer, False)
                    silent[layer] += float((~fires).float().mean(1).sum())
        results = []
        for layer, fires in alive.items():
            said = f"shown were {len(shown)} test images, one view of each"
            fields = {"target": layer, "probe": self.name, "n": len(shown), "sources": len(shown), "title": self.title}
            dead = float((~fires).float().mean())
            results.append(measured(specimen.material, "neurons", fires.numel(), **fields, note=said))
            results.append(measured(specimen.material, "dead_fraction", dead, **fields, note=said))
            results.append(measured(specimen.material, "sparsity", silent[layer] / len(shown), **fields, note=said))
        return results
