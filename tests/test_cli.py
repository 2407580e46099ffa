from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from invariantnets.cli import ONE_LINE, describe, run_main
from invariantnets.errors import CollapseError, InvariantNetsError

CONF = Path(__file__).parents[1] / "conf"


def caught(overrides: list[str]) -> BaseException:
    """What Hydra raises for a command line."""
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(Exception) as error:
        compose("train", overrides=overrides)
    return error.value


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model=pairlenet", "Could not find 'model/pairlenet' .* Did you mean model=pair_lenet?"),
        ("data=rotated_minst", "Did you mean data=rotated_mnist?"),
        ("experiment=rudd", "Did you mean experiment=rudd2016?"),
        ("hydra/launcher=jblib", "Did you mean hydra/launcher=joblib?"),
        ("model=qqqqqq", "Available options in 'model': deepface .*--help and --cfg job list what there is"),
        ("seeed=1", "Could not override 'seeed'.* Did you mean seed?"),
        ("model.optimzer.lr=1", "Did you mean model.optimizer?"),
        ("model.optimizer.lrr=1", "Did you mean model.optimizer.lr?"),
        ("model.backbone.embeding_dim=1", "Did you mean model.backbone.embedding_dim?"),
        ("qqqqqq=1", "Could not override 'qqqqqq'.*--help and --cfg job list what there is"),
        ("~qqqqqq", "Could not delete from config. 'qqqqqq' does not exist."),
        ("seed=[1", "at input '[1'"),
        ("ckpt_path=seed=1/last.ckpt", "'ckpt_path=\"seed=1/last.ckpt\"'"),
    ],
)
def test_misspelt_command_lines(override: str, message: str) -> None:
    text = describe(caught([override]))
    assert "\n" not in text and "search path" not in text and "unexpected" not in text
    for part in message.split(".*"):
        assert part.strip() in text


def refuse(message: str) -> None:
    raise InvariantNetsError(message)


def test_our_errors_are_found_inside_those_of_hydra() -> None:
    with pytest.raises(InstantiationException) as error:
        instantiate({"_target_": "invariantnets.backbones.lenet", "image_shape": [1, 4, 4]})
    assert describe(error.value) == "images of (1, 4, 4) leave no pixel after pool2: LeNet needs at least 16×16"
    with pytest.raises(InstantiationException) as error:
        instantiate({"deep": {"_target_": f"{__name__}.refuse", "message": "two\n  lines"}})
    assert describe(error.value) == "two lines"
    assert describe(CollapseError("constant")) == "constant"


def test_wrong_arguments_of_a_target_are_one_line() -> None:
    with pytest.raises(InstantiationException) as error:
        instantiate({"_target_": "invariantnets.backbones.lenet", "width": 3})
    assert "invariantnets.backbones.lenet" in describe(error.value) and "width" in describe(error.value)
    assert "\n" not in describe(error.value)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
@pytest.mark.parametrize("nested", [False, True])
def test_folders_that_cannot_be_written(code: int, nested: bool) -> None:
    error: Exception = OSError(code, "whatever", "/results/report.html")
    if nested:
        outer = RuntimeError("the writer failed")
        outer.__cause__ = error
        error = outer
    text = describe(error)
    assert text.startswith(f"cannot write /results/report.html: {os.strerror(code)}.") and "hydra.run.dir=" in text
    assert describe(OSError(code, "whatever")).startswith(f"cannot write: {os.strerror(code)}.")


def test_unexpected_errors_name_their_type() -> None:
    text = describe(ZeroDivisionError("division\nby zero"))
    assert text == "ZeroDivisionError: division by zero (unexpected; HYDRA_FULL_ERROR=1 shows the trace)"
    assert describe(FileNotFoundError(errno.ENOENT, "gone", "x")).startswith("FileNotFoundError: ")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HYDRA_FULL_ERROR", ONE_LINE):  # run_main sets them: put them back afterwards
        monkeypatch.setenv(name, "0")
        monkeypatch.delenv(name)


def test_one_line_and_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run_main(lambda: refuse("name the thing"))
    assert end.value.code == 2
    assert capsys.readouterr() == ("", "error: name the thing\n")


def test_a_result_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    run_main(lambda: print("report.html"))
    assert capsys.readouterr() == ("report.html\n", "")


def test_the_whole_trace_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(InvariantNetsError, match="name the thing"):
        run_main(lambda: refuse("name the thing"))


def test_a_child_process_does_not_take_our_switch_for_the_users_wish(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):  # the second call finds the environment that the first has left
        with pytest.raises(SystemExit):
            run_main(lambda: refuse("name the thing"))
    assert capsys.readouterr().err == "error: name the thing\n" * 2


def interrupt() -> None:
    raise KeyboardInterrupt


def interrupt_in_lightning() -> None:
    try:
        interrupt()
    except KeyboardInterrupt:
        sys.exit(1)  # as Lightning does


@pytest.mark.parametrize("main", [interrupt, interrupt_in_lightning])
def test_an_interrupt_says_how_to_go_on(main: object) -> None:
    with pytest.raises(SystemExit) as end:
        run_main(main)
    assert end.value.code == "interrupted; continue with ckpt_path=last"  # printed by Python, with status 1


@pytest.mark.parametrize("status", [0, 3])
def test_other_exits_are_passed_on(status: int) -> None:
    def leave() -> None:
        raise SystemExit(status)

    with pytest.raises(SystemExit) as end:
        run_main(leave)
    assert end.value.code == status
