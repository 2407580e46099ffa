"""From scores to results with intervals that resample identities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtrit

from invariantnets.protocols.identification import Search, detection_rates
from invariantnets.protocols.rates import FARS, auc, eer, roc, tar_at
from invariantnets.protocols.verification import Pairs
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.resampling import LEVELS, Resampling, ratio

RANKS = np.arange(1, 51)
# Reported as numbers of their own, beside the curves; in per cent, as the papers write them.
HEADLINE_FARS = {0.01: "1", 0.001: "0.1"}
RESAMPLED = "interval: bootstrap over identities"


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
    """

    layer: str
    seed: int
    similarity: str
    replicates: int

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
        bootstrap = self._bootstrap(np.concatenate([label[pairs.left], label[pairs.right]]))
        left, right = np.split(bootstrap.group, 2)

        def numbers(count: np.ndarray | None) -> np.ndarray:
            # A pair is there as often as both of its people are.
            weights = None if count is None else np.where(pairs.same, count[left], count[left] * count[right])
            far, tar = roc(scores, pairs.same, weights)
            return np.array([auc(far, tar), eer(far, tar), *tar_at(far, tar, np.array(FARS))])

        names = [Name("auc", 0.5, {}), Name("eer", 0.5, {}), *(Name("tar", far, {"far": far}) for far in FARS)]
        mean, folds = float(accuracy.mean()), len(accuracy)
        error = float(accuracy.std(ddof=1)) / folds**0.5
        reach = float(stdtrit(folds - 1, 0.975)) * error
        over_folds = f"± {error:.4f} standard error over {folds} folds; interval: Student's t"
        fields: dict[str, Any] = {"protocol": "verification", "n": len(pairs), "identities": bootstrap.sources}
        # Of lists that are not balanced, the answer that is given more often is right by chance.
        most = float(max(np.mean(pairs.same), np.mean(~pairs.same)))
        bounds = {"low": mean - reach, "high": mean + reach, "chance": most}
        return [
            self.result("accuracy", mean, note=join(over_folds, note), **bounds, **fields),
            *self._each(names, _interval(bootstrap, numbers), note=join(RESAMPLED, note), **fields),
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
        bootstrap = self._bootstrap(label)
        numbers = bootstrap.interval(np.concatenate([hits, np.ones_like(hits)], 1), ratio)
        fields = {"protocol": "closed_set", "n": len(label), "identities": bootstrap.sources}
        return self._each(names, numbers, note=join(f"gallery of {gallery:,}", RESAMPLED, note), **fields)

    def open_set(self, found: Search, label: np.ndarray, gallery: int, note: str) -> list[Result]:
        """Detection and identification rate at 1 % and 0.1 % false alarms, and its curve.

        Args:
            found: of all probes, impostors too.
            label: ``(P,)`` identity of each probe.
            gallery: entries of the gallery.
            note: what must be said.
        """
        bootstrap = self._bootstrap(label)
        fars = np.array([*HEADLINE_FARS, *FARS])

        def numbers(count: np.ndarray | None) -> np.ndarray:
            return detection_rates(found, fars, None if count is None else count[bootstrap.group])

        names = [Name(f"dir_far{text}", far / gallery, {}) for far, text in HEADLINE_FARS.items()]
        names += [Name("dir", far / gallery, {"far": far}) for far in FARS]
        genuine = int((found.rank > 0).sum())
        who = f"gallery of {gallery:,}, {genuine:,} genuine probes, {len(label) - genuine:,} impostors"
        finest = 1 / (len(label) - genuine)
        coarse = f"below a FAR of {finest:.2g} no impostor at all is let in" if finest > min(HEADLINE_FARS) else ""
        fields = {"protocol": "open_set", "n": len(label), "identities": bootstrap.sources}
        return self._each(names, _interval(bootstrap, numbers), note=join(who, coarse, RESAMPLED, note), **fields)

    def _bootstrap(self, identity: np.ndarray) -> Resampling:
        return Resampling(identity, self.replicates, numpy_rng(self.seed, 11))

    def _each(
        self, names: list[Name], numbers: tuple[np.ndarray, np.ndarray, np.ndarray], **fields: Any
    ) -> list[Result]:
        return [
            self.result(metric, v, low=float(low), high=float(high), chance=chance, where=where, **fields)
            for (metric, chance, where), v, low, high in zip(names, *numbers, strict=True)
        ]


def _interval(
    bootstrap: Resampling, numbers: Callable[[np.ndarray | None], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers that are no ratios of sums, and their 95 % percentile interval.

    Args:
        bootstrap: of the identities.
        numbers: how often each identity counts (None: once) → ``(M,)``. A replicate in which they are
            undefined has no say.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        replicates = np.stack([numbers(count) for count in bootstrap.counts.astype(np.float64)])
    low, high = np.nanpercentile(replicates, LEVELS, axis=0)
    return numbers(None), low, high


def join(*parts: str) -> str:
    """One note of several, leaving out what is empty."""
    return "; ".join(part for part in parts if part)
