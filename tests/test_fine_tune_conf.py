"""experiment=fine_tune: which variants, from which network, and what stays as it is."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import torch
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from invariantnets.data import Batch
from invariantnets.module import InvariantNet
from invariantnets.trust import check_targets
from test_conf import composed, hydra, names, resolved

__all__ = ["hydra"]  # a fixture

VARIANTS = [*(name for name in names("method") if name.startswith("fine_tune")), "supcon_noise_centre_0.5"]
SMALL = ("data=rotated_digits", "model.backbone.embedding_dim=16")


@cache  # each takes a while to compose
def variant(name: str, experiment: str = "fine_tune") -> DictConfig:
    line = (f"experiment={experiment}", f"method={name}", "hydra.sweep.dir=s", "seed=3", *SMALL)
    return OmegaConf.create(resolved(composed(*line)))


def recipe_of(cfg: DictConfig) -> DictConfig:
    """What `training.train_first` makes of a configuration."""
    recipe = copy.deepcopy(cfg)
    recipe.merge_with(cfg.recipes.init_from)
    return recipe


def parts_of(cfg: DictConfig) -> dict[str, Any]:
    """What a network is made of, without the constraints that are taken out."""
    found = {part: OmegaConf.to_container(cfg[part]) for part in ("data", "trainer", "model")}
    found["model"]["constraints"] = {k: v for k, v in found["model"]["constraints"].items() if v}
    return found


def test_every_variant_is_in_it_under_a_name_of_its_own() -> None:
    params = compose("train", overrides=["experiment=fine_tune"], return_hydra_config=True).hydra.sweeper.params
    assert sorted(name.strip() for name in params.method.split(",")) == VARIANTS and params.seed == "1,2,3,4,5"
    found = [variant(name) for name in VARIANTS]
    assert len({cfg.method for cfg in found}) == len(VARIANTS)
    assert len({OmegaConf.to_yaml(cfg.data) + OmegaConf.to_yaml(cfg.model.optimizer) for cfg in found}) == 1


@pytest.mark.parametrize("name", VARIANTS)
def test_each_starts_from_one_network_that_was_made_to_forget_from_an_accurate_one(name: str) -> None:
    forgetting = recipe_of(variant(name))
    first = recipe_of(forgetting)
    assert (forgetting.folder, first.folder) == ("s/forgetting_seed=3", "s/initial_seed=3")
    assert (forgetting.model.init_from, first.model.init_from) == ("train", None)
    terms = [{k: v.weight for k, v in one.model.constraints.items() if v} for one in (forgetting, first)]
    assert terms == [{"softmax": 1.0, "supcon": 1.0, "centre": 2.0}, {"softmax": 1.0, "supcon": 1.0}]
    assert [one.model.backbone.embedding_noise for one in (forgetting, first)] == [0.5, 0.1]
    assert [one.model.optimizer.lr for one in (forgetting, first)] == [1e-3, 2e-3]
    assert [list(one.model.frozen) for one in (forgetting, first)] == [[], []]


def test_the_network_is_that_of_the_comparison_of_methods() -> None:
    ours, theirs = recipe_of(variant("fine_tune_frozen")), variant("supcon_noise_centre_0.5", "forget")
    assert parts_of(ours) == parts_of(theirs)
    assert parts_of(recipe_of(ours)) == parts_of(recipe_of(theirs))


@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_frozen_stays_bit_for_bit_and_all_else_moves(name: str) -> None:
    cfg = variant(name)
    forgetting = instantiate(recipe_of(cfg).model, _convert_="all")
    check_targets(parts_of(cfg)["model"], name)
    net = instantiate(cfg.model, _convert_="all")
    assert net.start_from(forgetting.backbone) == []
    before = copy.deepcopy(net.backbone.state_dict())
    image = torch.randint(256, (6, 2, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    feature = net.layers(image, ["ip1"])["ip1"]
    _step(net, image)
    moved = {key.split(".")[1] for key, x in net.backbone.state_dict().items() if not torch.equal(x, before[key])}
    assert moved == {"conv1", "conv2", "ip1", "ip2"} - set(cfg.model.frozen)
    assert torch.equal(feature, net.layers(image, ["ip1"])["ip1"]) == ("ip1" in cfg.model.frozen)
    same = torch.equal(feature, forgetting.layers(image, ["ip1"])["ip1"])
    assert same == (cfg.model.backbone.embedding_norm is not None)  # length is what a variant keeps or drops


def _step(net: InvariantNet, image: torch.Tensor) -> None:
    """One training step on images of three classes."""
    index = torch.arange(12).view(6, 2)
    batch = Batch(image, torch.arange(6) // 2, index, index, {})
    optimizer = net.configure_optimizers()["optimizer"]
    for group in optimizer.param_groups:
        group["lr"] = 1e-3
    net.train().terms(net.layers(image, net._needed), batch)["loss"].backward()
    optimizer.step()
    net.eval()
