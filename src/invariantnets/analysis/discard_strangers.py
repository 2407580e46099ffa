"""The false match rate, at the threshold of the mated comparisons, of the images that are left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from invariantnets.protocols.every_pair import People
from invariantnets.results.result import Result
from invariantnets.statistics.discards import SHOWN
from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import Resampling, shares

__all__ = ["Strangers"]


class Strangers:
    """Every pair of two people among some images, and which match at a threshold, by the lower quality of the two."""

    def __init__(
        self, x: np.ndarray, label: np.ndarray, quality: np.ndarray, threshold: float, shown: np.ndarray
    ) -> None:
        """Count them, in one pass.

        Args:
            x: ``(N, D)`` rows of length one.
            label: ``(N,)`` whose each is.
            quality: ``(N,)``.
            threshold: of cosine; a pair that reaches it matches.
            shown: ``(S,)`` least qualities, rising, at which it is counted by person.
        """
        self._people = People.of(x, label, np.arange(len(x)))
        self._quality = quality[self._people.row]
        count, steps = len(self._people.images), len(shown) + 1
        kept: list[np.ndarray] = [np.zeros(0)]
        matching = np.zeros((count, steps))
        for block in self._people.blocks():
            line, column = np.nonzero(block.scores >= threshold)
            sides = line + block.first, column + block.first
            worse = np.minimum(*(self._quality[side] for side in sides))
            kept.append(worse)
            step = np.searchsorted(shown, worse, side="right")
            for side in sides:
                place = self._people.person[side] * steps + step
                matching += np.bincount(place, minlength=count * steps).reshape(count, steps)
        self._matching = np.sort(np.concatenate(kept))
        # Each of `shown` leaves what reaches it.
        self._false = matching[:, ::-1].cumsum(1)[:, -2::-1]
        inside = self._quality[:, None] >= shown
        images = np.stack([np.bincount(self._people.person, column, count) for column in inside.T], 1)
        self._images, self._others = images, images * (images.sum(0) - images)

    def curve(self, cuts: np.ndarray) -> np.ndarray:
        """FMR of what each least quality leaves, ``(K,)``; NaN where that is of one person.

        Args:
            cuts: ``(K,)`` rising.
        """
        best = np.argsort(-self._quality, kind="stable")
        # From the best down, each image is compared with all better ones but those of its person.
        own = np.argsort(self._people.person[best], kind="stable")
        seen = np.empty(len(best), np.int64)
        seen[own] = np.arange(len(best)) - np.repeat(np.cumsum(self._people.images), self._people.images)
        seen[own] += np.repeat(self._people.images, self._people.images)
        reached = np.append(0, (np.arange(len(best)) - seen).cumsum())
        pairs = reached[np.searchsorted(-self._quality[best], -cuts, side="right")]
        matching = len(self._matching) - np.searchsorted(self._matching, cuts)
        return np.divide(matching, pairs, out=np.full(len(cuts), np.nan), where=pairs > 0)

    def rates(self, make: Any) -> Iterator[Result]:
        """FMR at each of `SHOWN`, and how much higher than where nothing is discarded.

        Who resembles everybody is in many of the pairs that match: a pair goes with either of its two people.
        """
        count = len(SHOWN)

        def rates(sums: np.ndarray) -> np.ndarray:
            left = sums - half
            rate = left[:, :count] / left[:, count:]
            return np.concatenate([rate, rate - rate[:, :1]], 1)

        rows = np.concatenate([self._false, self._others], 1)
        half = rows.sum(0) / 2  # every pair is there for both of its people, and is gone at once
        kinds = [*shares(count), *(Number("any", (count, count + i)) for i in range(count))]
        found = Resampling(np.arange(len(rows))).interval(rows, rates, kinds)
        for i, share in enumerate(SHOWN):
            n, sources = int(self._others[:, i].sum()) // 2, int((self._images[:, i] > 0).sum())
            fields: dict[str, Any] = {"where": {"discarded": f"{100 * share:g} %"}, "n": n, "sources": sources}
            rate, added = (_known(*(float(v[at]) for v in found)) for at in (i, count + i))
            yield make("false_match_rate", **rate, chance=float(found[0][0]), **fields)
            if share:
                yield make("fmr_added", **added, chance=0.0, **fields)


def _known(value: float, low: float, high: float) -> dict[str, float]:
    """Value, low and high, as far as they are known."""
    return {"value": value, **({"low": low, "high": high} if np.isfinite([low, high]).all() else {})}
