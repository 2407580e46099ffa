"""Is the distance from the centre of the features an index of quality (Parde et al. 2016, section VI)?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.analysis.norm import columns, correlation
from invariantnets.analysis.people import independent, open_set
from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.protocols.inputs import one_of_each_source
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.lengths import norms
from invariantnets.statistics.ranks import spearman
from invariantnets.statistics.resampling import Resampling

__all__ = ["PERCENTILES", "Quality"]

PERCENTILES = (0, 20, 50, 90)  # of distance: the nearest the centre, and those of figure 6
LEAST = 3  # sources in which something is known, and in which a category is there, and is not
ROWS = 10  # the same of rows
SAME = 1e-6  # of float32 rows of one length, all that differs is rounding
_STREAM = 77
_ROW = "row"


@dataclass(frozen=True)
class Quality:
    """Correlation of the distance from the origin, and from the mean of test, with all that is known of the images.

    Args:
        images: pictures in each row of the sheet.
        shown: the nuisance to write below each; None for the first number, or for the first of all.
    """

    images: int = 8
    shown: str | None = None
    name: ClassVar[str] = "quality"
    title: ClassVar[str] = "Distance from the centre of the features, and quality"

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        table = material.table
        check_layer(table, material.layer)
        if self.images < 1:
            raise InvariantNetsError(f"analysis.quality.images={self.images}: a row of the sheet needs one or more")
        known = {n.name: n for n in sorted(table.nuisances, key=lambda n: n.kind != "continuous")}
        if self.shown is not None and self.shown not in known:
            raise InvariantNetsError(
                f"analysis.quality.shown={self.shown}: there is no nuisance of that name; it has "
                f"{', '.join(known) or 'none'}"
            )
        if not table.nuisances and material.pictures is None:
            raise InvariantNetsError("nothing to set beside the distance: the table has no nuisance, and no pictures")
        test = table.part("test")
        x = test.features[material.layer]
        every = {"origin": norms(x), "mean": norms(x - x.mean(0, dtype=np.float64).astype(x.dtype))}
        away = {name: distance for name, distance in every.items() if np.ptp(distance) > SAME * distance.max()}
        if not away:
            raise InvariantNetsError(f"layer {material.layer!r}: all test features are equally far from the centre")
        rare: list[str] = []
        results = list(self._correlations(material, test, away, rare))
        missing = [] if "origin" in away else ["features of one length: only the distance from their mean differs"]
        if material.pictures is None:
            missing.append("no sheets: they need the pictures; of a table say images=<folder>")
        else:
            material.progress(f"{self.title}: pictures")
            missing += self._sheet(material, material.pictures, away, known.get(self.shown or next(iter(known), "")))
        if rare:
            few = f"left out, in fewer than {ROWS} images or {LEAST} of the independent"
            missing.append(f"{few}: {', '.join(rare)}")
        if not results and material.pictures is None:
            raise InvariantNetsError(f"nothing to set beside the distance: {'; '.join(missing)}")
        return [replace(r, note="; ".join([r.note, *missing])) for r in results]

    def _correlations(
        self, material: Material, test: FeatureTable, away: dict[str, np.ndarray], rare: list[str]
    ) -> Iterator[Result]:
        source = independent(material.table, test)
        over = "people" if open_set(material.table) else "images"
        for nuisance in test.nuisances:
            material.progress(f"{self.title}: {nuisance.name}")
            values = np.asarray(test.nuisance[nuisance.name], np.float64)
            known = np.isfinite(values)
            if not known.any():
                rare.append(nuisance.name)
                continue
            group = Resampling(source[known])
            for name, where, column in columns(nuisance, values[known], test.nuisances):
                if _rare(group.group, column):
                    rare.append(": ".join([name, *where.values()]))
                    continue
                for centre, distance in away.items():
                    for metric, correlated in (("spearman", spearman), ("pearson", correlation)):
                        value, low, high = correlated(group, distance[known], column)
                        if not np.isfinite(value):
                            continue
                        yield measured(
                            material,
                            metric,
                            value,
                            low=low,
                            high=high,
                            chance=0.0,
                            target=name,
                            probe=f"quality/from the {centre}",
                            where=where,
                            n=int(known.sum()),
                            sources=group.sources,
                            title=self.title,
                            note=f"intervals over {over}, one at a time: of twenty correlations of nothing one lies "
                            "beside 0",
                        )

    def _sheet(
        self,
        material: Material,
        pictures: Callable[[np.ndarray], np.ndarray],
        away: dict[str, np.ndarray],
        shown: Nuisance | None,
    ) -> list[str]:
        """Keep pictures at each of `PERCENTILES`, one of a source. Returns what must be said of them."""
        table = material.table
        column = np.arange(len(table), dtype=np.float64)  # so that it goes where its row goes
        rows = replace(table, nuisance={_ROW: column}, nuisances=())
        one = one_of_each_source(rows, numpy_rng(material.seed, _STREAM, 0))
        centre, every = next(iter(away.items()))
        distance = every[np.searchsorted(np.flatnonzero(table.split == "test"), one.nuisance[_ROW].astype(np.int64))]
        order = np.argsort(distance, kind="stable")
        count = min(self.images, len(order))
        starts = [round(p / 100 * (len(order) - 1) - (count - 1) / 2) for p in PERCENTILES]
        places = np.stack([order[np.clip(s, 0, len(order) - count) + np.arange(count)] for s in starts])
        of_table = one.nuisance[_ROW][places].astype(np.int64)
        found = pictures(of_table.ravel())
        value = np.full(places.shape, np.nan) if shown is None else np.asarray(table.nuisance[shown.name])[of_table]
        names = () if shown is None else shown.categories
        written = [("" if np.isnan(v) else names[int(v)] if names else f"{v:.3g}") for v in value.ravel()]
        material.keep(
            self.name,
            {
                "pictures": found.reshape(*places.shape, *found.shape[1:]),
                "distance": distance[places],
                "value": np.array(written, str).reshape(places.shape),
                "shown": np.array([shown.name if shown is not None else ""]),
                "row": of_table,
                "of": np.array([len(order)]),
                "centre": np.array([centre]),
            },
        )
        few = count * len(PERCENTILES) >= len(order)
        return [f"with {len(order)} images, rows of the sheet overlap"] if few else []


def _rare(group: np.ndarray, column: np.ndarray) -> bool:
    """Whether there is too little of a number, or of the rarer of 0 and 1: a correlation with one image is a name."""
    values = np.unique(column)
    sides = [column == value for value in values] if len(values) == 2 else [np.ones(len(column), bool)]
    return any(side.sum() < ROWS or len(np.unique(group[side])) < LEAST for side in sides)
