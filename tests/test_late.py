"""What was computed is reported, whatever dies after it; and what can be known before training is refused before it."""

from __future__ import annotations

import json
import os
import subprocess
import xml.dom.minidom
from collections.abc import Iterator
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import matplotlib
import numpy as np
import pytest
from omegaconf import OmegaConf

from invariantnets import FeatureTable, run_suite
from invariantnets import evaluation as evaluating
from invariantnets import run as running
from invariantnets.analysis import Material
from invariantnets.cli import describe
from invariantnets.data import SyntheticFaces
from invariantnets.errors import InvariantNetsError
from invariantnets.features.io import load_table, save_table
from invariantnets.figures import RUN
from invariantnets.interrupted import Journal
from invariantnets.measuring import measure
from invariantnets.probes import Ridge
from invariantnets.protocols import run_protocols
from invariantnets.rehearsal import rehearse
from invariantnets.results import read_jsonl
from programs import FACES, run

PROTOCOLS = partial(run_protocols, folds=4)
NAMES = {
    "mathematics": "$x$",
    "odd": "cost $\\frac{",
    "signs": "_a\\b{c}%d^e",
    "lines": "two\nlines",
    "nul": "nul\0and\x1b",
    "emoji": "😀",
    "right to left": "زاوية",
    "page": "<script>alert(1)</script>&amp;",
}


class Broken(Ridge):
    """A probe of a user's own, which reads one nuisance and dies at the next."""

    name, title = "broken", "a broken probe"

    def __call__(self, task: Any) -> Iterator[Any]:
        yield next(iter(super().__call__(task)))
        raise ZeroDivisionError("division\nby zero")


def faces(name: str = "yaw", layers: tuple[str, ...] = ("early", "late"), division: str = "identity") -> FeatureTable:
    """Features of forty people, of whom eight are tested on."""
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(40), 5)
    x = rng.normal(size=(40, 6))[people] + 0.3 * rng.normal(size=(200, 6))
    columns = {name: x[:, 0] + rng.normal(size=200), f"{name} of light": rng.choice([f"{name}1", f"{name}2"], 200)}
    label = np.array([f"{name}{person}" for person in people])
    return FeatureTable.from_arrays({layer: x for layer in layers}, label=label, division=division, **columns)


def died(table: FeatureTable, folder: Path, probes: Any = ("ridge",), **options: Any) -> tuple[Any, str]:
    """An evaluation in which something dies, and its report in plain text."""
    found = run_suite(table, probes, **{"protocols": PROTOCOLS, "layers": "all", **options})
    return found, unescape(found.save(folder).read_text(encoding="utf-8"))


def test_a_probe_that_dies_takes_no_other_with_it(tmp_path):
    found, report = died(faces(), tmp_path, [Ridge(), Broken()])
    assert {(r.layer, r.probe) for r in found.results} >= {(at, "ridge") for at in ("early", "late")}
    assert [str(failure) for failure in found.failed] == [
        f"{at}: probe 'broken' is missing: ZeroDivisionError: division by zero" for at in ("early", "late")
    ]
    assert "Not all of this run could be measured" in report and str(found.failed[0]) in report
    assert "identity" in {
        r.about for r in read_jsonl(tmp_path / "results.jsonl")
    }  # what comes after it was measured too


def test_a_probe_that_dies_alone_is_an_error():
    with pytest.raises(ZeroDivisionError):
        run_suite(faces(), [Broken()], protocols=None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """An evaluation in which nothing dies, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return died(faces(), folder)[0], folder


STEPS = [what for what, _ in measure(Material(faces(), "late"), [], PROTOCOLS)][1:]


@pytest.mark.parametrize("step", STEPS)
def test_whatever_step_dies_the_rest_is_reported(step, whole, tmp_path, monkeypatch):

    def dying(*args: Any) -> Iterator[Any]:
        for what, take in measure(*args):
            yield what, partial(int, "no number") if what == step else take

    monkeypatch.setattr(evaluating, "measure", dying)
    told: list[Any] = []
    found, report = died(faces(), tmp_path / "died", lost=told.append)
    assert [failure.what for failure in found.failed] == [f"{at}: {step}" for at in ("early", "late")]
    assert list(found.failed) == told and str(told[0]) in report
    left = set(map(str, found.results))  # as text, in which NaN is itself
    assert 0 < len(left) < len(whole[0].results) and left < set(map(str, whole[0].results))
    assert "invalid literal for int" in report


def test_one_layer_of_many_that_dies_is_missing_alone(tmp_path):
    def prepare(table: FeatureTable, layer: str) -> FeatureTable:
        if layer == "middle":
            raise MemoryError("too wide")
        return table

    found, report = died(faces(layers=("early", "middle", "late")), tmp_path, prepare=prepare)
    assert {r.layer for r in found.results} == {"early", "late"}
    assert "layer middle is missing: MemoryError: too wide" in report


def test_what_cannot_be_kept_ends_it(tmp_path):
    def keep(results: Any) -> None:
        raise InvariantNetsError("the disk is full")

    with pytest.raises(InvariantNetsError, match="the disk is full"):
        died(faces(), tmp_path, keep=keep)


def figures_in(folder: Path) -> list[str]:
    return [entry["file"] for entry in json.loads((folder / "figures" / "figures.json").read_text())]


def test_a_figure_that_dies_is_said_and_no_other_is_lost(whole, tmp_path, monkeypatch):
    def dying(scene: Any) -> Iterator[Any]:
        yield next(RUN[0](scene))
        raise RuntimeError("no ink")

    monkeypatch.setattr("invariantnets.figures.RUN", (dying, *RUN[1:]))
    found, report = died(faces(), tmp_path)
    report_again, missing = found.saved(tmp_path)
    assert report_again.is_file() and [str(f.error) for f in missing] == ["no ink"]
    assert "RuntimeError: no ink" in report
    assert figures_in(tmp_path) == figures_in(whole[1]), "what it drew before is kept too"


def test_a_layer_of_which_something_is_missing_is_measured_again(tmp_path):
    journal = Journal(tmp_path, {"seed": 0})
    journal.begin("early")
    journal.spoil()
    journal.begin("late")
    journal.begin("last")
    assert Journal(tmp_path, {"seed": 0}).take_up(["early", "late", "last"], "last") == ["early", "last"]


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.filterwarnings("error")
def test_names_are_drawn_and_reported_as_they_are(name, tmp_path):
    with matplotlib.rc_context({"text.usetex": True, "font.family": "no such font", "svg.fonttype": "none"}):
        found, report = died(faces(name, layers=(name,), division="image"), tmp_path, ["ridge", "class_mean"])
    assert not found.failed and "Not all of this run" not in report
    assert name.encode("utf-8", "xmlcharrefreplace").decode() in report
    assert name in {r.target for r in read_jsonl(tmp_path / "results.jsonl")}
    drawings = list((tmp_path / "figures").glob("*.svg"))
    for path in drawings:
        xml.dom.minidom.parse(str(path))
    assert len(drawings) >= 2


def test_dollars_are_drawn_as_dollars(tmp_path):
    died(faces("$x$", ("late",)), tmp_path, protocols=None)
    drawing = (tmp_path / "figures" / "readable.svg").read_text()
    assert "<!-- $x$ -->" in drawing  # matplotlib's note of a text that it drew as it is


def test_half_a_character_of_a_files_name_is_kept(tmp_path):
    died(faces("yaw\udcff", ("late",)), tmp_path, protocols=None)  # which no font can draw
    assert "yaw\udcff" in {r.target for r in read_jsonl(tmp_path / "results.jsonl")}


def synthetic(**changes: int) -> SyntheticFaces:
    sizes = {"num_classes": 6, "images_per_identity": 4, "val_images": 2, "test_identities": 24, "test_images": 3}
    return SyntheticFaces(image_shape=[3, 16, 16], **{**sizes, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_identities": 12}, "^verification in 10 folds needs 20 identities.*has 12.*protocols=none"),
        ({"test_identities": 0}, "no test images to probe the network on"),
        ({"test_images": 0}, "no test images to probe the network on"),
        (
            {"test_images": 1},
            "^verification in 10 folds needs 20 identities, .* the test split has 24, 0 with two",
        ),
        ({"num_classes": 3}, "probes are fitted to two people .* 4 are needed, and there are 3"),
    ],
)
def test_people_too_few_are_told_before_a_face_is_drawn(changes, message):
    with pytest.raises(InvariantNetsError, match=message):
        rehearse(synthetic(**changes), run_protocols, 0)


@pytest.mark.parametrize("changes", [{}, {"images_per_identity": 1}, {"num_classes": 4}])
def test_people_enough_are_let_pass(changes):
    rehearse(synthetic(**changes), run_protocols, 0)


def test_one_person_is_nobody_to_tell_apart():
    rehearse(synthetic(test_identities=2), None, 0)
    with pytest.raises(InvariantNetsError, match="one class only"):
        rehearse(synthetic(test_identities=1), None, 0)


@pytest.mark.parametrize(
    "words",
    [
        ("data.test_identities=12",),
        ("release=nowhere.safetensors",),
        ("protocols.similarities=[euclidean]",),
        ("+probe=estimator", "probe.estimator.estimator._target_=sklearn.svm.Nothing"),
        ("transfer=lfw", "transfer.data.root=nowhere"),
    ],
    ids=lambda words: words[-1].partition("=")[0],
)
@pytest.mark.slow
def test_what_would_be_missed_after_training_is_refused_before(words, tmp_path):
    small = ("model=deepface_mini", "model.backbone.bottleneck=16", "data.image_shape=[3,40,40]")
    out, err = run(
        "train.py", "data=synthetic_faces", *FACES, *small, *words, "hydra.run.dir=run", cwd=tmp_path, code=2
    )
    assert err.count("error: ") == 1 and err.rstrip().splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "run" / "checkpoints").exists() and not (tmp_path / "run" / "results.jsonl").exists()


def test_a_server_that_is_gone_takes_nothing_with_it(tmp_path, monkeypatch, capsys):
    """The report is printed and whole, and the last line says what was not sent."""

    def gone(loggers: Any, folder: Path) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(running, "send", gone)
    monkeypatch.setattr(running, "HydraConfig", Mock())
    table = faces(layers=("late",))
    cfg = OmegaConf.create({
        "layers": None, "seed": 0, "probes": {"label_rows": None, "seeds": 1}, "protocols": None,
        "save_features": False,
        "probe": {"ridge": {"_target_": "invariantnets.probes.Ridge"}}, "logger": {"_target_": "x.wandb_logger"},
    })  # fmt: skip
    with pytest.raises(InvariantNetsError, match="the report at wandb_logger is missing: ConnectionError: no route"):
        running.probe(cfg, evaluating.subject_of(table), tmp_path, words=[])
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == str(tmp_path / "report.html") and (tmp_path / "report.html").is_file()
    assert said[0].startswith("- From late, "), "what was found stands before"
    assert json.loads((tmp_path / "finished.json").read_text())["complete"] == ["late"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True)
    if made.returncode:
        pytest.skip(f"no disk can be mounted here: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_the_table_that_was_there_or_none_and_is_named(small_disk):
    little, much = faces(layers=("late",)), faces(layers=tuple(map(str, range(99))))
    save_table(little, small_disk / "table")
    with pytest.raises(InvariantNetsError, match=rf"^{small_disk}/table/features.safetensors: .*No space left"):
        save_table(much, small_disk / "table")
    # The features are the old ones, whole, and no header vouches for them.
    assert sorted(path.name for path in (small_disk / "table").iterdir()) == ["features.safetensors", "rows.parquet"]
    save_table(little, small_disk / "table")
    assert np.array_equal(load_table(small_disk / "table").features["late"], little.features["late"])


def test_an_error_without_a_name_names_the_disk_that_is_full(small_disk, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    whole = OSError(28, "No space left on device")
    assert str(small_disk) not in describe(whole)
    (small_disk / "filler").touch()
    with pytest.raises(OSError) as full, (small_disk / "filler").open("wb") as file:  # noqa: PT011
        while True:
            os.write(file.fileno(), bytes(4096))
    assert full.value.filename is None
    assert describe(full.value).startswith(f"cannot write in {small_disk}: No space left")
    assert describe(OSError(28, "full", "/elsewhere/x")).startswith("cannot write /elsewhere/x:")


def test_a_run_of_which_something_died_ends_with_one_line_and_its_report(tmp_path):
    table = faces()
    np.savez(tmp_path / "table.npz", late=table.features["late"], person=table.label, yaw=table.nuisance["yaw"])
    (tmp_path / "broken.py").write_text("class Nothing:\n    def get_params(self, deep=True):\n        return {}\n")
    out, err = run(
        "evaluate.py", "features=table.npz", "label=person", "probe.mlp=null", "probe.knn=null", "+probe=estimator",
        "probe.estimator.estimator._target_=broken.Nothing", "protocols=none", 
        "hydra.run.dir=run", cwd=tmp_path, code=2, PYTHONPATH=f"{Path(__file__).parents[1] / 'src'}:{tmp_path}",
    )  # fmt: skip
    last = err.rstrip().splitlines()[-1]
    assert last.startswith("error: late: probe 'estimator' is missing: ") and last.endswith("/run/report.html")
    assert out.strip().endswith("run/report.html")
    assert "probe 'estimator' is missing" in unescape((tmp_path / "run" / "report.html").read_text())
    assert {r.probe for r in read_jsonl(tmp_path / "run" / "results.jsonl")} >= {"ridge", "strongest", "description"}
    assert json.loads((tmp_path / "run" / "finished.json").read_text())["complete"] == []
