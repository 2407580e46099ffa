"""The pictures that neurons are looked at with, and the nuisances of these as columns of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from invariantnets.analysis.people import open_set
from invariantnets.backbones import Backbone
from invariantnets.backbones.locally_connected import LocallyConnected2d
from invariantnets.errors import InvariantNetsError
from invariantnets.inspection.inspection import Specimen
from invariantnets.inspection.looking import Shown, batches, show
from invariantnets.inspection.silencing import place_of
from invariantnets.nuisance import Nuisance, lacks_magnitude, magnitude
from invariantnets.probes.folds import draw_folds
from invariantnets.randomness import numpy_rng

__all__ = ["Coded", "Kind", "Seen", "code", "kind_of", "neurons", "see"]

Kind = Literal["channels", "tokens", "numbers"]
LEAST, HELD = 20, 4  # rows of either kind in which a nuisance is known, and of those that readers are chosen on


def kind_of(network: Backbone, layer: str, x: Tensor) -> Kind:
    """What a neuron of a layer is.

    Of a map with shared weights a channel, by its mean over all places: its filter is one. Of tokens one number, by its
    mean over tokens. Where every place has weights of its own, and of a flat layer, each number.

    Args:
        network: whose.
        layer: which.
        x: ``(b, …)`` what it gives.
    """
    place = place_of(network, layer)
    if place is not None and any(isinstance(part, LocallyConnected2d) for part in place.module.modules()):
        return "numbers"
    if x.ndim == 4:
        return "channels"
    return "tokens" if x.ndim == 3 else "numbers"


def neurons(x: Tensor, kind: Kind) -> Tensor:
    """``(b, …)`` → ``(b, D)``."""
    if kind == "numbers":
        return x.flatten(1)
    return x.flatten(2).mean(2) if kind == "channels" else x.mean(1)


@dataclass(frozen=True)
class Seen:
    """Pictures of one split or more.

    Attributes:
        parts: of each split.
        label: ``(N,)`` who is on them; all alike where nobody says.
        source: ``(N,)`` what intervals resample and folds keep together: people in an open set, else images.
        nuisance: name → ``(N,)``, NaN where it is not known.
        held: ``(N,)`` bool, those of the known rows that readers are chosen on.
    """

    parts: Sequence[Shown]
    label: np.ndarray
    source: np.ndarray
    nuisance: dict[str, np.ndarray]
    held: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def batches(self, device: torch.device, size: int = 64) -> Iterator[tuple[slice, Tensor]]:
        """As `looking.batches`, rows counted over all parts."""
        start = 0
        for part in self.parts:
            for rows, pictures in batches(part, device, size):
                yield slice(start + rows.start, start + rows.stop), pictures
            start += len(part)

    def fewer(self, most: int) -> tuple[Seen, np.ndarray]:
        """About so many of them, evenly from all parts, in their order; and which rows they are."""
        parts, kept, start = [], [], 0
        for part in self.parts:
            rows = np.unique(np.linspace(0, len(part) - 1, max(most * len(part) // len(self), 1)).round().astype(int))
            known = {name: values[rows] for name, values in part.nuisance.items()}
            parts.append(Shown(part.bank, part.image[rows], part.variant[rows], part.label[rows], known))
            kept.append(start + rows)
            start += len(part)
        at = np.concatenate(kept)
        nuisance = {name: values[at] for name, values in self.nuisance.items()}
        return Seen(parts, self.label[at], self.source[at], nuisance, self.held[at]), at


def see(specimen: Specimen, known: int, test: int, stream: int) -> tuple[Seen, Seen]:
    """Draw pictures of train and val together, and of test; of each image one variant.

    Args:
        specimen: whose images.
        known: images of train and val, at most; of val a quarter at most.
        test: images of test, at most.
        stream: of random numbers; the next is used too.

    Raises:
        InvariantNetsError: there is none of train, or of test; or too few sources to hold some out.
    """
    images = specimen.images
    if not len(images.bank("train")):
        raise InvariantNetsError(
            "neurons are chosen, and lines fitted, on pictures of split 'train', and there are none: divide the data "
            "(data.test_fraction below 1)"
        )
    val = min(len(images.bank("val")), max(known // 4, 1))
    parts = [show(specimen, known - val, stream, "train")]
    parts += [show(specimen, val, stream, "val")] if val else []
    tested = [show(specimen, test, stream, "test")]
    opened = open_set(specimen.material.table)
    found = []
    for of in (parts, tested):
        label = np.concatenate([p.label for p in of])
        image = np.concatenate([np.asarray(p.image) + p.bank.first_source for p in of])
        nuisance = {n.name: np.concatenate([p.nuisance[n.name] for p in of]) for n in images.spec.nuisances}
        found.append(Seen(of, label, label if opened else image, nuisance, np.zeros(len(label), bool)))
    fit = found[0]
    if len(np.unique(fit.source)) < 4:
        raise InvariantNetsError(
            f"neurons are chosen on {len(np.unique(fit.source))} {'people' if opened else 'images'} of train and val, "
            "and some are held out: give 4 or more"
        )
    unseen = np.arange(len(fit)) >= len(parts[0])
    strata = np.zeros_like(fit.label) if opened else fit.label
    folds = draw_folds(fit.source, strata, unseen & (not opened), numpy_rng(specimen.material.seed, stream + 1))
    held = np.zeros(len(fit), bool)
    held[folds.held(0)] = True
    return replace(fit, held=held), found[1]


@dataclass(frozen=True)
class Coded:
    """Nuisances of some pictures as columns: a number or yes/no is one, an angle two, categories one each.

    Attributes:
        nuisances: T of them.
        columns: of ``y``, of each.
        mean: ``(C,)`` over the known rows of train and val.
        y: ``(N, C)`` less that mean; 0 where it is not known.
        known: ``(N, T)``.
    """

    nuisances: Sequence[Nuisance]
    columns: Sequence[slice]
    mean: np.ndarray
    y: np.ndarray
    known: np.ndarray

    def of(self, chosen: Sequence[int]) -> Coded:
        """Some of the nuisances."""
        at = np.concatenate([np.arange(self.columns[t].start, self.columns[t].stop) for t in chosen])
        stops = np.cumsum([0, *(self.columns[t].stop - self.columns[t].start for t in chosen)]).tolist()
        columns = [slice(a, b) for a, b in zip(stops[:-1], stops[1:], strict=True)]
        nuisances = [self.nuisances[t] for t in chosen]
        return Coded(nuisances, columns, self.mean[at], self.y[:, at], self.known[:, list(chosen)])

    def rows(self, at: np.ndarray) -> Coded:
        """Of some pictures."""
        return replace(self, y=self.y[at], known=self.known[at])

    def alike(self) -> list[tuple[np.ndarray, list[int]]]:
        """Nuisances that are known in the same rows: those rows, and which they are."""
        parts: dict[bytes, tuple[np.ndarray, list[int]]] = {}
        for t, known in enumerate(self.known.T):
            parts.setdefault(known.tobytes(), (np.flatnonzero(known), []))[1].append(t)
        return list(parts.values())


def code(nuisances: Sequence[Nuisance], fit: Seen, test: Seen) -> tuple[Coded, Coded, list[str]]:
    """The nuisances that can be looked for, of both kinds of rows, and sentences on those that cannot.

    Of a number that takes both signs its size, ``|yaw|``, is one more.

    Raises:
        InvariantNetsError: there is none.
    """
    kept: list[Nuisance] = []
    values: list[tuple[np.ndarray, np.ndarray]] = []
    cannot = []
    names = {n.name for n in nuisances}
    for n in nuisances:
        a, b = fit.nuisance[n.name], test.nuisance[n.name]
        known = [x[np.isfinite(x)] for x in (a, b)]
        held = min(np.isfinite(a[fit.held]).sum(), np.isfinite(a[~fit.held]).sum())
        if min(map(len, known)) < LEAST or held < HELD or min(len(np.unique(x)) for x in known) < 2:
            cannot.append(f"{n.name} is left out: too few pictures that were shown have it, or all have the same")
            continue
        kept.append(n)
        values.append((a, b))
        if lacks_magnitude(n, a, names):
            kept.append(magnitude(n, a)[0])
            values.append((np.abs(a), np.abs(b)))
    if not kept:
        raise InvariantNetsError(f"no neuron can be looked for: {'; '.join(cannot) or 'the data name no nuisance'}")
    known = [np.stack([np.isfinite(pair[i]) for pair in values], 1) for i in (0, 1)]
    coded = [[_columns(n, pair[i]) for n, pair in zip(kept, values, strict=True)] for i in (0, 1)]
    stops = np.cumsum([0, *(c.shape[1] for c in coded[0])]).tolist()
    columns = [slice(a, b) for a, b in zip(stops[:-1], stops[1:], strict=True)]
    mean = np.concatenate([np.nanmean(c, 0) for c in coded[0]])
    y = [np.nan_to_num(np.concatenate(c, 1) - mean) for c in coded]
    made = [Coded(kept, columns, mean, y[i], known[i]) for i in (0, 1)]
    return made[0], made[1], cannot


def _columns(nuisance: Nuisance, values: np.ndarray) -> np.ndarray:
    """``(N, K)``, NaN where it is not known. Of yes and no one column says all."""
    known = np.isfinite(values)
    if nuisance.kind in ("continuous", "binary"):
        return values[:, None].astype(np.float64)
    encoded = nuisance.encode(np.where(known, values, 0))
    encoded[~known] = np.nan
    return encoded
