from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html import escape
from html.parser import HTMLParser

import numpy as np
import pytest

from invariantnets.bootstrapping.selection import select
from invariantnets.errors import InvariantNetsError
from invariantnets.figures.selection import draw_selection, random_similarity, shown_identities
from invariantnets.report import render_run
from invariantnets.results.result import to_jsonl

class Page(HTMLParser):
    """Links, tags and table rows of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "srcset", "action")]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def html_of(folder) -> str:
    return render_run(folder).read_text(encoding="utf-8")


def test_headline_says_what_leaks_and_how_much(make_run):
    html = html_of(make_run("run", r2=0.93, mav=0.95))
    assert (
        "From ip1, the strongest honest probe (MLP) reads the angle with R² 0.93 (chance 0; "
        "n = 3,780 rows of 540 images); typical error (RMSE) 7.9° where guessing gives 30.0°."
    ) in html
    assert "The class is recognised with 98.7 % [97.7, 99.7] by its softmax and 95.0 % [94.0, 96.0] by" in html


def test_self_contained(make_run):
    html = html_of(make_run("run"))
    page = Page(html)
    assert page.links
    assert all(link.startswith("data:image/") for link in page.links)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert not re.search(r"@import|url\(", html)
    assert page.tags.count("img") == 3


def test_every_row_can_be_judged(make_run):
    rows = Page(html_of(make_run("run"))).rows
    head = rows[0]
    for row in rows:
        assert len(row) == len(head)
        if row[0] != "how":
            cells = dict(zip(head, row, strict=True))
            assert all(
                cells[c] for c in ("value", "95 % interval", "chance", "shuffled control", "n rows", "split", "seed")
            )
    assert sum("uses the answer" in row[0] for row in rows) == 3


def test_a_failed_probe_is_never_invariance(make_run):
    html = html_of(make_run("run", failed=True, r2=-0.25))
    assert "no probe of the angle succeeded; this is not evidence of invariance" in html
    angle = [row for row in Page(html).rows if "R²" in row[1:2] or "RMSE" in row[1:2]]
    assert len(angle) == 7
    assert all("failed" in " ".join(row) for row in angle)


def test_an_interval_with_chance_in_it_proves_nothing(make_run, make_results):
    folder = make_run("run")
    results = [replace(r, value=0.0, low=-0.01, high=0.01) if r.probe == "strongest" else r for r in make_results()]
    (folder / "results.jsonl").write_text(to_jsonl(results), encoding="utf-8")
    assert "does not prove that nothing is there" in html_of(folder)


def test_provenance_is_shown(make_run):
    html = html_of(make_run("run"))
    for text in ("0123abc", "2.15.0", "440fcabf73cc546f", "embedding_dim", "checkpoints/best.ckpt"):
        assert text in html


def test_hostile_names_are_escaped(make_run, make_results):
    hostile = "<script>alert('x')</script>\"><img src=http://evil.example onerror=alert(1)>"
    folder = make_run("run", name=hostile)
    results = [replace(r, note=hostile, probe=hostile if r.probe == "mlp" else r.probe) for r in make_results()]
    (folder / "results.jsonl").write_text(to_jsonl(results), encoding="utf-8")
    html = html_of(folder)
    page = Page(html)
    assert "script" not in page.tags
    assert all(link.startswith("data:image/") for link in page.links)
    assert escape("<script>alert(", quote=False) in html


def test_same_input_same_bytes_and_nothing_left_over(make_run):
    folder = make_run("run")
    before = {p.name for p in folder.iterdir()}
    first = render_run(folder).read_bytes()
    assert render_run(folder).read_bytes() == first
    assert {p.name for p in folder.iterdir()} == before | {"report.html"}


def test_no_figures_is_said(make_run):
    folder = make_run("run")
    shutil.rmtree(folder / "figures")
    assert "No figures were drawn" in html_of(folder)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("results.jsonl", '{"metric": "r2"'),
        ("results.jsonl", ""),
        ("provenance.json", "{"),
        ("provenance.json", "[]"),
        ("figures/figures.json", json.dumps([{"file": "../provenance.json"}])),
        ("figures/figures.json", json.dumps([{"file": "gone.svg"}])),
    ],
)
def test_broken_input_is_one_line_and_leaves_the_old_report(make_run, file, content):
    folder = make_run("run")
    old = render_run(folder).read_bytes()
    (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(InvariantNetsError) as caught:
        render_run(folder)
    assert "\n" not in str(caught.value) and folder.name in str(caught.value)
    assert (folder / "report.html").read_bytes() == old


def test_whom_it_was_trained_on(make_run):
    folder = make_run("run")
    assert "Whom it was trained on" not in html_of(folder)
    normals = np.random.default_rng(0).normal(size=(50, 4))
    selection = select(normals, seeds=3, k=5, rng=np.random.default_rng(0), checkpoint="net", pool="pool")
    (folder / "bootstrap").mkdir()
    selection.save(folder / "bootstrap")
    assert "Whom it was trained on" not in html_of(folder)  # not drawn yet
    faces = np.zeros((len(shown_identities(selection)), 3, 8, 8), np.uint8)
    draw_selection(selection, faces, random_similarity(normals, np.random.default_rng(0)), folder / "bootstrap")
    html = html_of(folder)
    assert "3 people of the pool, drawn at random, selected the 5 each whose hyperplanes are nearest" in html
    assert f"{len(selection.union)} people in all; 15 if none were selected twice" in html
    assert all(f"<h3>{title}</h3>" in html for title in ("Seeds and look-alikes", "How alike they are"))
