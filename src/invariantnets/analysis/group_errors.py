"""Errors of groups of people at fixed thresholds, and those of groups that are drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from invariantnets.protocols.every_pair import People, Rates, at_least, below, false_match_rates, false_non_match_rates
from invariantnets.statistics.intervals import effective_sources, worth

__all__ = ["GroupErrors", "WrongPairs", "pairs_of"]

# Of the scatter of a group, what is its own in any case, however much others scatter with it.
_LEAST_OWN = 0.2


@dataclass(frozen=True)
class WrongPairs:
    """How many pairs of two cells are wrong; a cell is what moves from group to group, a person or an image.

    Attributes:
        a, b: ``(W,)`` cells; pairs within a cell have the same twice.
        step: ``(W,)`` how many thresholds their scores reach.
        count: ``(W,)`` pairs.
        steps: thresholds and one.
    """

    a: np.ndarray
    b: np.ndarray
    step: np.ndarray
    count: np.ndarray
    steps: int

    @classmethod
    def of(cls, people: People, ladder: np.ndarray, cell: np.ndarray) -> tuple[WrongPairs, WrongPairs]:
        """Pairs of two people that reach a threshold, and pairs of one person that miss one: in one pass.

        Args:
            people: who is compared.
            ladder: ``(T,)`` thresholds, ascending, of the type of the scores.
            cell: ``(N,)`` of each row of people, from 0.
        """
        cells, steps = int(cell.max()) + 1, len(ladder) + 1
        keys: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        counts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for block in people.blocks():
            line, column = np.nonzero(block.scores >= ladder[0])
            reached = np.searchsorted(ladder, block.scores[line, column], side="right")
            found = np.searchsorted(ladder, block.mated, side="right")
            short = found < len(ladder)
            parts = (
                (line + block.first, column + block.first, reached),
                (block.left[short], block.right[short], found[short]),
            )
            for i, (left, right, step) in enumerate(parts):
                key, count = np.unique((cell[left] * cells + cell[right]) * steps + step, return_counts=True)
                keys[i].append(key)
                counts[i].append(count)
        false, missed = (
            cls._merged(np.concatenate(k), np.concatenate(c), cells, steps) for k, c in zip(keys, counts, strict=True)
        )
        return false, missed

    @classmethod
    def _merged(cls, key: np.ndarray, count: np.ndarray, cells: int, steps: int) -> WrongPairs:
        unique, place = np.unique(key, return_inverse=True)
        pair, step = np.divmod(unique, steps)
        return cls(*np.divmod(pair, cells), step, np.bincount(place, count, len(unique)), steps)

    def within(self, group: np.ndarray, groups: int) -> np.ndarray:
        """Pairs with both cells in a group, ``(groups, steps)``.

        Args:
            group: ``(cells,)`` of each cell.
            groups: how many there are.
        """
        of = group[self.a]
        same = of == group[self.b]
        place = of[same] * self.steps + self.step[same]
        return np.bincount(place, self.count[same], groups * self.steps).reshape(groups, self.steps)

    def squares(self, inside: np.ndarray, person: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums over pairs of people of c², and of c · m, at each threshold, ``(T,)``; for false matches.

        c is how many of their pairs match, m how many they have.

        Args:
            inside: ``(cells,)`` whether.
            person: ``(cells,)`` whose each is.
            images: ``(P,)`` of each person inside.
        """
        both = inside[self.a] & inside[self.b]
        a, b = person[self.a[both]], person[self.b[both]]
        pair, place = np.unique(a * len(images) + b, return_inverse=True)
        count = np.bincount(place * self.steps + self.step[both], self.count[both], len(pair) * self.steps)
        match = at_least(count.reshape(len(pair), self.steps))
        of = images[pair // len(images)] * images[pair % len(images)]
        return (match**2).sum(0), of @ match

    def by_person(self, inside: np.ndarray, person: np.ndarray, sides: int) -> np.ndarray:
        """Pairs of each person with both cells inside, ``(P, steps)``.

        Args:
            inside: ``(cells,)`` whether.
            person: ``(cells,)`` whose each is.
            sides: 2 if a pair is there for both of its people, 1 if it is of one.
        """
        both = inside[self.a] & inside[self.b]
        people = int(person.max()) + 1
        total = np.zeros((people, self.steps))
        for side in (self.a, self.b)[:sides]:
            place = person[side[both]] * self.steps + self.step[both]
            total += np.bincount(place, self.count[both], people * self.steps).reshape(people, self.steps)
        return total


def pairs_of(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of one person, and of two, of ``(P, G)`` images of each person in each group: each ``(G,)``."""
    squares, total = (images**2).sum(0), images.sum(0)
    return (squares - total) // 2, (total**2 - squares) // 2


@dataclass(frozen=True)
class GroupErrors:
    """People in groups, and what is wrong among them at each threshold.

    Attributes:
        people: those whose group is known.
        group: ``(N,)`` of each of their images, 0 … G - 1.
        ladder: ``(T,)`` thresholds, ascending.
    """

    people: People
    group: np.ndarray
    ladder: np.ndarray

    @cached_property
    def groups(self) -> int:
        """How many there are."""
        return int(self.group.max()) + 1

    @cached_property
    def images(self) -> np.ndarray:
        """``(P, G)`` of each person in each group."""
        place = self.people.person * self.groups + self.group
        return np.bincount(place, minlength=len(self.people.images) * self.groups).reshape(-1, self.groups)

    @property
    def mated(self) -> np.ndarray:
        """``(G,)`` pairs of two images of one person, both in the group."""
        return pairs_of(self.images)[0]

    @property
    def impostors(self) -> np.ndarray:
        """``(G,)`` pairs of two people, both images in the group."""
        return pairs_of(self.images)[1]

    @cached_property
    def changing(self) -> np.ndarray:
        """``(P,)`` who is in several groups, by some images in one and by others in another."""
        return (self.images > 0).sum(1) > 1

    @cached_property
    def of_person(self) -> bool:
        """Whether everybody is in one group, so that people move from group to group; else images do."""
        return not self.changing.any()

    @cached_property
    def cells(self) -> np.ndarray:
        """``(N,)`` what moves together: the images of a person, or each image by itself."""
        return self.people.person if self.of_person else np.arange(len(self.group))

    @cached_property
    def wrong(self) -> tuple[WrongPairs, WrongPairs]:
        """Matching pairs of two people, and pairs of one that do not match, by cell."""
        return WrongPairs.of(self.people, self.ladder, self.cells)

    def rates(self, group: int | None) -> tuple[Rates, Rates]:
        """FMR and FNMR of a group at each threshold, with intervals over its people; None: of all, across groups.

        As in `false_match_rates` and `false_non_match_rates`.
        """
        first = np.unique(self.cells, return_index=True)[1]
        inside = np.ones(len(first), bool) if group is None else self.group[first] == group
        person = self.people.person[first]
        images = self.people.images if group is None else self.images[:, group]
        false, missed = (wrong.by_person(inside, person, 2 - i) for i, wrong in enumerate(self.wrong))
        there = images > 0
        others = images * (images.sum() - images)
        met = false_match_rates(at_least(false)[there], others[there])
        return met, false_non_match_rates(below(missed)[there], (images * (images - 1) // 2)[there])

    def independent(self) -> tuple[np.ndarray, np.ndarray]:
        """How many independent pairs would scatter as FMR, and FNMR, of each group do over people: each ``(G, T)``.

        By the jackknife over people, as `rates`; but a pair of two people, which goes with either, counts once (as the
        variance of dyads does: Fafchamps and Gubert 2007). What FNMR of all groups has in common, where people are in
        several, is left out: it makes none unequal. A group without an error has as many for each of its people as the
        others.
        """
        first = np.unique(self.cells, return_index=True)[1]
        person, most = self.people.person[first], np.stack([self.impostors, self.mated])
        shares, rows = np.zeros((2, 2, self.groups, len(self.ladder)))
        away = np.zeros((self.groups, len(self.people.images), len(self.ladder)))
        people, few = np.zeros((2, self.groups, 1)), np.zeros_like(rows)
        for g in range(self.groups):
            inside, images = self.group[first] == g, self.images[:, g]
            false, missed = (wrong.by_person(inside, person, 2 - i) for i, wrong in enumerate(self.wrong))
            false, missed = at_least(false), below(missed)
            others, mated = (images * (images.sum() - images))[:, None], (images * (images - 1) // 2)[:, None]
            people[:, g] = [effective_sources(pairs.astype(float)) for pairs in (others, mated)]
            rate, lost = shares[:, g] = false.sum(0) / (2 * most[0, g]), missed.sum(0) / most[1, g]
            squared, crossed = self.wrong[0].squares(inside, person, images)
            every = ((images**2).sum() ** 2 - (images**4).sum()) / 2
            twice = squared - 2 * rate * crossed + rate**2 * every
            moved = (false - rate * others) / (1 - others / most[0, g])
            both = (moved**2).sum(0)
            with np.errstate(divide="ignore", invalid="ignore"):
                rows[0, g] = rate * (1 - rate) * most[0, g] ** 2 / np.maximum(both - twice, both / 2)
                # Of a group that one person makes up nothing is known without him or her.
                away[g] = (missed - lost * mated) / (lost * np.maximum(most[1, g] - mated, 1))
                # Of few who matter most the scatter is hardly known, as in `bounds`.
                few[:, g] = [2.25 * (u**2).sum(0) ** 2 / (u**4).sum(0) for u in (moved, away[g])]
        some = (shares > 0) & (shares < 1)
        away = np.where(some[1][:, None], away, 0.0)
        own = (away**2).sum(1)
        measured = np.maximum(some[1].sum(0) * (some[1].sum(0) - 1), 1)
        common = np.maximum((away.sum(0) ** 2).sum(0) - own.sum(0), 0) / measured
        with np.errstate(divide="ignore", invalid="ignore"):
            rows[1] = (1 - shares[1]) / shares[1] / np.maximum(own - common, own * _LEAST_OWN)
            rows = np.minimum(rows * worth(np.minimum(np.maximum(few, 4), people)), most[..., None])
            rows = np.where(some, rows, 0.0)
            each = rows.sum(1) / (some * people).sum(1)
        rows = np.where(some, rows, np.minimum(each[:, None] * people, most[..., None]))
        return rows[0], rows[1]

    def drawn(self, draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """FMR and FNMR of groups that are drawn at random, each ``(draws, G, T)``; NaN where a group has no such pair.

        Where everybody is in one group, people change places, with all of their images, and groups keep their numbers
        of people. Else the images of each person do, so that everybody keeps as many in each group. Only the pairs that
        are wrong are looked at again.
        """
        first = np.unique(self.cells, return_index=True)[1]
        group, person = self.group[first], self.people.person[first]
        squares, images = (self.images**2).sum(0), self.images.sum(0)
        fmr, fnmr = np.empty((2, draws, self.groups, len(self.ladder)))
        for i in range(draws):
            if self.of_person:
                moved = rng.permutation(group)
                images, squares = (
                    np.bincount(moved, self.people.images**power, self.groups).astype(np.int64) for power in (1, 2)
                )
            else:
                moved = group[np.lexsort((rng.random(len(group)), person))]
            false, missed = (wrong.within(moved, self.groups) for wrong in self.wrong)
            with np.errstate(divide="ignore", invalid="ignore"):
                fmr[i] = at_least(false) / ((images**2 - squares) // 2)[:, None]
                fnmr[i] = below(missed) / ((squares - images) // 2)[:, None]
        return fmr, fnmr
