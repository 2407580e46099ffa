"""Reports as a browser lays them out, on a phone and on a small laptop."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import escape, unescape
from pathlib import Path

import pytest

from invariantnets.report import render_run, render_sweep

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
WIDTHS = (390, 1280)
LEAKS = {f"nuisance_number_{i}": None if i == 3 else i / 20 for i in range(17)}

# What does not fit: with everything unfolded, in a frame as narrow as it is told to be (Chromium's own windows are no
# narrower than 500 px). A number is cut where it goes over its cell, its table or the page, or has a second line.
MEASURE = """
function measure(frame) {
  const page = frame.contentDocument, found = [], width = frame.clientWidth, view = frame.contentWindow;
  page.querySelectorAll("details").forEach(d => d.open = true);
  if (page.documentElement.scrollWidth > width) found.push("page " + page.documentElement.scrollWidth);
  for (const e of page.querySelectorAll("body *")) {
    const box = e.getBoundingClientRect(), how = view.getComputedStyle(e);
    const name = e.tagName + " " + e.textContent.trim();
    if (box.right > width + 1) found.push("over the page: " + name.slice(0, 40));
    if (/auto|scroll|hidden/.test(how.overflowX) && e.scrollWidth > e.clientWidth) found.push("scrolls: " + name);
    if (/^T[DH]$/.test(e.tagName) && how.display != "none" && e.scrollWidth > e.clientWidth + 1)
      found.push("cut: " + name);
    if (e.className == "n") {
      const cell = e.closest("td").getBoundingClientRect();
      if (box.right > cell.right + 1 || box.left < cell.left - 1) found.push("outside its cell: " + name);
      if (e.getClientRects().length > 1 || box.height > 1.6 * parseFloat(how.lineHeight)) found.push("broken: " + name);
    }
  }
  const cells = [...page.querySelectorAll("td")].filter(e => e.getBoundingClientRect().width > 0).length;
  return {width, found, cells, numbers: page.querySelectorAll(".n").length, images: page.images.length};
}
onload = () => { document.title = JSON.stringify([...document.querySelectorAll("iframe")].map(measure)); };
"""


def laid_out(report: Path, folder: Path) -> list[dict]:
    html = escape(report.read_text(encoding="utf-8"))
    frames = (f'<iframe style="width:{w}px;height:800px;border:0" srcdoc="{html}"></iframe>' for w in WIDTHS)
    page = folder / "frames.html"
    page.write_text(f"<meta charset=utf-8><script>{MEASURE}</script>{''.join(frames)}", encoding="utf-8")
    quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    command = [CHROMIUM, "--headless", "--no-sandbox", *quiet, f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    return json.loads(unescape(re.search(r"<title>(.*?)</title>", done.stdout, re.S)[1]))


def run_of_digits(make_run, make_results, make_face_results, sweep: Path) -> Path:
    return render_run(make_run("run", model="a_model_with_quite_a_long_name"))


def run_of_faces(make_run, make_results, make_face_results, sweep: Path) -> Path:
    found = make_face_results(leaks=LEAKS)
    # Long intervals, a chance of one in many, and what was chosen.
    exact = [replace(r, low=r.value - 1e-5, high=r.value + 1e-5, control=-0.01, chosen={"k": 8}) for r in found]
    return render_run(make_run("run", found=[*exact, *[replace(r, layer="F8") for r in exact]]))


def sweep_of_six(make_run, make_results, make_face_results, sweep: Path) -> Path:
    for i, model in enumerate(("lenet", "mu_lenet", "pair_lenet")):
        make_run(f"s/{2 * i}", model=model, r2=0.3 + 0.2 * i, draw=False)
        make_run(f"s/{2 * i + 1}", model=model, seed=2, r2=0.35 + 0.2 * i, draw=False)
    return render_sweep(sweep)


def sweep_of_methods(make_run, make_results, make_face_results, sweep: Path) -> Path:
    for i in range(25):
        method = f"a_method_of_number_{i}_strength_{i}"
        make_run(
            f"s/{i}",
            r2=0.9 - 0.02 * i,
            extra=(f"method={method}",),
            config={"method": method},
            draw=False,
            failed=i == 3,
        )
    return render_sweep(sweep)


def sweep_of_faces(make_run, make_results, make_face_results, sweep: Path) -> Path:
    for i in range(3):
        leaks = {name: value and value / (i + 1) for name, value in LEAKS.items()} | {"yaw": 0.5, "smile": 0.1}
        width = 2 ** (i + 4)
        results = make_face_results(0.3 + i / 5, leaks)
        setting = (f"model.backbone.bottleneck={width}",)
        make_run(f"s/{i}", "deepface", found=results, backbone={"bottleneck": width}, extra=setting, draw=False)
    return render_sweep(sweep)


@pytest.mark.parametrize("make", [run_of_digits, run_of_faces, sweep_of_six, sweep_of_methods, sweep_of_faces])
def test_nothing_is_cut_and_nothing_scrolls_sideways(make, make_run, make_results, make_face_results, tmp_path):
    report = make(make_run, make_results, make_face_results, tmp_path / "s")
    phone, laptop = laid_out(report, tmp_path)
    assert (phone["width"], laptop["width"]) == WIDTHS
    assert phone["found"] == [] and laptop["found"] == []
    assert phone["cells"] == laptop["cells"] > 20 and phone["numbers"] > 20  # no column is hidden on a phone
    assert phone["images"] >= 2
