"""Folders of runs from elsewhere whose report would look outside, be a program, or never end."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from trial import Trial
from yard import SECRET, Yard, yard

from invariantnets.report import render_run, render_sweep
from invariantnets.results import Result, to_jsonl

__all__ = ["trials"]

PAGE = "<script>canary()</script><img src=x onerror=canary()>"
ROW = json.loads(to_jsonl([Result("r2", 0.5, "ip1", "angle", "ridge", "test", 3, 3, 0, about="nuisance")]))
PROVENANCE: dict[str, Any] = {"model": "lenet", "data": "digits", "seed": 0, "overrides": [], "config": {}, "units": {}}
Change = Callable[[Yard, Path], object]  # of the folder of a run


def run(folder: Path, seed: int = 0, **row: Any) -> None:
    """What a run leaves, of one result."""
    folder.mkdir(parents=True)
    (folder / "results.jsonl").write_text(json.dumps({**ROW, "seed": seed, **row}) + "\n")
    (folder / "provenance.json").write_text(json.dumps({**PROVENANCE, "seed": seed}))


def row(**changes: Any) -> Change:
    return lambda at, folder: (folder / "results.jsonl").write_text(json.dumps({**ROW, **changes}) + "\n")


def lines(text: str) -> Change:
    return lambda at, folder: (folder / "results.jsonl").write_text(text)


def provenance(**changes: Any) -> Change:
    return lambda at, folder: (folder / "provenance.json").write_text(json.dumps({**PROVENANCE, **changes}))


def link(name: str, secret: str) -> Change:
    def change(at: Yard, folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(at.home / secret)

    return change


def vast(name: str) -> Change:
    return lambda at, folder: os.truncate(folder / name, 1 << 40)


def pipe(at: Yard, folder: Path) -> None:
    (folder / "results.jsonl").unlink()
    os.mkfifo(folder / "results.jsonl")


LOST: dict[str, Change] = {
    "results by a link": link("results.jsonl", "secret.json"),
    "provenance by a link": link("provenance.json", "secret.json"),
    "results of 1 TB": vast("results.jsonl"),
    "provenance of 1 TB": vast("provenance.json"),
    "results that are a pipe": pipe,
    "results without a bottom": lines("[" * 200_000),
    "a number of 10⁵ digits": lines(json.dumps(ROW).replace("0.5", "9" * 100_000)),
    "a count of 10⁹⁹": row(n=10**99),
    "a value that is text": row(value=PAGE),
    "a metric that is a list": row(metric=[1]),
    "a layer that is a number": row(layer=3),
    "a place that is text": row(where="x"),
    "a place of places": row(where={"a": {"b": [1]}}),
    "an interval that is text": row(low="0", high="1"),
    "a state that there is not": row(status=PAGE),
    "provenance without a bottom": lambda at, folder: (folder / "provenance.json").write_text('{"a":' * 100_000),
    "units that are a list": provenance(units=[1]),
    "versions that are text": provenance(versions="x"),
    "overrides that are text": provenance(overrides="x=1"),
}


def lost(change: Change, folder: Path, rng: random.Random) -> None:
    """The run is named among those that are missing; the others are reported."""
    with yard(folder) as place:
        sweep = place.work / "run"
        for name in ("a", "b"):
            run(sweep / name)
        change(place, sweep / "b")
        before = place.seen()
        text = render_sweep(sweep).read_text()
        place.assert_unchanged(before)
        assert SECRET not in text and "canary()</script>" not in text, "the report tells it, or runs it"
        assert "<h2>Missing</h2>" in text and ">b</dt>" in text, "the run is not named as missing"


TEXTS = {
    "a page": PAGE,
    "an end of what quotes it": "\"'></title></style></pre>" + PAGE,
    "a link": "javascript:canary()",
    "a style": "}*{background:url(http://canary)}",
    "a template": "{{ 7*7 }}{% include '/etc/passwd' %}",
    "a terminal's words": "\x1b]0;canary\x07",
    "mathematics": "$\\frac{$",
    "a table's bar": "a|b`c`",
    "1,000 letters": "x" * 1000,
}


def shown(text: str, folder: Path, rng: random.Random) -> None:
    """In whatever names it stands, it is shown as text: in a run's report and in a sweep's."""
    with yard(folder) as place:
        sweep = place.work / "run"
        for seed in range(2):
            run(sweep / f"{seed}", seed, layer=text, target=text, probe=text, note=text, title=text, split=text)
            config = {"method": text, "a": {text: text}}
            words = {key: text for key in ("name", "model", "data", "commit", "checkpoint", "command", "started")}
            more = {"units": {text: text}, "remarks": [text], "overrides": [f"x={text}"], "versions": {text: text}}
            provenance(**words, **more, config=config, data_checksum={text: text}, seed=seed)(place, sweep / f"{seed}")
        before = place.seen()
        pages = [render_sweep(sweep).read_text(), render_run(sweep / "0").read_text()]
        place.assert_unchanged(before)
        for page in pages:
            assert "default-src 'none'" in page, "a browser may fetch or run what is in it"
            for tag in ("<script", "<img src=x", 'href="javascript', "<iframe"):
                assert tag not in page, f"{tag} is in the report"
        assert all(path.is_relative_to(sweep) for path in sweep.rglob("*"))


def figures(*entries: dict[str, Any]) -> Change:
    def change(at: Yard, folder: Path) -> None:
        (folder / "figures").mkdir()
        for name in ("secret.svg", "secret.png"):
            (at.home / name).write_text(SECRET)
        (folder / "figures" / "link.svg").symlink_to(at.home / "secret.svg")
        (folder / "figures" / "figures.json").write_text(json.dumps(entries).replace("HOME", str(at.home)))

    return change


def vast_figure(at: Yard, folder: Path) -> None:
    figures({"file": "a.png", "title": "a"})(at, folder)
    (folder / "figures" / "a.png").touch()
    os.truncate(folder / "figures" / "a.png", 1 << 40)


FIGURES: dict[str, Change] = {
    "a figure by ..": figures({"file": "../../../home/secret.svg", "title": "a"}),
    "a figure anywhere": figures({"file": "HOME/secret.svg", "title": "a"}),
    "a figure by a link": figures({"file": "link.svg", "title": "a"}),
    "a figure that is text": figures({"file": "../results.jsonl", "title": "a"}),
    "a figure that is a number": figures({"file": 3}),
    "a figure of 1 TB": vast_figure,
    "figures that are no list": lambda at, folder: (
        (folder / "figures").mkdir(),
        (folder / "figures" / "figures.json").write_text('{"a": 1}'),
    ),
    "figures that are numbers": lambda at, folder: (
        (folder / "figures").mkdir(),
        (folder / "figures" / "figures.json").write_text("[1, 2]"),
    ),
}


def drawn(change: Change, folder: Path, rng: random.Random) -> None:
    """It is not embedded: the report is refused in one line."""
    with yard(folder) as place:
        run(place.work / "run" / "a")
        change(place, place.work / "run" / "a")
        place.refusal(lambda: render_run(place.work / "run" / "a"))


def elsewhere(folder: Path, rng: random.Random) -> None:
    """A sweep whose folder of figures is somebody's home."""
    with yard(folder) as place:
        run(place.work / "run" / "a")
        (place.work / "run" / "figures").symlink_to(place.home)
        line = place.program("evaluate", "sweep=run")
        assert "is a link" in line, line


def trials() -> list[Trial]:
    """All of them, in a fixed order."""
    found = [Trial(name, "hostile run", partial(lost, change)) for name, change in LOST.items()]
    found += [Trial(name, "hostile text in a report", partial(shown, text)) for name, text in TEXTS.items()]
    found += [Trial(name, "hostile figure", partial(drawn, change)) for name, change in FIGURES.items()]
    return [*found, Trial("figures in a home", "hostile figure", elsewhere)]
