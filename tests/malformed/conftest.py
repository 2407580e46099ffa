from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_lines import start


@pytest.fixture
def said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line that a program says to a command line that it refuses, with ``{tmp}`` for the test's folder."""

    def run_it(program: str, *overrides: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            start(program, tmp_path, *(word.replace("{tmp}", str(tmp_path)) for word in overrides))
        out, err = capsys.readouterr()
        assert end.value.code == 2 and not out, (out, err)
        *_, line = err.splitlines()
        assert line.startswith("error: ") and "(unexpected; " not in line, err
        return line.removeprefix("error: ").replace(str(tmp_path), "{tmp}")

    return run_it
