"""The site of the docs: its pages run, begin with what they answer, and load nothing from the network."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from invariantnets.cli.notes import read_notes
from invariantnets.report.terms import TERMS
from programs import FEW, LINEAR, NARROW, RIDGE, ROOT, SMALL, THIN, environment, run

DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
OTHERS = {
    "network": (*RIDGE, *FEW, "probe_images=60"),
    "faces": (*SMALL, *NARROW, "protocols.pairs_per_fold=20", "protocols.bootstrap=20"),
    "sweeps": (*SMALL, *THIN),
}


class Loader(yaml.SafeLoader):
    """Of mkdocs.yml, which names a function of Python."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
SITE: dict[str, Any] = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    """docs/hooks.py, which needs MkDocs only while it builds."""
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages(nav: Any) -> list[str]:
    """Those of a navigation, in order."""
    if isinstance(nav, str):
        return [nav]
    return [page for item in (nav.values() if isinstance(nav, dict) else nav) for page in pages(item)]


def test_every_page_is_in_the_navigation_once(hooks: ModuleType) -> None:
    notebooks = [f"tutorials/{path.stem}.md" for path in (DOCS / "tutorials").glob("*.ipynb")]
    assert sorted(pages(SITE["nav"])) == sorted([*PAGES, *notebooks, *hooks.OUTSIDE.values()])
    assert all((ROOT / path).is_file() for path in hooks.OUTSIDE)


def test_the_site_is_strict_and_needs_no_network() -> None:
    assert SITE["strict"] and SITE["theme"]["font"] is False and "offline" in SITE["plugins"]
    shims = SITE["extra"]["polyfills"]
    assert any("iframe-worker" in path for path in shims)  # else the plugin names that of a public server
    assert all((DOCS / path).is_file() for path in (*shims, *SITE["extra_css"]))
    assert "http" not in (DOCS / "assets" / "site.css").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [*PAGES, "../benchmarks/README.md", "../docker/README.md", "../CONTRIBUTING.md"])
def test_a_page_begins_with_its_title_and_a_sentence(page: str) -> None:
    title, first, *_ = re.split(r"\n\s*\n|\n(?=[^#])", (DOCS / page).read_text(encoding="utf-8"), maxsplit=2)
    assert title.startswith("# ")
    assert re.match(r"[\w*`\[]", first) and not first.startswith(("```", "* ")), f"{page} begins with {first[:40]!r}"


@pytest.mark.parametrize("page", PAGES)
def test_lists_are_lists_on_the_site_too(page: str) -> None:
    """Markdown as MkDocs reads it wants an empty line between a paragraph and a list."""
    text = re.sub(r"^```.*?^```", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for part in re.split(r"\n\s*\n|^#.*\n", text, flags=re.MULTILINE):
        assert re.match(r"\s*[-*] ", part) or not re.search(r"^[-*] ", part, re.MULTILINE), part[:200]


def test_links_lead_to_pages_or_are_text(hooks: ModuleType) -> None:
    def inside(text: str) -> str:
        return hooks.inside(text, "lab/readers.md")

    assert inside("[a](../../benchmarks/README.md#x)") == "[a](../benchmarks.md#x)"
    assert inside("[`b`](../../tests/probes/hidden.py)") == "`b`"
    assert inside("[c](../figures.md#y)") == "[c](../figures.md#y)"
    assert (
        inside("[d](../nowhere.md), [e](https://x.org), [f](#g)") == "[d](../nowhere.md), [e](https://x.org), [f](#g)"
    )
    assert hooks.inside("[h](../docs/running.md)", "benchmarks.md") == "[h](running.md)"


def test_a_notebook_is_a_page(hooks: ModuleType) -> None:
    page = hooks.page_of(DOCS / "tutorials" / "forget.ipynb")
    assert re.match(r"# .+\n\n[A-Z]", page) and "```bash\npython train.py model=lenet seed=1" in page
    assert "```python\nimport pandas as pd\n" in page and 'href="forget.ipynb"' in page
    assert hooks.inside("[n](../tutorials/forget.ipynb)", "lab/x.md") == "[n](../tutorials/forget.md)"


def test_a_term_is_linked_where_it_is_first_used(hooks: ModuleType) -> None:
    found = hooks.linked("<h1>R²</h1><p><code>R²</code> R² of 0.5 [0.4, 0.6], R², a nuisance</p>", "g.html")
    assert found.count("<a ") == 2
    assert re.search(r'<code>R²</code> <a class="term" href="g\.html#r²" title="How much[^"]+">R²</a> of', found)
    assert found.endswith("R², a " + found[found.rindex("<a ") :]) and "#nuisance" in found
    assert hooks.linked("<p>mavericks <a>MAV</a></p>", "g.html") == "<p>mavericks <a>MAV</a></p>"


def test_roles_of_docstrings_are_names(hooks: ModuleType) -> None:
    assert hooks.plain_roles("see :class:<code>~a.b.C</code>, :func:<code>d</code>") == (
        "see <code>C</code>, <code>d</code>"
    )


def test_the_glossary_defines_every_term_once(hooks: ModuleType) -> None:
    own = hooks.words()
    assert len(own) > 20 and not {word.lower() for word in own} & {term.lower() for term in TERMS}
    slugs = [hooks.slug(term) for term in (*TERMS, *own)]
    assert len(set(slugs)) == len(slugs)
    page = (DOCS / "reference" / "glossary.md").read_text(encoding="utf-8")
    assert f"\n\n{hooks.glossary()}\n\n" in page, f"write this into the page:\n{hooks.glossary()}"


def test_the_configuration_has_every_comment(hooks: ModuleType) -> None:
    page = hooks.configuration()
    for path in (ROOT / "conf").rglob("*.yaml"):
        if path.parent.parent.name == "data":  # parts of data sets, which no command names
            continue
        for key, about in read_notes(path).keys.items():
            if key.split(".")[0] not in ("hydra", "recipes") and not key.split(".")[-1].startswith("_"):
                assert f"| `{key}` | " in page and about.replace("|", "\\|") in page, f"{path.name}: {key}"
    assert "### +constraint=supcon" in page and "### data=lfw" in page and "### optimizer@model.optimizer=adam" in page


def test_the_api_lists_what_is_called_like_its_file() -> None:
    """Read without being run, a package means the file by such a name, and not what is in it."""
    listed = re.findall(r"^::: invariantnets\.(\S+)$", (DOCS / "reference" / "api.md").read_text(), re.MULTILINE)
    package = ROOT / "src" / "invariantnets"
    for room in (name for name in listed if (package / name / "__init__.py").is_file()):
        public = importlib.import_module(f"invariantnets.{room}").__all__
        hidden = {f"{room}.{name}.{name}" for name in public if (package / room / f"{name}.py").is_file()}
        assert hidden <= set(listed)


def test_what_a_browser_would_load_is_found(hooks: ModuleType) -> None:
    page = '<a href="https://a.org">a</a><link rel="canonical" href="https://b.org"><img src="x/y.png">'
    assert hooks.fetched(page + '<script>"//c"</script>') == []
    assert hooks.fetched('<script src="//d.org/e.js"></script><link rel=icon href=https://f.org>') == [
        "//d.org/e.js",
        "https://f.org",
    ]


def slow(page: str) -> Any:
    return pytest.param(page, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "page",
    ["start", "figure", *map(slow, ("embeddings", "network", "faces", "constraint", "probe", "sweeps"))],
)
def test_the_blocks_of_a_page_run_in_turn(page: str, tmp_path: Path) -> None:
    """At a small scale, in an empty folder; blocks of ``sh`` want what a test has not."""
    path = DOCS / "start.md" if page == "start" else DOCS / "howto" / f"{page}.md"
    for kind, code in re.findall(r"```(python|bash)\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
        if kind == "python" and code.startswith("# mine.py\n"):
            (tmp_path / "mine.py").write_text(code, encoding="utf-8")
        elif kind == "python":
            command = [sys.executable, "-W", "error", "-c", code]
            done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        for line in code.splitlines() if kind == "bash" else ():
            program, *words = shlex.split(line.removeprefix("python "))
            said = {word.partition("=")[0] for word in words}
            small = OTHERS.get(page, (*SMALL, *THIN)) if program == "train.py" or page == "network" else LINEAR
            out, _ = run(program, *words, *(w for w in small if w.partition("=")[0] not in said), cwd=tmp_path)
            assert (tmp_path / out.splitlines()[-1]).name == "report.html"


@pytest.mark.slow
def test_the_number_of_the_first_page(tmp_path: Path) -> None:
    text = (DOCS / "start.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), check=True)
    out, _ = run("evaluate.py", "features=mine.npz", cwd=tmp_path)
    (value,) = re.findall(r"R²\s+(\S+ \[\S+ \S+\])", out)
    assert f"an R² of {value} (n = 359 test rows, fitted to 1,438 others" in text


def test_pictures_of_pages_are_in_the_repository() -> None:
    """An ignored folder would be on this machine alone."""
    if not (ROOT / ".git").exists():
        pytest.skip("no clone")
    shown = [
        (ROOT / page).parent / link
        for page in ("README.md", *(f"docs/{p}" for p in PAGES))
        for link in re.findall(r"!\[[^\]]*\]\(([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    ]
    paths = sorted({path.resolve().relative_to(ROOT).as_posix() for path in shown})
    listed = subprocess.run(["git", "ls-files", *paths], cwd=ROOT, capture_output=True, text=True, check=True)
    assert len(paths) > 20 and sorted(listed.stdout.split()) == paths
