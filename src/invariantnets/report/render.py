"""Results and figures in a folder → one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from invariantnets.bootstrapping.selection import HEADER
from invariantnets.errors import InvariantNetsError
from invariantnets.figures import draw_sweep
from invariantnets.files import write_atomically
from invariantnets.report.headline import facts, sentences, sweep_sentences
from invariantnets.report.papers import forgetting
from invariantnets.report.papers import rudd2016 as chapter
from invariantnets.report.papers import taigman2015_look_alikes as bootstrapping
from invariantnets.report.papers import taigman2015_widths as bottleneck
from invariantnets.report.papers.comparison import Comparison
from invariantnets.results.format import chance, count, span, summary, value_and_interval
from invariantnets.results.result import Result
from invariantnets.results.runs import Group, Run, Sweep, read_json, read_run, read_sweep
from invariantnets.results.select import (
    FEATURES,
    FEW_NUISANCES,
    IDENTITY,
    LABEL,
    NORM,
    RECOGNITION,
    Runs,
    failed,
    nuisances,
    over_runs,
    select,
)
from invariantnets.results.words import METRICS, NONE, interval, metric_name, number, probe_name

_MIME = {".svg": "image/svg+xml", ".png": "image/png"}
# Each gives a table where the sweep holds what its publication measured.
_COMPARISONS = (chapter.compare, bottleneck.compare, bootstrapping.compare, forgetting.compare)


def render_run(folder: Path) -> Path:
    """Write ``report.html`` of one run from its ``results.jsonl``, ``provenance.json`` and ``figures/`` alone.

    Args:
        folder: of the run.

    Returns:
        The path of the report.

    Raises:
        InvariantNetsError: one of these is missing or unreadable, or the folder cannot be written to.
    """
    run = read_run(folder)
    here, rest = run.here, [r for r in run.results if r.layer != run.layer and not r.where and r.probe != "softmax"]
    provenance = run.provenance
    html = _template("run.html.j2").render(
        title=str(provenance.get("name") or folder.name),
        headline=sentences(here, run.layer, run.units),
        facts=facts(here, run.units),
        tables=_tables(here, run.units),
        rest=[_result_row(r, run.units) for r in rest],
        layer=run.layer,
        figures=_embedded(folder / "figures", run.figures),
        selection=_selection(folder / "bootstrap"),
        details=_details(provenance, {r.seed for r in run.results}),
        versions=provenance.get("versions") or {},
        checksums=provenance.get("data_checksum") or {},
        config=json.dumps(provenance.get("config") or {}, indent=2, ensure_ascii=False),
        overrides=[str(o) for o in provenance.get("overrides") or []],
    )
    return _write(folder, html)


def render_sweep(folder: Path) -> Path:
    """Write one ``report.html`` over every run below a folder, and its figures to ``figures/``.

    Runs that differ in their seed alone are one group. A run that cannot be read is named, and loses no other.

    Args:
        folder: of the multirun.

    Returns:
        The path of the report.

    Raises:
        InvariantNetsError: no run is below the folder, or it cannot be written to.
    """
    sweep = read_sweep(folder)
    groups = {g.name: [r.here for r in g.runs] for g in sweep.groups}
    units = {name: unit for g in sweep.groups for r in g.runs for name, unit in r.units.items()}
    data = {g.name: g.data for g in sweep.groups}
    depths = {g.name: [r.results for r in g.runs] for g in sweep.groups}
    methods = forgetting.methods(sweep.groups)
    draw_sweep(groups, folder / "figures", units, data, bottleneck.widths(sweep.groups), depths, methods)
    figures = json.loads((folder / "figures" / "figures.json").read_text(encoding="utf-8"))
    header, rows, guesses = _sweep_table(sweep.groups, units)
    html = _template("sweep.html.j2").render(
        title=f"Sweep of {len(sweep.groups)} groups",
        headline=sweep_sentences(groups, data),
        sweep=sweep,
        header=header,
        rows=rows,
        chance=guesses,
        figures=_embedded(folder / "figures", figures),
        runs=[_run_link(g, r, folder) for g in sweep.groups for r in g.runs],
        comparisons=comparisons(sweep),
    )
    return _write(folder, html)


def comparisons(sweep: Sweep) -> list[Comparison]:
    """The tables of every publication whose networks the sweep holds, beside ours."""
    return [table for compare in _COMPARISONS if (table := compare(sweep.groups)) is not None]


def _selection(folder: Path) -> dict[str, Any] | None:
    """What a run was trained on, where it was selected: a sentence, and the figures of `draw_selection`."""
    header, listed = folder / HEADER, folder / "figures.json"
    if not (header.is_file() and listed.is_file()):
        return None
    seeds, k, people = (read_json(header, dict).get(key) for key in ("seeds", "k", "identities"))
    sentence = (
        f"{count(seeds)} people of the pool, drawn at random, selected the {count(k)} each whose hyperplanes are "
        f"nearest, themselves included: {count(people)} people in all; {count(seeds * k)} if none were selected twice."
    )
    return {"sentence": sentence, "figures": _embedded(folder, read_json(listed, list))}


def _tables(results: Sequence[Result], units: Mapping[str, str]) -> list[dict[str, Any]]:
    """A table for the class, one for each nuisance (by metric, the strongest probe first), one for the features.

    Many nuisances are folded away, each under what its strongest probe reads.
    """

    def rows(target: str) -> list[Result]:
        found = [r for r in results if r.target == target and not r.where]
        order = {m: i for i, m in enumerate(METRICS)}
        return sorted(found, key=lambda r: (order.get(r.metric, len(order)), r.probe != "strongest"))

    targets = nuisances(results)
    many = len(targets) > FEW_NUISANCES
    titles = {LABEL: "How well the class is recognised"}
    titles[IDENTITY] = "How well people are recognised"
    titles |= {t: f"How well the {t} can be read{_read(results, t) if many else ''}" for t in targets}
    titles[FEATURES] = "What the features look like"
    titles[NORM] = "What the length of the features tells"
    tables = [
        {"title": title, "rows": [_result_row(r, units) for r in rows(t)], "folded": many and t in targets}
        for t, title in titles.items()
    ]
    return [t for t in tables if t["rows"]]


def _result_row(r: Result, units: Mapping[str, str]) -> dict[str, object]:
    """A `Result` as a row of a table: everything a reader needs to judge it."""
    unit = units.get(r.target, "")
    value, bounds = value_and_interval(r, unit)
    described = r.probe == "description"  # a property of the features: its name says all
    return {
        "layer": r.layer,
        "probe": metric_name(r.metric) if described else probe_name(r.probe, r.title),
        "metric": "" if described else metric_name(r.metric),
        "value": value,
        "interval": bounds,
        "chance": number(r.chance, r.metric, unit),
        "control": number(r.control, r.metric, unit),
        "n": count(r.n),
        "sources": count(r.sources),
        "n_fit": count(r.n_fit),
        "split": r.split,
        "seed": r.seed,
        "failed": failed(r),
        "uses_answer": r.uses_answer,
        "note": r.note,
    }


def _read(results: Sequence[Result], target: str) -> str:
    """What the strongest honest probe reads, to stand behind a title."""
    texts = (
        "failed" if failed(r) else f"R² {number(r.value, r.metric)} {interval(r.low, r.high, r.metric)}"
        for r in select(results, "r2", target, "strongest")
    )
    return "".join(f": {text}" for text in texts)


def _sweep_table(
    groups: Sequence[Group], units: Mapping[str, str]
) -> tuple[list[str], list[tuple[Group, list[str], str]], list[str]]:
    """Column heads; per group its cells and its number of test rows; and what chance gives in each column."""
    every: Runs = [r.here for g in groups for r in g.runs]
    targets = list(dict.fromkeys(t for results in every for t in nuisances(results)))
    columns = [("softmax", "accuracy", LABEL, "softmax"), ("MAV", "accuracy", LABEL, "mav")]
    columns += [(name, metric, IDENTITY, probe) for name, metric, probe in RECOGNITION]
    for t in targets:
        if len(targets) <= FEW_NUISANCES:
            columns += [
                (probe_name(f"mav/estimated_{t}"), "accuracy", LABEL, f"mav/estimated_{t}"),
                (f"RMSE of {t}, linear per true label (uses the answer)", "rmse", t, "ridge/per_label"),
                (f"R² of {t}, linear", "r2", t, "ridge"),
            ]
        columns.append((f"R² of {t}, strongest honest probe", "r2", t, "strongest"))
    columns = [c for c in columns if any(select(results, *c[1:]) for results in every)]
    rows = []
    for group in groups:
        runs = [r.here for r in group.runs]
        cells = [
            summary(over_runs(runs, metric, target, probe).get(None), metric, units.get(target, ""))
            for _, metric, target, probe in columns
        ]
        apart = (FEATURES, IDENTITY, NORM)  # counted in pairs, or not in test rows
        sizes = [r.n for results in runs for r in results if r.target not in apart and not r.where]
        rows.append((group, cells, span(sizes)))
    guesses = [chance(every, metric, of, probe, units.get(of, "")) for _, metric, of, probe in columns]
    return [c[0] for c in columns], rows, guesses


def _run_link(group: Group, run: Run, folder: Path) -> dict[str, str]:
    """Name and place of a run, with a relative link if it has a report."""
    path = run.folder.relative_to(folder)
    report = path / "report.html"
    link = quote(report.as_posix()) if (folder / report).exists() else ""
    return {"name": f"{group.name}, seed {run.provenance.get('seed')}", "path": path.as_posix(), "link": link}


def _details(provenance: Mapping[str, Any], seeds: set[int]) -> list[tuple[str, str]]:
    """The provenance in short, as name and value."""
    pairs = {
        "model": provenance.get("model"),
        "data": provenance.get("data"),
        "seed of the run": provenance.get("seed"),
        "seeds of probes and bootstrap": ", ".join(map(str, sorted(seeds))),
        "commit": provenance.get("commit"),
        "checkpoint": provenance.get("checkpoint"),
        "command": provenance.get("command"),
        "started": provenance.get("started"),
        "seconds": provenance.get("seconds"),
    }
    return [(k, NONE if v is None else f"{v:.1f}" if isinstance(v, float) else str(v)) for k, v in pairs.items()]


def _embedded(folder: Path, entries: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """The figures as data URIs: as images of their own, so that the ids inside their SVG cannot clash."""
    figures = []
    for entry in entries:
        file = Path(str(entry.get("file", "")))
        if file.name != str(file) or file.suffix not in _MIME or not (folder / file).is_file():
            listed = folder / "figures.json"
            raise InvariantNetsError(f"{listed}: {str(file)!r} is no figure beside it; run evaluate.py again")
        data = base64.b64encode((folder / file).read_bytes()).decode()
        figures.append(
            {
                "title": str(entry.get("title", file.stem)),
                "caption": str(entry.get("caption", "")),
                "source": f"data:{_MIME[file.suffix]};base64,{data}",
            }
        )
    return figures


def _template(name: str) -> Template:
    loader = PackageLoader("invariantnets.report", "templates")
    templates = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return templates.get_template(name)


def _write(folder: Path, html: str) -> Path:
    path = folder / "report.html"
    write_atomically(path, html.encode("utf-8", "xmlcharrefreplace"))
    return path
