"""The Siamese network of DeepFace: its distance, and which layers it trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from invariantnets.constraints import Siamese
from invariantnets.data import Batch
from invariantnets.errors import InvariantNetsError

CONF = Path(__file__).parents[2] / "conf"


def batch_of(label: list[int]) -> Batch:
    index = torch.arange(2 * len(label)).view(-1, 2)
    return Batch(torch.zeros(len(label), 2, 1, 1, 1), torch.tensor(label), index, index)


def test_it_learns_which_features_tell_people() -> None:
    """Half of the features are the person's, half are noise: the weights of the noise fall behind."""
    rng = torch.Generator().manual_seed(0)
    term = Siamese("F7", 16)
    optimizer = torch.optim.Adam(term.parameters(), lr=0.05)
    for _ in range(150):
        person = torch.rand(12, 1, 8, generator=rng).expand(-1, 2, -1)
        x = torch.cat([person, torch.rand(12, 2, 8, generator=rng)], 2)
        loss = term({"F7": x}, batch_of(list(range(12))))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert term.alpha[:8].min() > 2 * term.alpha[8:].abs().max() and loss < 0.5 * term.chance()
    assert set(term.state_dict()) == {"alpha", "bias"}


def test_a_layer_of_another_width_is_refused() -> None:
    with pytest.raises(InvariantNetsError, match=r"F7 has 5 features, not 16: set .*embedding_dim=5"):
        Siamese("F7", 16)({"F7": torch.ones(2, 2, 5)}, batch_of([0, 1]))


def test_the_experiment_trains_the_two_topmost_layers_and_nothing_else() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        overrides = ["experiment=siamese", "model.init_from=a.ckpt", "paths.output_dir=none", "paths.data_dir=none"]
        cfg = compose("train", overrides=overrides)
    model = instantiate(cfg.model, _convert_="all")
    trained = {name.rsplit(".", 1)[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"backbone.layers.F7.1", "constraints.siamese"}
    assert (cfg.views, cfg.pairs, cfg.data.views, cfg.data.pairs) == (2, "same_class", 2, "same_class")
