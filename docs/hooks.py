"""What the site adds to the Markdown of docs/: pages that lie elsewhere, notebooks, lists that the code holds."""

from __future__ import annotations

import json
import logging
import posixpath
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from invariantnets.cli.notes import compose, read_notes, summary
from invariantnets.cli.usage import parent_of, shown
from invariantnets.report.terms import TERMS

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

LOG = logging.getLogger("mkdocs.hooks")  # a warning ends a strict build
ROOT = Path(__file__).parents[1]
# Pages of the repository that lie outside docs/ → what they are called on the site.
OUTSIDE = {
    "benchmarks/README.md": "benchmarks.md",
    "docker/README.md": "docker.md",
    "CONTRIBUTING.md": "contributing.md",
}
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
# Everyday words as well, or names of other things: they stand in the glossary, and are not linked where they are used.
EVERYDAY = {"At most", "Chance", "Failed", "Out of fold", "Verification", "Stack", "View"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/, and the notebooks."""
    from mkdocs.structure.files import File

    for path in sorted((ROOT / "docs" / "tutorials").glob("*.ipynb")):
        files.append(File.generated(config, f"tutorials/{path.stem}.md", content=page_of(path)))
    for path, name in OUTSIDE.items():
        files.append(File.generated(config, name, content=(ROOT / path).read_text(encoding="utf-8")))
    return files


def page_of(notebook: Path) -> str:
    """A notebook as Markdown, without outputs, and a link to it at the end."""
    parts = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            kind = "bash" if source.startswith("!") else "python"
            source = f"```{kind}\n{source.removeprefix('!')}\n```"
        parts.append(source)
    title, _, rest = "\n\n".join(parts).partition("\n")
    itself = f'<a href="{notebook.name}" download>This page as a notebook</a>'
    return f"{title}\n\n{rest.strip()}\n\n{itself}\n"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to where pages lie on the site, and put in what the code says."""
    here = page.file.src_uri
    markdown = inside(markdown, here)
    if here == "reference/configuration.md":
        return re.sub(r"In a clone .*?<!-- configuration -->", lambda _: configuration(), markdown, flags=re.DOTALL)
    return markdown


def inside(markdown: str, here: str) -> str:
    """Links to files of the repository that are no pages of the site become their text.

    Args:
        markdown: of a page.
        here: its path on the site.
    """
    origin = next((path for path, name in OUTSIDE.items() if name == here), f"docs/{here}")

    def linked(match: re.Match[str]) -> str:
        text, target, anchor = match.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        if not (ROOT / path).exists():
            return match[0]  # MkDocs says that there is none
        if path in OUTSIDE or path.startswith("docs/"):
            page = OUTSIDE.get(path, re.sub(r"\.ipynb$", ".md", path.removeprefix("docs/")))
            return f"[{text}]({posixpath.relpath(page, posixpath.dirname(here) or '.')}{anchor or ''})"
        return text

    return LINK.sub(linked, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Link a term of the glossary where a page uses it first."""
    here = page.file.src_uri
    if here == "reference/glossary.md":
        return re.sub(
            r"<li>(?:\n<p>)?<strong>(.+?)</strong>", lambda m: f'<li id="{slug(m[1])}"><strong>{m[1]}</strong>', html
        )
    if here.startswith(("reference/", "contributing")):
        return plain_roles(html)
    there = files.get_file_from_path("reference/glossary.md")
    assert there is not None
    return linked(html, there.url_relative_to(page.file))


def plain_roles(html: str) -> str:
    """Of docstrings: what a role of Sphinx points to, by its last name."""
    return re.sub(r":(?:class|func|meth):<code>~?(?:\w+\.)*(\w+)</code>", r"<code>\1</code>", html)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Warn of what a browser would load from the network."""
    for address in fetched(output):
        LOG.warning("%s would load %s", page.file.src_uri, address)
    return output


def fetched(html: str) -> list[str]:
    """The addresses of the network that a browser loads with a page; where links lead to is none of them."""
    tags = re.findall(r"<(?:script|img|iframe|source|video|audio|link(?! rel=\"(?:canonical|prev|next)))\b[^>]*>", html)
    return [address for tag in tags for address in re.findall(r"(?:src|href)=\"?((?:https?:)?//[^\s\">]+)", tag)]


WORD = re.compile(r"^- \*\*(.+?)\*\*: (.+)$", re.MULTILINE)
CLOSED = re.compile(r"<(/?)(?:a|autoref|code|pre|h\d|button|svg|script|style)[ >]")


def words() -> dict[str, str]:
    """The terms that docs/reference/glossary.md explains itself, beside those that reports do."""
    page = (ROOT / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8")
    return dict(WORD.findall(page.partition("## Words of the pages")[2]))


def linked(html: str, glossary: str) -> str:
    """The text of a page in which each term is a link where it is first used, but for headings, code and links.

    Args:
        html: of a page.
        glossary: the address of the glossary.
    """
    used = {word: rf"{word.lower()}s?" if word.istitle() else rf"(?i:{re.escape(word)})s?" for word in words()}
    used = {
        term: how for term, how in (used | {t: how for t, (how, _) in TERMS.items()}).items() if term not in EVERYDAY
    }
    meant = {term: meaning for term, (_, meaning) in TERMS.items()} | words()
    terms = sorted(used, key=len, reverse=True)
    any_term = re.compile("|".join(rf"(?P<t{i}>(?<![\w-])(?:{used[term]})(?![\w-]))" for i, term in enumerate(terms)))
    seen, closed, parts = set(), 0, re.split(r"(<[^>]*>)", html)

    def link(match: re.Match[str]) -> str:
        term = terms[int(str(match.lastgroup)[1:])]
        if term in seen or not re.search(r"[^\W\d]", match[0]):  # an interval in brackets, a number with its ±
            return match[0]
        seen.add(term)
        title = escape(re.sub(r"[`*]|\]\(.*?\)|\[", "", meant[term]))
        return f'<a class="term" href="{glossary}#{slug(term)}" title="{title}">{match[0]}</a>'

    for i, part in enumerate(parts):
        if part.startswith("<"):
            if tag := CLOSED.match(part):
                closed += -1 if tag[1] else 1
        elif not closed:
            parts[i] = any_term.sub(link, part)
    return "".join(parts)


def slug(term: str) -> str:
    """The anchor of a term."""
    return re.sub(r"[^\w²]+", "-", term.lower()).strip("-")


def glossary() -> str:
    """What the words of reports mean, a line each."""
    return "\n".join(
        f"- **{term}**: {meaning}" for term, (_, meaning) in sorted(TERMS.items(), key=lambda t: t[0].lower())
    )


def configuration() -> str:
    """Every file of conf/ with its keys, out of its comments."""
    programs = {name: compose(ROOT / "conf" / f"{name}.yaml") for name in ("train", "evaluate")}
    parts = [f"## {name}.py\n\n{keys(composed.path(name))}" for name, composed in programs.items()]
    composed = programs["train"]
    about = {typed: text for c in programs.values() for typed, text in c.notes.groups.items()}
    for group, names in composed.groups.items():
        typed, said = next(((t, text) for t, text in about.items() if t.partition("@")[0] == group), (f"+{group}", ""))
        if parent := parent_of(composed, group):
            said = said or f"adds one to `{parent}`; `{parent}.<name>=null` takes one out"
        parts.append(f"## {typed}=\n\n{said[:1].upper()}{said[1:]}.")
        for name in names:
            header = summary(composed.header(group, name)[1])
            parts.append(f"### {typed}={name}\n\n{header}\n\n{keys(composed.path(f'{group}/{name}'))}")
    return "\n\n".join(parts)


def keys(path: Path) -> str:
    """The keys that a file of conf/ sets, as a table; empty if there are none."""
    notes = read_notes(path)
    values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    rows = []
    for name in notes.names:
        words, value, about = name.split("."), values, notes.keys.get(name, "")
        if words[0] in ("hydra", "recipes") or words[-1].startswith("_"):
            continue
        for word in words:
            value = value[word]
        if isinstance(value, dict) and name not in notes.inline:
            if about:
                rows.append((f"`{name}`", "", about))
            continue
        rows.append((f"`{name}`", f"`{shown(value)}`", about))
    if not rows:
        return ""
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "| key | as it comes | meaning |\n|---|---|---|\n" + "\n".join(f"| {line} |" for line in lines)
