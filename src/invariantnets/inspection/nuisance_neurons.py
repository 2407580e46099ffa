"""Which neuron is the yaw neuron: how far each follows each nuisance, how many tell it, what is lost without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from invariantnets.analysis.people import open_set
from invariantnets.backbones.backbone import INPUT
from invariantnets.errors import InvariantNetsError
from invariantnets.inspection.inspection import Specimen, chosen_layers
from invariantnets.inspection.layers_seen import look
from invariantnets.inspection.looking import looking
from invariantnets.inspection.neuron_findings import Findings
from invariantnets.inspection.neuron_losses import Losses, said_of
from invariantnets.inspection.neuron_rows import code, see
from invariantnets.inspection.neuron_sums import luck_of, shuffled
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result

__all__ = ["NuisanceNeurons"]

STREAM = 131  # and 132 to 135
NULLS = 20  # times that every nuisance is shuffled
MOST = 3  # nuisances whose neurons are silenced, where none are named


@dataclass(frozen=True)
class NuisanceNeurons:
    """Neurons by the nuisance they follow; what a line reads from the best of them; and the network without them.

    Beyond Zhong et al. (2018), who name neurons by the pictures that excite them most. What is chosen, is chosen on
    train and val; results are of test.

    Args:
        layers: which; None: the embedding and all before it but the input.
        rows: test images that are shown, at most.
        known_rows: images of train and val, at most.
        silenced: layers in which neurons are silenced; None: the embedding and the layer before it, of ``layers``.
        nuisances: whose neurons are silenced; None: the three that a line reads best.
        shares: of the neurons of a layer that are silenced.
        draws: as many neurons at random, so many times.
        to: what silenced neurons say: ``mean``, their own over train and val, or ``zero``.
    """

    layers: Sequence[str] | None = None
    rows: int = 2000
    known_rows: int = 4000
    silenced: Sequence[str] | None = None
    nuisances: Sequence[str] | None = None
    shares: Sequence[float] = (0.01, 0.05, 0.1, 0.25)
    draws: int = 10
    to: str = "mean"
    name: ClassVar[str] = "nuisance_neurons"
    title: ClassVar[str] = "Which neuron follows which nuisance"

    def __call__(self, specimen: Specimen) -> list[Result]:
        """As `Inspection`.

        Raises:
            InvariantNetsError: an unknown layer or nuisance; no picture of train; too few people; no nuisance that
                varies; fewer than two draws.
        """
        layers, silent = self._layers(specimen)
        if self.draws < 2:
            raise InvariantNetsError(f"inspect.{self.name}.draws={self.draws}: a band over draws needs 2 or more")
        material, opened = specimen.material, open_set(specimen.material.table)
        seen = see(specimen, self.known_rows, self.rows, STREAM)
        fit, test, cannot = code(specimen.images.spec.nuisances, *seen)
        names = [n.name for n in fit.nuisances]
        if unknown := [name for name in self.nuisances or () if name not in names]:
            raise InvariantNetsError(
                f"inspect.{self.name}.nuisances: {unknown[0]!r} cannot be looked for; there are {', '.join(names)}"
            )
        over = "people" if opened else "images"
        findings = Findings(material, self.name, self.title, seen, (fit, test), over, cannot, NULLS)
        losses = Losses(findings, specimen, opened, self.shares, self.draws, self.to, STREAM + 3)
        null = shuffled(fit, seen[0].label, NULLS, numpy_rng(material.seed, STREAM + 2))
        results: list[Result] = []
        arrays = {"layers": np.array(layers), "nuisances": np.array(names)}
        readable: dict[str, list[float]] = {}
        with looking(specimen) as device, torch.inference_mode():
            material.progress(f"{self.title}: {len(seen[0])} and {len(seen[1])} pictures at {', '.join(layers)}")
            found = look(specimen, layers, seen, (fit, test), null, device)
            for i, layer in enumerate(found):
                arrays[f"known_{i}"] = layer.followed.share.astype(np.float32)
                arrays[f"r2_{i}"], arrays[f"luck_{i}"] = layer.r2.astype(np.float32), luck_of(layer.followed)
                results += findings.best(layer)
                material.progress(f"{self.title}: lines from {layer.name}")
                lines, readable[layer.name] = findings.lines(layer)
                results += lines
            read = readable.get(specimen.network.embedding, readable[layers[-1]])
            own = [t for t, name in enumerate(names) if not name.startswith("|")]
            whose = sorted(own, key=lambda t: -read[t])[:MOST]
            if self.nuisances is not None:
                whose = [names.index(name) for name in self.nuisances]
            sentences = []
            for layer in found:
                if layer.name in silent:
                    material.progress(f"{self.title}: {layer.name} silenced")
                    more, why = losses.of(layer, whose, device)
                    results += more
                    sentences += [why] if why else []
        material.keep(self.name, arrays)
        return said_of(results, sentences)

    def _layers(self, specimen: Specimen) -> tuple[list[str], list[str]]:
        """Those to look at, and those to silence."""
        layers, embedding = chosen_layers(specimen, self.name, self.layers), specimen.network.embedding
        before = layers[: layers.index(embedding) + 1] if embedding in layers else layers
        if self.layers is None:
            layers = before = [layer for layer in before if layer != INPUT] or before
        if self.silenced is None:
            return layers, [layer for layer in before[-2:] if layer != INPUT]
        if unknown := [layer for layer in self.silenced if layer not in before]:
            raise InvariantNetsError(
                f"inspect.{self.name}.silenced: {unknown[0]!r} is none of the layers that are looked at, up to the "
                f"embedding: {', '.join(before)}"
            )
        return layers, [layer for layer in before if layer in self.silenced]
