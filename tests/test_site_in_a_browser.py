"""The site as a browser lays it out on a small laptop: no table has to be scrolled sideways."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from programs import ROOT

SITE = ROOT / "build" / "site"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

# One page after the other in a frame as wide as the screen of a small laptop.
MEASURE = """
const pages = %s, found = [];
let tables = 0;
const loaded = page => new Promise(done => {
  const frame = document.createElement("iframe");
  frame.style.width = "1280px";
  frame.onload = () => setTimeout(() => {
    const view = frame.contentWindow;
    for (const table of frame.contentDocument.querySelectorAll("article table")) {
      const article = table.closest("article");
      let box = table.parentElement;
      while (box != article && view.getComputedStyle(box).overflowX == "visible") box = box.parentElement;
      const over = table.getBoundingClientRect().right - article.getBoundingClientRect().right;
      if (table.scrollWidth > box.clientWidth + 1 || over > 2) found.push(page + ": " + table.rows[0].innerText);
      tables += 1;
    }
    frame.remove();
    done();
  }, 50);
  frame.src = page;
  document.body.append(frame);
});
(async () => { for (const page of pages) await loaded(page); document.title = JSON.stringify({tables, found}); })();
"""


def too_wide(pages: list[Path], folder: Path) -> tuple[int, list[str]]:
    """The number of tables, and those that do not fit."""
    start = folder / "frames.html"
    script = MEASURE % json.dumps([page.as_uri() for page in pages])
    start.write_text(f"<!doctype html><meta charset=utf-8><title></title><body><script>{script}</script>", "utf-8")
    open_files = ["--allow-file-access-from-files", "--disable-web-security", "--virtual-time-budget=120000"]
    quiet = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--window-size=1400,1000"]
    command = [CHROMIUM, "--headless", "--no-sandbox", *quiet, *open_files, f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run(
        [*command, "--dump-dom", start.as_uri()], capture_output=True, text=True, timeout=300, check=True
    )
    seen = json.loads(unescape(re.search(r"<title>(.+?)</title>", done.stdout, re.S)[1]))
    return seen["tables"], seen["found"]


def test_a_table_that_is_too_wide_is_found(tmp_path: Path) -> None:
    page = "<!doctype html><article style='width: 600px'><div style='overflow: auto'><table><tr><td>{}</table></div>"
    (tmp_path / "wide.html").write_text(page.format("x" * 400))
    (tmp_path / "narrow.html").write_text(page.format("x x " * 100))
    tables, found = too_wide([tmp_path / "wide.html", tmp_path / "narrow.html"], tmp_path)
    assert tables == 2 and len(found) == 1 and "wide.html" in found[0]


@pytest.mark.skipif(not (SITE / "index.html").is_file(), reason="the site is not built: make docs")
def test_no_table_has_to_be_scrolled(tmp_path: Path) -> None:
    pages = sorted(SITE.rglob("*.html"))
    tables, found = too_wide(pages, tmp_path)
    assert tables > len(pages) and found == []
