"""What is kept is kept beside what forgets, and not in it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from invariantnets.backbones import lenet
from invariantnets.constraints import Centre, Keep, Softmax, SupCon
from invariantnets.data import Batch, DataSpec
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance

ANGLE, LIGHT = Nuisance("angle", unit="°"), Nuisance("light", "categorical", categories=("dark", "dim", "bright"))
SPEC = DataSpec((1, 28, 28), 3, (ANGLE, LIGHT))


def batch_of(count: int, **nuisance: Tensor) -> Batch:
    index = torch.arange(count)[:, None]
    image = torch.randint(256, (count, 1, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(157))
    return Batch(image, torch.arange(count) % 3, index, index, {k: v[:, None] for k, v in nuisance.items()})


def keep(nuisance: str, outputs: int, width: int = 5, **changes: float) -> Keep:
    torch.manual_seed(158)
    term = Keep("kept", width, nuisance, outputs, **changes)
    term.connect(SPEC)
    return term


@pytest.mark.parametrize(("nuisance", "outputs", "chance"), [("angle", 1, 1.0), ("light", 3, math.log(3))])
def test_layer_and_line_learn_together_from_chance_to_nothing_lost(nuisance: str, outputs: int, chance: float) -> None:
    rng = torch.Generator().manual_seed(159)
    values = torch.randint(3, (300,), generator=rng).float()
    batch = batch_of(300, **{nuisance: values})
    inputs = torch.stack([values == code for code in range(3)], 1).float()
    term, layer = keep(nuisance, outputs), torch.nn.Linear(3, 5)
    term.prepare(None, lambda: [batch])
    for parameter in term.parameters():
        torch.nn.init.zeros_(parameter)
    assert term.chance() == pytest.approx(chance)
    assert term({"kept": layer(inputs)[:, None]}, batch).item() == pytest.approx(chance, rel=0.01)
    optimizer = torch.optim.Adam([*term.parameters(), *layer.parameters()], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        term.term({"kept": layer(inputs)[:, None]}, batch, step=0).backward()
        optimizer.step()
    assert term({"kept": layer(inputs)[:, None]}, batch).item() < 0.05 * chance


def test_no_half_has_a_gradient_of_the_other() -> None:
    torch.manual_seed(158)
    net = lenet(num_classes=3, embedding_dim=8, embedding_norm=8.0, embedding_noise=0.5, kept_dim=5)
    batch = batch_of(6, angle=torch.arange(6.0))
    term = keep("angle", 1)
    found = {name: x[:, None] for name, x in net.features(batch.image[:, 0], ["kept", "ip1", "noise", "ip2"]).items()}
    forget = SupCon("noise")(found, batch) + Centre("ip1")(found, batch) + Softmax("ip2", 3)(found, batch)
    for value, without in ((term(found, batch), {"ip1", "ip2"}), (forget, {"kept"})):
        net.zero_grad()
        value.backward(retain_graph=True)
        touched = {name.split(".")[1] for name, p in net.named_parameters() if p.grad is not None and p.grad.any()}
        assert touched == {"conv1", "conv2", "ip1", "ip2", "kept"} - without


def test_the_weight_is_of_layer_and_line_alike() -> None:
    batch = batch_of(6, angle=torch.arange(6.0))
    x = torch.randn(6, 1, 5, generator=torch.Generator().manual_seed(159))
    whole, half = keep("angle", 1), keep("angle", 1, weight=0.5, ramp=10)
    for step, share in ((5, 0.25), (10, 0.5), (None, 0.5)):
        assert half.term({"kept": x}, batch, step).item() == pytest.approx(share * whole({"kept": x}, batch).item())


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InvariantNetsError, match="Keep: light is categorical, encoded in 3 columns, not 1: set .*=3"):
        keep("light", 1)
    with pytest.raises(InvariantNetsError, match="Keep: the data have no nuisance 'yaw' but angle, light"):
        keep("yaw", 1)
    with pytest.raises(InvariantNetsError, match="kept is 7 wide: set model.constraints.<name>.embedding_dim=7"):
        keep("angle", 1)({"kept": torch.zeros(2, 1, 7)}, batch_of(2, angle=torch.ones(2)))
    with pytest.raises(InvariantNetsError, match="Keep: angle is the same for all training images; drop the term"):
        keep("angle", 1).prepare(None, lambda: [batch_of(4, angle=torch.ones(4))])
