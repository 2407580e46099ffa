"""Every command of the README and of docs/commands.md runs, at a small scale, in the order in which it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from programs import EXPERIMENTS, FACES, FEW, LINEAR, RIDGE, ROOT, SMALL, THIN, environment, run

README, PAGE = ((ROOT / path).read_text(encoding="utf-8") for path in ("README.md", "docs/commands.md"))
BLOCKS = re.findall(r"```bash\n(.*?)```", README + PAGE, re.DOTALL)
COMMANDS = list(dict.fromkeys(line.split("  #")[0].strip() for block in BLOCKS for line in block.splitlines()))
PROGRAMS = [command.removeprefix("python ") for command in COMMANDS if command.startswith("python ")]
# Several networks, one after the other.
SLOW = ("rudd2016", "taigman2015_bottleneck", "taigman2015_bootstrapping", "forget")
# Nine networks one by one; six by joblib, as test_loggers through W&B; all layers, as test_beside_checkpoint some.
LONG = (
    "train.py -m model=lenet,mu_lenet,pair_lenet model.backbone.embedding_dim=32,128,500",
    "train.py -m model=lenet,pair_lenet seed=1,2,3",
    "evaluate.py ckpt_path=outputs/my_run/checkpoints/best.ckpt layers=all",
)


def experiment(command: str) -> str | None:
    """The experiment that a command names."""
    return next((word.partition("=")[2] for word in command.split() if word.startswith("experiment=")), None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a user has been working: what the README calls ``my_…`` is there."""
    folder = tmp_path_factory.mktemp("readme")
    rng = np.random.default_rng(0)
    np.savez(
        folder / "my_features.npz",
        embedding=rng.normal(size=(120, 6)).astype(np.float32),
        label=np.tile(np.arange(4), 30),
        split=np.repeat(["train", "val", "test"], 40),
        yaw=rng.normal(size=120),
    )
    run("train.py", *SMALL, *THIN, "hydra.run.dir=outputs/my_run", cwd=folder)
    shutil.copytree(folder / "outputs" / "my_run", folder / "multirun" / "my_sweep" / "0")
    return folder


def test_commands_that_are_no_program_of_ours_are_targets_of_make() -> None:
    others = [command for command in COMMANDS if not command.startswith("python ")]
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert others and all(command.split()[0] == "make" and command.split()[1] in targets for command in others)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(c, marks=[pytest.mark.slow] if experiment(c) in SLOW or c.startswith(LONG) else [])
        for c in PROGRAMS
    ],
)
def test_command(folder: Path, command: str) -> None:
    program, *words = shlex.split(command)
    small = [word for word in SMALL if program == "train.py" or word.startswith("probes.")]
    small += EXPERIMENTS.get(experiment(command) or "", ())  # hours of jobs; here a few
    small += LINEAR
    if "layers=all" in words:
        small += (*RIDGE, "probe_images=60")
    if "model=deepface_mini" in words:
        small += FACES  # at its own width, which other tests narrow
    elif program == "train.py" and not experiment(command):
        small += FEW if "-m" in words else THIN
    if "model=lenet_forget" in words:
        small += ("recipes.init_from.trainer.max_epochs=1",)
    said = [word.partition("=")[0] for word in words]
    small = [word for word in dict.fromkeys(small) if word.partition("=")[0] not in said]  # what the README says holds
    out, _ = run(program, *words, *small, cwd=folder)  # -m comes first
    assert (folder / out.splitlines()[-1]).name == "report.html"
    assert (folder / out.splitlines()[-1]).is_file()


@pytest.mark.parametrize("group", ["model", "data", "experiment"])
def test_whatever_has_a_name_is_named(group: str) -> None:
    assert [path.stem for path in (ROOT / "conf" / group).glob("*.yaml") if f"`{path.stem}`" not in PAGE] == []


def lines_of_python() -> str:
    """The block of Python in the README."""
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    return code


def test_lines_of_python(tmp_path: Path) -> None:
    code = lines_of_python().replace("pixels.mean(1))", "pixels.mean(1)), probes=['ridge']")
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, env=environment(), check=True)
    assert (tmp_path / "report.html").is_file()


@pytest.mark.slow
def test_what_they_print(tmp_path: Path) -> None:
    command = [sys.executable, "-c", lines_of_python()]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    assert f"```text\n{done.stdout}```" in README
