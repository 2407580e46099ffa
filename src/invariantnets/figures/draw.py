"""All figures of a run or of a sweep, with the captions that say how to read them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from invariantnets.features.table import FeatureTable
from invariantnets.figures.heatmaps import heat_maps
from invariantnets.figures.layers import CAPTION as LAYERS
from invariantnets.figures.layers import layered, layers_figure
from invariantnets.figures.pareto import CAPTION as PARETO
from invariantnets.figures.pareto import CHAPTERS_DATA, frontier, pareto_figure, points
from invariantnets.figures.plots import (
    class_error_figure,
    depth_figure,
    prediction_figure,
    readable_figure,
    scree_figure,
    trade_off_figure,
)
from invariantnets.figures.recognition import norm_figures, protocol_figures
from invariantnets.figures.style import PALETTE, save_figures
from invariantnets.figures.widths import CAPTION as WIDTHS
from invariantnets.figures.widths import width_figure
from invariantnets.results.result import Result
from invariantnets.results.select import (
    CLASS_ACCURACY,
    LABEL,
    PEOPLE_ACCURACY,
    Runs,
    at_layer,
    nuisances,
    select,
    with_figures,
)
from invariantnets.results.words import probe_name

_PREDICTION = (
    "Mean and standard deviation of the predicted {target} at each true value. The closer to the diagonal and the "
    "shorter the bars, the more the features still tell. A representation that had forgotten the {target} would lie on "
    "the dashed line. A linear reading only: a flat line does not say that a non-linear probe finds nothing."
)
_CLASS_ERROR = (
    "Classification error of each class, and over all, lower is better. Softmax is grey and for comparison only; "
    "hatched bars are told part of the answer and are no fair competitors. Whiskers: {whiskers}."
)
_SCREE = (
    "Singular values of the mean-centred test features, scaled to [-1, 1]. Features that kept the class alone would "
    "fall to zero at the ideal rank (classes - 1). A long tail is variance within classes, which need not be "
    "the nuisance; and little variance can still be read perfectly."
)
_HEAT = (
    "Each column one test sample, each row one feature; {count} of {total} samples, drawn at random (seed {seed}), "
    "sorted by class and, within it, by {nuisance}. Even horizontal stripes within a class are what invariance looks "
    "like; a gradient from the left to the right of a class is the nuisance. Colours stop at the 0.5th and "
    "99.5th percentile."
)
_BLOCKS = (
    "The same samples, rows reordered so that each feature stands with the class it speaks for (equation 1, over all "
    "test rows). Bright off-diagonal blocks are features that two classes share. Any features, even random ones, "
    "look more block-like after such sorting: compare with figure 7 and between models."
)
_DEPTH = (
    "How much of the {target} can be read at each layer, by the probes that are not told the answer. A probe that "
    "failed has no point: a gap is not invariance. Wide layers are easier to read linearly, so compare the "
    "dotted line first."
)
_READABLE = (
    "How much of each nuisance the strongest honest probe reads. Right of the dashed line: it can be read. A whisker "
    "that crosses the line, and a probe that failed, say nothing about invariance. Whiskers: 95 % intervals."
)
_TRADE_OFF = (
    "One point a run, one colour a group: {accuracy} against how much of the {target} is left. Better is up and left. "
    "Bars: 95 % bootstrap intervals of the run; the scatter within a colour is the seed. Runs whose probes all "
    "failed are not shown."
)

_FEWER = " Of {count} nuisances, the {shown} that are read best have a figure of this kind."
_UNBEATEN = (
    " Of {count} methods the first, and those that none beats both in accuracy and in what is left of the {target}."
)
_INTERVALS = "95 % intervals, bootstrap over source images"

Entry = tuple[str, Figure, Mapping[str, str]]


def draw_run(results: Sequence[Result], table: FeatureTable | None, layer: str, folder: Path) -> None:
    """Write the figures of one run and their list, ``figures.json``.

    Everything but the heat maps comes from the results alone, and a figure without results is left out.

    Args:
        results: of the run, of one layer or of many.
        table: for the heat maps and the units; None leaves the maps out.
        layer: the layer to speak of.
        folder: where ``*.svg``, ``*.png`` and ``figures.json`` go.

    Raises:
        InvariantNetsError: the folder cannot be written to.
    """
    here = [at_layer(results, layer)]
    units = {} if table is None else {n.name: n.unit for n in table.nuisances}
    figures: list[Entry] = []

    def add(file: str, figure: Figure | None, title: str, caption: str) -> None:
        if figure is not None:
            figures.append((file, figure, {"title": title, "caption": caption, "layer": layer}))

    chosen = with_figures([here])
    fewer = _fewer(len(nuisances(here[0])), len(chosen))
    add("readable.svg", readable_figure(here[0]), "What can be read", _READABLE)
    for target in chosen:
        per_label = f"{probe_name('ridge/per_label')} (uses the answer)"
        series = {probe_name("ridge"): (here, "ridge"), per_label: (here, "ridge/per_label")}
        figure = prediction_figure(series, target, units.get(target, ""))
        caption = _PREDICTION.format(target=target) + fewer
        add(f"prediction_{_slug(target)}.svg", figure, f"{target}: predicted against true", caption)
    probes = dict.fromkeys(r.probe for r in select(here[0], "accuracy", LABEL))
    caption = _CLASS_ERROR.format(whiskers=_INTERVALS)
    figure = class_error_figure({probe_name(p): (here, p) for p in probes})
    add("class_error.svg", figure, "Classification error by class", caption)
    add("scree.svg", scree_figure(here[0]), "Scree diagram", _SCREE)
    if table is not None:
        seed = results[0].seed if results else 0
        plain, blocks, count = heat_maps(table, layer, seed)
        nuisance = table.nuisances[0].name if table.nuisances else "their order"
        total = f"{int((table.split == 'test').sum()):,}"
        caption = _HEAT.format(count=count, total=total, seed=seed, nuisance=nuisance)
        add("heat_map.png", plain, "Features by sample", caption)
        add("blocks.png", blocks, "Features in block-diagonal order", _BLOCKS)
    for drawn in (*protocol_figures({"": here}), *norm_figures(here[0])):
        add(*drawn)
    for target in chosen:
        caption = _DEPTH.format(target=target) + fewer
        add(f"depth_{_slug(target)}.svg", depth_figure(results, target), f"{target} against depth", caption)
    save_figures(figures, folder)


def draw_sweep(
    groups: Mapping[str, Runs],
    folder: Path,
    units: Mapping[str, str] | None = None,
    data: Mapping[str, str] | None = None,
    widths: Mapping[str, Mapping[str, int]] | None = None,
    depths: Mapping[str, Runs] | None = None,
    methods: Collection[str] = (),
) -> None:
    """Write the figures that lay the groups of a sweep over each other, and ``figures.json``.

    Args:
        groups: name → the results of each of its runs, each of one layer (`select.at_layer`).
        folder: where the files go.
        units: nuisance → unit.
        data: group → its data: groups on other data share no gallery, hence no curve of a protocol.
        widths: name of a network and its data → group → width of its features.
        depths: group → the results of each of its runs, of all layers.
        methods: groups that are methods to compare by what they cost, each a point of its own.

    Raises:
        InvariantNetsError: the folder cannot be written to.
    """
    figures: list[Entry] = []

    def add(file: str, figure: Figure | None, title: str, caption: str, of_data: str = "") -> None:
        if figure is not None:
            if of_data:
                file, title = f"{Path(file).stem}_{_slug(of_data)}.svg", f"{title} on {of_data}"
            figures.append((file, figure, {"title": title, "caption": caption}))

    data = data or {}
    many = any(len(runs) > 1 for runs in groups.values())
    bars = "± s.d. over seeds" if many else _INTERVALS
    for network, of in (widths or {}).items():
        figure = width_figure({width: groups[name] for name, width in of.items()})
        add(f"width_{_slug(network)}.svg", figure, f"Width of the bottleneck: {network}", WIDTHS.format(whiskers=bars))
    every = [results for runs in groups.values() for results in runs]
    chosen = with_figures(groups.values())
    fewer = _fewer(len({t for results in every for t in nuisances(results)}), len(chosen))
    accuracy = CLASS_ACCURACY if any(select(r, *CLASS_ACCURACY[1:]) for r in every) else PEOPLE_ACCURACY
    compared, rest = ({n: runs for n, runs in groups.items() if (n in methods) is of} for of in (True, False))
    overlaid, only = groups, ""
    if chosen and len(compared) > len(PALETTE):  # more than can be told apart when laid over each other
        shown = dict.fromkeys([next(iter(compared)), *frontier(points(compared, chosen[0], accuracy))])
        overlaid = rest | {name: groups[name] for name in shown}
        only = _UNBEATEN.format(count=len(compared), target=chosen[0])
    for target in chosen:
        wording = {"target": target, "accuracy": accuracy[0], "whiskers": bars}
        for of_data, part in _by_data(compared, data).items():
            figure = pareto_figure(part, target, accuracy, CHAPTERS_DATA in ([of_data] if of_data else data.values()))
            caption = PARETO.format(**wording) + fewer
            add(f"pareto_{_slug(target)}.svg", figure, f"What forgetting the {target} costs", caption, of_data)
        figure = trade_off_figure(rest, target, accuracy)
        title = f"{accuracy[0][0].upper()}{accuracy[0][1:]} against {target} left"
        add(f"trade_off_{_slug(target)}.svg", figure, title, _TRADE_OFF.format(**wording) + fewer)
        for of_data, part in _by_data(depths or {}, data).items():
            figure = layers_figure(part, target, accuracy)
            caption = LAYERS.format(**wording, shown=len(layered(part, target)), count=len(part)) + fewer
            add(f"layers_{_slug(target)}.svg", figure, f"Where the {target} goes", caption, of_data)
        unit = (units or {}).get(target, "")
        for probe in ("ridge/per_label", "ridge"):
            figure = prediction_figure({name: (runs, probe) for name, runs in overlaid.items()}, target, unit)
            title = f"{target}: predicted against true, {probe_name(probe)}"
            title += " (uses the answer)" if probe == "ridge/per_label" else ""
            caption = _PREDICTION.format(target=target) + fewer + only
            add(f"prediction_{_slug(target)}_{_slug(probe)}.svg", figure, title, caption)
    for of_data, part in _by_data(groups, data).items():
        for drawn in protocol_figures(part):
            add(*drawn, of_data)
    caption = _CLASS_ERROR.format(whiskers=bars) + only
    probes_shown = ("softmax", "mav") if len(overlaid) <= 3 else ("mav",)  # more bars than that cannot be told apart
    series = {f"{name}, {probe_name(p)}": (runs, p) for name, runs in overlaid.items() for p in probes_shown}
    add("class_error.svg", class_error_figure(series), "Classification error by class", caption)
    save_figures(figures, folder)


def _by_data(groups: Mapping[str, Runs], data: Mapping[str, str]) -> dict[str, dict[str, Runs]]:
    """The groups of each data set, whose name they then need no longer; all under ``""`` where there is one only."""
    if len(set(data.values())) < 2:
        return {"": dict(groups)}
    parts: dict[str, dict[str, Runs]] = {}
    for name, runs in groups.items():
        parts.setdefault(data[name], {})[name.replace(f" on {data[name]}", "", 1)] = runs
    return parts


def _fewer(count: int, shown: int) -> str:
    """What a caption adds where not every nuisance has its figure."""
    return _FEWER.format(count=count, shown=shown) if shown < count else ""


def _slug(name: str) -> str:
    """A file name of a nuisance's or probe's name, whatever it holds."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
