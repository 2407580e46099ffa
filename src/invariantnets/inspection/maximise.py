"""Pictures that are made to excite a neuron: activation maximisation (Zhong and Deng 2018, section IV, figure 7)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from invariantnets.analysis.analysis import measured
from invariantnets.errors import InvariantNetsError
from invariantnets.inspection.deconvnet import as_neurons, project
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
from invariantnets.inspection.sheets import patches_read, small_bytes
from invariantnets.inspection.top import Top
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result

__all__ = ["Maximise", "ascend", "roughness"]

STREAM = 106
TOP = 50  # pictures that are clustered, as in the paper
START = 9  # of a cluster, whose mean the ascent begins from, as in the paper
AMONG = 200  # neurons, drawn from all, among which those that vary most are chosen
BESIDE = 4  # real pictures of a cluster beside what was made
MOVED = (6.0, 1.0)  # how far a step moves a pixel on average, of 255, at first and at last
SIDE = 96  # pixels of a side of what is kept
JITTER = 1 / 16  # of a side, as far as a picture is shifted at a step
_NOTE = (
    "from the mean of the best {start} pictures of a facet, a cluster by k-means of what the neuron reads in its top "
    "{top} of {count} test pictures, up the gradient with total variation and jitter; activations are over that of the "
    "best of these pictures; roughness is the total variation over that of the top pictures; of one ascent with one "
    "seed there is no interval"
)


@dataclass(frozen=True)
class Maximise:
    """For some neurons of a layer pictures that excite them as far as the gradient leads, one for each facet.

    Args:
        layers: which; None: the embedding.
        rows: test images that are shown, at most, to begin from and to compare with.
        drawn: neurons of each layer: those whose activation varies most.
        neurons: layer → numbers of neurons in their place.
        facets: clusters of the top pictures of a neuron, from each of which an ascent begins.
        steps: of it.
        smoothness: what the total variation of a usual picture costs, in activations of the best real picture.
    """

    layers: Sequence[str] | None = None
    rows: int = 2000
    drawn: int = 3
    neurons: Mapping[str, Sequence[int]] | None = None
    facets: int = 2
    steps: int = 100
    smoothness: float = 2.0
    name: ClassVar[str] = "maximise"
    title: ClassVar[str] = "Pictures made for neurons"

    def __call__(self, specimen: Specimen) -> list[Result]:
        """As `Inspection`."""
        asked = chosen_layers(specimen, self.name, [specimen.network.embedding] if self.layers is None else self.layers)
        if not isinstance(specimen.network, nn.Module):
            raise InvariantNetsError("inspect.maximise goes up a gradient, and ONNX has none; give the network itself")
        shown = show(specimen, self.rows, STREAM)
        if len(shown) < 2 * TOP:
            raise InvariantNetsError(
                f"inspect.maximise begins from the top {TOP} of {2 * TOP} test pictures or more, and there are "
                f"{len(shown)}: give more"
            )
        named = wanted_neurons(self.neurons)
        results: list[Result] = []
        arrays: dict[str, Any] = {}
        titles: list[str] = []
        with looking(specimen) as device:
            layers = neuron_layers(specimen, self.name, asked, self.neurons, shown.pixels(slice(0, 1)).to(device))
            rng = numpy_rng(specimen.material.seed, STREAM, 1)
            among = {one.name: np.sort(rng.permutation(one.neurons)[:AMONG]).astype(np.int64) for one in layers}
            specimen.material.progress(f"{self.title}: {len(shown):,} pictures")
            tops = seen(specimen, shown, device, layers, among, TOP)
            for one in layers:
                top = tops[one.name]
                chosen = [int(top.followed[at]) for at in varied(one, top, self.drawn, len(among[one.name]))]
                for neuron in named.get(one.name, chosen):
                    specimen.material.progress(f"{self.title}: {one.name}, neuron {one.told(neuron)}")
                    for made in self._of(specimen, shown, device, one, top, neuron):
                        results += made.results
                        arrays |= {f"{len(titles)}_{key}": value for key, value in made.arrays.items()}
                        titles.append(made.title)
        if not titles:
            raise InvariantNetsError("inspect.maximise: no neuron of these layers varies over the pictures")
        specimen.material.keep(self.name, {**arrays, "titles": np.array(titles, str)})
        return results

    def _of(
        self, specimen: Specimen, shown: Shown, device: torch.device, layer: NeuronLayer, top: Top, neuron: int
    ) -> list[_Made]:
        """The ascents of one neuron, all at once.

        Raises:
            InvariantNetsError: it never fires.
        """
        fires = top.value[neuron] > 0
        if not fires.any():
            raise InvariantNetsError(
                f"inspect.maximise.neurons.{layer.name}: neuron {layer.told(neuron)} never fires for these "
                f"{len(shown):,} pictures, and there is nothing to begin from; name another"
            )
        best = float(top.value[neuron, 0])
        pictures = shown.pixels(top.picture[neuron][fires].cpu()).to(device)
        number = torch.full_like(top.picture[neuron][fires], neuron)
        back = project(specimen.network, layer.read, pictures, number, top.place[neuron][fires], layer.local)
        facet = _clusters(patches_read(back), self.facets, specimen.material.seed)
        parts = [pictures[torch.from_numpy(facet == f).to(device)].float() for f in range(int(facet.max()) + 1)]
        start = torch.stack([part[:START].mean(0) for part in parts])
        usual = float(roughness(pictures.float()).mean())

        def activation(x: Tensor) -> Tensor:
            found = specimen.network.features(x, [layer.read])[layer.read]
            return as_neurons(found, layer.local)[:, neuron].amax(1) / best

        rng = numpy_rng(specimen.material.seed, STREAM, 2)
        found = ascend(activation, start, self.steps, self.smoothness / max(usual, 1e-9), rng)
        with torch.no_grad():
            at, before = activation(found).tolist(), activation(start).tolist()
        rough = (roughness(found) / max(usual, 1e-9)).tolist()
        note = _NOTE.format(start=START, top=int(fires.sum()), count=f"{len(shown):,}")
        made = []
        for f, part in enumerate(parts):
            where = {"neuron": layer.told(neuron), "facet": f"{f + 1} ({len(part)} pictures)"}
            fields = {"probe": self.name, "title": self.title, "where": where, "note": note}
            count = {"n": len(shown), "sources": len(np.unique(independent_of(specimen, shown)))}
            values = {"activation_reached": at[f], "activation_begun": before[f], "roughness": rough[f]}
            results = [
                measured(specimen.material, key, value, target=layer.name, **count, **fields)
                for key, value in values.items()
            ]
            title = f"{layer.name}, neuron {layer.told(neuron)}, facet {f + 1}: {at[f]:.1f} × the best real picture"
            real = torch.cat([part[:BESIDE], part.new_full((max(BESIDE - len(part), 0), *part.shape[1:]), 255)])
            tiles = small_bytes(torch.cat([found[f : f + 1], start[f : f + 1], real]), SIDE)
            made.append(_Made(results, {"tiles": tiles}, title))
        return made


class _Made(NamedTuple):
    """Of one facet: ``tiles`` of what was made, what it began from, and real pictures, ``(2 + 4, h, w, C)`` uint8."""

    results: list[Result]
    arrays: dict[str, np.ndarray]
    title: str


def roughness(x: Tensor) -> Tensor:
    """Total variation of each picture, the mean over its pixels: ``(b, C, H, W)`` → ``(b,)``."""
    return x.diff(dim=2).abs().mean((1, 2, 3)) + x.diff(dim=3).abs().mean((1, 2, 3))


def ascend(
    activation: Callable[[Tensor], Tensor], start: Tensor, steps: int, cost: float, rng: np.random.Generator
) -> Tensor:
    """Up the gradient of activation less ``cost`` times roughness, shifted a little at each step (Nguyen et al. 2016).

    Each step moves the pixels of a picture by the same amount on average, less and less, so that how large the gradient
    is does not matter.

    Args:
        activation: ``(b, C, H, W)`` pixels of 0–255 → ``(b,)``, of each picture by itself.
        start: ``(b, C, H, W)``.
        steps: how many.
        cost: of roughness.
        rng: of the shifts.

    Returns:
        ``(b, C, H, W)`` float32 within 0–255.
    """
    x = start.clone()
    reach = [max(1, round(side * JITTER)) for side in x.shape[2:]]
    for step in range(steps):
        shift = [int(rng.integers(-most, most + 1)) for most in reach]
        shifted = x.roll(shift, (2, 3)).requires_grad_()
        with torch.enable_grad():
            value = activation(shifted) - cost * roughness(shifted)
            (slope,) = torch.autograd.grad(value.sum(), shifted)
        slope = slope.roll([-s for s in shift], (2, 3))
        size = slope.abs().mean((1, 2, 3), keepdim=True).clamp(min=1e-30)
        moved = MOVED[0] * (MOVED[1] / MOVED[0]) ** (step / max(steps - 1, 1))
        x = (x + moved * slope / size).clamp(0, 255)
    return x


def _clusters(x: np.ndarray, most: int, seed: int) -> np.ndarray:
    """``(m,)`` which cluster, the largest first; all one where there are too few points for more."""
    from sklearn.cluster import KMeans  # here: it takes half a second to import

    count = min(most, len(np.unique(x, axis=0)), max(1, len(x) // START))
    if count < 2:
        return np.zeros(len(x), np.int64)
    x = x - x.mean(0)
    left, values, _ = np.linalg.svd(x / max(math.sqrt(float((x**2).sum(1).mean())), 1e-30), full_matrices=False)
    state = int(numpy_rng(seed, STREAM, 3).integers(2**31))
    of = KMeans(count, n_init=4, random_state=state).fit_predict(left * values)
    rank = np.argsort(np.argsort(-np.bincount(of, minlength=count), kind="stable"))
    found: np.ndarray = rank[of]
    return found
