"""What a network still does when some of its neurons are silenced: recognise, and tell its nuisances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from invariantnets.analysis.pair_area import mean_area
from invariantnets.inspection.inspection import Specimen
from invariantnets.inspection.layers_seen import LayerSeen, narrow
from invariantnets.inspection.neuron_lines import Line, fitted, read
from invariantnets.inspection.neuron_rows import Coded, Seen, neurons
from invariantnets.inspection.silencing import place_of, silenced
from invariantnets.probes.mav import class_sums, classify
from invariantnets.protocols.verification import Pairs, make_pairs
from invariantnets.statistics.lengths import unit
from invariantnets.statistics.moments import moments
from invariantnets.statistics.resampling import Resampling, ratio, shares

__all__ = ["FIRM", "Judge", "embeddings", "together"]

PAIRS = 3000  # of one person, and as many of two
# The least penalty. 46 of the 128 directions of dlib's embedding have less than a millionth of the variance (1,221
# pictures of LFW): a line without a penalty leans on these, and reads nonsense when a single number is another.
FIRM = 1e-3
SIZE = 32  # pictures that are shown at once
ROOM, KEPT = 1 << 24, 1 << 26  # numbers of a layer in all its copies, and of embeddings, that are in memory at once


@dataclass
class Judge:
    """What is asked of an embedding, silenced or not, of the same pictures.

    Attributes:
        seen: pictures of train and val, and of test.
        coded: nuisances of both that are read.
        opened: people of test are others than those of train: pairs of pictures are compared; else each picture is
            given the class whose mean is the nearest by cosine, the means being those of the silenced embedding.
        pairs: those that are compared; None of a closed set.
        lines: of the embedding as it is: their penalties are kept when they are fitted anew.
        why: recognition is not measured; empty if it is.
    """

    seen: tuple[Seen, Seen]
    coded: tuple[Coded, Coded]
    opened: bool
    rng: np.random.Generator
    pairs: Pairs | None = None
    why: str = ""
    lines: list[tuple[np.ndarray, np.ndarray, list[int], Line]] = field(default_factory=list)

    def __post_init__(self) -> None:
        label = self.seen[1].label
        people, count = np.unique(label, return_counts=True)
        if len(people) < 2:
            self.why = "recognition is not measured: nobody says who is on the pictures, or there is one person only"
        elif self.opened and (count > 1).sum() < 2:
            self.why = "recognition is not measured: fewer than two people have two of the test pictures shown"
        elif self.opened:
            self.pairs = make_pairs(label, 1, PAIRS, self.rng)

    def begin(self, known: np.ndarray) -> None:
        """Fit the readers to the embedding as it is, ``(N, D)`` of the known rows."""
        x = narrow(known)
        self.lines = []
        for (rows, chosen), (tested, _) in zip(self.coded[0].alike(), self._tested(), strict=True):
            part = self.coded[0].of(chosen)
            self.lines.append((rows, tested, chosen, read(x, part, rows, self.seen[0].held, FIRM)))

    def _tested(self) -> list[tuple[np.ndarray, list[int]]]:
        found = []
        for _, chosen in self.coded[0].alike():
            found.append((np.flatnonzero(self.coded[1].known[:, chosen].all(1)), chosen))
        return found

    def recognised(self, known: np.ndarray, test: np.ndarray) -> np.ndarray:
        """Cosine of each pair ``(P,)``; of a closed set 1 and 0 for each test picture ``(N,)``; empty if `why`."""
        if self.why:
            return np.zeros(0)
        if self.pairs is not None:
            x = unit(test.astype(np.float64))
            return np.einsum("pd,pd->p", x[self.pairs.left], x[self.pairs.right]).round(12)
        people, of = np.unique(self.seen[0].label, return_inverse=True)
        found = people[classify(test, class_sums(known, of, len(people)))]
        right: np.ndarray = (found == self.seen[1].label).astype(np.float64)
        return right

    def errors(self, known: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared errors ``(N, T)`` of test pictures, NaN where a nuisance is not known.

        Returns:
            by the readers that were fitted before anything was silenced, and by those that are fitted to what is left.
        """
        x, z = narrow(known), narrow(test)
        before, anew = np.full((2, len(z), len(self.coded[1].nuisances)), np.nan)
        for rows, tested, chosen, line in self.lines:
            part, y = self.coded[0].of(chosen), self.coded[1].of(chosen)
            again = fitted(moments(x, part.y, rows), line.model.penalty)
            for model, into in ((line.model, before), (again, anew)):
                squared = (model.predict(z[tested]) - y.y[tested]) ** 2
                for t, columns in zip(chosen, part.columns, strict=True):
                    into[tested, t] = squared[:, columns].sum(1)
        return before, anew

    def recognition(self, found: np.ndarray) -> tuple[str, np.ndarray, float, float, int]:
        """Metric, value of each of M selections, interval of their mean, and how many people or images it is over.

        Args:
            found: ``(P or N, M)`` as by `recognised`.
        """
        if self.pairs is not None:
            return "auc", *mean_area(found, self.pairs, self.seen[1].label)
        images = Resampling(self.seen[1].source)
        mean = np.stack([found.mean(1), np.ones(len(found))], 1)
        _, low, high = images.interval(mean, ratio, shares(1))
        return "accuracy", found.mean(0), float(low[0]), float(high[0]), images.sources


def together(specimen: Specimen, layer: LayerSeen, pictures: torch.Tensor, rows: int) -> int:
    """How many selections can be silenced in one run: as many as there is room for.

    Args:
        specimen: the network, held by `looking`.
        layer: of it.
        pictures: two, on which it is tried.
        rows: that are shown in all.

    Returns:
        1 where copies of a picture do not pass, as where a shortcut goes round the layer; 0 where the layer cannot be
        silenced at all: no module, it runs several times, or its neurons stay as they are.
    """
    network, name = specimen.network, layer.name
    if place_of(network, name) is None:
        return 0
    plain = network.features(pictures, [name, network.embedding])
    fill = torch.from_numpy(layer.mean).float().to(pictures.device) + 1.0
    for copies in (2, 1):
        keep = torch.zeros(copies, layer.width, dtype=torch.bool)
        keep[0] = copies == 2
        try:
            with silenced(network, name, keep, fill) as ran:
                found = network.features(pictures, [name, network.embedding])
        except RuntimeError:
            if copies == 1:
                raise
            continue
        if len(ran) != 1:
            return 0
        room = min(ROOM // (SIZE * ran[0]), KEPT // (rows * found[network.embedding][0].numel()))
        values = neurons(found[name], layer.kind)
        if len(values) != copies * len(pictures) or len(found[network.embedding]) != len(values):
            continue
        last = values[-len(pictures) :]
        same = copies == 1 or torch.allclose(
            found[network.embedding][: len(pictures)], plain[network.embedding], rtol=1e-3, atol=1e-4
        )
        if torch.allclose(last, fill.to(last).expand_as(last), rtol=1e-3, atol=1e-4) and same:
            return max(room, 1) if copies == 2 else 1
    return 0


def embeddings(
    specimen: Specimen,
    layer: LayerSeen,
    seen: tuple[Seen, Seen],
    keep: np.ndarray,
    fill: np.ndarray,
    device: torch.device,
    copies: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The embedding of the known rows and of test under each selection in turn, each ``(N, D)`` float32.

    Args:
        specimen: the network, held by `looking`.
        layer: whose neurons are silenced; of the embedding it is arithmetic on its numbers.
        seen: pictures of train and val, and of test; those of ``layer`` itself where it is the embedding.
        keep: ``(M, D)`` bool, False for what is silenced.
        fill: ``(D,)`` what these say instead.
        device: of the pictures.
        copies: selections in one run, as by `together`; 0: arithmetic.
    """
    if not copies:
        filled32 = fill.astype(np.float32)
        for kept in keep:
            yield np.where(kept, layer.known, filled32), np.where(kept, layer.test, filled32)
        return
    network = specimen.network
    filled = torch.from_numpy(fill).float()
    for start in range(0, len(keep), copies):
        kept = torch.from_numpy(keep[start : start + copies])
        found: list[list[np.ndarray]] = [[], []]
        with silenced(network, layer.name, kept, filled):
            for of, into in zip(seen, found, strict=True):
                for _, pictures in of.batches(device, SIZE):
                    x = network.features(pictures, [network.embedding])[network.embedding].flatten(1).float()
                    into.append(x.unflatten(0, (len(kept), len(pictures))).cpu().numpy())
        known, test = (np.concatenate(parts, 1) for parts in found)
        yield from zip(known, test, strict=True)
