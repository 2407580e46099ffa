"""Attributes of which few images show one: what weights make of them, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from invariantnets.constraints import Hsic, Moon
from invariantnets.constraints.moon import balancing_weights
from invariantnets.data import Bank, BankedImages, Batch, DataSpec, Jitter
from invariantnets.data.jitter import jittered
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance
from invariantnets.randomness import numpy_rng

HAT, SCARF = (Nuisance(name, "binary", categories=("no", "yes")) for name in ("hat", "scarf"))
SPEC = DataSpec((3, 8, 8), 2, (Nuisance("yaw", unit="°"), HAT, SCARF))


def batch_of(**nuisance: Tensor) -> Batch:
    count = len(next(iter(nuisance.values())))
    index = torch.arange(count)[:, None]
    columns = {name: values[:, None].float() for name, values in nuisance.items()}
    return Batch(torch.zeros(count, 1, 3, 8, 8), index[:, 0], index, index, columns)


@pytest.mark.parametrize("target", [0.5, 0.05, 0.9])
def test_what_counts_has_the_share_that_is_asked_for(target: float) -> None:
    share = torch.tensor([0.001, 0.05, 0.3, 0.5, target, 0.97], dtype=torch.float64)
    without, having = balancing_weights(share, target)
    expected = share * having / (share * having + (1 - share) * without)
    assert (expected - target).abs().max() < 1e-12
    assert torch.maximum(without, having).tolist() == pytest.approx([1] * 6, abs=1e-12)  # none counts more than once
    if target == 0.5:  # as the paper has it: the rarer side counts 1, the other the ratio of their shares
        minority = torch.minimum(share, 1 - share)
        assert torch.minimum(without, having).numpy() == pytest.approx((minority / (1 - minority)).numpy(), abs=1e-12)


def features_of(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """A hat that 5 % wear, two s.d. from the others along one of eight features."""
    rng = torch.Generator().manual_seed(seed)
    hat = torch.rand(count, generator=rng) < 0.05
    x = torch.randn(count, 8, generator=rng)
    x[:, 0] += 2 * hat
    return x, hat


def errors(loss: str, target: float | None) -> tuple[float, float]:
    """Of new images: hats that are missed, and those seen in vain, once the line has been learned."""
    x, hat = features_of(4000, 1)
    torch.manual_seed(2)
    term = Moon("F7", 8, ["hat"], loss, target)
    batch = batch_of(hat=hat)
    term.prepare(None, lambda: [batch])
    optimizer = torch.optim.LBFGS(term.parameters(), max_iter=60)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = term({"F7": x[:, None]}, batch)
        value.backward()
        return value

    optimizer.step(closure)
    assert term({"F7": x[:, None]}, batch).item() < term.chance()
    new, truth = features_of(20000, 3)
    said = term.scores(new)[:, 0] > 0
    return float((~said)[truth].float().mean()), float(said[~truth].float().mean())


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_a_rare_attribute_is_not_missed_more_than_it_is_seen_in_vain(loss: str) -> None:
    plain, balanced = errors(loss, None), errors(loss, 0.5)
    assert plain[0] > 0.6 and plain[1] < 0.02, "it pays to say no"
    assert abs(balanced[0] - balanced[1]) <= abs(plain[0] - plain[1]) / 4
    assert sum(balanced) < sum(plain)


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
@pytest.mark.parametrize("target", [None, 0.5, 0.2])
def test_chance_is_the_least_that_constant_answers_reach(loss: str, target: float | None) -> None:
    hat, scarf = torch.arange(200) % 20 == 0, torch.arange(200) % 3 > 0
    batch = batch_of(hat=hat, scarf=scarf)
    term = Moon("F7", 2, ["hat", "scarf"], loss, target)
    term.prepare(None, lambda: [batch, batch])
    assert term.share.tolist() == pytest.approx([0.05, scarf.float().mean().item()])
    torch.nn.init.zeros_(term.head.weight)
    tried = []
    for constant in np.linspace(-4, 4, 801):
        torch.nn.init.constant_(term.head.bias, constant)
        scores = term.scores(torch.zeros(200, 2))
        margin = torch.where(torch.stack([hat, scarf], 1), scores, -scores)
        each = (1 - margin).square() if loss == "squared" else (1 + (-margin).exp()).log()
        weight = torch.where(torch.stack([hat, scarf], 1), term.counts()[1], term.counts()[0])
        tried.append((weight * each).mean(0))
    assert term.chance() == pytest.approx(torch.stack(tried).min(0).values.mean().item(), rel=1e-3)
    if target == 0.5:
        torch.nn.init.zeros_(term.head.bias)
        value = term({"F7": torch.zeros(200, 1, 2)}, batch).item()
        assert value == pytest.approx(term.chance()), "balanced, the best constant answer is the boundary"


def test_an_unknown_answer_does_not_count() -> None:
    x = torch.randn(4, 1, 3, generator=torch.Generator().manual_seed(5), requires_grad=True)
    torch.manual_seed(6)
    term = Moon("F7", 3, ["hat"])
    whole = batch_of(hat=torch.tensor([1.0, 0.0, math.nan, math.nan]))
    value = term({"F7": x}, whole)
    value.backward()
    assert x.grad is not None and x.grad[2:].abs().max() == 0 < x.grad[:2].abs().min()
    assert value.item() == pytest.approx(term({"F7": x[:2]}, batch_of(hat=torch.tensor([1.0, 0.0]))).item())
    assert term({"F7": x[2:]}, batch_of(hat=torch.full((2,), math.nan))).item() == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"attributes": []}, r"Moon: name the attributes, each once: .*attributes=\[glasses,hat\]; .*got \[\]"),
        ({"attributes": None}, "Moon: name the attributes"),
        ({"attributes": ["hat", "hat"]}, "each once"),
        ({"loss": "hinge"}, "Moon: loss=hinge: choose squared or cross_entropy"),
        ({"target_share": 1.0}, "Moon: target_share=1.0: give a share above 0 and below 1, or null"),
        ({"attributes": ["hat", "Hat"]}, r"Moon: 'Hat' is no attribute of yes and no of these data; .* \[hat,scarf\]"),
        ({"attributes": ["yaw"]}, "Moon: 'yaw' is no attribute of yes and no"),
        ({"embedding_dim": 7}, "Moon: F7 is 3 wide: set model.constraints.<name>.embedding_dim=3"),
    ],
)
def test_what_cannot_be_is_refused(change: dict, said: str) -> None:
    with pytest.raises(InvariantNetsError, match=said):
        term = Moon(**{"layer": "F7", "embedding_dim": 3, "attributes": ["hat"], **change})
        term.connect(SPEC)
        term({"F7": torch.zeros(2, 1, 3)}, batch_of(hat=torch.tensor([0.0, 1.0])))


def test_data_without_attributes_and_an_attribute_of_one_value_are_refused() -> None:
    term = Moon("F7", 3, ["hat", "scarf"])
    with pytest.raises(InvariantNetsError, match="Moon: these data have no attribute of yes and no"):
        term.connect(DataSpec((1, 2, 2), 2, (Nuisance("angle"),)))
    batch = batch_of(hat=torch.ones(4), scarf=torch.tensor([0.0, 1.0, 1.0, math.nan]))
    with pytest.raises(InvariantNetsError, match="training images with and without hat are needed, and all are alike"):
        term.prepare(None, lambda: [batch])
    with pytest.raises(InvariantNetsError, match="training images with and without hat, scarf"):
        term.prepare(None, lambda: [batch_of(hat=torch.zeros(2), scarf=torch.full((2,), math.nan))])


def test_what_jitter_changed_is_no_longer_told() -> None:
    batch = batch_of(scarf=torch.ones(4))
    with pytest.raises(InvariantNetsError, match="Moon: the jitter of training pictures changes their 'hat'"):
        Moon("F7", 3, ["hat"])({"F7": torch.zeros(4, 1, 3)}, batch)
    term = Hsic("F7", "yaw")
    term.connect(SPEC)
    with pytest.raises(InvariantNetsError, match="Hsic: the jitter of training pictures changes their 'yaw'"):
        term({"F7": torch.zeros(4, 1, 3)}, batch)


class Spots(BankedImages):
    """Noise, and on half of the pictures ("hat") a bright spot, always in one place."""

    def __init__(self, **stream) -> None:
        super().__init__(DataSpec((1, 24, 24), 2, (HAT,)), **stream)

    def load(self) -> str:
        return "made"

    def make_bank(self, split: str) -> Bank:
        rng = torch.Generator().manual_seed(8 + len(split))
        hat = torch.rand(600, generator=rng) < 0.5
        image = 80 + 12 * torch.randn(600, 1, 1, 24, 24, generator=rng)
        image[hat, ..., 5:8, 13:16] += 110
        return Bank(image.clamp(0, 255).to(torch.uint8), hat.long(), {"hat": hat.float()[:, None]})


def told_rightly(jitter: Jitter | None) -> tuple[float, float]:
    """Of test pictures as they are, and in boxes turned by up to 20° and off by up to 10 %; after 150 steps."""
    data = Spots(batch_size=32, epoch_batches=150, jitter=jitter)
    torch.manual_seed(9)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(800, 32),
        torch.nn.ReLU(),
    )  # fmt: skip
    term = Moon("F7", 32, ["hat"])
    term.prepare(None, lambda: data.loader("train"))
    optimizer = torch.optim.Adam([*net.parameters(), *term.parameters()], lr=3e-3)
    for batch in data.train_dataloader():
        optimizer.zero_grad()
        term({"F7": net(batch.image[:, 0] / 255)[:, None]}, batch).backward()
        optimizer.step()
    test = data.bank("test")
    whole, rng = test.image[:, 0], numpy_rng(10)
    off = np.zeros((len(whole), 7), np.float32)
    off[:, 0], off[:, 1] = np.log2(rng.uniform(0.9, 1.1, len(whole))), rng.uniform(-20, 20, len(whole))
    off[:, 2:4] = rng.uniform(-0.1, 0.1, (len(whole), 2))
    yes = test.label == 1
    with torch.no_grad():
        said = [term.scores(net(x / 255))[:, 0] > 0 for x in (whole, jittered(whole, torch.from_numpy(off)))]
    as_is, boxes = (float((answer == yes).float().mean()) for answer in said)
    return as_is, boxes


def test_jitter_makes_up_for_boxes_that_are_off() -> None:
    still, moved = told_rightly(None)
    still_jittered, moved_jittered = told_rightly(Jitter())
    assert still > 0.98 and still_jittered > 0.95
    assert still - moved > 0.08 and still_jittered - moved_jittered <= (still - moved) / 4
