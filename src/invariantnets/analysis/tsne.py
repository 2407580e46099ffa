"""Maps of the features by t-SNE (Parde et al. 2016, sections V and VI), and what of neighbourhoods survives in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.analysis.people import independent, open_set
from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import Number
from invariantnets.statistics.neighbours import neighbours_elsewhere
from invariantnets.statistics.resampling import Resampling, ratio, shares
from invariantnets.statistics.spaces import sample_sources

__all__ = ["Tsne"]

LEAST = 20  # images of one map: of fewer every picture is chance
SHUFFLES = 5  # whose mean is what unrelated values give
SHOWN = 4  # nuisances that a figure colours by: those that the features' own neighbours tell best
_STREAM = 76
_NOTE = (
    "told by the mean of the {k} nearest of another source, in the full features and on the map; chance: by the same "
    "neighbours of shuffled values; intervals over {over}. A nuisance that goes with who it is is told by pictures of "
    "the same person. t-SNE with perplexity {perplexity:g} began from the first two principal components"
)


@dataclass(frozen=True)
class Tsne:
    """A map of all test images and one of one person's, with how well ten neighbours tell each nuisance.

    Args:
        rows: of the map of all, at most, drawn by source.
        identity: whose images have a map of their own, as the table calls them; None for who has most, ``none`` for
            nobody.
        perplexity: about how many neighbours a point tries to keep; no more than a third of the points.
        neighbours: that tell a nuisance by their mean.
    """

    rows: int = 10_000
    identity: str | int | None = None
    perplexity: float = 30.0
    neighbours: int = 10
    name: ClassVar[str] = "tsne"
    title: ClassVar[str] = "What neighbours tell, in the features and on a map"

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        table = material.table
        if not self.perplexity > 1:
            raise InvariantNetsError(f"analysis.tsne.perplexity={self.perplexity}: more than 1 is needed")
        check_layer(table, material.layer)
        test = table.part("test")
        known = [test.label, *(v[np.isfinite(v)] for v in (test.nuisance[n.name] for n in test.nuisances))]
        if not any(len(np.unique(values)) > 1 for values in known):
            raise InvariantNetsError("nothing is known of the images that differs: give a nuisance or label=")
        one, why = self._of_one(test)
        drawn = np.sort(sample_sources(test.source, self.rows, numpy_rng(material.seed, _STREAM, 0)))
        if len(drawn) < LEAST:
            raise InvariantNetsError(f"a map takes {LEAST} test rows, and there are {len(drawn)}: give more")
        results, arrays = self._map(material, test.rows(drawn), "all")
        if one is not None:
            part = test.rows(one)
            who = str(table.classes[part.label[0]] if table.classes else part.label[0])
            more, kept = self._map(material, part, who)
            results += more
            arrays |= {f"one_{key}": value for key, value in kept.items()}
        said = [why] if why else []
        said += [f"{len(drawn)} of {len(test)} test images, drawn by source"] if len(drawn) < len(test) else []
        material.keep(self.name, arrays)
        results[0] = replace(results[0], note="; ".join([results[0].note, *said]))
        return results

    def _of_one(self, test: FeatureTable) -> tuple[np.ndarray | None, str]:
        """Rows of one identity, or why there are none.

        Raises:
            InvariantNetsError: nobody of that name is in test, or with too few images.
        """
        if self.identity == "none":
            return None, ""
        asked = f"analysis.tsne.identity={self.identity}"
        if not test.labelled:
            if self.identity is not None:
                raise InvariantNetsError(f"{asked}: the table does not say who is who (label=)")
            return None, "no map of one person: the table does not say who is who"
        images = np.bincount(test.label, minlength=test.num_classes)
        who = int(images.argmax())
        if self.identity is not None:
            names = [str(name) for name in test.classes] or [str(i) for i in range(test.num_classes)]
            if str(self.identity) not in names or not images[names.index(str(self.identity))]:
                raise InvariantNetsError(f"{asked}: nobody of test is called so; who has most images is {names[who]!r}")
            who = names.index(str(self.identity))
        if images[who] >= LEAST:
            return np.sort(np.flatnonzero(test.label == who)[: self.rows]), ""
        few = f"{LEAST} images are needed, and there are {images[who]}"
        if self.identity is not None:
            raise InvariantNetsError(f"{asked}: {few}")
        return None, f"no map of one person: {few} of who has most"

    def _map(self, material: Material, test: FeatureTable, of: str) -> tuple[list[Result], dict[str, np.ndarray]]:
        """A map, and what neighbours tell in it and in the features it is made of."""
        from sklearn.manifold import TSNE  # here: it takes half a second to import

        x = np.asarray(test.features[material.layer], np.float64)
        x -= x.mean(0)
        spread = float(np.sqrt((x**2).sum(1).mean()))
        if spread == 0:
            raise InvariantNetsError(f"layer {material.layer!r}: all features are constant on the test rows of a map")
        x = (x / spread).astype(np.float32)  # t-SNE knows no scale, and float32 has one
        material.progress(f"t-SNE of {len(x):,} images ({of})")
        perplexity = min(self.perplexity, (len(x) - 1) / 3)
        seed = int(numpy_rng(material.seed, _STREAM, 1).integers(2**31))
        y = TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(x)
        elsewhere = len(x) - int(np.unique(test.source, return_counts=True)[1].max())
        if not elsewhere:
            raise InvariantNetsError(
                f"a map of {of}: all {len(x)} images are of one source, so that none has neighbours"
            )
        k = min(self.neighbours, elsewhere)
        near = {
            "features": neighbours_elsewhere(x, test.source, k),
            "map": neighbours_elsewhere(np.asarray(y, np.float32), test.source, k),
        }
        over = "people" if open_set(material.table) and of == "all" else "images"
        note = _NOTE.format(k=k, over=over, perplexity=perplexity)
        source = independent(material.table, test) if of == "all" else test.source
        results: list[Result] = []
        gained: dict[str, float] = {}
        for told in _told(test, near, source, of == "all", material.seed):
            fields = {**told.fields, "where": {"images of": of}, "title": self.title, "note": note, "chosen": {"k": k}}
            results += [measured(material, told.metric, **one, **fields) for one in told.numbers]
            if told.nuisance:
                gained[told.nuisance] = told.numbers[0]["value"] - told.numbers[0]["chance"]
        best = sorted(gained, key=lambda name: -gained[name])[:SHOWN]
        values = np.stack([test.nuisance[name] for name in best], 1) if best else np.zeros((len(y), 0))
        return results, {"map": np.asarray(y, np.float32), "names": np.array(best, str), "values": values}


class _Told(NamedTuple):
    """What neighbours tell of one thing: ``numbers`` in the features and on the map, and what both have in common."""

    nuisance: str  # empty for who it is
    metric: str
    numbers: list[dict[str, Any]]
    fields: dict[str, Any]


def _told(
    test: FeatureTable, near: Mapping[str, np.ndarray], source: np.ndarray, of_all: bool, seed: int
) -> Iterator[_Told]:
    rng = numpy_rng(seed, _STREAM, 2)
    columns: list[tuple[Nuisance | None, np.ndarray]] = [(n, test.nuisance[n.name]) for n in test.nuisances]
    if of_all and test.labelled:
        columns.append((None, test.label))
    for nuisance, column in columns:
        values = np.asarray(column, np.float64)
        known = np.isfinite(values)
        if len(np.unique(values[known])) < 2:
            continue
        by_vote = nuisance is None or nuisance.kind in ("categorical", "binary")
        coded = values[:, None]
        if nuisance is not None and not by_vote:
            encoded = nuisance.encode(values[known])
            coded = np.full((len(values), encoded.shape[1]), np.nan)
            coded[known] = encoded
        shuffled = []
        for _ in range(SHUFFLES):
            again = coded.copy()
            again[known] = coded[known][rng.permutation(known.sum())]
            shuffled.append(again)
        score = _votes if by_vote else _means
        # A row all of whose neighbours are of unknown value says nothing.
        usable = known & np.all([np.isfinite(coded[index, 0]).any(1) for index in near.values()], axis=0)
        rows = np.flatnonzero(usable)
        if len(rows) < 2:
            continue
        group = Resampling(source[rows])
        numbers = []
        for space, index in near.items():
            sums = score(coded, index, rows)
            value, low, high = _interval(group, sums, by_vote)
            chance = float(np.mean([_share(score(again, index, rows), by_vote) for again in shuffled]))
            numbers.append({"value": value, "low": low, "high": high, "chance": chance, "probe": f"tsne/{space}"})
        name = nuisance.name if nuisance is not None else ""
        fields = {"target": name or "identity", "n": len(rows), "sources": group.sources}
        yield _Told(name, "accuracy" if by_vote else "r2", numbers, fields)


def _votes(coded: np.ndarray, index: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``(R, 2)`` right or not by the value that most of the neighbours have (of equals the nearest's), and 1."""
    of = coded[index[rows], 0]
    votes = (of[:, :, None] == of[:, None]).sum(2) - 2 * len(of[0]) * np.isnan(of)
    said = np.take_along_axis(of, votes.argmax(1)[:, None], 1)[:, 0]
    right: np.ndarray = np.stack([said == coded[rows, 0], np.ones(len(rows))], 1).astype(np.float64)
    return right


def _means(coded: np.ndarray, index: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``(R, 2)`` squared error of the mean of the neighbours, and of that of all rows."""
    true = coded[rows]
    said = np.nanmean(coded[index[rows]], 1)
    return np.stack([((true - said) ** 2).sum(1), ((true - true.mean(0)) ** 2).sum(1)], 1)


def _share(sums: np.ndarray, by_vote: bool) -> float:
    first, second = sums.sum(0)
    return float(first / second if by_vote else 1 - first / second)


def _interval(group: Resampling, sums: np.ndarray, by_vote: bool) -> tuple[float, float, float]:
    if by_vote:
        found = group.interval(sums, ratio, shares(1))
    else:
        counted = np.concatenate([sums, np.ones((len(sums), 1))], 1)
        found = group.interval(counted, lambda s: 1 - s[:, :1] / s[:, 1:2], [Number("below_one", (2,))])
    value, low, high = (float(v[0]) for v in found)
    return value, low, high
