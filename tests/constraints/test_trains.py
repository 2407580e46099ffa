"""Every constraint on every model that takes it trains from the one line that the documentation gives."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from invariantnets.data import BankedImages
from invariantnets.module import InvariantNet

CONF = Path(__file__).parents[2] / "conf"
STEPS, ENDS = 100, 10
CONSTRAINTS = sorted(path.stem for path in (CONF / "constraint").glob("*.yaml"))
TOLD = ("adversary", "coral", "hsic", "icl", "keep", "mmd")
LENETS = ("lenet", "lenet_forget", "lenet_split", "mu_lenet", "pair_batch", "pair_lenet")
# Those of the papers' size are too large to train in a test.
SMALL = (*LENETS, "deepface_mini", "deepface_plus_mini")
# As they come, but for fewer and smaller faces.
FACES = (
    "data.num_classes=20",
    "data.images_per_identity=10",
    "data.val_images=3",
    "data.test_identities=1",
    "data.image_shape=[3,40,40]",
    "model.backbone.bottleneck=64",
    "data.cache=false",
)
QUICK = {("lenet", constraint) for constraint in CONSTRAINTS}
# These are what two of them are trained by: their own lines.
OWN = {"lenet_forget": ("centre", "supcon"), "lenet_split": ("centre", "keep", "supcon")}
PAIRS = [
    pytest.param(model, constraint, marks=() if (model, constraint) in QUICK else pytest.mark.slow)
    for model in SMALL
    for constraint in CONSTRAINTS
    if constraint not in OWN.get(model, ())
    and not (constraint == "moon" and model in LENETS)  # digits have no attribute of yes and no
]


@pytest.fixture(autouse=True, scope="module")
def hydra() -> Iterator[None]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield
    HydraConfig.instance().cfg = None


def composed(*overrides: str) -> DictConfig:
    """The configuration of a command line."""
    overrides = ("paths.output_dir=none", "paths.data_dir=none", *overrides)
    cfg = compose("train", overrides=list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


class Terms(pl.Callback):
    """What each step logs."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        self.steps.append({name[6:]: float(value) for name, value in trainer.callback_metrics.items()})


@cache
def data_of(cfg: str) -> BankedImages:
    return instantiate(OmegaConf.create(cfg), _convert_="all")


def train(cfg: DictConfig, initial: InvariantNet | None = None) -> tuple[InvariantNet, BankedImages, Terms]:
    """As `training.fit` does, but without files; ``initial`` is what a model starts from or is taught by."""
    pl.seed_everything(cfg.seed, verbose=False)
    data = data_of(OmegaConf.to_yaml(cfg.data, resolve=True))
    model = instantiate(cfg.model, _convert_="all")
    model.connect(data.spec, cfg.views)
    if initial and model.init_from:
        model.start_from(initial.backbone)
    model.prepare(initial.eval().backbone if initial else None, lambda: data.loader("train"))
    terms = Terms()
    options = {"enable_progress_bar": False, "enable_checkpointing": False, "log_every_n_steps": 1}
    trainer = instantiate(
        cfg.trainer, **options, max_steps=STEPS, limit_val_batches=0, logger=False, callbacks=[terms], accelerator="cpu"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a trainer without validation
        trainer.fit(model, datamodule=data)
    return model.eval(), data, terms


@cache
def initial_of(family: str) -> InvariantNet:
    """The network that others start from, trained as briefly."""
    return train(composed(f"model={family}", *(FACES if family == "deepface_mini" else ())))[0]


@pytest.mark.parametrize(("model", "constraint"), PAIRS)
def test_a_constraint_on_a_model_trains_from_its_one_line(model: str, constraint: str) -> None:
    line = [f"model={model}", f"+constraint={constraint}"]
    faces = model not in LENETS
    if constraint != "adversary":  # which once diverged at the batch size that it comes with
        line.append("data.batch_size=16")
    if faces:
        line += FACES
        if constraint in TOLD:  # of many nuisances, one must be named
            line.append(f"model.constraints.{constraint}.nuisance=yaw")
    cfg = composed(*line)
    needed = cfg.model.get("teacher") or cfg.model.init_from
    # One with a second half starts from one that has it.
    family = "deepface_mini" if faces else "lenet_split" if model == "lenet_split" else "lenet"
    initial = initial_of(family) if needed else None
    net, data, terms = train(cfg, initial)

    assert len(terms.steps) == STEPS and constraint in terms.steps[0]
    for step in terms.steps:
        assert all(math.isfinite(value) for value in step.values()), step
    task = "softmax" if net.classifies else "mean_activation"
    first, last = (sum(step[task] for step in part) / ENDS for part in (terms.steps[:ENDS], terms.steps[-ENDS:]))
    assert last < first or (net.classifies and last < 1.05 * math.log(data.spec.num_classes))
    batch = next(iter(data.loader("val", 64)))
    with torch.no_grad():
        layers = net.layers(batch.image, dict.fromkeys([*net._needed, net.backbone.embedding]))
        assert all(value.isfinite() for value in net.terms(layers, batch).values())
    x = layers[net.backbone.embedding].flatten(0, 1).flatten(1).double()
    assert (x - x.mean(0)).square().sum() > 1e-3 * x.square().sum()  # as CollapseAlarm has it
