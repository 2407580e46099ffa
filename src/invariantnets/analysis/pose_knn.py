"""Whether the nearest neighbours of an image tell a frontal view from a profile (Zhong et al. 2018, figure 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.probes.suite import probable
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import NOT_KNOWN
from invariantnets.statistics.neighbours import nearest
from invariantnets.statistics.resampling import Resampling, ratio, shares

__all__ = ["PoseKnn", "as_many", "cross_validated"]

STREAM = 72
# Rows at most: the time grows with their square.
MOST = 20_000


@dataclass(frozen=True)
class PoseKnn:
    """Accuracy of kNN, k chosen by cross-validation, on as many frontal views as profiles.

    Distances are Euclidean, every neighbour has one vote. The paper reports the best k; here the k of each fold is the
    best of the other folds.

    Args:
        nuisance: a number, or an angle that wraps; its magnitude is what counts.
        frontal: at most so much.
        profile: at least so much.
        folds: of people; of images in a closed set.
        neighbours: k to choose from, odd and ascending.
        rows: ``all``, or ``test``: those that a network was trained on are left out.
    """

    nuisance: str = "yaw"
    frontal: float = 15.0
    profile: float = 45.0
    folds: int = 10
    neighbours: Sequence[int] = (1, 3, 5, 7, 9, 15, 25, 45)
    rows: str = "all"
    name: ClassVar[str] = "pose_knn"
    title: ClassVar[str] = "Frontal or profile by nearest neighbours"

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        self._check(material.table)
        closed = probable(material.table, material.layer)
        table = material.table if self.rows == "all" else material.table.part("test")
        source = table.source if closed else table.label
        magnitude = self._magnitude(table)
        side = np.where(magnitude >= self.profile, 1.0, np.where(magnitude <= self.frontal, 0.0, np.nan))
        self._check_sides(magnitude, side, source, "images" if closed else "people")
        rows = as_many(side, source, MOST, numpy_rng(material.seed, STREAM, 0))
        side, source = side[rows] > 0, source[rows]
        people, group = np.unique(source, return_inverse=True)
        if len(people) < self.folds:
            raise InvariantNetsError(
                f"analysis.pose_knn.folds={self.folds}: rows are of {len(people)} {'images' if closed else 'people'} "
                f"only; give more, or analysis.pose_knn.folds={len(people)}"
            )
        fold = (numpy_rng(material.seed, STREAM, 1).permutation(len(people)) % self.folds)[group]
        material.progress(f"{self.title}: {len(rows)} rows, {self.folds} folds")
        shuffled = side[numpy_rng(material.seed, STREAM, 2).permutation(len(side))]
        x = table.features[material.layer][rows].astype(np.float64)
        answers = np.stack([side, shuffled], 1)
        hits, chosen = cross_validated((x - x.mean(0)).astype(np.float32), answers, fold, self.neighbours)
        resampling = Resampling(source)
        counts = np.ones((len(rows), 2))
        value, low, high = resampling.interval(np.concatenate([hits, counts], 1), ratio, shares(2))
        both = np.isin(source, np.intersect1d(source[side], source[~side]))
        of, what = f"|{self.nuisance}|", "images" if closed else "people"
        frontal, profile = (int(part.sum()) for part in (magnitude <= self.frontal, magnitude >= self.profile))
        note = (
            f"profile: {of} of {self.profile:g} or more, {profile:,} rows; frontal: of {self.frontal:g} or less, "
            f"{frontal:,} rows; as many of either were drawn, "
            + f"{int(both.sum()):,} of them of people that have both; " * (not closed)
            + f"{self.folds} folds of {what}"
        )
        results = []
        for i, reader in enumerate(("knn", "shuffled")):
            known = np.isfinite(high[i])
            fields: dict[str, Any] = {"low": float(low[i]), "high": float(high[i])} if known else {}
            results.append(
                measured(
                    material,
                    "accuracy",
                    float(value[i]),
                    **fields,
                    target=self.nuisance,
                    probe=f"pose_knn/{reader}",
                    n=len(rows),
                    sources=resampling.sources,
                    n_fit=round(len(rows) * (1 - 1 / self.folds)),
                    chance=float(max(side.mean(), 1 - side.mean())),
                    chosen={"k": int(chosen[i])},
                    title=self.title,
                    note=note if known else f"{note}; {NOT_KNOWN}",
                )
            )
        return results

    def _check(self, table: FeatureTable) -> None:
        numbers = [n.name for n in table.nuisances if n.kind in ("continuous", "circular")]
        if self.nuisance not in numbers:
            raise InvariantNetsError(
                f"analysis.pose_knn.nuisance={self.nuisance}: no number of that name among the nuisances "
                f"(numbers: {', '.join(numbers) or 'none'})"
            )
        if not 0 <= self.frontal < self.profile:
            raise InvariantNetsError(
                f"analysis.pose_knn.frontal={self.frontal:g} must be 0 or more, and less than profile={self.profile:g}"
            )
        ks = list(self.neighbours)
        if not ks or any(k < 1 or k % 2 == 0 for k in ks) or sorted(set(ks)) != ks:
            raise InvariantNetsError(f"analysis.pose_knn.neighbours={ks}: odd numbers are needed, ascending")
        if self.folds < 2:
            raise InvariantNetsError(f"analysis.pose_knn.folds={self.folds}: 2 or more are needed")
        if self.rows not in ("all", "test"):
            raise InvariantNetsError(f"analysis.pose_knn.rows={self.rows}: choose from all, test")

    def _magnitude(self, table: FeatureTable) -> np.ndarray:
        (nuisance,) = (n for n in table.nuisances if n.name == self.nuisance)
        value = np.asarray(table.nuisance[self.nuisance], np.float64)
        found: np.ndarray = np.abs((value + 180) % 360 - 180 if nuisance.kind == "circular" else value)
        return found

    def _check_sides(self, magnitude: np.ndarray, side: np.ndarray, source: np.ndarray, what: str) -> None:
        """See that there is something to tell, on either side of two people or more."""
        for code, words in ((1.0, f"{self.profile:g} or more"), (0.0, f"{self.frontal:g} or less")):
            rows = side == code
            if (count := len(np.unique(source[rows]))) < 2:
                known = magnitude[np.isfinite(magnitude)]
                reach = f"it reaches from {known.min():.3g} to {known.max():.3g}" if len(known) else "it is never known"
                raise InvariantNetsError(
                    f"|{self.nuisance}| is {words} in {int(rows.sum())} rows, of {count} {what}, and 2 are needed; "
                    f"{reach}: set analysis.pose_knn.frontal and profile"
                )


def as_many(side: np.ndarray, source: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """As many rows of either side, in random order; of the more frequent first those of people who have the other, too.

    Where both sides show the same people equally often, who it is tells nothing of the side.

    Args:
        side: ``(N,)`` 0, 1, or NaN for neither.
        source: ``(N,)`` who it is.
        most: rows in all, at most.
        rng: draws.

    Returns:
        indices.
    """
    of = [rng.permutation(np.flatnonzero(side == code)) for code in (0, 1)]
    count = min(len(of[0]), len(of[1]), most // 2)
    _, who = np.unique(source, return_inverse=True)
    taken = []
    for mine, others in (of, of[::-1]):
        has = np.bincount(who[others], minlength=who.max() + 1)
        order = np.argsort(who[mine], kind="stable")
        first = np.searchsorted(who[mine][order], who[mine][order])
        rank = np.empty(len(mine), np.int64)
        rank[order] = np.arange(len(mine)) - first
        taken.append(mine[np.argsort(rank >= has[who[mine]], kind="stable")][:count])
    return rng.permutation(np.concatenate(taken))


def cross_validated(
    x: np.ndarray, answers: np.ndarray, fold: np.ndarray, neighbours: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Who is right, each row by its neighbours in the other folds, as many of them as are best in these folds.

    Args:
        x: ``(N, D)`` float32, centred.
        answers: ``(N, T)`` bool.
        fold: ``(N,)`` codes from 0, two or more.
        neighbours: odd k, ascending; those that there are not as many rows of are left out.

    Returns:
        ``(N, T)`` hits, and ``(T,)`` the k that is best over all folds.
    """
    folds = int(fold.max()) + 1
    fewest = len(x) - int(np.bincount(fold).max())
    ks = np.array([k for k in neighbours if k <= fewest] or [1])
    right = np.zeros((len(ks), *answers.shape))
    for f in range(folds):
        held, fit = np.flatnonzero(fold == f), np.flatnonzero(fold != f)
        if len(held):
            near = fit[nearest(x[fit], x[held], int(ks[-1]))[0]]
            votes = np.cumsum(answers[near], axis=1)[:, ks - 1] > ks[:, None] / 2
            right[:, held] = (votes == answers[held][:, None]).transpose(1, 0, 2)
    of_fold = np.stack([right[:, fold == f].sum(1) for f in range(folds)])
    best = (of_fold.sum(0) - of_fold).argmax(1)  # (folds, T) by all folds but its own; the least k of equals
    hits = np.take_along_axis(right, best[fold][None], 0)[0]
    return hits, ks[of_fold.sum(0).argmax(0)]
