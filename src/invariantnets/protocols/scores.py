"""From scores to results with intervals that resample identities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from invariantnets.protocols.identification import Search, detection_rates
from invariantnets.protocols.rates import FARS, auc, eer, roc, tar_at
from invariantnets.protocols.verification import Pairs
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import NOT_KNOWN, Scatter, effective_sources, share_bounds
from invariantnets.statistics.resampling import Resampling, common_draws, draw, ratio, shares

RANKS = np.arange(1, 51)
# Reported as numbers of their own, beside the curves; in per cent, as the papers write them.
HEADLINE_FARS = {0.01: "1", 0.001: "0.1"}
_PAIRED = ("eer", "rank1", "dir_far1")  # that keep what they are in the common draws
RESAMPLED = "interval: over identities"


class Name(NamedTuple):
    """What one number of a protocol is, and what chance would give."""

    metric: str
    chance: float
    where: Mapping[str, float]


@dataclass(frozen=True)
class Recorder:
    """Makes results of one layer and one similarity.

    Attributes:
        layer: goes into every result.
        seed: of the bootstrap; goes into every result.
        similarity: the second half of every probe's name.
        replicates: of the bootstrap.
        people: how many identities the labels number, so that `Result.draws` are kept; 0 for none.
    """

    layer: str
    seed: int
    similarity: str
    replicates: int
    people: int = 0

    def result(self, metric: str, value: float, protocol: str, n: int, identities: int, **fields: Any) -> Result:
        """One number of a protocol, on test rows."""
        probe = f"{protocol}/{self.similarity}"
        fixed: dict[str, Any] = {"split": "test", "n": n, "sources": identities, "seed": self.seed}
        return Result(metric, float(value), self.layer, "identity", probe, **fixed, about="identity", **fields)

    def verification(
        self, scores: np.ndarray, pairs: Pairs, label: np.ndarray, accuracy: np.ndarray, note: str
    ) -> list[Result]:
        """Accuracy over folds, area, equal error rate and ROC.

        Args:
            scores: ``(P,)`` of the pairs.
            pairs: which they are.
            label: ``(N,)`` identity of each row.
            accuracy: ``(F,)`` of each fold.
            note: what must be said.
        """
        people = Resampling(np.concatenate([label[pairs.left], label[pairs.right]]))
        left, right = np.split(people.group, 2)
        # Each kind of pair is of as many people as have it.
        of_kind = (
            np.bincount(np.r_[left[kind], right[kind]], minlength=people.sources) for kind in (pairs.same, ~pairs.same)
        )
        effective = float(effective_sources(np.stack(list(of_kind), 1)).min())

        def numbers(count: np.ndarray | None) -> np.ndarray:
            # A pair is there as often as both of its people are.
            weights = None if count is None else np.where(pairs.same, count[left], count[left] * count[right])
            far, tar = roc(scores, pairs.same, weights)
            return np.array([auc(far, tar), eer(far, tar), *tar_at(far, tar, np.array(FARS))])

        names = [Name("auc", 0.5, {}), Name("eer", 0.5, {}), *(Name("tar", far, {"far": far}) for far in FARS)]
        mean, folds = float(accuracy.mean()), len(accuracy)
        error = float(accuracy.std(ddof=1)) / folds**0.5
        over_folds = f"± {error:.4f} standard error over {folds} folds; interval: of it"
        fields: dict[str, Any] = {"protocol": "verification", "n": len(pairs), "identities": people.sources}
        # Of lists that are not balanced, the answer that is given more often is right by chance.
        most = float(max(np.mean(pairs.same), np.mean(~pairs.same)))
        low, high = share_bounds(mean, Scatter(error**2, folds), effective, folds - 1)
        bounds: dict[str, Any] = {"low": low, "high": high, "chance": most}
        return [
            self.result("accuracy", mean, note=join(over_folds, note), **bounds, **fields),
            *self._each(
                names,
                self._drawn(people, effective, numbers),
                self._common(people, numbers),
                note=join(RESAMPLED, note),
                **fields,
            ),
        ]

    def closed_set(self, found: Search, label: np.ndarray, gallery: int, note: str) -> list[Result]:
        """Rank 1, rank 10 and the cumulative match curve.

        Args:
            found: of all probes.
            label: ``(P,)`` identity of each probe.
            gallery: entries of the gallery.
            note: what must be said.
        """
        curve = RANKS[:gallery].tolist()
        ranks = [*(k for k in (1, 10) if k <= gallery), *curve]
        names = [Name(f"rank{k}", k / gallery, {}) for k in ranks[: -len(curve)]]
        names += [Name("cmc", k / gallery, {"rank": k}) for k in curve]
        hits = (found.rank[:, None] <= np.array(ranks)).astype(np.float64)
        people = Resampling(label)
        numbers = people.interval(np.concatenate([hits, np.ones_like(hits)], 1), ratio, shares(len(ranks)))
        fields = {"protocol": "closed_set", "n": len(label), "identities": people.sources}

        def found_by(count: np.ndarray | None) -> np.ndarray:
            assert count is not None
            return np.average(hits, 0, count[people.group])

        said = join(f"gallery of {gallery:,}", RESAMPLED, note)
        return self._each(names, numbers, self._common(people, found_by), note=said, **fields)

    def open_set(self, found: Search, label: np.ndarray, gallery: int, note: str) -> list[Result]:
        """Detection and identification rate at 1 % and 0.1 % false alarms, and its curve.

        Args:
            found: of all probes, impostors too.
            label: ``(P,)`` identity of each probe.
            gallery: entries of the gallery.
            note: what must be said.
        """
        people = Resampling(label)
        fars = np.array([*HEADLINE_FARS, *FARS])

        def numbers(count: np.ndarray | None) -> np.ndarray:
            return detection_rates(found, fars, None if count is None else count[people.group])

        names = [Name(f"dir_far{text}", far / gallery, {}) for far, text in HEADLINE_FARS.items()]
        names += [Name("dir", far / gallery, {"far": far}) for far in FARS]
        genuine = int((found.rank > 0).sum())
        who = f"gallery of {gallery:,}, {genuine:,} genuine probes, {len(label) - genuine:,} impostors"
        finest = 1 / (len(label) - genuine)
        coarse = f"below a FAR of {finest:.2g} no impostor at all is let in" if finest > min(HEADLINE_FARS) else ""
        fields = {"protocol": "open_set", "n": len(label), "identities": people.sources}
        mates = found.rank > 0
        images = np.stack([np.bincount(people.group, kind, people.sources) for kind in (mates, ~mates)], 1)
        drawn = self._drawn(people, float(effective_sources(images).min()), numbers)
        said = join(who, coarse, RESAMPLED, note)
        return self._each(names, drawn, self._common(people, numbers), note=said, **fields)

    def _drawn(
        self, people: Resampling, effective: float, numbers: Callable[[np.ndarray | None], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shares that are no ratios of sums, and their intervals, from how they scatter if people are drawn again.

        Args:
            people: who is drawn.
            effective: people of equal say.
            numbers: how often each of them counts (None: once) → ``(M,)``. A draw in which they are undefined has no
                say.
        """
        value, n = numbers(None), people.sources
        if n == 1:
            return value, np.full(len(value), np.nan), np.full(len(value), np.nan)
        counts = draw(n, self.replicates, numpy_rng(self.seed, 11)).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = np.nanvar(np.stack([numbers(count) for count in counts]), axis=0) * n / (n - 1)
        scatters = (Scatter(float(v), n) for v in variance)
        freedom, alone = max(effective - 1, 1.0), effective < 1.5
        ends = [share_bounds(float(v), s, effective, freedom, alone) for v, s in zip(value, scatters, strict=True)]
        low, high = np.array(ends).T
        return value, low, high

    def _common(self, people: Resampling, numbers: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """The numbers in each of the `common_draws` of all people; no draw where these are not numbered.

        Returns:
            ``(DRAWS, M)``, or nothing.
        """
        draws = common_draws(self.people)[:, people.names] if self.people else np.empty((0, 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.array([numbers(count) for count in draws if count.any()])

    def _each(
        self,
        names: list[Name],
        numbers: tuple[np.ndarray, np.ndarray, np.ndarray],
        draws: np.ndarray,
        **fields: Any,
    ) -> list[Result]:
        said = fields.pop("note")
        return [
            self.result(
                metric,
                v,
                low=float(low),
                high=float(high),
                chance=chance,
                where=where,
                note=said if np.isfinite(low) else join(NOT_KNOWN, said),
                draws=draws[:, i].tolist() if len(draws) and metric in _PAIRED else [],
                **fields,
            )
            for i, ((metric, chance, where), v, low, high) in enumerate(zip(names, *numbers, strict=True))
        ]


def join(*parts: str) -> str:
    """One note of several, leaving out what is empty."""
    return "; ".join(part for part in parts if part)
