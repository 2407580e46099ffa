"""What can be known of the environment, the images and CI without building them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from programs import SMALL, THIN

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
REQUIREMENTS = [Requirement(line) for line in [*PROJECT["dependencies"], *EXTRAS]]
LOCK = [
    Requirement(line)
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
MACHINE = {"platform_machine": "x86_64", "platform_python_implementation": "CPython"}
PYTHONS = [
    {"python_version": version, "python_full_version": f"{version}.0", "sys_platform": "linux"} | MACHINE
    for version in ("3.10", "3.11", "3.12", "3.13")
]


def locked(environment: dict[str, str]) -> dict[str, str]:
    """Name → version of what the lock says for a Python."""
    return {
        canonicalize_name(line.name): next(iter(line.specifier)).version
        for line in LOCK
        if line.marker is None or line.marker.evaluate(environment)
    }


def test_dependencies_have_lower_bounds_only() -> None:
    for requirement in REQUIREMENTS:
        if requirement.name != PROJECT["name"]:
            assert [bound.operator for bound in requirement.specifier] == [">="], requirement


def test_lock_holds_versions_only() -> None:
    for line in LOCK:
        assert line.url is None
        assert [bound.operator for bound in line.specifier] == ["=="], line
        assert "+" not in str(line.specifier), f"{line}: a local build is not on the public registry"


@pytest.mark.parametrize("environment", PYTHONS, ids=lambda environment: environment["python_version"])
def test_lock_satisfies_every_dependency_on(environment: dict[str, str]) -> None:
    versions = locked(environment)
    for requirement in REQUIREMENTS:
        if requirement.name != PROJECT["name"]:
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_the_twin_of_pytorch_lightning_is_nowhere() -> None:
    assert "lightning" not in {canonicalize_name(line.name) for line in [*LOCK, *REQUIREMENTS]}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, rest) pairs, without comments and line continuations."""
    text = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return [(name, rest.strip()) for name, rest in pairs]


def of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def copied() -> list[str]:
    return [source for rest in of("COPY") for source in shlex.split(rest)[:-1]]


def test_image_does_not_run_as_root() -> None:
    assert of("USER")[-1] not in ("root", "0")
    assert [name for name, _ in instructions()].index("USER") > max(
        number for number, (name, _) in enumerate(instructions()) if name == "RUN"
    ), "everything after USER runs without rights"


def test_image_installs_what_the_lock_says() -> None:
    (install,) = [rest for rest in of("RUN") if "pip install" in rest]
    words = shlex.split(install)
    assert words[words.index("--constraint") + 1] == "requirements.lock"
    assert "${TORCH_INDEX:+--extra-index-url $TORCH_INDEX}" in " ".join(words)
    (extras,) = re.findall(r"^\.\[(.*)\]$", words[-1])
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    assert {"requirements.lock", "pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]} <= set(copied())


def test_image_has_both_programs_and_their_configuration() -> None:
    assert json.loads(of("ENTRYPOINT")[-1]) == ["python"]
    assert {"train.py", "evaluate.py", "conf"} <= set(copied())


def test_what_the_package_is_built_of_is_there_before_it_is_installed() -> None:
    steps = instructions()
    install = next(i for i, (name, rest) in enumerate(steps) if name == "RUN" and "pip install" in rest)
    there = {source for name, rest in steps[:install] if name == "COPY" for source in shlex.split(rest)[:-1]}
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    assert {*wheel["force-include"], *(package.partition("/")[0] for package in wheel["packages"])} <= there


@pytest.mark.slow
def test_a_wheel_alone_trains_and_evaluates_in_an_empty_folder(tmp_path: Path) -> None:
    """What a stranger gets: no clone; its dependencies are those of this environment."""
    wheels, site, empty = (tmp_path / name for name in ("wheels", "site", "empty"))
    build = [
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(wheels),
        str(ROOT),
    ]
    subprocess.run([sys.executable, *build], check=True)
    (wheel,) = wheels.glob("*.whl")
    shutil.unpack_archive(wheel, site, "zip")
    empty.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}

    def command(name: str, *words: str) -> list[str]:
        script = tmp_path / f"invariantnets-{name}"  # as pip writes it
        script.write_text(f"from invariantnets.programs.{name} import run\nrun()\n")
        ran = subprocess.run(
            [sys.executable, str(script), *words], cwd=empty, env=environment, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.splitlines()

    assert command("train", "--help")[2].startswith("usage: invariantnets-train ")
    assert "  invariantnets-evaluate sweep=<multirun folder>" in "\n".join(command("evaluate", "--help"))
    small = [*SMALL, *THIN, "hydra.run.dir=run"]
    assert (empty / command("train", *small)[-1]).is_file()
    report = command("evaluate", "ckpt_path=run/checkpoints/best.ckpt", *(w for w in SMALL if w.startswith("probe")))[
        -1
    ]
    assert (empty / report).is_file() and str(site) in subprocess.run(
        [sys.executable, "-c", "import invariantnets; print(invariantnets.__file__)"],
        env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def test_copied_files_exist_and_reach_the_engine() -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert rules[0] == "*", "everything is left out but what is named"
    sent = {rule[1:] for rule in rules if rule.startswith("!")}
    for source in copied():
        assert (ROOT / source).exists(), source
        assert source in sent and not any(fnmatch(source, rule) for rule in rules[1:] if not rule.startswith("!"))


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("target", "command"), [("run", "train.py model=pair_lenet"), ("test", "-m pytest"), ("lint", "ruff check")]
)
def test_make_sets_up_an_environment_from_the_lock_first(target: str, command: str, tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    lines = make(tmp_path, "-n", target).stdout.splitlines()
    (install,) = [number for number, line in enumerate(lines) if "--constraint requirements.lock" in line]
    assert any(command in line for line in lines[install:])


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_refuses_an_old_python_in_one_line(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    result = make(tmp_path, "run", "PYTHON=false")  # as an old Python, it answers the question with exit status 1
    assert result.returncode != 0
    said = [line for line in result.stderr.splitlines() if not line.startswith("make:")]
    assert said == ["Python >= 3.10 is needed: make PYTHON=/path/to/python3.12 run"]
    assert not (tmp_path / ".venv").exists()


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE") and key != "MFLAGS"}
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def test_ci_script_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert "set -euo pipefail" in script.read_text(encoding="utf-8")
