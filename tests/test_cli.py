from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.utils import JobReturn
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate

from invariantnets.cli import describe
from invariantnets.cli import run_main as run_program
from invariantnets.cli.program import ONE_LINE
from invariantnets.cli.suggest import explain, explain_flag
from invariantnets.errors import CollapseError, InvariantNetsError

CONF = Path(__file__).parents[1] / "conf"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("model=pairlenet", "model has no choice 'pairlenet'. Did you mean model=pair_lenet?"),
        ("data=rotated_minst", "data has no choice 'rotated_minst'. Did you mean data=rotated_mnist?"),
        ("experiment=rudd", "experiment has no choice 'rudd'. Did you mean experiment=rudd2016?"),
        ("data=lenet", "data has no choice 'lenet'. Did you mean model=lenet?"),
        ("+constraint=supconn", "constraint has no choice 'supconn'. Did you mean +constraint=supcon?"),
        ("constraint=supcon", "there is no group 'constraint' by itself. Did you mean +constraint=supcon?"),
        ("optimizer=adam", "there is no group 'optimizer' by itself. Did you mean optimizer@model.optimizer=adam?"),
        ("epochs=3", "there is no key 'epochs'. Did you mean trainer.max_epochs=3?"),
        ("max_epochs=3", "there is no key 'max_epochs'. Did you mean trainer.max_epochs=3?"),
        ("lr=0.1", "there is no key 'lr'. Did you mean model.optimizer.lr=0.1?"),
        ("batch_size=8", "there is no key 'batch_size'. Did you mean data.batch_size=8?"),
        ("embedding_dim=32", "there is no key 'embedding_dim'. Did you mean model.backbone.embedding_dim=32?"),
        ("bottleneck=64 model=deepface", "there is no key 'bottleneck'. Did you mean model.backbone.bottleneck=64?"),
        ("bottleneck=64", "Did you mean model.backbone.bottleneck=64, with model=deepface?"),
        (
            "model.backbone.bottleneck=4",
            "there is no key 'model.backbone.bottleneck' here; it is one of model=deepface",
        ),
        ("wandb=true", "there is no key 'wandb'. Did you mean logger=wandb?"),
        ("devic=cpu", "there is no key 'devic'. Did you mean device=cpu?"),
        ("seeed=1", "there is no key 'seeed'. Did you mean seed=1?"),
        ("model.optimzer.lr=1", "Did you mean model.optimizer.lr=1?"),
        ("~model.optimizer.lrr", "Did you mean model.optimizer.lr?"),
        ("qqqqqq=1", "there is no key 'qqqqqq'. --help and --cfg job list what there is"),
        ("model pair_lenet", "'model' lacks a value. Did you mean model=pair_lenet?"),
        ("pair_lenet", "'pair_lenet' is not key=value. Did you mean model=pair_lenet?"),
    ],
)
def test_what_was_meant(overrides: str, message: str) -> None:
    text = explain(CONF / "train.yaml", overrides.split())
    assert text is not None and "\n" not in text and message in text


@pytest.mark.parametrize(
    "overrides",
    [
        "seed=1",
        "model=deepface model.backbone.bottleneck=4",
        "+trainer.fast_dev_run=true",
        "data=null",
        "hydra.run.dir=x",
    ],
)
def test_what_is_right_is_not_blamed(overrides: str) -> None:
    assert explain(CONF / "train.yaml", overrides.split()) is None


def test_suggestions_are_of_the_program_that_was_called() -> None:
    evaluate = CONF / "evaluate.yaml"
    assert explain(evaluate, ["momentum=1"]) == "there is no key 'momentum'. --help and --cfg job list what there is"
    assert explain(evaluate, ["checkpoint=a.ckpt"]) == "there is no key 'checkpoint'. Did you mean ckpt_path=a.ckpt?"


@pytest.mark.parametrize(("flag", "following"), [("--epochs", "3"), ("--epochs=3", None), ("--max-epochs", "3")])
def test_flags_are_no_keys(flag: str, following: str | None) -> None:
    text = explain_flag(CONF / "train.yaml", flag, following)
    assert text.startswith(f"there is no flag '{flag.partition('=')[0]}'; keys are set as key=value.")
    assert text.endswith("Did you mean trainer.max_epochs=3?")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("hydra/launcher=jblib", "Did you mean hydra/launcher=joblib?"),
        ("seed=[1", "at input '[1'"),
        ("ckpt_path=seed=1/last.ckpt", "'ckpt_path=\"seed=1/last.ckpt\"'"),
    ],
)
def test_what_hydra_says_itself(override: str, message: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(HydraException) as error:
        compose("train", overrides=[override])
    text = describe(error.value)
    assert "\n" not in text and "search path" not in text and "unexpected" not in text
    assert message in text


def run_main(main: Callable[[], object]) -> None:
    run_program(main, CONF / "train.yaml")


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
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setattr(JobReturn, "return_value", JobReturn.return_value)


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
def test_an_interrupt_says_how_to_go_on(main: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run_main(main)
    assert end.value.code == 130
    assert capsys.readouterr() == ("", "interrupted; continue with ckpt_path=last\n")


@pytest.mark.parametrize("status", [0, 3])
def test_other_exits_are_passed_on(status: int) -> None:
    def leave() -> None:
        raise SystemExit(status)

    with pytest.raises(SystemExit) as end:
        run_main(leave)
    assert end.value.code == status
