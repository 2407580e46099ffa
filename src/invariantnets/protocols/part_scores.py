"""From scores of parts and of their sums to results, with intervals that resample people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from invariantnets.protocols.part_models import Said, Weights, hits
from invariantnets.protocols.parts import ALBUM, Instances
from invariantnets.protocols.scores import RESAMPLED, join
from invariantnets.results.paired import Less
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import Resampling, ratio

__all__ = ["PartRecorder"]

RANKS = (1, 10)
NAMES = {
    "global": "global alone",
    "parts": "parts without global",
    "unfilled": "global and parts, not filled",
    "unfilled_same_weights": "global and parts, not filled, weights of the filled",
    "filled": "global and parts, filled",
}
TIES = "where scores tie, a guess among them"


@dataclass(frozen=True)
class PartRecorder:
    """Makes results of one layer and one way to halve.

    Attributes:
        layer: goes into every result.
        seed: goes into every result.
        way: ``image`` or ``album``.
        test: ``J`` people in pictures.
        val: those that weights were learned on.
        weights: arrangement → weights.
        n_val: how many these are.
        notes: what must be said of every number.
    """

    layer: str
    seed: int
    way: str
    test: Instances
    val: Instances
    weights: Mapping[str, Weights]
    n_val: int
    notes: Sequence[str]

    @property
    def best(self) -> tuple[str, str]:
        """The arrangement with filling, and the same without: of parts alone where there is no global model."""
        return ("filled" if self.test.has_global else "parts"), "unfilled"

    def hits(self, scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrangement → ``(J,)`` whether the right one of the people of test comes first."""
        truth = np.unique(self.test.person, return_inverse=True)[1]
        return {name: hits(of, truth) for name, of in scores.items()}

    def recognition(self, right: Mapping[str, np.ndarray], said: Said) -> list[Result]:
        """Accuracy of every arrangement, what filling gains, subsets, activation rates and weights."""
        with_, without = self.best
        found = [self._accuracy(name, of, n_fit=len(self.test) // 2) for name, of in right.items()]
        found.append(self._gain("accuracy_gain", right[with_] - right[without]))
        shown = [name for name in ("global", with_) if name in right]
        for k, part in enumerate(self.test.parts):
            fires = self.test.active[:, k]
            if not k or fires.all():
                continue
            for value in (1, 0):
                here, where = fires == bool(value), {"part": part, "fires": value}
                found += [self._accuracy(name, right[name], here, where) for name in (*shown, f"part {part}")]
        count = self.test.active[:, 1:].sum(1)
        for n in np.unique(count):
            gained = right[with_] - right[without]
            found.append(self._gain("accuracy_gain", gained, count == n, {"parts_that_fire": int(n)}))
        return [*found, *self._rates(said), *self._weights()]

    def few(self, shot: int, right: Mapping[str, np.ndarray], n_fit: int) -> list[Result]:
        """Accuracy with some training pictures a person; weights are those of validation with all."""
        with_, without = self.best
        name = f"{shot} training picture{'s' * (shot > 1)} a person"
        named = {a: right[a] for a in ("global", "parts", without, with_) if a in right}
        found = [self._accuracy(a, of, n_fit=n_fit // 2, few=name) for a, of in named.items()]
        return [*found, self._gain("accuracy_gain", right[with_] - right[without], few=name)]

    def retrieval(self, vectors: Mapping[str, np.ndarray]) -> list[Result]:
        """How often one of the k nearest other pictures is of the same person, none of the same album by album.

        Args:
            vectors: arrangement → ``(J, P)`` scores of the people of validation, compared by Euclidean distance.
        """
        same = self.test.person[:, None] == self.test.person
        other = self.test.picture[:, None] != self.test.picture
        if self.way == ALBUM and self.test.album is not None:
            other &= self.test.album[:, None] != self.test.album
        mates, rest = (same & other).sum(1), other.sum(1)
        there = mates > 0
        if not there.any():
            return []
        ranks = {a: self._ranks(vectors[a], same, other)[there] for a in ("global", *self.best[::-1]) if a in vectors}
        said = join(
            f"nearest by scores of {len(np.unique(self.val.person))} people of val",
            "none of its own album" if self.way == ALBUM else "",
            f"{np.count_nonzero(~there)} without a mate left out" if not there.all() else "",
        )
        found = []
        for k in RANKS:
            chance = float(np.mean(_by_chance(mates[there], rest[there], k)))
            for name, rank in ranks.items():
                found.append(self._share(f"rank{k}", name, rank <= k, there, chance=chance, note=said, few="retrieval"))
        with_, without = self.best
        gained = np.zeros(len(self.test))
        gained[there] = (ranks[with_] == 1).astype(float) - (ranks[without] == 1)
        return [*found, self._gain("rank1_gain", gained, there, few="retrieval")]

    def lost_by_album(self, by_image: Mapping[str, np.ndarray], by_album: Mapping[str, np.ndarray]) -> list[Result]:
        """What every arrangement loses if the other half is of other albums, of the same pictures."""
        shown = [name for name in ("global", "parts", *self.best[::-1]) if name in by_image]
        every = np.ones(len(self.test), bool)
        return [
            self._gain("accuracy_drop", by_image[name] - by_album[name], every, of=name, note="by image less by album")
            for name in dict.fromkeys(shown)
        ]

    def _accuracy(
        self,
        name: str,
        right: np.ndarray,
        here: np.ndarray | None = None,
        where: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Result:
        here = np.ones(len(right), bool) if here is None else here
        chance = 1 / len(np.unique(self.test.person))
        note = join(TIES, *(() if where else self.notes))
        return self._share("accuracy", name, right[here], here, chance=chance, where=where or {}, note=note, **fields)

    def _share(
        self, metric: str, name: str, right: np.ndarray, here: np.ndarray, *, note: str, few: str = "", **fields: Any
    ) -> Result:
        people = Resampling(self.test.person[here])
        quantities = np.stack([right.astype(np.float64), np.ones(len(right))], 1)
        value, low, high = people.interval(quantities, ratio, [Number("share", (1,))])
        whole = not fields.get("where") and people.sources > 1
        draws = people.drawn(quantities, ratio)[:, 0].tolist() if whole else []
        bounds = {"low": float(low[0]), "high": float(high[0]), "draws": draws}
        note = join(RESAMPLED, note)
        return self._result(
            metric, value[0], name, few, n=len(right), sources=people.sources, note=note, **bounds, **fields
        )

    def _gain(
        self,
        metric: str,
        gained: np.ndarray,
        here: np.ndarray | None = None,
        where: Mapping[str, Any] | None = None,
        of: str = "",
        few: str = "",
        note: str = "filling less no filling",
    ) -> Result:
        """A mean difference on the same pictures, with its paired interval."""
        here = np.ones(len(gained), bool) if here is None else here
        people = Resampling(self.test.person[here])
        quantities = np.stack([gained[here], np.ones(np.count_nonzero(here))], 1)
        drawn, n = people.drawn(quantities, ratio), people.sources
        value = float(gained[here].mean())
        less = Less((value,), float(np.nanvar(drawn)) * n / (n - 1) if n > 1 and drawn.any() else None, n)
        low, high = less.bounds or (None, None)
        said = join(f"{note}, of the same pictures in the same draws", RESAMPLED)
        fields = {"low": low, "high": high, "chance": 0.0, "where": where or {}, "note": said}
        return self._result(metric, value, of or self.best[0], few, n=int(here.sum()), sources=n, **fields)

    def _rates(self, said: Said) -> list[Result]:
        found = []
        people = len(np.unique(self.test.person))
        for k, part in enumerate(self.test.parts):
            if part:
                known = said.trained[:, :, k].sum(1)
                note = f"models know {known.min()} to {known.max()} of {people} people"
                fires = self.test.active[:, k]
                found.append(
                    self._share("activation_rate", f"part {part}", fires, np.ones(len(fires), bool), note=note)
                )
        return found

    def _weights(self) -> list[Result]:
        """Weights of each arrangement, over the sum of their sizes."""
        found = []
        for name, weights in self.weights.items():
            of = weights.w / (np.abs(weights.w).sum() or 1.0)
            note = join(
                "of the sum of all sizes",
                "may be below 0",
                f"accuracy of the half it was chosen on {weights.accuracy:.3f}",
            )
            people = len(np.unique(self.val.person))
            for part, w in zip(weights.parts, of, strict=True):
                fields: dict[str, Any] = {"split": "val", "n": self.n_val, "sources": people, "note": note}
                where, chosen = {"part": part}, {"C": weights.c}
                found.append(self._result("part_weight", w, name, "", where=where, chosen=chosen, **fields))
        return found

    def _result(self, metric: str, value: float, name: str, few: str, **fields: Any) -> Result:
        named = NAMES.get(name, f"{name} alone" if metric == "accuracy" and name not in self.weights else name)
        title = join(named, few, f"halves by {self.way}").replace(";", ",") if metric != "activation_rate" else named
        probe = "/".join(filter(None, ("piper", self.way, few.replace(" ", "_"), name)))
        given = {"split": "test", "about": "identity", "title": title, **fields}
        return Result(metric, float(value), self.layer, "identity", probe, seed=self.seed, **given)

    @staticmethod
    def _ranks(vectors: np.ndarray, same: np.ndarray, other: np.ndarray) -> np.ndarray:
        """``(J,)`` place of the nearest of the same person among all others; what is as near comes before it."""
        squares = (vectors**2).sum(1)
        distance = squares[:, None] + squares - 2 * vectors @ vectors.T
        nearest = np.where(same & other, distance, np.inf).min(1)
        before: np.ndarray = 1 + ((distance <= nearest[:, None]) & ~same & other).sum(1)
        return before


def _by_chance(mates: np.ndarray, others: np.ndarray, k: int) -> np.ndarray:
    """Of ``others`` in random order, how often one of the ``mates`` is among the first k."""
    none = np.ones(len(mates))
    for i in range(k):
        none *= np.clip((others - mates - i) / np.maximum(others - i, 1), 0, None)
    chance: np.ndarray = 1 - none
    return chance
