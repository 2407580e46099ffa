"""Results and figures in a folder → one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from invariantnets.bootstrapping.selection import HEADER
from invariantnets.errors import InvariantNetsError
from invariantnets.figures import draw_sweep
from invariantnets.files import write_atomically
from invariantnets.report import differences, trained
from invariantnets.report.beside import beside_sections
from invariantnets.report.headline import facts, lines, sentences
from invariantnets.report.papers import (
    forgetting,
    mnist_rot,
    new_classes,
    rudd2016,
    strangers,
    taigman2015_look_alikes,
    taigman2015_widths,
    zhang2015,
)
from invariantnets.report.papers.comparison import Comparison
from invariantnets.report.sections import Section, run_sections, sweep_sections
from invariantnets.report.sweep_headline import sweep_sentences
from invariantnets.report.tables import Table, beside, result_tables
from invariantnets.report.terms import Glossary
from invariantnets.results.format import and_, count
from invariantnets.results.result import Result, check_own
from invariantnets.results.runs import Group, Run, Sweep, read_json, read_run, read_sweep
from invariantnets.results.words import NONE, metric_name

_MIME = {".svg": "image/svg+xml", ".png": "image/png"}
# Each gives a table where the sweep holds what its publication measured.
_PAPERS = (
    rudd2016, taigman2015_widths, taigman2015_look_alikes, zhang2015, mnist_rot, strangers, new_classes, forgetting,
)  # fmt: skip


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
    provenance, said = run.provenance, sentences(run.here, run.layer, run.units)
    figures = _embedded(folder / "figures", run.figures)
    numbers, terms = facts(run.here, run.units), Glossary()
    found = run_sections(run.here, run.units, figures)
    leaks, others = found[:1], found[1:]
    html = _template("run.html.j2").render(
        title=str(provenance.get("name") or folder.name),
        headline=said,
        facts=numbers,
        terms=terms.new([*said, *(text for f in numbers for text in (f.name, f.detail))]),
        missing=[str(sentence) for sentence in provenance.get("missing") or []],
        remarks=[str(remark) for remark in provenance.get("remarks") or []],
        sections=_explained([*leaks, *beside_sections(run), *others], terms),
        others=_other_layers(run),
        layer=run.layer,
        drawn=bool(figures),
        selection=_selection(folder / "bootstrap", len(figures)),
        details=_details(provenance, {r.seed for r in run.results}),
        versions=provenance.get("versions") or {},
        checksums=provenance.get("data_checksum") or {},
        config=json.dumps(provenance.get("config") or {}, indent=2, ensure_ascii=False),
        overrides=[str(o) for o in provenance.get("overrides") or []],
    )
    return _write(folder, html)


def headline(folder: Path) -> list[str]:
    """The sentences at the top of the report of one run, in lines for a terminal.

    Args:
        folder: of the run.

    Raises:
        InvariantNetsError: as of `render_run`.
    """
    run = read_run(folder)
    return lines(run.here, run.layer, run.units)


def render_sweep(folder: Path, started: Sequence[Path] | None = None) -> Path:
    """Write one ``report.html`` over every run below a folder, and its figures to ``figures/``.

    Runs that differ in their seed alone are one group. A run that cannot be read is named, and loses no other.

    Args:
        folder: of the multirun.
        started: folders of its jobs, where others lie beside them; None: all are meant.

    Returns:
        The path of the report.

    Raises:
        InvariantNetsError: no run is below the folder, or it cannot be written to.
    """
    sweep = read_sweep(folder, started)
    groups = {g.name: [r.here for r in g.runs] for g in sweep.groups}
    units = {name: unit for g in sweep.groups for r in g.runs for name, unit in r.units.items()}
    data = {g.name: g.data for g in sweep.groups}
    depths = {g.name: [r.results for r in g.runs] for g in sweep.groups}
    methods = forgetting.methods(sweep.groups)
    widths = taigman2015_widths.widths(sweep.groups)
    people = strangers.people(sweep.groups)
    grown = new_classes.swept(sweep.groups)
    undrawn = draw_sweep(groups, folder / "figures", units, data, widths, depths, methods, people, grown)
    figures = _embedded(folder / "figures", read_json(folder / "figures" / "figures.json", list))
    said, terms = sweep_sentences(sweep.groups), Glossary()
    tables = [(c, beside(c.title, c.header, c.rows)) for c in comparisons(sweep)]
    size = f"{len(groups)} group{'s' * (len(groups) != 1)}"
    html = _template("sweep.html.j2").render(
        title=f"Sweep of {size} on {and_(list(dict.fromkeys(data.values())))}" if data else "Sweep without a run",
        headline=said,
        size=size,
        terms=terms.new(said),
        sections=_explained(sweep_sections(sweep.groups, units, figures), terms),
        comparisons=[(table, c.note, terms.new([*table.texts(), c.note])) for c, table in tables],
        missing=sweep.missing,
        lacking=[*map(str, undrawn), *_lacking(sweep, folder)],
        runs=[_run_link(g, r, folder) for g in sweep.groups for r in g.runs],
    )
    return _write(folder, html)


def _lacking(sweep: Sweep, folder: Path) -> list[str]:
    """What could not be measured of the runs that are there."""
    runs = [run for group in sweep.groups for run in group.runs]
    return [f"{r.folder.relative_to(folder)}: {said}" for r in runs for said in r.provenance.get("missing") or []]


def comparisons(sweep: Sweep) -> list[Comparison]:
    """The tables of every publication whose networks the sweep holds, beside ours; then what its groups differ by."""
    tables = [table for paper in _PAPERS if (table := paper.compare(sweep.groups)) is not None]
    # Of strangers each method's differences stand below it.
    rest = [trained] if any(t.file == "strangers" for t in tables) else [differences, trained]
    return [*tables, *(table for part in rest if (table := part.compare(sweep.groups)) is not None)]


def _explained(sections: Sequence[Section], terms: Glossary) -> list[tuple[Section, list[tuple[str, str]]]]:
    """Each part of a report with the terms that it is the first to use."""
    return [(section, terms.new(section.texts())) for section in sections]


def _selection(folder: Path, drawn: int) -> dict[str, Any] | None:
    """What a run was trained on, where it was selected: a sentence, and the figures of `draw_selection`."""
    header, listed = folder / HEADER, folder / "figures.json"
    if not (header.is_file() and listed.is_file()):
        return None
    seeds, k, people = (read_json(header, dict).get(key) for key in ("seeds", "k", "identities"))
    sentence = (
        f"{count(seeds)} people of the pool, drawn at random, selected the {count(k)} each whose hyperplanes are "
        f"nearest, themselves included: {count(people)} people in all; {count(seeds * k)} if none were selected twice."
    )
    figures = _embedded(folder, read_json(listed, list))
    return {"sentence": sentence, "figures": [{**f, "number": i} for i, f in enumerate(figures, drawn + 1)]}


def _other_layers(run: Run) -> list[Table]:
    """A table for every layer that the report does not speak of."""
    layers = dict.fromkeys(r.layer for r in run.results if r.layer != run.layer and r.probe != "softmax")
    tables = []
    for layer in layers:
        found = [r for r in run.results if r.layer == layer and r.probe != "softmax"]
        tables += result_tables(f"At {layer}", found, run.units, run.results, apart=_subject)
    return tables


def _subject(r: Result) -> str:
    return "the features" if r.about == "features" else f"{r.target}: {metric_name(r.metric)}"


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
        "seeds of probes and protocols": ", ".join(map(str, sorted(seeds))),
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
        check_own(folder / file)
        data = base64.b64encode((folder / file).read_bytes()).decode()
        figures.append(
            {
                "title": str(entry.get("title", file.stem)),
                "caption": str(entry.get("caption", "")),
                "about": str(entry.get("about", "")),
                "source": f"data:{_MIME[file.suffix]};base64,{data}",
            }
        )
    return figures


def _template(name: str) -> Template:
    loader = PackageLoader("invariantnets.report", "templates")
    templates = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {"pieces": _pieces, "whole": _whole}
    return templates.get_template(name)


def _whole(sentence: str) -> str:
    """A sentence whose lines break neither between a number and its per cent nor inside an interval."""
    return re.sub(r"(?<=\d) (?=%)|(?<=[\d%],) (?=[−\d.]+\])", "\N{NO-BREAK SPACE}", sentence)


def _pieces(cell: str) -> Markup:
    """A cell whose value, interval and remark may each have a line, while no number is ever broken."""
    parts = re.split(r" (?=[\[(])", cell)
    unbroken = [bool(re.match(r"[−+\d\[]", part)) for part in parts]
    texts = (
        f'<span class="{"n" if whole else "t"}">{escape(p)}</span>' for p, whole in zip(parts, unbroken, strict=True)
    )
    return Markup(" ".join(texts))


def _write(folder: Path, html: str) -> Path:
    path = folder / "report.html"
    write_atomically(path, html.encode("utf-8", "xmlcharrefreplace"))
    return path
