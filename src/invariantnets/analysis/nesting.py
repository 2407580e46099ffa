"""How much of the variance of features is who it is, and how much is view and light within (Parde et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.analysis.variance_shares import fit, residuals
from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import Resampling

__all__ = ["Nesting"]

_NOTE = (
    "shares of the summed variance of all features, raw; each in turn: beyond people and the nuisances above it; "
    "beyond all others: what nothing else explains; own effect in each person: beyond people, if each person has an "
    "effect of their own; chance: nuisances shuffled within people, people among all rows; intervals over people"
)


@dataclass(frozen=True)
class Nesting:
    """Shares of the variance of the test features that people explain, then nuisances, one after the other.

    Args:
        nuisances: which, in the order in which they come; None for all of the table in its order.
        bins: of a number, each of as many rows.
        shuffles: of the nuisances within people.
    """

    nuisances: Sequence[str] | None = None
    bins: int = 5
    shuffles: int = 99
    name: ClassVar[str] = "nesting"
    title: ClassVar[str] = "Variance of the features: who it is, then what varies within"

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        table, layer = material.table, material.layer
        if self.bins < 2 or self.shuffles < 1:
            raise InvariantNetsError(
                f"analysis.nesting: bins={self.bins} are 2 or more, shuffles={self.shuffles} 1 or more"
            )
        if not table.labelled:
            raise InvariantNetsError(f"{self.title}: nobody says who is on the images: add a column 'label'")
        check_layer(table, layer)
        test, wanted, left_out = self._rows(table)
        material.progress(f"{self.title}: {', '.join(n.name for n in wanted)}")
        codes, names = [], []
        for nuisance in wanted:
            code = self._coded(nuisance, test.nuisance[nuisance.name])
            if code.max() > 0:
                codes.append(code)
                names.append(nuisance.name)
            else:
                left_out.append(f"{nuisance.name} has one value only")
        if not names:
            raise InvariantNetsError(f"{self.title}: no nuisance can be used: {'; '.join(left_out)}")
        return self._measured(material, test, names, codes, "; ".join([_NOTE, *left_out]))

    def _rows(self, table: FeatureTable) -> tuple[FeatureTable, list[Nuisance], list[str]]:
        """Test rows of people with two images or more, on which all nuisances are known, and what is left out."""
        every = {n.name: n for n in table.nuisances}
        for name in self.nuisances or ():
            if name not in every:
                raise InvariantNetsError(
                    f"analysis.nesting.nuisances: no {name!r} in the table (it has {', '.join(every) or 'none'})"
                )
        wanted = [every[name] for name in (self.nuisances if self.nuisances is not None else every)]
        test, said = table.part("test"), []
        # One that is known in few rows would leave no others.
        share = {n.name: float(np.isfinite(test.nuisance[n.name]).mean()) for n in wanted}
        if self.nuisances is None:
            few = {name: known for name, known in share.items() if known < 0.5}
            said = [f"{name} is known in {known:.0%} of the rows only: left out" for name, known in few.items()]
            wanted = [n for n in wanted if n.name not in few]
        known = np.ones(len(test), bool)
        for n in wanted:
            known &= np.isfinite(test.nuisance[n.name])
        images = np.bincount(test.label[known], minlength=table.num_classes)
        kept = known & (images[test.label] > 1)
        if len(np.unique(test.label[kept])) < 2:
            raise InvariantNetsError(
                f"{self.title}: fewer than two people in split 'test' have two images on which "
                f"{', '.join(n.name for n in wanted) or 'anything'} is known: give more, or fewer "
                "analysis.nesting.nuisances"
            )
        if missing := int((~known).sum()):
            said.append(f"rows left out on which a nuisance is unknown: {missing:,}")
        if alone := int((known & ~kept).sum()):
            said.append(f"people with one image left out: {alone:,}")
        return test.rows(kept), wanted, said

    def _coded(self, nuisance: Nuisance, values: np.ndarray) -> np.ndarray:
        """``(N,)`` categories from 0, each of which occurs; numbers in bins."""
        if nuisance.kind in ("continuous", "circular"):
            numbers = values % 360 if nuisance.kind == "circular" else values
            if len(np.unique(numbers)) > self.bins:
                edges = np.unique(np.quantile(numbers, np.linspace(0, 1, self.bins + 1)[1:-1]))
                values = np.searchsorted(edges, numbers, side="right")
        code: np.ndarray = np.unique(values, return_inverse=True)[1]
        return code

    def _measured(
        self, material: Material, test: FeatureTable, names: list[str], codes: list[np.ndarray], note: str
    ) -> list[Result]:
        x, count = test.features[material.layer], len(names)
        fits = fit(x, test.label, codes, self.shuffles, numpy_rng(material.seed, 80))
        if not fits.total > 0:
            raise InvariantNetsError(f"layer {material.layer!r}: all features are constant on split 'test'")
        fixed = [name for name, at in zip(names, fits.columns, strict=True) if fits.zz[at, at].max() < 1e-9]
        note += "".join(f"; {name} never varies within a person: it is part of who that is" for name in fixed)
        every = list(range(count))
        turns = [every[:i] for i in range(count + 1)]  # people; then with the first nuisance; …; with all
        others = [[f for f in every if f != i] for i in every]
        left = residuals(x, fits, codes, [*turns, *others])
        people = Resampling(fits.who)
        quantities = np.column_stack([np.ones(len(fits.who)), left.total, left.plain, left.models, left.own])

        def statistic(sums: np.ndarray) -> np.ndarray:
            total, plain = sums[:, 1:2], sums[:, 2:3]
            turn, without, own = np.split(sums[:, 3:], [count + 1, 2 * count + 1], axis=1)
            last = turn[:, -1:]
            taken = [total - turn[:, :1], -np.diff(turn, axis=1), last, plain - last, without - last, turn[:, :1] - own]
            return np.clip(np.concatenate(taken, 1) / total, 0, 1)

        value, low, high = people.interval(quantities, statistic, [Number("share", (0,))] * (3 * count + 3))
        in_turn, rest, unique, own = np.split(np.arange(len(value)), [count + 1, count + 2, 2 * count + 3])
        by_turn = np.array([[fits.ss(turns[i + 1], i, s) - fits.ss(turns[i]) for i in every] for s in self._draws])
        by_all = np.array([[fits.ss(every, i, s) - fits.ss(others[i]) for i in every] for s in self._draws])
        n, k = len(fits.who), len(fits.zz)
        guessed = (people.sources - 1) / (n - 1)
        of_people = (people.sources - 1) / max(n - 1 - k, 1) * float(left.plain.sum()) / fits.total
        chance = np.concatenate([[guessed], by_turn.mean(0) / fits.total, [np.nan], [of_people]])
        chance = np.concatenate([chance, by_all.mean(0) / fits.total, left.own_chance / fits.total])
        observed = np.array([fits.ss(turns[i + 1]) - fits.ss(turns[i]) for i in every])
        p = (1 + (by_turn >= observed - 1e-9 * fits.total).sum(0)) / (1 + self.shuffles)
        make = partial(measured, material, n=n, sources=people.sources, target="features", title=self.title, note=note)
        results = []

        def say(places: np.ndarray, of: Sequence[str], probe: str) -> None:
            for i, name in zip(places, of, strict=True):
                ends = {"low": float(low[i]), "high": float(high[i])} if np.isfinite(low[i]) else {}
                guess = float(chance[i]) if np.isfinite(chance[i]) else None
                results.append(make("variance_share", value[i], probe=probe, where={"of": name}, chance=guess, **ends))

        say(in_turn, ["people", *names], "nesting/each in turn")
        say(rest, ["the rest"], "nesting/each in turn")
        say(unique, ["people", *names], "nesting/beyond all others")
        say(own, names, "nesting/own effect in each person")
        for i, name in enumerate(names):
            results.append(make("p_value", p[i], probe="nesting/in turn, by shuffling", where={"of": name}))
        return results

    @property
    def _draws(self) -> range:
        return range(self.shuffles)
