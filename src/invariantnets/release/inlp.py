"""Iterative nullspace projection (Ravfogel et al. 2020): what a line reads is projected out, until none reads more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.randomness import numpy_rng
from invariantnets.release.leace import erase
from invariantnets.release.release import Release
from invariantnets.release.told import told
from invariantnets.statistics.moments import Moments, moments

STREAM = 148
# The share of the training images that says when to stop; they are fitted to as little as rows of val are.
HELD_OUT = 0.2
FEWEST_SOURCES = 5
# Penalties of the readers, of the mean variance of a feature; the best on the images held out.
PENALTIES = (1e-6, 1e-4, 1e-2, 1.0)


def r2_of(weights: np.ndarray, fitted: Moments, held: Moments) -> float:
    """R² of a linear reader on rows that it was not fitted to, by their moments.

    Args:
        weights: ``(D, T)`` of ``ȳ + (x - x̄) @ weights``, means being those of the rows fitted to.
        fitted: moments of these.
        held: of the others.
    """
    offset = held.y_mean - fitted.y_mean - (held.x_mean - fitted.x_mean) @ weights
    error = held.yy - 2 * (weights * held.xy).sum(0) + (weights * (held.xx @ weights)).sum(0) + held.n * offset**2
    total = held.yy + held.n * (held.y_mean - fitted.y_mean) ** 2
    return float(1 - error.sum() / total.sum()) if total.sum() > 0 else 0.0


def best_reader(fitted: Moments, held: Moments, targets: slice, projection: np.ndarray) -> tuple[float, np.ndarray]:
    """The ridge regression on projected features that reads most on the rows held out.

    Args:
        fitted: moments of the rows to fit to.
        held: of those to choose by.
        targets: the columns of one nuisance.
        projection: ``(D, D)``, symmetric.

    Returns:
        its R² there, and weights ``(D, T)``, in the range of the projection.
    """
    fitted, held = fitted.targets(targets), held.targets(targets)
    variances, axes = np.linalg.eigh(projection @ fitted.xx @ projection)
    along, scale = axes.T @ (projection @ fitted.xy), np.trace(fitted.xx) / len(fitted.xx)
    options = []
    for penalty in PENALTIES:
        weights = projection @ (axes @ (along / (np.maximum(variances, 0) + penalty * scale)[:, None]))
        options.append((r2_of(weights, fitted, held), weights))
    return max(options, key=lambda option: option[0])


@dataclass(frozen=True)
class Inlp:
    """Fit a linear reader, project the features onto the nullspace of its weights, and again (algorithm 1 there).

    The readers are ridge regressions of the encoded nuisance (numbers as they are, circular ones as cosine and sine,
    categories as indicators) in place of the paper's support vector machines: a regression's nullspace is defined for
    every kind of nuisance. It ends where no reader is better than the mean on a fifth of the training images, which no
    reader was fitted to, or after ``rounds``. As the weights of each round lie in the nullspace of those before, the
    product of the projections is one, orthogonal, and is kept as such.

    Told the nuisances of the training rows, and of no other.

    Attributes:
        nuisances: names; all if None.
        rounds: at most; each takes a direction a column of the nuisance.
    """

    nuisances: Sequence[str] | None = None
    rounds: int = 300

    def fit(self, table: FeatureTable, layer: str) -> Release:
        """Fit on the training rows in which all nuisances are known.

        Args:
            table: with rows of split train.
            layer: of the table.

        Raises:
            InvariantNetsError: see `told`; fewer than five training images, or no round.
        """
        if self.rounds < 1:
            raise InvariantNetsError(f"release.rounds={self.rounds}: there must be one at least")
        part, known = told(table, layer, self.nuisances, "inlp")
        sources = np.unique(part.source)
        if len(sources) < FEWEST_SOURCES:
            raise InvariantNetsError(
                f"release=inlp: {FEWEST_SOURCES} training images are needed, to hold some out; there are {len(sources)}"
            )
        drawn = numpy_rng(0, STREAM).permutation(sources)[: max(1, round(HELD_OUT * len(sources)))]
        out = np.isin(part.source, drawn)
        columns = [nuisance.encode(part.nuisance[nuisance.name]) for nuisance in known]
        targets, x = np.concatenate(columns, 1), part.features[layer]
        fitted, held = (moments(x, targets, np.flatnonzero(rows)) for rows in (~out, out))
        ends = np.cumsum([0, *(c.shape[1] for c in columns)])
        basis, done = np.zeros((x.shape[1], 0)), 0
        for done in range(1, self.rounds + 1):
            projection = np.eye(len(basis)) - basis @ basis.T
            readers = [best_reader(fitted, held, slice(a, b), projection) for a, b in pairwise(ends)]
            more = [weights for r2, weights in readers if r2 > 0]
            if not more:
                done -= 1
                break
            axes, sizes, _ = np.linalg.svd(np.concatenate([w / np.linalg.norm(w) for w in more], 1), False)
            basis = np.linalg.qr(np.hstack([basis, axes[:, sizes > 1e-6 * sizes[0]]]))[0]
        names = ", ".join(nuisance.name for nuisance in known)
        how = f"inlp of {names}, {done} rounds, {basis.shape[1]} directions"
        mean = moments(x, targets).x_mean
        return Release(
            erase, {"mean": mean, "read": basis, "write": basis.T}, layer, len(basis), how, len(part), table.meta
        )
