"""Every file of conf/ composes, and what can be made from it without files or a network is made."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from invariantnets.cli.ranges import check_values
from invariantnets.data import BankedImages, Batch, VariedImages
from invariantnets.module import InvariantNet
from invariantnets.trust import check_targets

CONF = Path(__file__).parents[1] / "conf"


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield
    HydraConfig.instance().cfg = None
    assert not GlobalHydra.instance().is_initialized()


def composed(*overrides: str, program: str = "train", folder: Path = Path("out")) -> DictConfig:
    """The configuration of a command line, with a folder where Hydra would have made one."""
    overrides = (f"paths.output_dir={folder}", "paths.data_dir=none", *overrides)
    cfg = compose(program, overrides=list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)  # as in a job, for ${hydra:…}
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


def resolved(node: DictConfig) -> dict[str, Any]:
    container = OmegaConf.to_container(node, resolve=True)
    assert isinstance(container, dict)
    return container


GROUPS = [
    "align",
    "analysis",
    "backbone",
    "callbacks",
    "constraint",
    "data",
    "experiment",
    "inspect",
    "jitter",
    "logger",
    "method",
    "model",
    "optimizer",
    "paths",
    "probe",
    "probes",
    "protocols",
    "release",
    "scheduler",
    "trainer",
    "transfer",
]
LENETS = ["lenet", "lenet_forget", "lenet_split", "mu_lenet", "pair_batch", "pair_lenet"]
WIDTH = {name: "embedding_dim" if name in LENETS else "bottleneck" for name in names("model")}


def test_no_group_is_forgotten() -> None:
    assert sorted(path.name for path in CONF.iterdir() if path.is_dir()) == GROUPS
    assert sorted(path.stem for path in CONF.glob("*.yaml")) == ["evaluate", "train"]


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in GROUPS for name in names(group)])
def test_every_choice_composes_and_resolves(group: str, name: str) -> None:
    place = {
        # An optimiser is chosen within a model, and DeepFace's is; a constraint is added to one.
        "optimizer": ["model=deepface_mini", f"optimizer@model.optimizer={name}"],
        "constraint": [f"+constraint={name}"],
        "align": ["data=synthetic_faces", f"align={name}"],
        "analysis": [f"+analysis={name}"],
        "inspect": [f"inspect=[{name}]"],
        "probe": [f"+probe={name}"],
        "scheduler": [f"scheduler@model.scheduler={name}"],
        "method": ["model=lenet_forget", f"method={name}"],
    }
    program = "evaluate" if group in ("backbone", "inspect") else "train"
    cfg = composed(*place.get(group, [f"{group}={name}"]), program=program)
    found = resolved(cfg)
    if not OmegaConf.missing_keys(cfg):
        check_values(cfg)  # what conf/ holds is what it may hold
    for part in (found.get("model", {}), found.get("recipes", {})):
        check_targets(part, name)  # else checkpoints of it could not be loaded


@pytest.mark.parametrize("name", names("logger"))
def test_evaluation_composes(name: str) -> None:
    resolved(composed(f"logger={name}", program="evaluate"))


@pytest.fixture
def user_files(tmp_path: Path) -> dict[str, list[str]]:
    """What a user has to say about files of their own."""
    table = tmp_path / "faces.csv"
    table.write_text("path,person,index,pose,expression,eyes\na.png,Ann,0,left,sad,open\nb.png,Bob,1,up,sad,open\n")
    own = [f"data.table={table}", "data.root=none", "data.num_classes=2", "data.test_fraction=0"]
    lists = ["data.num_classes=7"]
    grown = ["data.features_from=none.ckpt", "data.num_classes=7"]
    return {"faces_table": own, "cmu_faces": own, "lfw": lists, "youtube_faces": lists, "bootstrap": grown}


# Every data set with a network of each family, every model with the default data of each.
FITS = sorted(
    {(data, model) for data in names("data") for model in ("lenet", "deepface_mini")}
    | {(data, model) for data in ("rotated_digits", "synthetic_faces") for model in names("model")}
    - {("rotated_digits", "moon_mini")}  # which have no attribute to learn
)
VALUES = {
    "angle": [-45, -30, -15, 0, 15, 30, 45],
    "translation": [-6, -4, -2, 0, 2, 4, 6],
    "scale": [0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3],
    "light": [-3, -2, -1, 0, 1, 2, 3],
}
FIVE = [-45, -22.5, 0, 22.5, 45]
TWO = {"angle": [-30, -15, 0, 15, 30], "light": [-1, 0, 1]}


@pytest.mark.parametrize(("data", "model"), FITS)
def test_models_fit_data_sets(data: str, model: str, user_files: dict[str, list[str]]) -> None:
    own = user_files.get(data, [])
    if (data, model) == ("synthetic_faces", "lenet_split"):  # of many nuisances, one must be named
        own = ["model.constraints.keep.nuisance=yaw"]
    cfg = composed(f"data={data}", f"model={model}", f"model.backbone.{WIDTH[model]}=24", *own)
    with torch.device("meta"):  # no memory for 119 million parameters
        module = instantiate(cfg.model, _convert_="all")
    images = instantiate(cfg.data, _convert_="all")
    assert isinstance(module, InvariantNet) and isinstance(images, BankedImages)
    module.connect(images.spec, cfg.views)
    if isinstance(images, VariedImages):
        name = images.spec.nuisances[0].name
        own_values = {"varied_digits": TWO, "mnist_rot": {"angle": FIVE}, "rot_digits": {"angle": FIVE}}
        assert images.values == own_values.get(data, {name: VALUES[name]})
    *_, classifier = module.backbone.layers[module.backbone.classifier].modules()
    assert (classifier.in_features, classifier.out_features) == (24, images.spec.num_classes)
    for part in (resolved(cfg)["model"], resolved(cfg)["data"]):
        check_targets(part, f"{model} on {data}")  # else its own checkpoints could not be loaded


@pytest.mark.parametrize(("model", "nuisance"), [("lenet", "angle"), ("deepface_mini", "yaw")])
@pytest.mark.parametrize("name", names("constraint"))
def test_constraints_are_added_to_any_model(name: str, model: str, nuisance: str) -> None:
    faces = ["data=synthetic_faces"] if name == "moon" else []  # digits have no attribute to learn
    cfg = composed(f"model={model}", f"+constraint={name}", *faces)
    if "nuisance" in cfg.model.constraints[name]:
        cfg.model.constraints[name].nuisance = nuisance
    check_targets(resolved(cfg)["model"], name)
    module = instantiate(resolved(cfg)["model"], _convert_="all")
    assert [key for key, _ in module.named_constraints()] == ["softmax", name]
    spec = instantiate(cfg.data, _convert_="all").spec
    module.connect(spec, cfg.views)
    embedding = module.backbone.embedding
    term = dict(module.named_constraints())[name]
    (layer,) = term.layers
    assert layer == ("noise" if name == "bottleneck" else embedding)
    image = torch.zeros(4, 1, *spec.image_shape)
    known = {nuisance: torch.arange(4.0)[:, None]} | dict.fromkeys(getattr(term, "attributes", ()), torch.zeros(4, 1))
    batch = Batch(image, torch.tensor([0, 0, 1, 1]), *[torch.zeros(4, 1)] * 2, known)
    assert term(module.layers(image, [layer]), batch).isfinite()


def test_several_constraints_are_added_at_once() -> None:
    cfg = composed(
        "+constraint=[supcon,vicreg]", "model.constraints.vicreg.weight=0.5", "model.constraints.softmax=null"
    )
    module = instantiate(cfg.model, _convert_="all")
    assert {name: c.weight for name, c in module.named_constraints()} == {"supcon": 1.0, "vicreg": 0.5}


@pytest.mark.parametrize("model", [name for name in LENETS if name not in ("lenet_forget", "lenet_split")])
def test_solver_of_rudd2016(model: str) -> None:
    module = instantiate(composed(f"model={model}").model, _convert_="all")
    configured = module.configure_optimizers()
    weights, biases = configured["optimizer"].param_groups
    assert (weights["initial_lr"], weights["momentum"], weights["weight_decay"]) == (0.01, 0.9, 5e-4)
    assert biases["initial_lr"] == 0.02
    assert configured["lr_scheduler"]["scheduler"].lr_lambdas[0](10_000) == pytest.approx(2**-0.75)


@pytest.mark.parametrize(("model", "views"), [("lenet", 1), ("mu_lenet", 1), ("pair_lenet", 2), ("pair_batch", 1)])
def test_views_and_constraints(model: str, views: int) -> None:
    cfg = composed(f"model={model}")
    assert cfg.views == cfg.data.views == views
    assert ("softmax" in dict(instantiate(cfg.model, _convert_="all").named_constraints())) == (model != "mu_lenet")


def test_the_teacher_is_a_lenet_of_the_same_width() -> None:
    cfg = resolved(composed("model=mu_lenet", "model.backbone.embedding_dim=32", "data=rotated_emnist", "seed=7"))
    teacher = cfg["recipes"]["teacher"]["model"]
    assert teacher["backbone"] == cfg["model"]["backbone"] and teacher["backbone"]["embedding_dim"] == 32
    assert [name for name, term in teacher["constraints"].items() if term] == ["softmax"] and teacher["seed"] == 7
    module = instantiate(teacher, _convert_="all")
    assert module.classifies and module.teacher is None


def test_a_layer_of_weight_zero_is_dropped_from_the_command_line() -> None:
    cfg = composed("model=pair_lenet", "model.constraints.pair.weights.conv1=0", "model.constraints.softmax=null")
    (name, pair), *rest = instantiate(cfg.model, _convert_="all").named_constraints()
    assert name == "pair" and not rest and "conv1" not in pair.layers and "ip1" in pair.layers


@pytest.mark.parametrize("name", names("trainer"))
def test_trainers(tmp_path: Path, name: str) -> None:
    cfg = composed(f"trainer={name}", folder=tmp_path)
    callbacks = [instantiate(c) for c in cfg.callbacks.values()]
    assert callbacks and all(isinstance(c, pl.Callback) for c in callbacks)
    trainer = instantiate(cfg.trainer, accelerator="cpu", callbacks=callbacks, logger=False)
    assert trainer.world_size == cfg.trainer.devices == (1 if name == "default" else 2)


@pytest.mark.parametrize(
    "override",
    [
        "sed=1",
        "model.lr=0.1",
        "data.angle=[0]",
        "trainer.epochs=3",
        "callbacks.early_stoping=null",
        "model=resnet",
        "logger.x=1",
    ],
)
def test_misspelt_overrides_are_refused(override: str) -> None:
    with pytest.raises(HydraException):
        composed(override)


def test_all_data_sets_share_one_stream_block() -> None:
    own = set(OmegaConf.load(CONF / "data" / "stream" / "default.yaml")) - {"epoch_batches"}
    for path in (CONF / "data").rglob("*.yaml"):
        said = set(OmegaConf.load(path))
        said -= {"pairs"} if "one_each" in said else set()  # no image has a second view, so that there is but one
        assert path.parent.name == "stream" or not own & said, path
        if path.parent.name == "data":
            assert own < set(composed(f"data={path.stem}").data)


@pytest.mark.parametrize("change", ["data.vary.light=null", "+data.vary.scale=[0.8,1]"])
def test_nuisances_are_taken_out_and_added_from_the_command_line(change: str) -> None:
    images = instantiate(composed("data=varied_digits", change).data, _convert_="all")
    expected = {"angle": TWO["angle"]} if "null" in change else {**TWO, "scale": [0.8, 1]}
    assert images.values == expected and [n.name for n in images.spec.nuisances] == list(images.values)


def test_a_pool_of_ones_own_takes_the_place_of_the_rendered_one() -> None:
    pool = composed("data=bootstrap", "data.features_from=a", "data@data.pool=lfw").data.pool
    assert pool._target_ == "invariantnets.data.Lfw" and "ranges" not in pool and pool.image_shape == [3, 64, 64]


def test_the_choices_are_recorded() -> None:
    assert composed("data=rotated_usps", "model=pair_batch").choices == {"data": "rotated_usps", "model": "pair_batch"}


def test_the_experiment_is_that_of_rudd2016() -> None:
    cfg = compose("train", overrides=["experiment=rudd2016"], return_hydra_config=True)
    assert cfg.hydra.mode.name == "MULTIRUN" and cfg.hydra.launcher._target_.endswith("JoblibLauncher")
    assert cfg.hydra.sweeper.params == {"model": "lenet,mu_lenet,pair_lenet", "seed": "1,2,3,4,5"}
    assert cfg.data.source.name == "MNIST" and cfg.callbacks.early_stopping.patience == 10


def test_every_method_of_the_comparison_has_the_same_budget_and_its_own_name() -> None:
    cfg = compose("train", overrides=["experiment=forget"], return_hydra_config=True)
    assert cfg.hydra.mode.name == "MULTIRUN" and cfg.hydra.sweeper.params.seed == "1,2,3,4,5"
    methods = [name.strip() for name in cfg.hydra.sweeper.params.method.split(",")]
    of_faces = {"adversary_faces", "hsic_faces", "softmax_lda"}  # of experiment=strangers
    of_faces |= {f"supcon_noise_centre_0.5_{how}" for how in ("released", "lda")}
    tuned = {name for name in names("method") if name.startswith("fine_tune")}
    assert sorted(methods) == sorted(set(names("method")) - of_faces - tuned)
    found = {}
    for name in methods:
        cfg = composed("experiment=forget", f"method={name}")
        own = resolved(cfg)
        check_targets(own["model"], name)
        module = instantiate(own["model"], _convert_="all")
        schedule = module.configure_optimizers()["lr_scheduler"]["scheduler"]
        assert schedule.total_steps == cfg.trainer.max_epochs * cfg.data.epoch_batches
        found[name] = (own["method"], own["data"], own["model"]["optimizer"])
    assert len({method for method, _, _ in found.values()}) == len(methods)
    assert all((data, optimizer) == found["softmax"][1:] for _, data, optimizer in found.values())
    assert found["adversary_0.3"][0] == "adversary 0.3" and found["supcon_noise_0.5"][0] == "supcon+noise σ=0.5"


def test_the_adversary_of_the_comparison_is_the_papers_and_the_door_is_the_one_that_trains() -> None:
    """The recipe is as it was measured, and as checkpoints without the entry were trained."""
    method = composed("experiment=forget", "method=adversary").model.constraints.adversary
    assert (method.weight, method.ramp, method.lr_multiplier, method.beyond_chance) == (1.0, 300, 1.0, True)
    assert not composed("+constraint=adversary").model.constraints.adversary.beyond_chance
    del method.beyond_chance
    assert instantiate(method, embedding_dim=500, layer="ip1", nuisance="angle").beyond_chance


@pytest.mark.parametrize(
    ("method", "strength", "key", "label"),
    [
        ("hsic", 3, "model.constraints.hsic.weight", "hsic 3"),
        ("adversary", 0.3, "model.constraints.adversary.weight", "adversary 0.3"),
        ("vicreg", 2.5, "model.constraints.vicreg.weight", "vicreg 2.5"),
        ("supcon_noise", 0.5, "model.backbone.embedding_noise", "supcon+noise σ=0.5"),
    ],
)
def test_a_method_is_a_family_with_a_strength(method: str, strength: float, key: str, label: str) -> None:
    common = ("experiment=forget", "hydra.sweep.dir=sweep", f"method={method}")  # else it is named by the second
    by_strength = resolved(composed(*common, f"strength={strength}"))
    by_key = resolved(composed(*common, f"{key}={strength}"))
    assert by_strength.pop("strength") == strength != by_key.pop("strength")
    assert by_strength == by_key and by_key["method"] == label
    if f"{method}_{strength}" in names("method"):
        assert resolved(composed("experiment=forget", f"method={method}_{strength}"))["model"] == by_strength["model"]


@pytest.mark.parametrize("method", ["softmax", "mu", "leace", "quantise"])
def test_a_method_without_a_strength_takes_none(method: str) -> None:
    with pytest.raises(HydraException):
        composed("experiment=forget", f"method={method}", "strength=3")


def test_the_long_comparison_is_the_same_but_for_its_budget() -> None:
    params = compose("train", overrides=["experiment=forget_long"], return_hydra_config=True).hydra.sweeper.params
    assert list(params) == ["method", "seed"] and params.seed == "1,2,3,4,5"
    assert set(params.method.split(",")) < set(names("method"))
    long, short = composed("experiment=forget_long"), composed("experiment=forget")
    for part in ("", "recipes.init_from."):
        keys = f"{part}data.epoch_batches", f"{part}trainer.max_epochs"
        more, fewer = (math.prod(OmegaConf.select(cfg, key) for key in keys) for cfg in (long, short))
        assert more > fewer
        for key in keys:
            OmegaConf.update(long, key, OmegaConf.select(short, key))
    assert long.recipes.init_from.model.optimizer.pop("_target_") == "invariantnets.muon.Muon"
    assert resolved(long) == resolved(short)
