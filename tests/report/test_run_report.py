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
from invariantnets.results.result import Result, to_jsonl


class Page(HTMLParser):
    """Links, tags and table rows of a page, the texts of their cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.small_print: list[list[str]] = []
        self.into = self.rows
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "srcset", "action")]
        if tag == "tr" and ("class", "more") in attributes:
            self.into = self.small_print
        elif tag == "tr":
            self.into = self.rows
        if tag == "tr":
            self.into.append([])
        elif tag in ("td", "th") and self.into:
            self.into[-1].append("")

    def handle_data(self, data):
        if self.into and self.into[-1]:
            self.into[-1][-1] += data.replace("\n", "")


def html_of(folder) -> str:
    return render_run(folder).read_text(encoding="utf-8")


def table_of(rows: list[list[str]]) -> list[dict[str, str]]:
    """The rows of results: their columns, and the part of the table where they stand."""
    found: list[dict[str, str]] = []
    head, part = [], ""
    for row in rows:
        if row[0] == "how":
            head, part = row, ""
        elif len(row) > 1:
            found.append({**dict(zip(head, row, strict=True)), "metric": part})
        else:
            part = row[0]
    return found


def test_headline_says_what_leaks_and_how_much(make_run, plain):
    html = plain(html_of(make_run("run", r2=0.93, mav=0.95)))
    assert (
        "From ip1, the strongest honest probe (MLP) reads the angle with R² 0.93 (chance 0; "
        "n = 3,780 rows of 540 images, fitted to 9,000 rows); typical error (RMSE) 7.9° where guessing gives 30.0°."
    ) in html
    assert "The class is recognised with 98.7 % [97.7, 99.7] by its softmax and 95.0 % [94.0, 96.0] by" in html


def test_self_contained(make_run):
    html = html_of(make_run("run"))
    page = Page(html)
    assert page.links
    assert all(link.startswith("data:image/") for link in page.links)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert not re.search(r"@import|url\(", html)
    assert page.tags.count("img") == 4


def test_every_row_can_be_judged(make_run, make_results):
    results = [
        replace(r, chosen={"k": 8, "space": "whitened"}, validation=0.61) if r.probe == "mlp" else r
        for r in make_results()
    ]
    html = html_of(make_run("run", found=results))
    page = Page(html)
    rows = [row for row in table_of(page.rows) if row["metric"] in ("R²", "RMSE", "accuracy")]
    assert len(rows) == 4 + 7
    for row in rows:
        assert row["value, 95 % interval"] and row["chance"]
        if row["metric"] != "accuracy":
            assert row["shuffled control"]
    # What all rows share is said once, above them; what only some have, below the first of each probe.
    assert "n = 3,780 rows of 540 images; fitted on 9,000 rows; test rows; seed 0." in html
    assert html.count("fitted on 9,000 rows") == 1
    assert html.count("out of fold R² 0.610; k = 8, space = whitened") == 1
    assert sum("uses the answer" in row["how"] for row in rows) == 3
    assert [row["how"] for row in rows if row["how"].startswith("strongest")] == ["strongest honest probe: MLP"]


def test_a_failed_probe_is_never_invariance(make_run):
    html = html_of(make_run("run", failed=True, r2=-0.25))
    most = "on test none of them reads more than R² −0.25 [−0.26,\u00a0−0.24]"
    sentence = re.search(r"no probe of the angle succeeded: (.*?); this is not evidence of invariance", html)
    assert sentence and re.sub(r"<.*?>", "", sentence[1]).startswith(most)
    angle = [row for row in table_of(Page(html).rows) if row["metric"] in ("R²", "RMSE")]
    assert len(angle) == 7
    assert all("failed: says nothing about invariance" in row["how"] for row in angle)


def test_what_leaks_comes_first_and_figures_are_numbered_as_they_are_met(make_run):
    folder = make_run("run")
    listed = folder / "figures" / "figures.json"
    entries = json.loads(listed.read_text(encoding="utf-8"))
    about = dict(zip([e["file"] for e in entries[:3]], ("recognition", "leaks", "description"), strict=True))
    entries = [{**e, "about": about.get(e["file"], "")} for e in entries]
    listed.write_text(json.dumps(entries), encoding="utf-8")
    html = html_of(folder)
    parts = ("What leaks", "Recognition", "The features themselves", "Where this comes from")
    places = [html.index(f"<h2>{part}</h2>") for part in parts]
    assert places == sorted(places)
    titles = {e["about"]: e["title"] for e in entries}
    figures = [html.index(f"Figure {i}. {titles[a]}") for i, a in enumerate(("leaks", "recognition", "description"), 1)]
    for start, figure, end in zip(places[:-1], figures, places[1:], strict=True):
        assert start < figure < end
    assert f"Drawn in figure 1 ({titles['leaks']})." in html


def test_figures_of_an_older_run_come_last(make_run):
    folder = make_run("run")
    listed = folder / "figures" / "figures.json"
    entries = json.loads(listed.read_text(encoding="utf-8"))
    for entry in entries:
        entry.pop("about", None)
    listed.write_text(json.dumps(entries), encoding="utf-8")
    html = html_of(folder)
    assert (
        html.index("<h2>The features themselves</h2>") < html.index("<h2>More figures</h2>") < html.index("Figure 1.")
    )


def test_a_map_is_no_nuisance_and_nothing_failed_of_it(make_run, make_results, plain):
    seen = Result("trustworthiness", 0.91, "ip1", "tsne_map", "tsne", "test", n=3780, sources=540, seed=1, about="map")
    html = plain(html_of(make_run("run", found=[seen, *make_results()])))
    assert "What a map of the features shows" in html and "trustworthiness" in html
    assert "tsne_map" not in html and "succeeded" not in html


def test_the_strongest_is_called_as_it_calls_itself(make_run, make_results, plain):
    results = [
        replace(r, chosen={"probe": "lda"})
        if r.probe == "strongest"
        else replace(r, probe="lda", title="linear discriminant analysis")
        if r.probe == "mlp"
        else r
        for r in make_results()
    ]
    html = plain(html_of(make_run("run", found=results)))
    assert "the strongest honest probe (linear discriminant analysis) reads the angle" in html
    assert "strongest honest probe: linear discriminant analysis" in html


def test_a_small_error_is_not_shown_as_none(make_run, make_results, plain):
    """Of a scale that varies by 0.2, both the error and what guessing gives are more than 0.0."""
    small = [
        replace(r, value=0.03, low=None, high=None, chance=0.2, control=None) if r.metric == "rmse" else r
        for r in make_results()
    ]
    html = plain(html_of(make_run("run", found=small)))
    assert "typical error (RMSE) 0.030° where guessing gives 0.200°" in html


def test_every_term_is_explained_once_where_it_is_first_used(make_run):
    html = html_of(make_run("run"))
    terms = re.findall(r"<dfn>(.*?)</dfn>", html)
    assert len(set(terms)) == len(terms)
    assert {"R²", "MAV", "RMSE", "Honest probe", "Chance", "Uses the answer", "Effective rank", "MLP"} <= set(terms)
    assert not {"DIR", "FAR", "EER", "BLUFR"} & set(terms)
    assert html.index("<dfn>R²</dfn>") < html.index("<h2>What leaks</h2>") < html.index("<dfn>Effective rank</dfn>")


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
    numbered = dict(re.findall(r"<h3>Figure (\d+)\. (.*?)</h3>", html))
    assert list(numbered) == [str(i) for i in range(1, len(numbered) + 1)]  # those of the selection go on counting
    assert list(numbered.values())[-3:-1] == ["Seeds and look-alikes", "How alike they are"]
