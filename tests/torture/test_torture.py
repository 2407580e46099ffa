"""Every twentieth trial of ``make torture``; every fortieth where tests must be quick."""

from __future__ import annotations

from pathlib import Path

import pytest
from session import all_trials
from trial import Impossible, Trial, draw


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that trials share."""
    return tmp_path_factory.mktemp("torture")


def test_no_two_have_one_name() -> None:
    names = [(trial.kind, trial.name) for trial in all_trials()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "trial",
    [
        pytest.param(trial, id=f"{trial.kind}-{trial.name}", marks=[pytest.mark.slow] if i % 2 else [])
        for i, trial in enumerate(all_trials()[::20])
    ],
)
def test_trial(session: Path, trial: Trial, request: pytest.FixtureRequest) -> None:
    folder = session / str(request.node.callspec.indices["trial"])
    folder.mkdir()
    try:
        trial.run(folder, draw(trial, 0))
    except Impossible as why:
        pytest.skip(str(why))
