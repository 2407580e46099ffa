"""Where a number came from: the code that ran, and not the code that lies there when it ends."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from invariantnets import provenance


def test_the_commit_is_that_of_the_code_that_was_loaded(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    source = Path(shutil.copy(provenance.__file__, tmp_path))
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    first = git("rev-parse", "HEAD")
    spec = importlib.util.spec_from_file_location("kept", source)
    assert spec and spec.loader
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    source.write_text(source.read_text() + "# changed while it runs\n")
    git("commit", "-a", "-m", "second")
    said = module.provenance(
        **{"name": "a", "model": "b", "data": "c", "seed": 1, "overrides": [], "config": {}, "checksums": {}},
        **{"checkpoint": None, "started": datetime.now(timezone.utc), "units": {}, "remarks": []},
    )
    assert said["commit"] == first != git("rev-parse", "HEAD")
