"""Where the numbers of a run go while it runs: CSV (default), Weights & Biases, TensorBoard, nowhere.

Each ``conf/logger/*.yaml`` names one of the ``*_logger`` functions and its settings as a partial;
``run.py`` completes it with the :class:`RunInfo` that only a running program knows.
"""

from __future__ import annotations

import html
import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from invariantnets.results.result import Result, read_jsonl
from invariantnets.results.select import CLASS_ACCURACY, PEOPLE_ACCURACY, at_layer, with_figures

if TYPE_CHECKING:  # a table is probed without Lightning: it is loaded by those who log
    import wandb
    from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

log = logging.getLogger(__name__)

__all__ = [
    "RunInfo",
    "close",
    "csv_logger",
    "no_logger",
    "send",
    "summary",
    "tensorboard_logger",
    "trade_offs",
    "wandb_logger",
]

# Glob → keyword arguments of wandb's define_metric. The two x-axes are hidden, or W&B would plot
# them against themselves; with `best` as summary, the table of runs can be sorted by what a run reached.
WANDB_METRICS: dict[str, dict[str, Any]] = {
    "trainer/global_step": {"hidden": True},
    "epoch": {"hidden": True},
    "*": {"step_metric": "trainer/global_step", "step_sync": True},
    "val/accuracy": {"step_metric": "trainer/global_step", "summary": "max"},
    "val/loss": {"step_metric": "trainer/global_step", "summary": "min"},
    "online/*": {"step_metric": "trainer/global_step", "summary": "last"},
}


@dataclass(frozen=True)
class RunInfo:
    """What a logger must know of the run.

    Attributes:
        folder: the run's output folder.
        name: shown in tables and plots, e.g. ``pair_lenet on rotated_digits``.
        job_type: which of the two programs it is.
        group: name of the sweep, the same for all its jobs; None outside a sweep.
        id: W&B id of the run to continue (``logger.version`` of the run that was interrupted).
        config: the resolved config, plain containers only.
    """

    folder: Path
    name: str
    job_type: Literal["train", "evaluate"]
    group: str | None = None
    id: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


def no_logger(run: RunInfo) -> None:
    """Log nowhere."""


def csv_logger(run: RunInfo) -> CSVLogger:
    """``csv/version_<k>/metrics.csv`` in the run's folder, a new version after each resume.

    Lightning deletes the metrics of a version that it is given again; left to count, it keeps them.
    """
    from pytorch_lightning.loggers import CSVLogger

    return CSVLogger(save_dir=run.folder, name="csv")


def tensorboard_logger(run: RunInfo) -> TensorBoardLogger:
    """Event files in ``tensorboard/version_<k>`` of the run's folder (needs the extra ``tensorboard``)."""
    from pytorch_lightning.loggers import TensorBoardLogger

    return TensorBoardLogger(save_dir=run.folder, name="tensorboard")


def wandb_logger(run: RunInfo, project: str, offline: bool = True, timeout: float = 30.0) -> WandbLogger:
    """A Weights & Biases run, kept as files in ``wandb/`` of the run's folder.

    Offline, nothing leaves the machine until ``wandb sync``. Online, a server that does not answer
    or a missing API key costs one warning: the run goes on offline, and its data are kept.

    Args:
        run: what to call it, where to put it, and its config.
        project: W&B project.
        offline: whether to keep everything on this machine.
        timeout: seconds to wait for the server before going offline, and for the last upload at the end.
    """
    from pytorch_lightning.loggers import WandbLogger
    from pytorch_lightning.utilities import rank_zero_only

    # The other processes of a distributed run get None, and a WandbLogger that does nothing.
    experiment = rank_zero_only(_start_wandb)(run, project, offline, timeout)
    return WandbLogger(project=project, save_dir=run.folder, experiment=experiment)


def _start_wandb(run: RunInfo, project: str, offline: bool, timeout: float) -> wandb.Run:
    import wandb

    def start(mode: Literal["online", "offline"]) -> wandb.Run:
        return wandb.init(
            project=project,
            name=run.name,
            group=run.group,
            job_type=run.job_type,
            id=run.id,
            config=dict(run.config),
            dir=run.folder,
            mode=mode,
            # Offline there is no server to ask; `wandb sync` joins the files of one id in order.
            resume="allow" if mode == "online" else None,
            settings=wandb.Settings(
                console="off",  # else the progress bars fill W&B's log
                init_timeout=timeout,
                finish_timeout=0 if mode == "offline" else timeout,
            ),
        )

    if offline:
        experiment = start("offline")
    else:
        try:
            if not wandb.login(prompt=False, verify=False):  # init would ask for a key, and wait for it
                raise wandb.Error("no API key (WANDB_API_KEY or `wandb login`)")
            experiment = start("online")
        except wandb.Error as error:
            server, reason = wandb.setup().settings.base_url, str(error).splitlines()[0]
            log.warning("W&B at %s: %s; going on offline, send the run later with `wandb sync`", server, reason)
            experiment = start("offline")
    for name, settings in WANDB_METRICS.items():
        experiment.define_metric(name, **settings)
    return experiment


def close(loggers: Iterable[Logger], exit_code: int) -> None:
    """Say how the run ended. Belongs in a ``finally``.

    Without this a failed job of a sweep is shown as finished, and the next job of the same process
    goes on logging into it.

    Args:
        loggers: the trainer's loggers.
        exit_code: 0 if the run succeeded.
    """
    for logger, experiment in _of_first_process(loggers):
        if experiment is None:
            logger.finalize("success" if exit_code == 0 else "failed")
        else:
            experiment.finish(exit_code=exit_code)


def send(loggers: Iterable[Logger], folder: Path) -> None:
    """Give Weights & Biases what an evaluation has just written, and so never what an older run left in the folder.

    Figures and report to look at, results as a table and as numbers to sort by, files as one artifact.

    Args:
        loggers: those of the run; the others show numbers only.
        folder: where ``results.jsonl``, ``report.html``, ``provenance.json`` and ``figures/`` lie.
    """
    for _, experiment in _of_first_process(loggers):
        if experiment is not None:
            _send(experiment, folder)


def _of_first_process(loggers: Iterable[Logger]) -> Iterator[tuple[Logger, wandb.Run | None]]:
    """Each with its W&B run, if it has one; nothing in the other processes of a distributed run."""
    for logger in loggers:
        from pytorch_lightning.loggers import WandbLogger
        from pytorch_lightning.utilities import rank_zero_only

        if getattr(rank_zero_only, "rank", 0) == 0:  # an attribute that its type does not declare
            yield logger, logger.experiment if isinstance(logger, WandbLogger) else None


def _send(run: wandb.Run, folder: Path) -> None:
    import wandb

    media: dict[str, Any] = {"report": wandb.Html(str(folder / "report.html"), inject=False)}
    for figure in json.loads((folder / "figures" / "figures.json").read_text(encoding="utf-8")):
        path = folder / "figures" / figure["file"]
        if path.suffix == ".svg":  # no image to W&B, which shows pages as well
            picture: Any = wandb.Html(_page(path, figure), inject=False, data_is_not_path=True)
        else:
            picture = wandb.Image(str(path), caption=f"{figure['title']}. {figure['caption']}")
        media[f"figures/{path.stem}"] = picture
    results = read_jsonl(folder / "results.jsonl")
    rows = [
        {name: json.dumps(v) if isinstance(v, Mapping) else v for name, v in asdict(result).items() if name != "draws"}
        for result in results
    ]
    for nuisance, point in trade_offs([result for result in results if not result.subject]).items():
        table = wandb.Table(columns=[*point, "run"], data=[[*point.values(), run.name]])
        title, (left, kept) = f"{nuisance}: what is left and kept", point
        media[f"trade_off/{nuisance}"] = wandb.plot.scatter(table, left, kept, title=title)
    media["results"] = wandb.Table(columns=list(rows[0]), data=[list(row.values()) for row in rows])
    run.log(media)
    run.summary.update(summary([result for result in results if not result.subject]))
    artifact = wandb.Artifact(f"report-{run.id}", type="report")
    for name in ("report.html", "results.jsonl", "provenance.json", "card.md"):
        artifact.add_file(str(folder / name))
    run.log_artifact(artifact)


POLICY = (  # nothing is run or fetched, whatever a drawing holds
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
)


def _page(path: Path, figure: Mapping[str, str]) -> str:
    """A drawing as a page that needs nothing else, as wide as the panel, its caption below."""
    drawing = path.read_text(encoding="utf-8")
    title, caption = html.escape(figure["title"]), html.escape(figure["caption"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">{POLICY}<title>{title}</title>'
        "<style>body{margin:8px;background:#fff;color:#222;font:13px/1.4 sans-serif}figure{margin:0}"
        "svg{display:block;width:100%;height:auto;max-height:85vh}</style>"
        f"<figure>{drawing[drawing.index('<svg') :]}<figcaption><b>{title}.</b> {caption}</figcaption></figure></html>"
    )


def trade_offs(results: Iterable[Result]) -> dict[str, dict[str, float]]:
    """Of each nuisance with figures of its own, what is left of it and what is kept of the task: a point a run.

    W&B lays charts of one name over each other, those of all runs that are selected.

    Args:
        results: of a run.
    """
    found = [r for r in results if not r.where and r.status == "ok"]
    tasks = {what[1:]: what[0] for what in (CLASS_ACCURACY, PEOPLE_ACCURACY)}
    kept = [(tasks[what], r) for r in found if (what := (r.metric, r.target, r.probe)) in tasks]
    if not kept:
        return {}
    name, task = kept[-1]
    here = at_layer(found, task.layer)
    left = {r.target: r.value for r in here if (r.metric, r.probe) == ("r2", "strongest")}
    return {t: {"R², strongest reader": left[t], name: task.value} for t in with_figures([[here]]) if t in left}


def summary(results: Iterable[Result]) -> dict[str, float]:
    """The numbers worth a column in a table of runs, named ``test/<target>/<probe>/<metric>/<layer>``.

    Left out are those about a part of the rows, those that are not numbers, and those of failed
    probes: a failed probe says nothing about invariance, and a column has no room to say so. What an analysis was asked
    for is all there, each part by its name behind the layer: ``/promised FMR=0.1 %``.
    """
    return {
        "/".join(
            [r.split, r.target, r.probe, r.metric, r.layer, *(f"{of}={part}" for of, part in r.where.items())]
        ): r.value
        for r in results
        if (not r.where or r.about == "analysis") and r.status == "ok" and math.isfinite(r.value)
    }
