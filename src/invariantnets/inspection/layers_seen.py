"""One pass over pictures for all layers: sums of every neuron, and the numbers that lines are fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from invariantnets.features.extract import projection
from invariantnets.inspection.inspection import Specimen
from invariantnets.inspection.neuron_rows import Coded, Kind, Seen, kind_of, neurons
from invariantnets.inspection.neuron_sums import Followed, Sums, follow, on_others

__all__ = ["BEST", "LayerSeen", "look"]

WIDEST = 1024  # neurons of a layer that lines are fitted to as they are
BEST = (1, 5, 10)  # neurons that follow a nuisance most, and 1 % of all, but no more than MOST
MOST = 100


@dataclass
class LayerSeen:
    """What is known of a layer.

    Attributes:
        name: of it.
        kind: what its neurons are.
        width: D, how many there are.
        known: ``(N, K)`` float32 of the rows of train and val: the neurons, or, of more than `WIDEST`, their products
            with a fixed random matrix. Those of the embedding are never projected.
        test: the same of test.
        projected: whether it is so.
        followed: how far each neuron follows each nuisance on the known rows.
        order: ``(T, D)`` neurons by that, the most first; dead ones last.
        r2: ``(T, D)`` R² of the same lines on test rows.
        mean: ``(D,)`` of the neurons over the known rows.
        top: the neurons that are chosen, ascending, where ``known`` has not all.
        top_known: ``(N, len(top))``.
        top_test: the same of test.
    """

    name: str
    kind: Kind
    width: int
    projected: bool
    known: np.ndarray
    test: np.ndarray
    followed: Followed = field(init=False)
    order: np.ndarray = field(init=False)
    r2: np.ndarray = field(init=False)
    mean: np.ndarray = field(init=False)
    top: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    top_known: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    top_test: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @property
    def sizes(self) -> dict[str, int]:
        """How many of the best neurons a line is fitted to, and how that is called."""
        named = {f"best {k}": k for k in BEST} | {"best 1 %": min(-(-self.live // 100), MOST)}
        found: dict[str, int] = {}
        for name, count in named.items():
            if count <= self.live and count not in found.values():
                found[name] = count
        return found

    @property
    def live(self) -> int:
        """How many neurons vary."""
        return int(self.followed.live.sum())

    def best(self, t: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """``(N, count)`` of the known rows and of test: the neurons that follow a nuisance most."""
        units = self.order[t, :count]
        if self.projected:
            at = np.searchsorted(self.top, units)
            return self.top_known[:, at], self.top_test[:, at]
        return self.known[:, units], self.test[:, units]

    def lines(self) -> tuple[np.ndarray, np.ndarray]:
        """What a line over all neurons is fitted to, of the known rows and of test, at most `WIDEST` columns."""
        return narrow(self.known), narrow(self.test)


def narrow(x: np.ndarray) -> np.ndarray:
    """``(N, D)`` as it is, or of more than `WIDEST` columns a fixed random projection to so many."""
    return x if x.shape[1] <= WIDEST else x @ projection(x.shape[1], WIDEST).numpy()


def look(
    specimen: Specimen,
    layers: Sequence[str],
    seen: tuple[Seen, Seen],
    coded: tuple[Coded, Coded],
    null: np.ndarray,
    device: torch.device,
) -> list[LayerSeen]:
    """Show all pictures, those of train and val first: what is chosen is chosen on them.

    Of layers with more than `WIDEST` neurons the chosen ones are looked at once more.

    Args:
        specimen: the network, held by `looking`.
        layers: of it.
        seen: pictures of train and val, and of test.
        coded: their nuisances.
        null: as by `shuffled`, of the known rows.
        device: of the pictures.
    """
    network, found, projections, sums = specimen.network, {}, {}, {}
    for rows, pictures in seen[0].batches(device):
        for layer, x in network.features(pictures, layers).items():
            if layer not in found:
                kind = kind_of(network, layer, x)
                width = neurons(x, kind).shape[1]
                projected = width > WIDEST and layer != network.embedding
                kept = WIDEST if projected else width
                held = [np.empty((len(of), kept), np.float32) for of in seen]
                found[layer] = LayerSeen(layer, kind, width, projected, *held)
                if projected:
                    projections[layer] = projection(width, WIDEST).to(x.device)
                origin = neurons(x, kind).float().cpu().double().mean(0).numpy()
                sums[layer] = Sums.empty(origin, coded[0], null.shape[1])
            of = found[layer]
            values = neurons(x, of.kind).float()
            of.known[rows] = (values @ projections[layer] if of.projected else values).cpu().numpy()
            sums[layer].add(values.cpu().numpy(), rows, coded[0], null)
    tested = {}
    for layer, of in found.items():
        of.followed = follow(sums[layer], coded[0])
        of.order = np.argsort(np.where(of.followed.live, -of.followed.share, 1), axis=1, kind="stable")
        of.mean = sums[layer].mean
        tested[layer] = Sums.empty(of.mean, coded[1], 0)
        if of.projected:
            of.top = np.unique(of.order[:, : max(of.sizes.values(), default=1)])
            of.top_known, of.top_test = (np.empty((len(s), len(of.top)), np.float32) for s in seen)
    nothing = np.zeros((0, 0))
    for rows, pictures in seen[1].batches(device):
        for layer, x in network.features(pictures, layers).items():
            of = found[layer]
            values = neurons(x, of.kind).float()
            of.test[rows] = (values @ projections[layer] if of.projected else values).cpu().numpy()
            tested[layer].add(values.cpu().numpy(), rows, coded[1], nothing)
            if of.projected:
                of.top_test[rows] = values[:, torch.from_numpy(of.top).to(values.device)].cpu().numpy()
    for layer, of in found.items():
        of.r2 = on_others(of.followed, tested[layer], coded[1])
    if wide := [layer for layer, of in found.items() if of.projected]:
        for rows, pictures in seen[0].batches(device):
            for layer, x in network.features(pictures, wide).items():
                of = found[layer]
                values = neurons(x, of.kind).float()
                of.top_known[rows] = values[:, torch.from_numpy(of.top).to(values.device)].cpu().numpy()
    return [found[layer] for layer in layers]
