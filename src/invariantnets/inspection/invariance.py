"""What each layer does with a change of the picture (Zhong and Deng 2018, section IV-A, figure 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from invariantnets.analysis.people import open_set
from invariantnets.backbones import Backbone
from invariantnets.data import Bank, SyntheticFaces
from invariantnets.errors import InvariantNetsError
from invariantnets.inspection.changes import Change, changes
from invariantnets.inspection.derivatives import derivatives
from invariantnets.inspection.inspection import Specimen, chosen_layers
from invariantnets.inspection.invariance_results import Apart, Found, Local, arrays_of, results_of
from invariantnets.inspection.looking import Shown, looking, show, show_at
from invariantnets.inspection.normalised_variance import GROUPS, NormalisedVariance, Spread
from invariantnets.inspection.transforming import BORDERS, flow, moving
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result

__all__ = ["Invariance"]

STREAM = 121
# Numbers that a batch of all layers may be of, and neurons of a layer whose variance is taken.
_NUMBERS, _NEURONS = 1 << 26, 4096
_MOVING = ("vertical_translation", "horizontal_translation", "rotation", "scale")


@dataclass(frozen=True)
class Invariance:
    """Three measurements of how far each layer follows a change of the picture, by as many definitions.

    * The cosine distance between a layer's features before and after, for growing amounts, and beside it that between
      pictures of different people (or classes) at that layer. Chance is 1: as far as somebody else.
    * The normalised variance of Quiroga et al. (`NormalisedVariance`), the mean over neurons.
    * The local error of Gruver et al. (`derivatives`): the length of the derivative of the features as the picture
      begins to move, over that of the features; of a map also what is left when the map is moved along.

    Args:
        layers: which; None: all.
        transformations: which changes of the picture, by name; None: all, and every nuisance that varies in faces that
            our renderer drew.
        rows: test images that are shown, at most.
        border: what fills a picture that moved: ``repeat`` its edge, ``black`` or its ``mirror`` image.
    """

    layers: Sequence[str] | None = None
    transformations: Sequence[str] | None = None
    rows: int = 100
    border: str = "repeat"
    name: ClassVar[str] = "invariance"
    title: ClassVar[str] = "What each layer does with a change of the picture"

    def __call__(self, specimen: Specimen) -> list[Result]:
        """As `Inspection`."""
        layers = chosen_layers(specimen, self.name, self.layers)
        if self.border not in BORDERS:
            raise InvariantNetsError(f"inspect.invariance.border={self.border}: choose from {', '.join(BORDERS)}")
        shown = _mixed(show(specimen, self.rows, STREAM), specimen.material.seed)
        made = changes(specimen, shown, self.transformations, self.border)
        table = specimen.material.table
        people = open_set(table)
        label = shown.label if table.labelled else np.arange(len(shown))
        source = label if people else shown.image.numpy()
        if len(shown) < 3 or len(np.unique(label)) < 2:
            raise InvariantNetsError(
                f"inspect.invariance: {len(shown)} test images of {len(np.unique(label))} classes have nothing that a "
                "distance could be compared with: give data with 3 images of 2 classes or people at least"
            )
        tell = specimen.material.progress
        with looking(specimen) as device:
            look = _Look(specimen.network, layers, shown, device)
            tell(f"{self.title}: {len(shown)} pictures")
            apart = look.apart(label, _partners(shown, table.labelled, specimen.material.seed))
            distance: dict[str, np.ndarray] = {}
            spread: dict[str, dict[str, Spread]] = {}
            group = np.unique(source, return_inverse=True)[1] % GROUPS
            for change in made:
                tell(f"{self.title}: {change.said}")
                distance[change.name], spread[change.name] = look.along(change, group)
            local: dict[str, dict[str, Local]] = {}
            differences: list[str] = []
            for change in made:
                if change.name in _MOVING:
                    tell(f"{self.title}: derivative, {change.name.replace('_', ' ')}")
                    local[change.name], differences = look.beginning(change.name, self.border)
        found = Found(
            layers=layers,
            changes=made,
            source=source,
            people=people,
            labelled=table.labelled,
            apart=apart,
            distance=distance,
            spread=spread,
            local=local,
            differences=differences,
            sampled=[layer for layer in layers if look.widths[layer] > _NEURONS],
            neurons=_NEURONS,
            border=self.border,
            drawable=isinstance(specimen.images, SyntheticFaces),
        )
        results, curves = results_of(specimen.material, self.name, self.title, found)
        specimen.material.keep(self.name, arrays_of(found, curves))
        return results


def _mixed(shown: Shown, seed: int) -> Shown:
    """The same pictures in random order, so that those of a batch are of different people."""
    order = torch.from_numpy(numpy_rng(seed, STREAM, 1).permutation(len(shown)))
    return show_at(shown.bank, shown.image[order], shown.variant[order])


def _partners(shown: Shown, labelled: bool, seed: int) -> np.ndarray:
    """``(n,)`` number of another image of the same class, drawn at random; -1 where there is none."""
    found = np.full(len(shown), -1)
    if not labelled:
        return found
    rng, every = numpy_rng(seed, STREAM, 2), shown.bank.label.cpu().numpy()
    for i, (image, label) in enumerate(zip(shown.image.tolist(), shown.label, strict=True)):
        others = np.flatnonzero(every == label)
        others = others[others != image]
        if len(others):
            found[i] = rng.choice(others)
    return found


class _Look:
    """A network that is shown pictures, batch by batch."""

    def __init__(self, network: Backbone, layers: Sequence[str], shown: Shown, device: torch.device):
        self.network, self.layers, self.shown, self.device = network, layers, shown, device
        blank = self._features(shown.pixels(np.arange(1)))
        self.widths = {layer: blank[layer].shape[1] for layer in layers}
        size = min(max(_NUMBERS // sum(self.widths.values()), 4), 64)
        self._batches = np.array_split(np.arange(len(shown)), -(-len(shown) // size))
        rng = numpy_rng(STREAM, 3)
        self._picked = {
            layer: torch.from_numpy(np.sort(rng.permutation(width)[:_NEURONS])) for layer, width in self.widths.items()
        }

    def _features(self, pictures: Tensor) -> dict[str, Tensor]:
        """``(b, D)`` of each layer."""
        image = pictures.to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            return {name: x.flatten(1).float() for name, x in self.network.features(image, self.layers).items()}

    def apart(self, label: np.ndarray, partner: np.ndarray) -> dict[str, Apart]:
        """How far pictures are from each other, and which neurons are the same in all.

        Args:
            label: ``(n,)`` pictures of different ones are compared, within batches.
            partner: ``(n,)`` image of the same class to compare each with; -1 for none.
        """
        bank: Bank = self.shown.bank
        different = {layer: np.full(len(self.shown), np.nan) for layer in self.layers}
        same = {layer: np.full(len(self.shown), np.nan) for layer in self.layers}
        ends: dict[str, tuple[Tensor, Tensor]] = {}
        for rows in self._batches:
            here = self._features(self.shown.pixels(rows))
            other = label[rows][:, None] != label[rows]
            with_one = np.flatnonzero(partner[rows] >= 0)
            if len(with_one):
                image = torch.from_numpy(partner[rows][with_one])
                theirs = self._features(bank.pixels(image, self.shown.variant[rows][with_one]))
            for layer, x in here.items():
                unit = _unit(x)
                gap = _gaps(unit)
                with np.errstate(invalid="ignore"):
                    known = other & np.isfinite(gap)
                    different[layer][rows] = np.where(known, gap, 0).sum(1) / np.where(
                        known.any(1), known.sum(1), np.nan
                    )
                if len(with_one):
                    same[layer][rows[with_one]] = _distance(unit[with_one], _unit(theirs[layer]))
                low, high = ends.get(layer, (x[0], x[0]))
                ends[layer] = torch.minimum(low, x.amin(0)), torch.maximum(high, x.amax(0))
        still = {layer: float((low == high).float().mean()) for layer, (low, high) in ends.items()}
        return {layer: Apart(different[layer], same[layer], self.widths[layer], still[layer]) for layer in self.layers}

    def along(self, change: Change, group: np.ndarray) -> tuple[np.ndarray, dict[str, Spread]]:
        """Distances ``(layers, amounts, n)`` from the picture at the base, and the variance of each layer."""
        amounts = [change.base, *(s for s in change.strengths if s != change.base)]
        place = [change.strengths.index(s) for s in amounts]
        distance = np.empty((len(self.layers), len(amounts), len(self.shown)))
        variances = {layer: NormalisedVariance(len(amounts), len(picked)) for layer, picked in self._picked.items()}
        for rows in self._batches:
            base: dict[str, Tensor] = {}
            values: dict[str, list[np.ndarray]] = {layer: [] for layer in self.layers}
            for at, strength in zip(place, amounts, strict=True):
                for layer, x in self._features(change.pictures(rows, strength)).items():
                    unit = _unit(x)
                    distance[self.layers.index(layer), at, rows] = _distance(base.setdefault(layer, unit), unit)
                    values[layer].append(x[:, self._picked[layer].to(x.device)].cpu().numpy())
            for layer, of in values.items():
                variances[layer].add(np.stack(of), group[rows])
        return distance, {layer: variance.spread() for layer, variance in variances.items()}

    def beginning(self, name: str, border: str) -> tuple[dict[str, Local], list[str]]:
        """The derivative of each layer as the pictures begin to move, and the layers that have it by differences."""
        terms = {layer: np.full((len(self.shown), 4), np.nan) for layer in self.layers}
        missing: list[str] = []
        for rows in self._batches:
            pictures = self.shown.pixels(rows).to(self.device).float()
            change = moving(pictures, flow(name, pictures.shape[2], pictures.shape[3], self.device), border)
            found, missing = derivatives(self.network, pictures, change, self.layers)
            for layer, (value, speed) in found.items():
                terms[layer][rows] = _terms(name, value.float(), speed.float())
        free = name.endswith("translation")  # by how many of its own places a map moves is not known
        return {layer: Local.of(of, free) for layer, of in terms.items()}, missing


def _terms(name: str, value: Tensor, speed: Tensor) -> np.ndarray:
    """Squared lengths of value and speed, and of a map its speed's product with its own movement and this squared."""
    columns = [(value, value), (speed, speed)]
    if value.ndim == 4 and min(value.shape[2:]) > 1:
        along = moving(value, flow(name, value.shape[2], value.shape[3], value.device))
        columns += [(speed, along), (along, along)]
    sums = [(a.flatten(1).double() * b.flatten(1).double()).sum(1) for a, b in columns]
    sums += [torch.full_like(sums[0], torch.nan)] * (4 - len(sums))
    return torch.stack(sums, 1).cpu().numpy()


def _unit(x: Tensor) -> Tensor:
    """Rows of length 1; NaN where all is 0, which has no direction."""
    return x / x.norm(dim=1, keepdim=True)


def _gaps(unit: Tensor) -> np.ndarray:
    """``(b, b)`` 1 - cosine of all pairs of unit rows: exactly 0 of equal ones, which a product is not."""
    apart = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist").double()
    gaps: np.ndarray = (apart.square() / 2).cpu().numpy()
    return gaps


def _distance(a: Tensor, b: Tensor) -> np.ndarray:
    """``(b,)`` 1 - cosine of unit rows: exactly 0 of equal ones."""
    return ((a - b).double().square().sum(1) / 2).cpu().numpy()
