"""experiment=mnist_rot: which jobs, from which network, and by which adversary."""

from __future__ import annotations

import pytest
from hydra import compose
from hydra.utils import instantiate

from test_conf import composed, hydra, names, resolved

__all__ = ["hydra"]  # a fixture


def test_it_is_of_methods_that_there_are_at_ten_seeds() -> None:
    params = compose("train", overrides=["experiment=mnist_rot"], return_hydra_config=True).hydra.sweeper.params
    assert {name.strip() for name in params.method.split(",")} < set(names("method"))
    assert len(set(params.seed.split(","))) == 10


@pytest.mark.parametrize("method", ["adversary", "icl", "supcon_noise_centre_0.5_quantise_2"])
def test_a_method_starts_from_the_network_of_its_width_and_ends_with_the_adversary(method: str) -> None:
    own = ("hydra.sweep.dir=s", "seed=3", "model.backbone.embedding_dim=30")
    cfg = composed("experiment=mnist_rot", f"method={method}", *own)
    first = resolved(cfg)["recipes"]["init_from"]
    assert first["folder"] == "s/initial_width=30_seed=3"
    assert sorted(name for name, term in first["model"]["constraints"].items() if term) == ["softmax", "supcon"]
    module, data = (instantiate(cfg[part], _convert_="all") for part in ("model", "data"))
    module.connect(data.spec, cfg.views)  # method=adversary names five categories
    assert list(cfg.analysis) == ["adversary"] and cfg.transfer.name == "mnist_rot_unseen"


def test_no_constraint_of_a_method_is_left_in_the_network_that_all_start_from() -> None:
    cfg = composed("experiment=forget", "method=softmax", "hydra.sweep.dir=s")
    assert set(names("constraint")) <= set(cfg.recipes.init_from.model.constraints)
