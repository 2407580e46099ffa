"""The direction of the flow: a module imports only from rooms to its left."""

from __future__ import annotations

import ast
import importlib
from collections import Counter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "invariantnets"
ROOMS = [
    {"errors", "processes", "randomness", "threads"},
    {"cli", "division", "files", "nuisance", "provenance", "sizes"},
    {"folders"},
    {"alignment"},
    {"poselets"},
    {"data"},
    {"backbones"},
    {"foreign"},
    {"constraints"},
    {"module", "muon"},
    {"trust"},
    {"checkpoint", "checkpointing"},
    {"resuming"},
    {"statistics"},
    {"features"},
    {"bootstrapping"},
    {"results"},
    {"probes"},
    {"release"},
    {"protocols"},
    {"analysis"},
    {"inspection"},
    {"figures"},
    {"callbacks", "loggers"},
    {"report"},
    {"look_alikes"},
    {"measuring", "subject"},
    {"evaluation", "interrupted", "rehearsal"},
    {"training", "side_by_side", "subjects"},
    {"run"},
    {"by_parts", "sweep"},
    {"programs"},
]
COLUMN = {room: column for column, rooms in enumerate(ROOMS) for room in rooms}
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 350


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(source: str) -> set[str]:
    """The rooms that a module imports from, inside functions and ``TYPE_CHECKING`` too."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write absolute imports"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    rooms = {name.split(".")[1] for name in names if name.startswith("invariantnets.")}
    return rooms - {"__version__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_left_and_files_are_short(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= MAX_LINES
    room, imported = room_of(path), imported_rooms(source)
    if room == "__init__":
        run = [node for node in ast.parse(source).body if not isinstance(node, ast.If)]  # all but `if TYPE_CHECKING:`
        loaded = imported_rooms("\n".join(map(ast.unparse, run)))
        assert not loaded, "the package itself imports nothing but for type checkers"
        return
    assert room in COLUMN, f"{room}: a new room needs a place in ROOMS"
    wrong = {other for other in imported if other != room and COLUMN[other] >= COLUMN[room]}
    assert not wrong, f"{room} is left of, or beside, {sorted(wrong)}"


def test_arrows_are_found_wherever_they_hide() -> None:
    source = "from invariantnets import run\ndef f():\n    import invariantnets.report.page\n    import numpy\n"
    assert imported_rooms(source) == {"run", "report"}


@pytest.mark.parametrize("room", sorted(path for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] != "_"))
def test_every_room_names_its_public_things(room: Path) -> None:
    if room.name == "__pycache__":
        return
    public = importlib.import_module(f"invariantnets.{room.name}")
    assert public.__all__ and all(hasattr(public, name) for name in public.__all__)


def test_modules_of_tests_have_names_of_their_own() -> None:
    """Folders of tests are no packages: of two modules of one name, pytest refuses the second."""
    names = Counter(path.name for path in Path(__file__).parent.rglob("*.py"))
    assert {name for name, times in names.items() if times > 1} <= {"__main__.py", "conftest.py"}
