"""The only orchestration: what train.py and evaluate.py do.

A table of features needs no Lightning: whatever trains is imported where it is used.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.text import Text

from invariantnets import evaluation, threads
from invariantnets.analysis import Analysis
from invariantnets.cli.ranges import check_values
from invariantnets.errors import Failure, InvariantNetsError
from invariantnets.evaluation import Subject, subject_of
from invariantnets.features.io import load_table, save_table
from invariantnets.features.table import FeatureTable
from invariantnets.files import slug, write_atomically
from invariantnets.folders import held, refuse_used
from invariantnets.interrupted import ASIDE, Journal, stamp
from invariantnets.loggers import RunInfo, close, send
from invariantnets.measuring import Curves
from invariantnets.probes import Probe, label_efficiency
from invariantnets.provenance import COMMIT, plain
from invariantnets.release import released
from invariantnets.report import render_sweep
from invariantnets.report.render import comparisons, headline
from invariantnets.results.predictions import write_predictions
from invariantnets.results.runs import read_sweep

log = logging.getLogger(__name__)
# Column of a report → what makes the subject that fills it, or a sentence why none does.
Beside = Mapping[str, Callable[[], Subject] | str]
# Loaders that run what they are given → the key that names it.
_CODE = {"invariantnets.foreign.module": "target", "invariantnets.foreign.torchscript": "path"}
# What is set beside a network of others where nothing is said.
_BESIDE = ("random", "pixels")
# What is said of the columns of a table.
OF_TABLES = ("label", "split", "source", "name", "nuisances", "ignore", "kinds", "units", "division")

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

    from invariantnets.data import BankedImages
    from invariantnets.inspection import Inspection


def train(cfg: DictConfig) -> None:
    """Train, then probe the best checkpoint, on ``transfer`` data too. Prints what to open.

    Raises:
        InvariantNetsError: a value that cannot be; or what training and probing raise.
    """
    check_values(cfg)
    from invariantnets.resuming import continued
    from invariantnets.training import resume_point
    from invariantnets.trust import allow_modules, targets

    parts = (OmegaConf.to_container(cfg[part]) for part in ("model", "data"))
    allow_modules(target.rpartition(".")[0] for part in parts for target in targets(part))  # whoever types them
    allow_modules(map(str, cfg.paths.allow))

    folder, resume = resume_point(cfg)
    with held(folder):
        words = list(HydraConfig.get().overrides.task)
        if resume is None:
            refuse_used(folder)
        else:
            cfg, words = continued(cfg, folder, resume)
            check_values(cfg)
        _train(cfg, folder, resume, words)


def _train(cfg: DictConfig, folder: Path, resume: Path | None, words: list[str]) -> None:
    threads.use(cfg.threads)
    from invariantnets.subjects import from_checkpoint
    from invariantnets.training import fit

    network = partial(from_checkpoint, cfg, now={key: plain(cfg).get(key) for key in ("method", "release")})

    def evaluate_best(checkpoint: Path, folder: Path, data: BankedImages, loggers: Sequence[Logger]) -> None:
        probe(cfg, network(checkpoint, data=data), folder, loggers=loggers, words=words)
        if cfg.get("transfer"):
            own = {key: value for key, value in cfg.transfer.items() if key not in ("name", "data")}
            other = network(checkpoint, (cfg.transfer.name, cfg.transfer.data))
            probe(OmegaConf.create({**cfg, **own}), other, folder / "transfer", words=words)

    if cfg.evaluate:  # what cannot be made is refused now
        readers_of(cfg), cfg.get("release") and instantiate(cfg.release)
    best = fit(cfg, folder, resume, words, after=evaluate_best if cfg.evaluate else None)
    if not cfg.evaluate:
        print(best)


def evaluate(cfg: DictConfig) -> None:
    """Probe a checkpoint, a table of features or a network of others, or render one report over a sweep.

    Prints the path of the report.

    Raises:
        InvariantNetsError: nothing, or more than one thing, to evaluate; or a value that cannot be.
    """
    check_values(cfg)
    threads.use(cfg.threads)
    given = [key for key in ("ckpt_path", "features", "sweep", "backbone") if cfg.get(key) is not None]
    if len(given) != 1:
        raise InvariantNetsError(
            "say what to evaluate, one of ckpt_path=<checkpoint>, features=<table>, "
            "sweep=<multirun folder>, backbone=<network>; "
            f"got {' and '.join(given) or 'none'}"
        )
    told = {key: cfg[key] for key in (*OF_TABLES, "images") if cfg[key] is not None}
    if told and cfg.features is None:
        raise InvariantNetsError(f"{next(iter(told))}= tells of features=<table>; {given[0]}= has its own")
    if cfg.beside and given[0] not in ("ckpt_path", "backbone"):
        raise InvariantNetsError(f"beside= is of a network, ckpt_path= or backbone=, and not of {given[0]}=")
    if cfg.sweep is not None:
        report_sweep(Path(cfg.sweep))
        return
    with held(Path(cfg.paths.output_dir)):
        _evaluate(cfg, told)


def _evaluate(cfg: DictConfig, told: dict[str, Any]) -> None:
    folder, exit_code = Path(cfg.paths.output_dir), 1
    if cfg.get("data") and "_target_" not in cfg.data:
        raise InvariantNetsError("align= says how the pictures of data= are aligned: name these, e.g. data=lfw")
    other = (HydraConfig.get().runtime.choices["data"], cfg.data) if cfg.get("data") else None
    beside: Beside = {}
    if cfg.get("backbone"):
        subject, beside = other_network(cfg)
    elif cfg.features:
        subject = own_table(cfg, told)
    else:
        subject, beside = own_network(cfg, other)
    logger = instantiate(cfg.logger)(RunInfo(folder, subject.name, "evaluate", config=plain(cfg)))
    loggers = [logger] if logger else []
    try:
        probe(cfg, subject, folder, beside, loggers)
        exit_code = 0
    finally:
        close(loggers, exit_code)


def own_table(cfg: DictConfig, told: dict[str, Any]) -> Subject:
    """``features=``: a table that anybody brings, its columns mapped as it is told.

    Raises:
        InvariantNetsError: what the table raises.
    """
    columns = {key: value for key, value in told.items() if key in OF_TABLES}
    mapping = plain(OmegaConf.create({"layers": cfg.layers, "seed": cfg.seed, **columns}))
    return subject_of(load_table(cfg.features, **mapping), Path(cfg.features).name, cfg.images)


def own_network(cfg: DictConfig, other: tuple[str, DictConfig] | None) -> tuple[Subject, Beside]:
    """``ckpt_path=``: a network that was trained here, and what is set beside it: nothing, unless ``beside=`` says so.

    Raises:
        InvariantNetsError: what the checkpoint or the data raise, or an unknown name.
    """
    from invariantnets.subjects import opened, set_beside, untrained
    from invariantnets.trust import allow_modules

    allow_modules(map(str, cfg.paths.allow))
    path = Path(cfg.ckpt_path)
    subject, model, images = opened(cfg, path, other)
    layers = evaluation.choose_layers(cfg.layers, subject)
    options = {"data": subject.data, "device": cfg.device, "probe_images": cfg.probe_images}
    fresh = partial(untrained, path, subject.config)
    return subject, set_beside(model.backbone, images, cfg.beside or [], layers, untrained=fresh, **options)


def other_network(cfg: DictConfig) -> tuple[Subject, Beside]:
    """``backbone=``: a network that was not trained here, looking at ``data=``, and what is set beside it.

    Raises:
        InvariantNetsError: no data, code that is not named on the command line; or what the network or the data raise.
    """
    if not cfg.get("data"):
        raise InvariantNetsError(
            "backbone= needs something to look at: add data=<a data set>, e.g. data=rotated_digits"
        )
    from invariantnets.subjects import from_backbone, set_beside

    code = _CODE.get(cfg.backbone["_target_"])
    said = any(word.lstrip("+").startswith(f"backbone.{code}=") for word in HydraConfig.get().overrides.task)
    if code and cfg.backbone[code] is not None and not said:
        raise InvariantNetsError(f"backbone.{code} is code that is run: name it on the command line, not in a file")
    chosen = HydraConfig.get().runtime.choices
    choices = {"model": chosen["backbone"], "data": chosen["data"]}
    network, images = (instantiate(node, _convert_="all") for node in (cfg.backbone, cfg.data))
    options = {"data": chosen["data"], "device": cfg.device, "probe_images": cfg.probe_images}
    config = {"backbone": plain(cfg.backbone), "data": plain(cfg.data), "choices": choices}
    subject = from_backbone(network, images, model=chosen["backbone"], config=config, **options)
    layers = evaluation.choose_layers(cfg.layers, subject)
    return subject, set_beside(network, images, _BESIDE if cfg.beside is None else cfg.beside, layers, **options)


def readers_of(cfg: DictConfig) -> list[Probe]:
    """The probes, as configured."""
    return [instantiate(reader) for reader in cfg.probe.values() if reader]


def analyses_of(cfg: DictConfig) -> list[Analysis]:
    """What else is measured, as configured."""
    return [instantiate(analysis) for analysis in (cfg.get("analysis") or {}).values() if analysis]


def inspections_of(cfg: DictConfig) -> list[Inspection]:
    """How the network is looked into, as configured."""
    return [instantiate(inspection) for inspection in (cfg.get("inspect") or {}).values() if inspection]


def curves_of(cfg: DictConfig) -> Curves | None:
    """What goes on with more labelled rows, or with other seeds of the probes, if it is asked for."""
    rows, seeds = cfg.probes.label_rows, cfg.probes.seeds
    return partial(label_efficiency, rows=tuple(rows or ()), seeds=seeds) if rows or seeds > 1 else None


def probe(
    cfg: DictConfig,
    subject: Subject,
    folder: Path,
    beside: Beside | None = None,
    loggers: Sequence[Logger] = (),
    words: Sequence[str] | None = None,
) -> None:
    """Measure a subject as configured; after each step, the results so far are on disk. Prints the report's path.

    Layers that are complete in the folder, of the same evaluation, are not measured again.

    Raises:
        InvariantNetsError: what cannot be measured at all; or what is missing in the report, which holds all the rest.
    """
    layers = evaluation.choose_layers(cfg.layers, subject)
    journal = Journal(folder, _identity(cfg, subject, folder))
    if journal.complete == layers:
        log.info("%s: complete before, nothing is measured again; another hydra.run.dir measures anew", folder)
        print(*headline(folder), folder / "report.html", sep="\n")
        send(loggers, folder)
        return
    left = journal.take_up(layers, subject.embedding if subject.embedding in layers else layers[0])

    def prepare(table: FeatureTable, layer: str) -> FeatureTable:
        journal.begin(layer)
        if cfg.get("release"):
            named = replace(table, meta={**table.meta, "data": subject.name, "checksums": subject.checksums})
            release = instantiate(cfg.release).fit(named, layer)  # one out of a file stays as it is
            release.save(folder / "release" / f"{slug(layer)}.safetensors")
            table = released(table, release)
        table = table.with_magnitudes(cfg.get("magnitudes") or [])
        if cfg.save_features:
            save_table(replace(table, features={layer: table.features[layer]}), folder / "features" / slug(layer))
        return table

    readers = readers_of(cfg)
    log.info("reading what is left at %s by %d probes, which takes some minutes", ", ".join(left), len(readers))
    options = {"seed": cfg.seed}
    with Console(stderr=True).status("") as status:
        found = evaluation.evaluate(
            subject,
            readers,
            layers=left,
            protocols=instantiate(cfg.protocols),
            curves=curves_of(cfg),
            analyses=analyses_of(cfg),
            inspections=inspections_of(cfg),
            prepare=prepare,
            keep=journal.keep,
            lost=lambda failure: journal.spoil(),
            progress=lambda step: status.update(Text(step)),  # names of layers are no markup
            predicted=partial(write_predictions, folder) if cfg.get("save_predictions") else None,
            overrides=list(HydraConfig.get().overrides.task) if words is None else words,
            **options,
        )
        probed = any(r.about in ("class", "nuisance") and r.probe != "softmax" for r in found.results)
        for name, other in (beside or {}).items() if probed else ():
            if isinstance(other, str):
                log.info(other)
                found = replace(found, record={**found.record, "beside": [other]})
                continue

            def told(step: str, name: str = name) -> None:
                status.update(Text(f"{name}, {step}"))

            try:
                theirs = evaluation.evaluate(other(), readers, layers="all", protocols=None, progress=told, **options)
            except Exception as error:  # of a network that is only there to compare with
                found = replace(found, failed=(*found.failed, Failure(f"column {name!r}", error)))
                log.error("%s", found.failed[-1])
                continue
            found = found.beside(name, theirs)
            journal.keep(found.results)
    report, failed = replace(found, results=journal.keep(found.results)).saved(folder)
    print(*headline(folder), report, sep="\n")
    if not failed:
        journal.end(layers)
    try:
        send(loggers, folder)
    except Exception as error:  # of a server, or of the disk of its files: the report is whole
        failed.append(Failure(f"the report at {cfg.logger._target_.rpartition('.')[2]}", error))
        log.error("%s", failed[-1])
    if failed:
        said = "; ".join(map(str, failed)).rstrip(".")
        raise InvariantNetsError(f"{said}. All else is in {report}") from failed[0].error


def _identity(cfg: DictConfig, subject: Subject, folder: Path) -> dict[str, Any]:
    """What makes the numbers of a layer what they are."""
    config = {key: value for key, value in plain(cfg).items() if key not in ASIDE}
    # Where the run lies says nothing of it: it may have been moved.
    place = json.dumps(str(folder))[1:-1]
    config = json.loads(json.dumps(config, default=str).replace(place, "."))
    members = (cfg.get("protocols") or {}).get("members") or ()
    files = [stamp(path) for path in (cfg.get("features"), *members)]
    network = hashlib.sha256(Path(subject.checkpoint).read_bytes()).hexdigest() if subject.checkpoint else None
    return {"files": files, "network": network, "checksums": subject.checksums, "commit": COMMIT, **config}


def report_sweep(folder: Path, started: Sequence[Path] | None = None) -> None:
    """One report over all runs below a folder, and the table of every publication that they repeat, beside it.

    Args:
        folder: of the sweep.
        started: folders of its jobs; what else lies below is named and not counted. None: all are meant.

    Raises:
        InvariantNetsError: there is no run below the folder.
    """
    report = render_sweep(folder, started)
    sweep = read_sweep(folder, started)
    for name, why in sweep.missing.items():
        log.warning("not in the report: %s, %s", name, why)
    for table in comparisons(sweep):
        write_atomically(folder / f"{table.file}.md", table.to_markdown())
        print(table.to_text())
    print(report)
