"""Obliviator (Akbari, Afshari & Boddeti 2025): features morphed, step by step, until no kernel finds the nuisance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.release.release import Release, fit_rows
from invariantnets.release.told import groups_of, one_hot, told

STREAM = 151
BLOCK_ROWS = 4096
# Of a nuisance of more values (numbers, angles), so many quantile groups stand for it.
GROUPS = 16


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of length 1; one of zeros stays."""
    size = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, size, out=np.zeros_like(x), where=size > 0)


def waves(x: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Random Fourier features of a Gaussian kernel (Rahimi & Recht 2007): inner products of rows are its values.

    Args:
        x: ``(N, D)``.
        frequencies: ``(D, M)``, normal, over the kernel's width.

    Returns:
        ``(N, 2 M)``.
    """
    phase = x @ frequencies
    return np.concatenate([np.sin(phase), np.cos(phase)], 1) / np.sqrt(frequencies.shape[1])


def morph(x: np.ndarray, origin: np.ndarray, **steps: np.ndarray) -> np.ndarray:
    """What the features of an `Obliviator` are after its steps.

    Each step: a hidden layer (all but the first), rows of length 1, `waves` of a kernel, a projection, length 1 again.

    Args:
        x: ``(N, D)`` features.
        origin: ``(D,)`` taken off.
        steps: of step i ``frequencies_i``, ``mean_i`` and ``axes_i``, and from the second on ``weights_i``, ``bias_i``.

    Returns:
        ``(N, K)`` float32, K being the columns of the last axes.
    """
    count = sum(name.startswith("axes_") for name in steps)
    out = np.empty((len(x), steps[f"axes_{count - 1}"].shape[1]), np.float32)
    for start in range(0, max(len(x), 1), BLOCK_ROWS):
        z = (x[start : start + BLOCK_ROWS] - origin).astype(np.float32)
        for i in range(count):
            if i:
                hidden = z @ steps[f"weights_{i}"] + steps[f"bias_{i}"]
                z = unit(hidden / (1 + np.exp(-np.maximum(hidden, -80))))  # beyond it is 0, and e^x no number
            z = unit((waves(z, steps[f"frequencies_{i}"]) - steps[f"mean_{i}"]) @ steps[f"axes_{i}"])
        out[start : start + BLOCK_ROWS] = z
    return out


@dataclass(frozen=True)
class Obliviator:
    """Iterated erasure of a nuisance by the Hilbert–Schmidt independence criterion, HSIC, in random Fourier features.

    First the features' waves are projected to where they have no covariance with the nuisance, and within that to
    where they have most with themselves and the class. Then ``rounds`` times: a hidden layer is trained to lower the
    HSIC of its output with the nuisance, and to raise, at less weight, that with the class and the features before;
    its waves are projected in the same way. Each row is then of length 1.

    Taken from the abstract (arXiv 2603.07529, NeurIPS 2025) and from the code that its authors published
    (github.com/ramin-akbari/Obliviator, commits 0f2233f and 0048bdc), with their weights, widths of kernels, layer and
    solver; the paper's equations were not at hand. Different here: covariances of a batch are centred, as HSIC's are;
    waves number ``features`` rather than 1,000 to 4,000; 60 steps of 512 rows at a rate of 0.005 rather than five
    epochs of batches of 32,768 at 0.0005; at most 20,000 rows; a nuisance of many values is 16 quantile groups, and its
    encoding stands beside them.

    Told the nuisances of the training rows, and their classes if ``supervised``. Drawn and trained anew by ``seed``.

    Attributes:
        nuisances: names; all if None.
        rounds: how often; 0 leaves the first projection.
        supervised: whether the class is told, and kept; else only the features are.
        features: of the kernels.
        seed: of its draws.
    """

    nuisances: Sequence[str] | None = None
    rounds: int = 10
    supervised: bool = True
    features: int = 500
    seed: int = 0

    def fit(self, table: FeatureTable, layer: str) -> Release:
        """Fit on (at most 20,000 of) the training rows in which all nuisances are known.

        Args:
            table: with rows of split train, and a class if ``supervised``.
            layer: of the table.

        Raises:
            InvariantNetsError: see `told`; a negative number of rounds, fewer than two features of a kernel, or no
                class to keep.
        """
        from invariantnets.release.obliviator_training import train  # brings torch

        if self.rounds < 0:
            raise InvariantNetsError(f"release.rounds={self.rounds}: there cannot be fewer than none")
        if self.features < 2:
            raise InvariantNetsError(f"release.features={self.features}: there must be two at least")
        part, known = told(table, layer, self.nuisances, "obliviator")
        if self.supervised and not table.labelled:
            raise InvariantNetsError(
                "release=obliviator: the table has no class to keep; give release.supervised=false"
            )
        part = fit_rows(part, self.seed)
        x = part.features[layer]
        origin = x.mean(0, dtype=np.float64)
        erased = np.concatenate([_indicators(n, part.nuisance[n.name]) for n in known], 1)
        kept = one_hot(np.unique(part.label, return_inverse=True)[1]) if self.supervised else None
        key = self.seed, STREAM
        steps = train((x - origin).astype(np.float32), erased, kept, self.rounds, self.features, key)
        names = ", ".join(nuisance.name for nuisance in known)
        how = f"obliviator of {names}, {self.rounds} rounds, {'class kept' if self.supervised else 'class not told'}"
        return Release(morph, {"origin": origin, **steps}, layer, x.shape[1], how, len(part), table.meta)


def _indicators(nuisance: Nuisance, values: np.ndarray) -> np.ndarray:
    """``(N, S)``: a nuisance as one column a value, or a quantile group, and its encoding at variance 1 beside them."""
    group = groups_of(values, max(GROUPS, len(nuisance.categories)))
    encoded = nuisance.encode(values)
    spread = encoded.std(0)
    return np.concatenate([one_hot(group), (encoded / np.where(spread > 0, spread, 1))], 1)
