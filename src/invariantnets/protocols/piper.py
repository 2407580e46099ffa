"""People by all the parts of them that can be seen (Zhang et al. 2015, sections 4 and 5)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.protocols.part_models import Said, Weights, fit_weights, say, swapped
from invariantnets.protocols.part_scores import PartRecorder
from invariantnets.protocols.parts import ALBUM, PART, Instances, both_halves, known_rows, read_instances
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.sizes import check_room

log = logging.getLogger(__name__)
__all__ = ["FILLED", "GLOBAL", "PARTS", "UNFILLED", "Combiner", "run_piper"]

WAYS = ("image", ALBUM)
# What is combined: the global model, the parts by themselves, and both, without and with what fills their silence.
GLOBAL, PARTS, UNFILLED, SAME, FILLED = "global", "parts", "unfilled", "unfilled_same_weights", "filled"


@dataclass(frozen=True)
class Combiner:
    """Weights of the parts, learned on the people of validation by models of the other half of their pictures.

    Attributes:
        weights: arrangement → weights of its parts: ``parts`` (of them alone, P₀ uniform), ``unfilled`` (of global and
            parts, 0 where they are silent), where there is a global model ``filled``, and those of ``sets``.
        n: people in pictures that they are learned on.
        sets: further arrangements, of some parts each.
    """

    weights: Mapping[str, Weights]
    n: int
    sets: Mapping[str, Sequence[str]]

    @classmethod
    def fit(
        cls,
        x: np.ndarray,
        val: Instances,
        half: np.ndarray,
        part_c: float = 1.0,
        seed: int = 0,
        sets: Mapping[str, Sequence[str]] | None = None,
    ) -> Combiner:
        """Learn them.

        Args:
            x: ``(N, D)`` features, which the rows of instances number.
            val: people in pictures, everybody in both halves.
            half: ``(J,)`` 0 or 1.
            part_c: penalty of the parts' SVMs.
            seed: of the solvers.
            sets: name → parts, filled by the global model if it is one of them.
        """
        said = swapped(x, val, half, part_c, seed)
        truth = np.unique(val.person, return_inverse=True)[1]
        rest = val.parts[1:]
        every = val.parts if val.has_global else rest
        ways = {PARTS: (rest, said.filled(uniform=True)[:, :, 1:]), UNFILLED: (every, cls.unfilled(said, val))}
        ways |= {FILLED: (every, said.filled())} if val.has_global else {}
        ways |= {name: (tuple(parts), cls.some(said, val, parts)) for name, parts in (sets or {}).items()}
        weights = {name: replace(fit_weights(p, truth, half, seed), parts=of) for name, (of, p) in ways.items()}
        return cls(weights, len(val), sets or {})

    @staticmethod
    def some(said: Said, found: Instances, parts: Sequence[str]) -> np.ndarray:
        """``(J, P, k)`` P of some parts, filled by the global model if it is one of them, else uniform."""
        columns = [found.parts.index(part) for part in parts]
        return said.filled(uniform=0 not in columns or not found.has_global)[:, :, columns]

    @staticmethod
    def unfilled(said: Said, found: Instances) -> np.ndarray:
        """``(J, P, K + 1)``, or K without a global model: P₀ and P̂ as they are, 0 where a part is silent."""
        rest = said.own[:, :, 1:]
        return np.concatenate([said.whole()[:, :, None], rest], 2) if found.has_global else rest

    def scores(self, said: Said, found: Instances) -> dict[str, np.ndarray]:
        """Arrangement → ``(J, P)`` scores: P of one part alone, chance where it is silent, or equation 1 of several.

        Args:
            said: what models say of ``J`` people in pictures, among P identities.
            found: who these are.
        """
        alone = said.filled(uniform=True)
        scores = {GLOBAL: said.whole()} if found.has_global else {}
        scores |= {f"part {part}": alone[:, :, k] for k, part in enumerate(found.parts) if k}
        scores[PARTS] = alone[:, :, 1:] @ self.weights[PARTS].w
        scores[UNFILLED] = self.unfilled(said, found) @ self.weights[UNFILLED].w
        if found.has_global:
            # The other reading of "using P̂ in equation 1": weights stay those that were learned with filling.
            scores[SAME] = self.unfilled(said, found) @ self.weights[FILLED].w
            scores[FILLED] = said.filled() @ self.weights[FILLED].w
        for name, parts in self.sets.items():
            scores[name] = self.some(said, found, parts) @ self.weights[name].w
        return scores


def run_piper(
    table: FeatureTable,
    layer: str,
    *,
    global_part: str | None = "global",
    halves: Sequence[str] = WAYS,
    shots: Sequence[int] = (1,),
    sets: Mapping[str, Sequence[str]] | None = None,
    part_c: float = 1.0,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> list[Result]:
    """Recognition of people by parts, each by a linear SVM, that fire on some pictures and know some people.

    Args:
        table: a row a picture and part. ``source`` is the picture, a column ``part`` says what the row shows, a column
            ``album`` may say which pictures were taken on one occasion.
        layer: of the features.
        global_part: the part that fires everywhere; None: there is none, and P₀ is uniform.
        halves: how everybody's pictures are halved, of ``image`` and ``album``; without albums by image alone. With
            none, the table is only checked.
        shots: training pictures of each person, besides all of a half.
        sets: name → some of the parts: further sums, with weights of their own (table 4). Filled by the global model
            where that is one of them; else P₀ is uniform. Parts that never fire are left out.
        part_c: penalty C of the parts' SVMs.
        seed: of halves, solvers and of pictures that are drawn.
        progress: is told the name of each step before it starts.

    Raises:
        InvariantNetsError: an unknown way to halve, an unknown part, a table without parts or splits, or of too few
            people.
    """
    step = progress or (lambda _: None)
    for way in halves:
        if way not in WAYS:
            raise InvariantNetsError(f"protocols.halves={way}: choose of {', '.join(WAYS)}")
    table, missing = known_rows(table, layer)
    check_layer(table, layer)
    read = read_instances(table, layer, global_part).said(missing)
    sets = _known_sets(sets or {}, table, read)
    found, dealt = both_halves(read, halves, numpy_rng(seed, 10, 6))
    if halves and not dealt:
        raise InvariantNetsError(
            f"protocols=piper needs two people of two pictures in val, and in test; {'; '.join(found.notes)}"
        )
    for note in found.notes if halves else ():
        log.warning("%s", note)
    x = np.asarray(table.features[layer], np.float64)
    val, test = (found.where(found.split == split) for split in ("val", "test"))
    for one in (val, test):
        size = len(one) * len(np.unique(one.person)) * len(one.parts)
        check_room(f"protocols=piper: probabilities of {len(one):,} pictures", 8 * (5 * size + 3 * len(one) ** 2))
    results, alone = [], {}
    for way, half in dealt.items():
        step(f"parts, halves by {way}: weights")
        ours = half[found.split == "test"]
        combiner = Combiner.fit(x, val, half[found.split == "val"], part_c, seed, sets)
        record = PartRecorder(layer, seed, way, test, val, combiner.weights, combiner.n, found.notes)
        step(f"parts, halves by {way}: recognition")
        said = swapped(x, test, ours, part_c, seed)
        alone[way] = record.hits(combiner.scores(said, test))
        results += record.recognition(alone[way], said)
        for shot in shots:
            fit = _drawn(test.person, ours, shot, numpy_rng(seed, 10, 7))
            few = swapped(x, test, ours, part_c, seed, fit)
            results += record.few(shot, record.hits(combiner.scores(few, test)), int(fit.sum()))
        step(f"parts, halves by {way}: retrieval")
        vectors = combiner.scores(say(x, val, test, np.unique(val.person), part_c, seed), test)
        results += record.retrieval(vectors)
    if len(alone) == len(WAYS):
        results += record.lost_by_album(alone["image"], alone[ALBUM])
    return results


def _known_sets(sets: Mapping[str, Sequence[str]], table: FeatureTable, read: Instances) -> dict[str, list[str]]:
    """Each set without the parts that were left out.

    Raises:
        InvariantNetsError: a part that no row is of, or a name that another sum has.
    """
    kind = next(n for n in table.nuisances if n.name == PART)
    known = {*kind.categories, *read.parts}
    taken = {GLOBAL, PARTS, UNFILLED, SAME, FILLED, *(f"part {part}" for part in known)}
    for name, parts in sets.items():
        if name in taken:
            raise InvariantNetsError(f"protocols.sets.{name}: {name!r} is what another sum is called: choose another")
        if wrong := [part for part in parts if part not in known]:
            raise InvariantNetsError(f"protocols.sets.{name}: no row is of part {wrong[0]!r}; {', '.join(known)} are")
    found = {name: [part for part in parts if part in read.parts] for name, parts in sets.items()}
    return {name: parts for name, parts in found.items() if parts}


def _drawn(person: np.ndarray, half: np.ndarray, shot: int, rng: np.random.Generator) -> np.ndarray:
    """``(J,)`` whether it is one of so many of its person's in its half."""
    order = np.lexsort((rng.random(len(person)), half, person))
    group = (person * 2 + half)[order]
    drawn = np.empty(len(person), bool)
    drawn[order] = np.arange(len(group)) - np.searchsorted(group, group) < shot
    return drawn
