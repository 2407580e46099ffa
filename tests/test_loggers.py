from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
import pytorch_lightning as pl
import torch
import wandb
from omegaconf import OmegaConf
from PIL import Image
from torch.utils.data import DataLoader
from wandb.proto.wandb_internal_pb2 import Record

from invariantnets import loggers
from invariantnets.loggers import RunInfo
from invariantnets.results.result import Result, read_jsonl, to_jsonl
from programs import SMALL, THIN, run
from wandb_file import items, read_records

CONF = Path(__file__).parents[1] / "conf" / "logger"


@pytest.fixture(autouse=True)
def isolated_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No account, settings or server of whoever runs the tests is touched."""
    for variable in ("HOME", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "NETRC"):
        monkeypatch.setenv(variable, str(tmp_path / "home" / variable))
    for variable in ("WANDB_MODE", "WANDB_DIR", "WANDB_PROJECT", "WANDB_RUN_ID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # the discard port: nobody listens
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    yield
    wandb.teardown()


def run_info(folder: Path, **changes: Any) -> RunInfo:
    config = {"seed": 1, "model": {"name": "pair_lenet"}}
    return RunInfo(folder=folder, **{"name": "pair_lenet on digits", "job_type": "train", "config": config, **changes})


def make(name: str, run: RunInfo, **overrides: Any) -> Any:
    """The logger of ``conf/logger/<name>.yaml``, as the programs make it."""
    config = OmegaConf.merge(OmegaConf.load(CONF / f"{name}.yaml"), overrides)
    return hydra.utils.instantiate(config)(run)


def result(**changes: Any) -> Result:
    known = {"metric": "r2", "value": 0.75, "layer": "ip1", "target": "angle", "probe": "ridge", "split": "test"}
    return Result(**{**known, "n": 70, "sources": 10, "seed": 1, **changes})


class Regression(pl.LightningModule):
    """One weight, so that Lightning has something to train and to log."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        loss = (self.weight - batch).square().mean()
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        # rises, then falls: best and last differ
        self.log("val/accuracy", [0.5, 0.9, 0.7][self.current_epoch])
        self.log("online/angle_r2", 0.1 * self.current_epoch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(logger: Any) -> pl.Trainer:
    trainer = pl.Trainer(
        max_epochs=3,
        logger=logger or False,
        accelerator="cpu",
        devices=1,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    batches = DataLoader(torch.ones(4), batch_size=2)
    trainer.fit(Regression(), batches, batches)
    return trainer


def records(folder: Path) -> list[Record]:
    wandb.teardown()  # W&B's service writes the last records of a finished run in its own time
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    return list(read_records(path))


def of_type(rows: list[Record], kind: str) -> list[Any]:
    return [getattr(row, kind) for row in rows if row.WhichOneof("record_type") == kind]


def merged(parts: list[Any]) -> dict[str, Any]:
    return {key: value for part in parts for key, value in part.items()}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What evaluation leaves in a run's folder."""
    folder = tmp_path_factory.mktemp("outcome")
    (folder / "figures").mkdir()
    Image.new("RGB", (4, 3)).save(folder / "figures" / "heat_map.png")
    svg = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 4 3'><path d='M0 0L4 3'/></svg>"
    (folder / "figures" / "scree.svg").write_text(f"<?xml version='1.0'?>\n<!DOCTYPE svg PUBLIC 'x' 'y'>\n{svg}\n")
    (folder / "figures" / "of_another_evaluation.png").write_bytes(b"no picture of this one")
    listed = [
        {"file": "heat_map.png", "title": "Features by sample", "caption": "Each column one sample."},
        {"file": "scree.svg", "title": "Scree", "caption": "Values < 1 & their ranks."},
    ]
    (folder / "figures" / "figures.json").write_text(json.dumps(listed))
    (folder / "report.html").write_text("<!doctype html><title>Report</title>")
    (folder / "provenance.json").write_text("{}")
    (folder / "card.md").write_text("# a network")
    results = [
        result(),
        result(probe="mlp", status="failed", value=-60.0),
        result(metric="predicted_mean", where={"angle": 15.0}),
        result(metric="accuracy", target="label", probe="mav", value=float("nan")),
    ]
    (folder / "results.jsonl").write_text(to_jsonl(results), encoding="utf-8")
    return folder


@pytest.fixture
def finished(tmp_path: Path, outcome: Path) -> list[Record]:
    """The run file of one offline training run, closed after a failure."""
    trainer = fit(make("wandb", run_info(tmp_path, group="rudd2016", id="abc123")))
    loggers.send(trainer.loggers, outcome)
    loggers.close(trainer.loggers, exit_code=1)
    return records(tmp_path)


def test_wandb_offline_run_file_holds_everything(finished: list[Record]) -> None:
    (run,) = [row for row in of_type(finished, "run") if row.display_name]
    assert (run.run_id, run.project, run.run_group, run.job_type) == ("abc123", "invariantnets", "rudd2016", "train")
    assert run.display_name == "pair_lenet on digits"
    config = items(run.config.update)
    assert config["seed"] == 1 and config["model"] == {"name": "pair_lenet"}
    (end,) = of_type(finished, "exit")
    assert end.exit_code == 1

    history = [items(row.item) for row in of_type(finished, "history")]
    accuracy = [row["val/accuracy"] for row in history if "val/accuracy" in row]
    assert accuracy == pytest.approx([0.5, 0.9, 0.7])
    assert [row["trainer/global_step"] for row in history if "train/loss" in row] == list(range(6))


def test_wandb_metrics_are_defined_so_that_the_default_workspace_reads_well(finished: list[Record]) -> None:
    defined = {row.name or row.glob_name: row for row in of_type(finished, "metric")}
    assert defined["trainer/global_step"].options.hidden and defined["epoch"].options.hidden
    assert defined["val/accuracy"].summary.max and defined["val/loss"].summary.min
    assert defined["*"].step_metric == defined["online/*"].step_metric == "trainer/global_step"
    assert defined["online/*"].summary.last


def test_wandb_gets_figures_report_table_and_summary(finished: list[Record]) -> None:
    logged = merged([items(row.item) for row in of_type(finished, "history")])
    kinds = {key: logged[f"{key}/_type"] for key in ("figures/heat_map", "figures/scree", "report", "results")}
    assert kinds == {
        "figures/heat_map": "image-file",
        "figures/scree": "html-file",
        "report": "html-file",
        "results": "table-file",
    }
    assert {key.split("/")[1] for key in logged if key.startswith("figures/")} == {"heat_map", "scree"}
    assert logged["results/nrows"] == 4
    final = merged([items(row.update) for row in of_type(finished, "summary")])
    assert final["test/angle/ridge/r2/ip1"] == 0.75
    assert [key for key in final if key.startswith("test/")] == ["test/angle/ridge/r2/ip1"]
    (artifact,) = [row for row in of_type(finished, "artifact") if row.type == "report"]
    paths = {entry.path for entry in artifact.manifest.contents}
    assert paths == {"report.html", "results.jsonl", "provenance.json", "card.md"}


def test_wandb_continues_the_run_of_the_same_id(tmp_path: Path) -> None:
    first = make("wandb", run_info(tmp_path / "a"))
    loggers.close([first], exit_code=0)
    second = make("wandb", run_info(tmp_path / "b", id=first.version))
    loggers.close([second], exit_code=0)
    ids = [of_type(records(tmp_path / part), "run")[0].run_id for part in "ab"]
    assert ids[0] == ids[1] == first.version


def test_two_runs_of_one_process_do_not_share_a_wandb_run(tmp_path: Path) -> None:
    """Jobs of a multirun follow one another in one process."""
    names = ["job 0", "job 1"]
    for name in names:
        loggers.close([make("wandb", run_info(tmp_path / name, name=name))], exit_code=0)
    assert [of_type(records(tmp_path / name), "run")[0].display_name for name in names] == names
    assert wandb.run is None


@pytest.mark.parametrize("key", ["0" * 40, None], ids=["unreachable", "no_key"])
def test_wandb_online_without_a_server_goes_on_offline(
    tmp_path: Path, key: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if key is None:
        monkeypatch.delenv("WANDB_API_KEY")
    with caplog.at_level(logging.WARNING, "invariantnets.loggers"):
        logger = make("wandb", run_info(tmp_path), offline=False, timeout=2)
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "invariantnets.loggers"]
    assert "http://127.0.0.1:9" in warning and "going on offline" in warning
    assert ("no API key" in warning) == (key is None)
    assert "wandb sync" in warning and "\n" not in warning
    loggers.close(fit(logger).loggers, exit_code=0)
    rows = records(tmp_path)
    assert sum("val/accuracy" in items(row.item) for row in of_type(rows, "history")) == 3
    assert items(of_type(rows, "run")[0].config.update)["seed"] == 1
    assert of_type(rows, "exit")[0].exit_code == 0


def test_wandb_pictures_can_be_looked_at(finished: list[Record], tmp_path: Path) -> None:
    """The files that the panels show: an image, and a page with the drawing in it."""
    logged = merged([items(row.item) for row in of_type(finished, "history")])
    (files,) = tmp_path.glob("wandb/offline-run-*/files")
    image, page = (files / logged[f"figures/{name}/path"] for name in ("heat_map", "scree"))
    with Image.open(image) as picture:
        assert picture.size == (4, 3)
    assert logged["figures/heat_map/caption"] == "Features by sample. Each column one sample."
    text = page.read_text(encoding="utf-8")
    assert page.suffix == ".html" and text.startswith("<!doctype html>") and "<path d='M0 0L4 3'/></svg>" in text
    assert "<b>Scree.</b> Values &lt; 1 &amp; their ranks." in text and "DOCTYPE svg" not in text


def test_what_is_sent_is_what_the_evaluation_of_this_run_wrote(tmp_path: Path) -> None:
    """A run that fails before it has measured anything, in a folder of older results; then the same run, resumed."""
    folder, home = tmp_path / "run", {"HOME": str(tmp_path), "WANDB_SILENT": "true"}
    (folder / "figures").mkdir(parents=True)
    (folder / "results.jsonl").write_text(to_jsonl([result(value=0.123)]))
    (folder / "report.html").write_text("old")
    (folder / "figures" / "figures.json").write_text('[{"file": "old.png", "title": "Old", "caption": ""}]')
    Image.new("RGB", (4, 3)).save(folder / "figures" / "old.png")
    line = (*SMALL, *THIN, "model=lenet", "logger=wandb", "+analysis=bins", f"hydra.run.dir={folder}")
    run("train.py", *line, "release=leace", "release.nuisances=[nope]", cwd=tmp_path, code=2, **home)
    run("train.py", *line, "trainer.max_epochs=3", "release=null", "ckpt_path=last", cwd=tmp_path, **home)
    failed, resumed = (list(read_records(path)) for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")))
    history = [merged([items(row.item) for row in of_type(rows, "history")]) for rows in (failed, resumed)]
    summaries = [merged([items(row.update) for row in of_type(rows, "summary")]) for rows in (failed, resumed)]
    for rows in (failed, resumed):
        assert of_type(rows, "run")[0].run_id == of_type(failed, "run")[0].run_id
    assert of_type(failed, "exit")[0].exit_code == 1 and of_type(resumed, "exit")[0].exit_code == 0
    assert "val/loss" in history[0] and not any(key.startswith(("figures", "report", "results")) for key in history[0])
    assert not any(key.startswith("test/") for key in summaries[0])
    assert all(row.type != "report" for row in of_type(failed, "artifact"))
    assert [row.type for row in of_type(resumed, "artifact")].count("report") == 1
    measured = loggers.summary(read_jsonl(folder / "results.jsonl"))
    assert measured.items() <= summaries[1].items() and "test/label/mav/accuracy/ip1" in measured
    assert "test/angle/bins/line/mae/ip1/|angle|=all" in measured
    drawn = {f"figures/{Path(f['file']).stem}/_type" for f in json.loads((folder / "figures/figures.json").read_text())}
    found = {key for key in history[1] if key.startswith("figures/") and key.endswith("/_type")}
    assert found == drawn and "figures/old/_type" not in found
    table = next(
        key.removesuffix("/path") for key in history[1] if key.startswith("trade_off/") and key.endswith("/path")
    )
    assert table.startswith("trade_off/angle") and history[1][f"{table}/nrows"] == 1


def test_csv_keeps_the_metrics_of_before_a_resume(tmp_path: Path) -> None:
    for _ in range(2):
        loggers.close(fit(make("csv", run_info(tmp_path))).loggers, exit_code=0)
    files = sorted(tmp_path.glob("csv/version_*/metrics.csv"))
    assert [path.parent.name for path in files] == ["version_0", "version_1"]
    assert all("val/accuracy" in path.read_text().splitlines()[0] for path in files)


def test_tensorboard_writes_event_files(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    loggers.close(fit(make("tensorboard", run_info(tmp_path))).loggers, exit_code=0)
    assert list(tmp_path.glob("tensorboard/version_0/events.out.tfevents.*"))


def test_none_logs_nothing(tmp_path: Path) -> None:
    trainer = fit(make("none", run_info(tmp_path)))
    loggers.close(trainer.loggers, exit_code=0)
    assert not any(tmp_path.iterdir())


def test_summary_names_are_unique_per_layer_and_leave_out_what_needs_words() -> None:
    kept = [result(layer=layer) for layer in ("conv1", "ip1")]
    rows = [*kept, result(status="failed"), result(where={"label": 3}), result(metric="rmse", value=float("nan"))]
    assert loggers.summary(rows) == {"test/angle/ridge/r2/conv1": 0.75, "test/angle/ridge/r2/ip1": 0.75}


def test_a_point_of_the_trade_off_is_what_the_report_says(make_results, make_face_results) -> None:
    assert loggers.trade_offs(make_results(r2=0.4, mav=0.97)) == {
        "angle": {"R², strongest reader": 0.4, "MAV accuracy": 0.97}
    }
    assert loggers.trade_offs(make_results(failed=True)) == {}, "a reader that failed says nothing of what is left"
    faces = loggers.trade_offs(make_face_results(rank1=0.6, leaks={"yaw": 0.3, "smile": None}))
    assert faces == {"yaw": {"R², strongest reader": 0.3, "rank 1 of the closed set": 0.6}}
