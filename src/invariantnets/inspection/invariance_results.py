"""What `invariance` found, as results with their intervals and as arrays for its figures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.inspection.changes import Change
from invariantnets.inspection.derivatives import STEP
from invariantnets.inspection.normalised_variance import Spread
from invariantnets.results.arrays import Arrays
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import NOT_KNOWN, Number
from invariantnets.statistics.resampling import Resampling

__all__ = ["Apart", "Curve", "Found", "Local", "arrays_of", "results_of"]

_BORDER = {"repeat": "its edge, repeated", "black": "black", "mirror": "its mirror image"}
_APART = "How far apart pictures are"
_BEGINS = {
    "vertical_translation": "moving down, by 1 % of the height",
    "horizontal_translation": "moving right, by 1 % of the width",
    "rotation": "turning, by 1°",
    "scale": "growing, by 1 %",
}


@dataclass(frozen=True)
class Apart:
    """How far pictures are from each other at a layer.

    Attributes:
        different: ``(n,)`` mean cosine distance of each picture from those of other people; NaN where not known.
        same: ``(n,)`` its distance from another picture of the same.
        neurons: of the layer.
        still: share of them that are the same in all pictures.
    """

    different: np.ndarray
    same: np.ndarray
    neurons: int
    still: float

    @property
    def yardstick(self) -> np.ndarray:
        """``(n,)`` whose mean is that of `different`, and whose scatter is that of a mean over pairs.

        A picture is at one end of its own pairs and at the other of as many: what leaving it out does is twice what
        its own mean says (Hoeffding 1948).
        """
        return 2 * self.different - np.nanmean(self.different) if np.isfinite(self.different).any() else self.different


@dataclass(frozen=True)
class Local:
    """The derivative of a layer, of each picture.

    Attributes:
        change: ``(n,)`` its length over that of the features.
        left: ``(n,)`` that of what is left when the map is moved along; NaN of layers that are no map.
    """

    change: np.ndarray
    left: np.ndarray

    @classmethod
    def of(cls, terms: np.ndarray, free: bool) -> Local:
        """From sums of squares.

        Args:
            terms: ``(n, 4)`` |value|², |speed|², speed · movement of the map, |that movement|².
            free: how far the map moves is what fits best to all pictures; else as far as the picture.
        """
        value, speed, product, own = terms.T
        step = product.sum() / own.sum() if free and own.sum() > 0 else 1.0
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.sqrt(np.maximum(speed - 2 * step * product + step**2 * own, 0) / value)
            return cls(np.sqrt(speed / value), left)


@dataclass(frozen=True)
class Found:
    """All that was measured.

    Attributes:
        layers: in order.
        changes: in order.
        source: ``(n,)`` what intervals leave out: the person, or the image.
        people: whether it is the person.
        labelled: whether it is known who or what pictures show.
        apart: layer → how far pictures are from each other.
        distance: change → ``(layers, amounts, n)`` cosine distance from the picture at the base.
        spread: change → layer → its normalised variance.
        local: change → layer → its derivative.
        differences: layers without a derivative forwards.
        sampled: layers of whose neurons only some have their variance taken.
        neurons: how many those are.
        border: what filled pictures that moved.
        drawable: whether the renderer can draw the pictures anew.
    """

    layers: Sequence[str]
    changes: Sequence[Change]
    source: np.ndarray
    people: bool
    labelled: bool
    apart: Mapping[str, Apart]
    distance: Mapping[str, np.ndarray]
    spread: Mapping[str, Mapping[str, Spread]]
    local: Mapping[str, Mapping[str, Local]]
    differences: Sequence[str]
    sampled: Collection[str]
    neurons: int
    border: str
    drawable: bool

    @property
    def others(self) -> str:
        """Of what the pictures are that distances are compared with."""
        return "different people" if self.people else "different classes" if self.labelled else "different pictures"


@dataclass(frozen=True)
class Curve:
    """Distances of a change over the yardstick, ``(layers, amounts)`` each, with their intervals."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def results_of(material: Material, name: str, title: str, found: Found) -> tuple[list[Result], dict[str, Curve]]:
    """Results of all tables, and the curves of each change.

    Args:
        material: for `measured`.
        name: of the inspection.
        title: of its first table.
        found: what was measured.
    """
    resampling = Resampling(found.source)
    n, sources = len(found.source), resampling.sources
    who = f"{sources:,} people" if found.people else f"{sources:,} independent images"
    base = {"n": n, "sources": sources}
    said = f"shown were {n:,} test images, one view of each, of {who}; intervals leave out one of those at a time"
    curves = {change.name: _curve(resampling, found, change) for change in found.changes}
    filled = f"where a picture moved away stands {_BORDER[found.border]}; between pixels it is bilinear"
    relative = (
        f"relative distance: 1 − cosine of a layer's features before and after, over that of {found.others} at that "
        f"layer (“{_APART}”)"
    )
    exact = "" if found.drawable else "no nuisance was drawn anew, which takes data=synthetic_faces"
    anew = "the picture was drawn anew, all else as it was"
    results = []
    for change in found.changes:
        at, curve = change.strengths.index(change.stated), curves[change.name]
        for i, layer in enumerate(found.layers):
            fields = {"target": change.said, "probe": name, **base, "where": {"layer": layer}, "chance": 1.0}
            fields["title"] = "What each layer does with a change of a nuisance" if change.drawn else title
            ends = curve.value[i, at], curve.low[i, at], curve.high[i, at]
            lost = _lost(found.distance[change.name][i, at], layer)
            note = _notes(said, relative, anew if change.drawn else filled, exact, lost, *_none(ends[1]))
            results.append(measured(material, "relative_distance", ends[0], **fields, **_ends(*ends[1:]), note=note))
            results += _variances(material, found, change, layer, fields)
    results += _locals(material, name, found, base, resampling, said)
    return results + _yardsticks(material, name, found, base, resampling, said), curves


def _curve(resampling: Resampling, found: Found, change: Change) -> Curve:
    distance = found.distance[change.name]
    layers, amounts, n = distance.shape
    yard = np.stack([found.apart[layer].yardstick for layer in found.layers])[:, None].repeat(amounts, 1)
    known = np.isfinite(distance) & np.isfinite(yard)
    parts = [np.where(known, part, 0.0).reshape(-1, n).T for part in (distance, yard, np.ones_like(distance))]
    count = layers * amounts

    def ratios(sums: np.ndarray) -> np.ndarray:
        return sums[:, :count] / sums[:, count : 2 * count]

    numbers = [Number("positive", (2 * count + i,)) for i in range(count)]
    found_ = resampling.interval(np.concatenate(parts, 1), ratios, numbers)
    return Curve(*(part.reshape(layers, amounts) for part in found_))


def _mean(resampling: Resampling, values: np.ndarray) -> tuple[float, float, float]:
    """Mean of what is known, with its interval."""
    known = np.isfinite(values)
    sums = np.stack([np.where(known, values, 0.0), known.astype(float)], 1)
    parts = resampling.interval(sums, lambda s: s[:, :1] / s[:, 1:], [Number("positive", (1,))])
    value, low, high = (float(part[0]) for part in parts)
    return value, low, high


def _variances(material: Material, found: Found, change: Change, layer: str, fields: Mapping[str, Any]) -> list[Result]:
    """As published, and over the neurons that change at all."""
    spread = found.spread[change.name][layer]
    some = f"of layers of more than {found.neurons:,} neurons so many, drawn at random"
    note = _notes(
        "normalised variance: standard deviation over all amounts of the figure, over that between pictures, the mean "
        "over neurons (Quiroga et al. 2023)",
        "one that never changes counts as 1, as published",
        "intervals of it leave out a tenth of the pictures at a time",
        some if layer in found.sampled else "",
        f"{layer}, {change.said}: without {spread.infinite:,} neurons that vary with it alone"
        if spread.infinite
        else "",
    )
    results = []
    for metric, value, low, high in (
        ("normalised_variance", spread.value, spread.low, spread.high),
        ("normalised_variance_alive", spread.moved, spread.moved_low, spread.moved_high),
    ):
        if np.isfinite(value):
            results.append(
                measured(material, metric, value, **fields, **_ends(low, high), note=_notes(note, *_none(low)))
            )
    return results


def _locals(
    material: Material, name: str, found: Found, base: Mapping[str, int], resampling: Resampling, said: str
) -> list[Result]:
    note = _notes(
        "change: length of the derivative of the features, over that of the features (after Gruver et al. 2022)",
        "not by moving: what is left when the map is moved along about its middle, in a translation by the step that "
        "fits it best",
        f"by central differences of ±{STEP:g}, as there is no derivative forwards: {', '.join(found.differences)}"
        if found.differences
        else "",
        said,
    )
    title = "How fast layers change as the picture begins to move"
    results = []
    for change, of in found.local.items():
        for layer in found.layers:
            fields = {"target": _BEGINS[change], "probe": name, **base, "where": {"layer": layer}, "title": title}
            for metric, values in (("invariance_error", of[layer].change), ("equivariance_error", of[layer].left)):
                value, low, high = _mean(resampling, values)
                if np.isfinite(value):
                    noted = _notes(note, *_none(low))
                    results.append(measured(material, metric, value, **fields, **_ends(low, high), note=noted))
    return results


def _yardsticks(
    material: Material, name: str, found: Found, base: Mapping[str, int], resampling: Resampling, said: str
) -> list[Result]:
    results = []
    for layer in found.layers:
        apart = found.apart[layer]
        fields = {"target": layer, "probe": name, **base, "title": _APART}
        for metric, values in (("distance_between", apart.yardstick), ("distance_within", apart.same)):
            value, low, high = _mean(resampling, values)
            if np.isfinite(value):
                note = _notes(f"between: {found.others}", said, _lost(values, layer), *_none(low))
                results.append(measured(material, metric, value, **fields, **_ends(low, high), note=note))
        note = _notes("unchanging: neurons that are the same in all pictures that were shown")
        results.append(measured(material, "neurons", apart.neurons, **fields, note=note))
        results.append(measured(material, "unchanging", apart.still, **fields, note=note))
    return results


def _lost(values: np.ndarray, layer: str) -> str:
    lost = int(np.isnan(values).sum())
    return f"{layer}: {lost} pictures are left out, whose features are all 0 or that have no partner" if lost else ""


def _notes(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _none(low: float) -> list[str]:
    return [] if np.isfinite(low) else [NOT_KNOWN]


def _ends(low: float, high: float) -> dict[str, float | None]:
    known = np.isfinite(low) and np.isfinite(high)
    return {"low": float(low) if known else None, "high": float(high) if known else None}


def arrays_of(found: Found, curves: Mapping[str, Curve]) -> Arrays:
    """For figures: C changes, L layers, A amounts at most (NaN beyond), K changes that have a derivative.

    ``change``, ``axis``, ``said``, ``drawn``, ``binary``, ``stated`` ``(C,)``; ``strength`` ``(C, A)``; ``distance``,
    ``relative``, ``low``, ``high`` ``(C, L, A)``; ``variance`` ``(C, L)``; ``layer`` ``(L,)``; ``local`` ``(K,)``,
    names; ``speed`` and ``left`` ``(K, L)``; ``others``, ``n`` ``(1,)``.
    """
    amounts = max(len(change.strengths) for change in found.changes)

    def wide(x: np.ndarray) -> np.ndarray:
        return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, amounts - x.shape[-1])], constant_values=np.nan)

    def means(of: Mapping[str, Local], part: str) -> list[float]:
        values = [getattr(of[layer], part) for layer in found.layers]
        return [float(np.nanmean(v)) if np.isfinite(v).any() else np.nan for v in values]

    some = [(change, curves[change.name]) for change in found.changes]
    with np.errstate(invalid="ignore"):
        distance = [np.nanmean(found.distance[c.name], 2, where=np.isfinite(found.distance[c.name])) for c, _ in some]
    return {
        "change": np.array([c.name for c, _ in some]),
        "axis": np.array([c.axis for c, _ in some]),
        "said": np.array([c.said for c, _ in some]),
        "drawn": np.array([c.drawn for c, _ in some]),
        "binary": np.array([c.binary for c, _ in some]),
        "stated": np.array([c.stated for c, _ in some]),
        "strength": np.stack([wide(np.array(c.strengths)) for c, _ in some]),
        "distance": np.stack([wide(d) for d in distance]),
        "relative": np.stack([wide(curve.value) for _, curve in some]),
        "low": np.stack([wide(curve.low) for _, curve in some]),
        "high": np.stack([wide(curve.high) for _, curve in some]),
        "variance": np.array([[found.spread[c.name][layer].value for layer in found.layers] for c, _ in some]),
        "layer": np.array(found.layers),
        "local": np.array([_BEGINS[name] for name in found.local], dtype=str),
        "speed": np.array([means(of, "change") for of in found.local.values()]).reshape(-1, len(found.layers)),
        "left": np.array([means(of, "left") for of in found.local.values()]).reshape(-1, len(found.layers)),
        "others": np.array([found.others]),
        "n": np.array([len(found.source)]),
    }
