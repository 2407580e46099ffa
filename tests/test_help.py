"""``--help`` explains every key, and neither it nor a wrong key nor the import of the package waits for torch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra.errors import HydraException

from invariantnets.cli.notes import compose, read_header, read_notes, summary
from invariantnets.cli.usage import sections, shown, usage

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
PROGRAMS = ("train", "evaluate")
FILES = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml"))
HEAVY = {"torch", "pytorch_lightning", "torchvision", "torchmetrics", "sklearn", "matplotlib", "wandb"}


def place(path: Path) -> str:
    """Below which key a file of ``conf/`` is put: that of its group, where it names no other."""
    package, _ = read_header((CONF / path).read_text(encoding="utf-8").splitlines())
    group = path.parts[0] if len(path.parts) > 1 else ""
    return group if package is None else package.replace("_global_", "")


def below(prefix: str, key: str) -> str:
    return f"{prefix}.{key}".strip(".")


# Whether a key is explained where it is defined or in another file that is put at the same place.
EXPLAINED = {below(place(path), key) for path in FILES for key in read_notes(CONF / path).keys}
EXPLAINED |= {place(path) for path in FILES if read_notes(CONF / path).header}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_key_has_a_comment(path: Path) -> None:
    notes, values = read_notes(CONF / path), yaml.safe_load((CONF / path).read_text(encoding="utf-8"))
    for key in notes.names:
        words, value = key.split("."), values
        if words[0] in ("hydra", "recipes") or words[-1].startswith("_"):
            continue
        for word in words:
            value = value[word]
        if isinstance(value, dict) and key not in notes.inline:  # what is in it is explained
            continue
        follows = isinstance(value, str) and re.fullmatch(r"\$\{[\w.]+\}", value)
        name = below(place(path), key).replace("data.pool.", "data.")  # a data set inside another
        assert follows or name in EXPLAINED, f"conf/{path}: {key} needs a comment that explains it"


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_line_of_the_help_says_something(program: str) -> None:
    found = sections(compose(CONF / f"{program}.yaml"))
    for section in found:
        assert section.about, f"{section.typed}: a comment in a defaults list says what the group is"
        for entry in (*section.choices, *section.keys):
            assert entry.about, f"{entry.text} needs a comment"
    shown_keys = {entry.text.partition("=")[0] for section in found for entry in section.keys}
    assert {"seed", "layers", "device", "probes.label_rows", "paths.data_dir"} <= shown_keys
    groups = {section.typed for section in found}
    assert {"data", "logger", "protocols", "release", "+probe"} <= groups
    assert {"model", "+constraint", "optimizer@model.optimizer"} <= groups or program == "evaluate"
    assert not {"model", "+constraint", "callbacks", "trainer"} & groups or program == "train"


def test_the_help_shows_what_holds() -> None:
    text = usage(CONF / "train.yaml", "About.", ["model=pair_lenet", "seed=7", "data=lfw,celeba"])
    lines = text.splitlines()
    assert lines[0] == "About." and lines[2].startswith("usage: python train.py ")
    assert lines[4] == "examples:" and lines[5].startswith("  python train.py ")
    assert max(map(len, lines)) <= 100
    assert "* model=pair_lenet" in text and "  model=lenet " in text and "* data=rotated_digits" in text
    weights = "model.constraints.pair.weights={conv1: 1.0, conv2: 1.0, ip1: 1.0, ip2: 1.0}"
    assert f"  {weights}" in lines  # too wide for its column: what it means is below
    assert re.search(r"^  seed=7 +of everything that is drawn$", text, re.MULTILINE)
    assert re.search(r"^  data.views=\$\{views\} +images per training sample$", text, re.MULTILINE)


def test_the_help_of_what_there_is_not() -> None:
    with pytest.raises(HydraException):
        usage(CONF / "train.yaml", "About.", ["model=lent"])


NOTES = """\
# @package _global_
# First sentence, of e.g. 2 lines
# (et al. 2014). Second.   python train.py
#   python train.py b=1
defaults:
  - data: x   # of data
  - override /model: y   # of model
  - _self_
a: 1   # of a
b: "no # comment"
# above c,
# in two lines
c:
  d: [1, 2]   # of d
  e: {f: 1, g: 2}   # of e
h:   # of h
  i: null   # of i
"""


def test_comments_are_read_as_written(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(NOTES)
    notes = read_notes(tmp_path / "x.yaml")
    assert notes.groups == {"data": "of data", "model": "of model"}
    about = {"a": "of a", "c": "above c, in two lines", "c.d": "of d", "c.e": "of e", "h": "of h", "h.i": "of i"}
    assert notes.keys == about
    assert notes.inline == {"c.e"} and notes.names == ["a", "b", "c", "c.d", "c.e", "h", "h.i"]
    assert read_header(NOTES.splitlines())[0] == "_global_"
    assert summary(notes.header) == "First sentence, of e.g. 2 lines (et al. 2014)."


def test_values_are_shown_as_typed() -> None:
    value = {"a": None, "b": [True, 1e-5, "x"], "c": ""}
    assert shown(value) == "{a: null, b: [true, 1e-05, x], c: ''}"
    assert yaml.safe_load(shown({"a": None, "b": [False, 2]})) == {"a": None, "b": [False, 2]}


RUN = """\
import json, resource, runpy, sys
sys.argv = {argv}
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    status = end.code
else:
    status = 0
used = resource.getrusage(resource.RUSAGE_SELF)
modules = sorted({{module.partition(".")[0] for module in sys.modules}})
print("RECORD", json.dumps([status, used.ru_utime + used.ru_stime, modules]))
"""


def run(code: str) -> tuple[int, float, set[str], str, str]:
    """Status, CPU seconds, modules, output and errors of a process."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    text, _, record = done.stdout.rpartition("RECORD ")
    status, seconds, modules = json.loads(record)
    print(f"{seconds:.2f} s of CPU")  # a report; the time of a shared machine is nothing to assert
    return status, seconds, set(modules), text, done.stderr


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (["train.py", "--help"], 0, "usage: python train.py"),
        (["train.py", "model=pair_lenet", "-h"], 0, "* model=pair_lenet"),
        (["evaluate.py", "-h"], 0, "usage: python evaluate.py"),
        (["train.py", "epochs=3"], 2, "error: there is no key 'epochs'. Did you mean trainer.max_epochs=3?\n"),
        (["train.py", "--lr", "1"], 2, "error: there is no flag '--lr'; keys are set as key=value. Did you mean "),
        (["train.py", "-m", "seed=1,2", "model=lenet,lent"], 2, "error: model has no choice 'lent'."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_answers_before_torch_is_loaded(argv: list[str], status: int, said: str, tmp_path: Path) -> None:
    argv = argv if status == 0 else [*argv, f"hydra.sweep.dir={tmp_path}", f"hydra.run.dir={tmp_path}"]
    found, _, modules, text, errors = run(RUN.format(argv=argv))
    assert found == status
    assert not HEAVY & modules
    assert said in (errors if status else text)
    assert errors.count("\n") == (1 if status else 0)


IMPORT = """\
import resource, sys
import numpy, pandas
def seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
before = seconds()
import invariantnets
assert {"FeatureTable", "Result", "run_suite"} <= set(dir(invariantnets))
invariantnets.FeatureTable, invariantnets.Result
import json
print("RECORD", json.dumps([0, seconds() - before, sorted({m.partition(".")[0] for m in sys.modules})]))
"""


def test_the_import_is_light() -> None:
    _, _, modules, _, _ = run(IMPORT)
    assert not (HEAVY | {"hydra", "omegaconf", "scipy"}) & modules


def test_a_table_needs_no_lightning() -> None:
    code = "import invariantnets.run, invariantnets.loggers as l; assert l.close([], 0) is None; import sys, json\n"
    record = 'print("RECORD", json.dumps([0, 0.0, sorted({m.partition(".")[0] for m in sys.modules})]))'
    _, _, modules, _, _ = run(code + record)
    assert not {"pytorch_lightning", "torchvision", "torchmetrics", "sklearn", "wandb"} & modules
