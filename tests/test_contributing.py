"""What CONTRIBUTING.md shows works as it is written, for somebody who copies it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from invariantnets.cli.suggest import explain
from invariantnets.cli.usage import usage
from programs import ROOT, SMALL, THIN, run

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
(CODE,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
(YAML,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_the_constraint_trains_from_a_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "my_module.py").write_text(CODE)
    choices = tmp_path / "my_conf" / "constraint"
    choices.mkdir(parents=True)
    (choices / "unit_length.yaml").write_text(YAML.replace("invariantnets.constraints.", "my_module."))
    (command,) = re.findall(r"^python (train\.py \+constraint.*)$", TEXT, re.MULTILINE)
    program, *words = command.split()
    out, _ = run(program, "--config-dir", "my_conf", *words, *SMALL, *THIN, cwd=tmp_path)
    assert (tmp_path / out.splitlines()[-1]).is_file()
    (logged,) = tmp_path.glob("outputs/**/metrics.csv")
    assert "unit_length" in logged.read_text().splitlines()[0]
    best = next(tmp_path.glob("outputs/**/best.ckpt")).relative_to(tmp_path)
    again = (f"ckpt_path={best}", *(word for word in SMALL if word.startswith("probe")))
    _, err = run("evaluate.py", *again, cwd=tmp_path, code=2)
    assert err.splitlines()[-1].endswith("add paths.allow=[my_module]"), "a file may not call it unless it is named"
    out, _ = run("evaluate.py", *again, "paths.allow=[my_module]", cwd=tmp_path)
    assert (tmp_path / out.splitlines()[-1]).is_file()


def test_files_folders_and_words_that_are_named_are_there() -> None:
    for path in re.findall(r"`((?:src|tests|conf|docs)/[\w/.]+)`", TEXT):
        assert (ROOT / path).exists() or "unit_length" in path, path
    for link in re.findall(r"\]\((docs/[\w/.]+)", TEXT):
        assert (ROOT / link).is_file(), link
    assert "\nTABLE = {" in (ROOT / "tests" / "constraints" / "test_constraints.py").read_text()


def test_versions_agree() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    (version,) = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert cited["version"] == version and cited["license"] == "Apache-2.0"
    assert f"## {version} " in (ROOT / "CHANGELOG.md").read_text()


def test_a_folder_of_ones_own_is_in_the_help_and_in_what_a_wrong_word_is_answered(tmp_path: Path) -> None:
    choices = tmp_path / "my = cönf" / "constraint"
    choices.mkdir(parents=True)
    (choices / "unit_length.yaml").write_text(YAML)
    train, own = ROOT / "conf" / "train.yaml", choices.parent
    text = usage(train, "About.", ["+constraint=unit_length"], own)
    assert re.search(r"^\* \+constraint=unit_length ", text, re.MULTILINE)
    assert re.search(r"^ +model\.constraints\.unit_length\.weight=", text, re.MULTILINE)
    asked = {
        ("+constraint=unit_lenght",): "constraint has no choice 'unit_lenght'. Did you mean +constraint=unit_length?",
        ("+constraint=unit_length", "model.constraints.unit_length.wieght=2"): (
            "there is no key 'model.constraints.unit_length.wieght'. "
            "Did you mean model.constraints.unit_length.weight=2?"
        ),
        ("+constraint=unit_length", "model.constraints.unit_length.weight=2"): None,
    }
    assert {words: explain(train, words, own) for words in asked} == asked


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    _, err = run("train.py", "--config-dir", "my_conf", "--help", cwd=tmp_path, code=2)
    assert err == "error: --config-dir my_conf: there is no such folder\n"
