"""What each neuron sees: its top pictures, what a deconvnet makes of them, and how alike neurons are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from invariantnets.analysis.analysis import measured
from invariantnets.analysis.people import open_set
from invariantnets.errors import InvariantNetsError
from invariantnets.inspection.deconvnet import Projected, compiled, project
from invariantnets.inspection.inspection import Specimen, chosen_layers
from invariantnets.inspection.looking import Shown, looking, show
from invariantnets.inspection.neuron_layers import (
    NeuronLayer,
    independent_of,
    neuron_layers,
    seen,
    varied,
    wanted_neurons,
)
from invariantnets.inspection.sheets import Sheet, alike, sheet_of
from invariantnets.inspection.similarity import (
    interval_of_mean,
    mean_similarity,
    similarity,
    similarity_by_chance,
)
from invariantnets.inspection.top import Top
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.resampling import Resampling, ratio, shares

__all__ = ["Neurons"]

STREAM = 105
COMPARED = 200  # neurons of a layer, drawn from all, of which every activation is kept
_OF_LAYERS = "How alike neurons are"
_OF_ONE = "The neurons that are drawn"
_COSINE = (
    "projections: mean cosine of those of its top pictures, and by chance with those of other pictures for which it "
    "fires; as alike to these, they tell of the neuron's weights and not of the pictures; of channels, whose places "
    "differ, they are not compared; the top pictures are no sample: no interval"
)
_OF_TWO = "Two by two, those that are drawn"


@dataclass(frozen=True)
class Neurons:
    """The pictures that excite neurons most, back in the pixels, and the similarity of neurons by such pictures.

    A neuron is a channel where weights are shared (its largest activation in a picture counts, and one picture counts
    once), a place of a map where they are not, and each number of a flat layer (Zhong and Deng 2018, sections III and
    IV). Of a network into which no gradient goes all but the sheets is measured.

    Args:
        layers: which; None: all but the input.
        rows: test images that are shown, at most.
        top: of them, those that excite a neuron most.
        sheets: neurons of each layer that are drawn: those that vary most, of those that are compared.
        neurons: layer → numbers of the neurons that are drawn in place of these.
    """

    layers: Sequence[str] | None = None
    rows: int = 5000
    top: int = 50
    sheets: int = 3
    neurons: Mapping[str, Sequence[int]] | None = None
    name: ClassVar[str] = "neurons"
    title: ClassVar[str] = "What neurons see"

    def __call__(self, specimen: Specimen) -> list[Result]:
        """As `Inspection`."""
        chosen_layers(specimen, self.name, self.layers)  # whatever is wrong with them is said first
        shown = show(specimen, self.rows, STREAM)
        if len(shown) < 2 * self.top:
            raise InvariantNetsError(
                f"inspect.neurons: the top {self.top} of {len(shown)} test pictures say nothing; give more pictures, "
                f"or inspect.neurons.top={max(1, len(shown) // 2)}"
            )
        named = wanted_neurons(self.neurons)
        with looking(specimen) as device:
            picture = shown.pixels(slice(0, 1)).to(device)
            layers = neuron_layers(specimen, self.name, self.layers, self.neurons, picture)
            count = sum(one.neurons for one in layers)
            specimen.material.progress(f"{self.title}: {len(shown):,} pictures, {count:,} neurons")
            compared = {one.name: self._drawn(specimen, one) for one in layers}
            # Neurons that were asked for come behind those that are compared.
            followed = {name: np.array([*of, *named.get(name, [])], np.int64) for name, of in compared.items()}
            tops = seen(specimen, shown, device, layers, followed, self.top)
            look = _Look(self, specimen, shown, device)
            results, arrays = [], {"count": np.array([len(shown), self.top])}
            drawn: list[tuple[str, str]] = []
            for number, one in enumerate(layers):
                top, of = tops[one.name], len(compared[one.name])
                values = top.all_of_followed().numpy()
                arrays[f"S_{number}"] = similarity(values[:of], self.top).astype(np.float32)
                results += look.layer(one, top, values[:of])
                places = range(of, len(values)) if one.name in named else varied(one, top, self.sheets, of)
                results += look.neurons(one, top, values, list(places))
                for title, sheet in look.sheets(one, top, values, list(places), results):
                    arrays |= {f"{len(drawn)}_{key}": value for key, value in vars(sheet).items()}
                    drawn.append((one.name, title))
        arrays["layers"] = np.array([one.name for one in layers], str)
        arrays["sheets"] = np.array(drawn, str).reshape(-1, 2)
        specimen.material.keep(self.name, arrays)
        return results

    def _drawn(self, specimen: Specimen, layer: NeuronLayer) -> np.ndarray:
        rng = numpy_rng(specimen.material.seed, STREAM, 1)
        return np.sort(rng.permutation(layer.neurons)[:COMPARED]).astype(np.int64)


@dataclass(frozen=True)
class _Look:
    """What is measured of each layer in turn."""

    asked: Neurons
    specimen: Specimen
    shown: Shown
    device: torch.device

    def _result(self, layer: str, metric: str, value: float, **fields: Any) -> Result:
        base = {
            "target": layer,
            "probe": self.asked.name,
            "n": len(self.shown),
            "sources": len(np.unique(self._source)),
        }
        return measured(self.specimen.material, metric, value, **{**base, **fields})

    @cached_property
    def _source(self) -> np.ndarray:
        return independent_of(self.specimen, self.shown)

    def layer(self, layer: NeuronLayer, top: Top, values: np.ndarray) -> list[Result]:
        """Its neurons, how many are dead, and how alike those that are compared are."""
        said = (
            f"shown were {len(self.shown):,} test images, one view of each; dead is above 0 for none of them; S "
            f"compares two neurons by the {self.asked.top} pictures with the largest activation of each (fewer where "
            "it fires for fewer), 1 for alike; chance: activations shuffled over the pictures; its mean has intervals "
            f"over {'people' if open_set(self.specimen.material.table) else 'images'}, the largest of many has none"
        )
        if len(values) < layer.neurons:
            said += f"; of layers with more neurons {COMPARED}, drawn at random, are compared"
        if len(values) and values.min() < 0:
            said += f"; of {layer.name} activations below 0 count as 0, though they may mean as much"
        fields = {"title": _OF_LAYERS, "note": said}
        dead = float((top.fired == 0).float().mean())
        found = [
            self._result(layer.name, "neurons", layer.neurons, **fields),
            self._result(layer.name, "dead_fraction", dead, **fields),
        ]
        matrix = similarity(values, self.asked.top)
        mean = mean_similarity(matrix)
        if not np.isfinite(mean):
            lost = f"{layer.name} has no two neurons that fire: nothing to compare"
            return [*found[:-1], replace(found[-1], note=f"{said}; {lost}")]
        rng = numpy_rng(self.specimen.material.seed, STREAM, 2)
        low, high = interval_of_mean(values, self.asked.top, self._source, rng)
        chance = mean_similarity(similarity_by_chance(values, self.asked.top))
        largest = float(np.nanmax(matrix[np.triu_indices(len(matrix), 1)]))
        return [
            *found,
            self._result(layer.name, "similarity", mean, low=low, high=high, chance=chance, **fields),
            self._result(layer.name, "similarity_most", largest, **fields),
        ]

    def neurons(self, layer: NeuronLayer, top: Top, values: np.ndarray, places: Sequence[int]) -> list[Result]:
        """Of those that are drawn: how often each fires, what its top pictures have of it, and S of each pair."""
        group = Resampling(self._source)
        names = [layer.told(int(top.followed[place])) for place in places]
        said = (
            f"in the top {self.asked.top}: share of all that a neuron ever fires, by chance as of one that fires alike "
            "for all pictures; it has no interval, since which pictures are the top ones changes in jumps"
        )
        found: list[Result] = []
        for place, name in zip(places, names, strict=True):
            fires = np.stack([values[place] > 0, np.ones(len(self.shown))], 1).astype(np.float64)
            share, low, high = (float(x[0]) for x in group.interval(fires, ratio, shares(1)))
            fields = {"title": _OF_ONE, "where": {"neuron": name}, "note": said}
            found.append(self._result(layer.name, "fires_for", share, low=low, high=high, **fields))
            above = np.sort(np.maximum(values[place], 0))[::-1]
            if above.sum() > 0:
                chance = self.asked.top / len(self.shown)
                part = float(above[: self.asked.top].sum() / above.sum())
                found.append(self._result(layer.name, "top_share", part, chance=chance, **fields))
        matrix = similarity(values[list(places)], self.asked.top) if places else np.zeros((0, 0))
        chances = similarity_by_chance(values[list(places)], self.asked.top) if places else matrix
        for i, j in combinations(range(len(places)), 2):
            if np.isfinite(matrix[i, j]):
                fields = {"title": _OF_TWO, "where": {"neurons": f"{names[i]} and {names[j]}"}}
                fields["note"] = "of two neurons alone no interval is known"
                found.append(
                    self._result(layer.name, "similarity", float(matrix[i, j]), chance=float(chances[i, j]), **fields)
                )
        return found

    def sheets(
        self, layer: NeuronLayer, top: Top, values: np.ndarray, places: Sequence[int], results: list[Result]
    ) -> list[tuple[str, Sheet]]:
        """Title and sheet of each neuron, and, added to the results, how alike its projections are.

        What cannot be drawn is said in the note of the last result.
        """
        lost: list[str] = []
        if not isinstance(self.specimen.network, nn.Module) or compiled(self.specimen.network):
            lost = ["no sheets: into ONNX and TorchScript no gradient or ReLU can be followed; give the network itself"]
            places = []
        found: list[tuple[str, Sheet]] = []
        seed = self.specimen.material.seed
        for place in places:
            neuron = int(top.followed[place])
            fires = top.value[neuron] > 0
            if not fires.any():
                lost.append(f"{layer.name}, neuron {layer.told(neuron)} never fires for these pictures: no sheet")
                continue
            picture = top.picture[neuron][fires]
            pictures, back = self._projected(layer, neuron, picture, top.place[neuron][fires])
            sheet = sheet_of(pictures, back, int(numpy_rng(seed, STREAM, 3).integers(2**31)))
            found.append((self._titled(layer, top, neuron, sheet), sheet))
            if back.others:
                lost.append(f"{', '.join(sorted(back.others))} is no ReLU, and goes back by its gradient")
            rest = np.setdiff1d(np.flatnonzero(values[place] > 0), picture.cpu().numpy())
            if not (layer.local or len(layer.shape) == 1) or len(picture) < 2 or not len(rest):
                continue
            drawn = torch.from_numpy(numpy_rng(seed, STREAM, 4).permutation(rest)[: self.asked.top]).to(picture)
            _, other = self._projected(layer, neuron, drawn, torch.zeros_like(drawn))
            cosine, chance = alike(back.pixels, other.pixels)
            if np.isfinite(cosine + chance):
                fields = {"title": _OF_ONE, "where": {"neuron": layer.told(neuron)}, "note": _COSINE}
                one = self._result(layer.name, "projection_cosine", cosine, chance=chance, **fields)
                results.append(replace(one, n=len(picture), sources=len(np.unique(self._source[picture.cpu()]))))
        if lost:
            said = "; ".join(filter(None, [results[-1].note, *lost]))
            results[-1] = replace(results[-1], note=said)
        return found

    def _projected(
        self, layer: NeuronLayer, neuron: int, picture: torch.Tensor, place: torch.Tensor
    ) -> tuple[torch.Tensor, Projected]:
        pictures = self.shown.pixels(picture.cpu()).to(self.device)
        number = torch.full_like(picture, neuron)
        return pictures, project(self.specimen.network, layer.read, pictures, number, place, layer.local)

    def _titled(self, layer: NeuronLayer, top: Top, neuron: int, sheet: Sheet) -> str:
        value = top.value[neuron]
        value = value[value > 0]
        share = int(top.fired[neuron]) / len(self.shown)
        text = f"{layer.name}, neuron {layer.told(neuron)}: fires for {100 * share:.0f} % of pictures"
        text += f", the top {len(value)} with {float(value[-1]):.3g} to {float(value[0]):.3g}"
        return text + (f"; {sheet.empty} projections are 0" if sheet.empty else "")
