"""What the constraints that forget promise: theorems about values and gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from invariantnets.backbones import LayeredBackbone, LearnedNoise, lenet
from invariantnets.constraints import (
    Adversary,
    Bottleneck,
    Centre,
    Constraint,
    Coral,
    Hsic,
    Mmd,
    Softmax,
    SupCon,
    VicReg,
)
from invariantnets.constraints.nuisance import encode, quantile_groups
from invariantnets.data import Batch, DataSpec
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance

ANGLE, HOUR = Nuisance("angle", unit="°"), Nuisance("hour", "circular")
LIGHT = Nuisance("light", "categorical", categories=("dark", "dim", "bright"))
GLASSES = Nuisance("glasses", "binary", categories=("no", "yes"))
SPEC = DataSpec((1, 2, 2), 4, (ANGLE, HOUR, LIGHT, GLASSES))


def make_batch(label: Tensor, **nuisance: Tensor) -> Batch:
    """One view of each sample; nothing but labels and nuisances is looked at."""
    column = torch.arange(len(label))[:, None]
    image = torch.zeros(len(label), 1, 1, 2, 2)
    return Batch(image, label, column, column, {name: values[:, None].float() for name, values in nuisance.items()})


def value(term: Constraint, x: Tensor, batch: Batch) -> float:
    """Of the constraint on the rows ``x``."""
    term.connect(SPEC)
    return float(term({"a": x[:, None]}, batch).detach())


def angles(n: int, seed: int) -> Tensor:
    return torch.randint(-3, 4, (n,), generator=torch.Generator().manual_seed(seed)) * 15.0


KNOWING = {
    "Hsic": lambda **given: Hsic("a", "angle", **given),
    "Hsic/linear": lambda **given: Hsic("a", "angle", kernel="linear", **given),
    "Mmd": lambda **given: Mmd("a", "angle", **given),
    "Coral": lambda **given: Coral("a", "angle", **given),
}
SCALE_FREE = {**KNOWING, "SupCon": lambda: SupCon("a"), "Centre": lambda: Centre("a")}


@pytest.mark.parametrize("make", SCALE_FREE.values(), ids=SCALE_FREE)
def test_no_term_falls_when_the_features_shrink(make) -> None:
    batch = make_batch(torch.arange(24) % 4, angle=angles(24, 0))
    x = torch.randn(24, 5, dtype=torch.float64, requires_grad=True)
    term = make()
    assert value(term, 1e-3 * x, batch) == pytest.approx(value(term, x, batch), rel=1e-6)
    (gradient,) = torch.autograd.grad(term({"a": x[:, None]}, batch), x)
    assert float((gradient * x.detach()).sum()) == pytest.approx(0, abs=1e-9) and gradient.abs().max() > 1e-6


@pytest.mark.parametrize("make", KNOWING.values(), ids=KNOWING)
def test_dependence_is_told_from_independence(make) -> None:
    rng = torch.Generator().manual_seed(1)
    angle, noise = angles(400, 2), torch.randn(400, 3, generator=rng)
    batch = make_batch(torch.zeros(400, dtype=torch.int64), angle=angle)
    dependent = noise * (1 + (angle[:, None] > 0)) + angle[:, None] / 15  # both mean and spread
    assert value(make(), dependent, batch) > 10 * value(make(), noise, batch)


@pytest.mark.parametrize("make", KNOWING.values(), ids=KNOWING)
def test_a_nuisance_that_goes_with_the_class_does_not_drag_it_along(make) -> None:
    rng = torch.Generator().manual_seed(1)
    label = torch.arange(1600) // 400
    angle = 15.0 * label + 5 * torch.randn(1600, generator=rng)
    x = torch.randn(1600, 3, generator=rng) * (1 + label[:, None]) + 4 * label[:, None]
    shuffled = torch.cat([part[torch.randperm(400, generator=rng)] for part in angle.split(400)])
    batch, chance = make_batch(label, angle=angle), make_batch(label, angle=shuffled)
    within = value(make(conditional=True), x, batch)
    assert within < 0.25 * value(make(), x, batch)
    assert within < 2 * value(make(conditional=True), x, chance)


def test_a_linear_kernel_does_not_see_what_a_gaussian_one_does() -> None:
    angle = angles(700, 3)
    x = torch.stack([(angle / 15) ** 2, torch.randn(700, generator=torch.Generator().manual_seed(0))], 1)
    batch = make_batch(torch.zeros(700, dtype=torch.int64), angle=angle)
    shuffled = make_batch(batch.label, angle=angle[torch.randperm(700, generator=torch.Generator().manual_seed(0))])
    assert value(Hsic("a", "angle"), x, batch) > 20 * value(Hsic("a", "angle"), x, shuffled)
    assert value(Hsic("a", "angle", "linear"), x, batch) < 0.02


def test_supcon_is_least_for_one_direction_per_class() -> None:
    label = torch.arange(40) % 4
    batch = make_batch(label)
    best = value(SupCon("a", 0.1), torch.eye(4)[label], batch)
    assert best == pytest.approx(math.log(9 + 30 * math.exp(-10)), rel=1e-5)
    assert value(SupCon("a", 0.1), torch.eye(4)[label] + 0.3 * torch.randn(40, 4), batch) > best


def test_centre_is_between_its_extremes() -> None:
    label = torch.arange(40) % 4
    batch = make_batch(label)
    assert value(Centre("a"), 3 * torch.eye(4)[label] + 1, batch) == pytest.approx(0, abs=1e-6)
    assert value(Centre("a"), torch.ones(40, 4), batch) == 0
    assert value(Centre("a"), torch.randn(40, 4), make_batch(torch.zeros(40))) == pytest.approx(1)


def test_vicreg_asks_for_features_that_vary_and_differ() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.linalg.qr(torch.randn(50, 4, generator=rng) - 0.0)[0]
    x = torch.linalg.qr(x - x.mean(0))[0] * 50**0.5  # uncorrelated, of variance 50 / 49
    batch = make_batch(torch.zeros(50))
    assert value(VicReg("a"), x, batch) == pytest.approx(0, abs=1e-6)
    assert value(VicReg("a", covariance=0), 0 * x, batch) == pytest.approx(1 - 1e-2)
    same = x[:, :1].expand(-1, 4)
    assert value(VicReg("a", variance=0, covariance=1.0), same, batch) == pytest.approx(3 * (50 / 49) ** 2, rel=1e-4)


@pytest.mark.parametrize("nuisance", [ANGLE, HOUR, LIGHT, GLASSES], ids=lambda nuisance: nuisance.kind)
def test_tensors_are_encoded_like_arrays(nuisance: Nuisance) -> None:
    values = torch.tensor([0.0, 1.0, 1.0]) if nuisance.categories else torch.tensor([-400.0, 12.5, 0.0])
    assert encode(nuisance, values).numpy() == pytest.approx(nuisance.encode(values.numpy()), abs=1e-6)


@pytest.mark.parametrize("groups", [2, 4, 7])
def test_quantile_groups(groups: int) -> None:
    rng = torch.Generator().manual_seed(0)
    strata = torch.arange(1000) % 3
    values = torch.randperm(1000, generator=rng) + 5000.0 * strata
    for codes in (quantile_groups(values, strata, groups)[strata == s] for s in range(3)):
        assert np.ptp(codes.bincount(minlength=groups).numpy()) <= 1 and len(codes.unique()) == groups
    repeated = angles(200, 0)
    codes = quantile_groups(repeated, torch.zeros(200), groups)
    assert all(len(codes[repeated == angle].unique()) == 1 for angle in repeated.unique())
    assert (codes[repeated.argsort()].diff() >= 0).all() and codes.max() == groups - 1


def test_an_unknown_nuisance_is_refused_with_the_known_ones() -> None:
    term = Hsic("a", "yaw")
    message = "Hsic: the data have no nuisance 'yaw' but angle, hour, light, glasses: set model.constraints.<name>"
    with pytest.raises(InvariantNetsError, match=message):
        term.connect(SPEC)
    with pytest.raises(InvariantNetsError, match="no nuisance 'yaw' but none"):
        term.connect(DataSpec((1, 2, 2), 4))
    with pytest.raises(InvariantNetsError, match="Hsic: call connect"):
        term.described()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SupCon("a", temperature=0), "temperature=0 must be positive"),
        (lambda: Hsic("a", "angle", kernel="cubic"), "kernel='cubic'; choose rbf or linear"),
        (lambda: Mmd("a", "angle", groups=1), "groups=1: there must be two"),
        (lambda: Softmax("a", 3, ramp=-1), "ramp=-1 is negative"),
    ],
)
def test_impossible_arguments_are_refused(make, message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        make()


def test_the_weight_rises_linearly_and_is_whole_in_validation() -> None:
    term = Centre("a", weight=2.0, ramp=4)
    assert [term.weight_at(step) for step in range(6)] == [0, 0.5, 1, 1.5, 2, 2] and term.weight_at(None) == 2
    assert [Centre("a", weight=2.0).weight_at(step) for step in (0, 1, None)] == [2, 2, 2]
    batch, x = make_batch(torch.arange(8) % 4), {"a": torch.randn(8, 1, 3)}
    assert term.term(x, batch, 1).item() == pytest.approx(0.25 * term.term(x, batch).item())


# The adversary ---------------------------------------------------------------------------------------------


def adversary(nuisance: Nuisance, outputs: int, **changes: object) -> Adversary:
    torch.manual_seed(0)
    term = Adversary("a", 3, nuisance.name, outputs, hidden=16, **changes)
    term.connect(SPEC)
    return term


@pytest.mark.parametrize(("nuisance", "outputs"), [(ANGLE, 1), (HOUR, 2), (LIGHT, 3), (GLASSES, 2)])
def test_the_adversary_learns_what_the_features_hold(nuisance: Nuisance, outputs: int) -> None:
    rng = torch.Generator().manual_seed(0)
    values = (
        torch.randint(outputs, (200,), generator=rng) if nuisance.categories else 90 * torch.rand(200, generator=rng)
    )
    batch = make_batch(torch.zeros(200), **{nuisance.name: values})
    x = torch.cat([encode(nuisance, values.float()), torch.zeros(200, 2)], 1)[:, :3]
    x = (x - x.mean(0)) / x.std(0).clamp(min=1e-3)
    term = adversary(nuisance, outputs)
    term.prepare(None, lambda: [batch])
    chance = math.log(outputs) if nuisance.categories else 1.0
    assert term({"a": 0 * x[:, None]}, batch).item() == pytest.approx(chance, rel=0.1)
    optimizer = torch.optim.Adam(term.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        term.term({"a": x[:, None]}, batch, step=0).backward()
        optimizer.step()
    assert term({"a": x[:, None]}, batch).item() < 0.1 * chance


def test_the_adversary_learns_at_full_rate_whatever_its_weight() -> None:
    batch = make_batch(torch.zeros(6), angle=angles(6, 0) / 15)
    x = torch.randn(6, 1, 3, requires_grad=True)
    found = {}
    for weight in (1.0, 0.25):
        term = adversary(ANGLE, 1, weight=weight, ramp=10)
        for step in (0, 5, 20):
            gradients = torch.autograd.grad(term.term({"a": x}, batch, step), [x, *term.parameters()])
            found[weight * min(step / 10, 1)] = gradients
    whole = found.pop(1.0)
    for strength, gradients in found.items():
        torch.testing.assert_close(gradients[0], strength * whole[0])
        assert all(torch.equal(a, b) for a, b in zip(gradients[1:], whole[1:], strict=True))


def test_in_validation_reading_better_than_chance_is_what_counts() -> None:
    batch, x = make_batch(torch.zeros(6), angle=angles(6, 0) / 15), torch.randn(6, 1, 3)
    term = adversary(ANGLE, 1, weight=0.5).eval()
    term.mean.copy_(batch.nuisance["angle"].mean())
    for parameter in term.parameters():
        torch.nn.init.zeros_(parameter)
    term.scale.copy_(2 * batch.nuisance["angle"].std(correction=0))  # the loss is then 1/4
    assert term.term({"a": x}, batch).item() == pytest.approx(0.5 * (1 - 0.25), rel=1e-5)
    term.scale.copy_(0.5 * batch.nuisance["angle"].std(correction=0))  # and 4
    assert term.term({"a": x}, batch).item() == 0


def test_targets_are_standardised_over_the_training_images() -> None:
    term = adversary(ANGLE, 1)
    first, second = angles(30, 0), angles(20, 1)
    batches = [make_batch(torch.zeros(len(a)), angle=a) for a in (first, second)]
    term.prepare(None, lambda: batches)
    values = torch.cat([first, second])
    assert (term.mean.item(), term.scale.item()) == pytest.approx(
        (values.mean().item(), values.std(correction=0).item())
    )
    with pytest.raises(InvariantNetsError, match="angle is the same for all training images"):
        term.prepare(None, lambda: [make_batch(torch.zeros(4), angle=torch.ones(4))])


def test_an_adversary_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InvariantNetsError, match="light is categorical, encoded in 3 columns, not 1: set .*outputs=3"):
        adversary(LIGHT, 1)
    batch = make_batch(torch.zeros(2), angle=torch.ones(2))
    with pytest.raises(InvariantNetsError, match="a is 7 wide: set model.constraints.<name>.embedding_dim=7"):
        adversary(ANGLE, 1)({"a": torch.zeros(2, 1, 7)}, batch)


def bottleneck(width: int, sigma: float, conditional: bool) -> tuple[Bottleneck, LearnedNoise]:
    noise, term = LearnedNoise(width, sigma), Bottleneck("a", conditional)
    term.bind(LayeredBackbone({"a": torch.nn.Sequential(noise)}, "a", "a"))
    return term, noise


@pytest.mark.parametrize("conditional", [False, True])
def test_a_bottleneck_charges_the_capacity_of_its_channel(conditional: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    label = torch.arange(20_000) % 4
    z = torch.randn(20_000, 3, generator=rng) * torch.tensor([1.0, 2.0, 0.0]) + 5.0 * label[:, None]
    within = torch.tensor([1.0, 4.0, 0.0])
    power = within if conditional else within + 25 * torch.tensor([0.0, 1, 2, 3]).var(correction=0)
    capacity = 0.5 * (1 + power / 0.5**2).log().sum()  # Shannon's, of a Gaussian signal in Gaussian noise
    term, noise = bottleneck(3, 0.5, conditional)
    batch = make_batch(label)
    assert value(term.train(), noise.train()(z), batch) == pytest.approx(capacity.item(), rel=0.02)
    assert value(term.eval(), z, batch) == pytest.approx(capacity.item(), rel=0.02)
    assert list(term.parameters()) == []  # the noise stays the network's


def test_no_bottleneck_is_passed_by_shrinking_and_more_noise_costs_less() -> None:
    term, noise = bottleneck(3, 0.5, False)
    z, batch = torch.randn(60, 3), make_batch(torch.arange(60) % 4)
    before = value(term.eval(), z, batch)
    with torch.no_grad():
        noise.log_sigma += math.log(0.01)
    assert value(term, 0.01 * z, batch) == pytest.approx(before, rel=1e-4)
    (gradient,) = torch.autograd.grad(term({"a": z[:, None]}, batch), noise.log_sigma)
    assert (gradient < 0).all()


def test_a_bottleneck_needs_noise_that_is_learned() -> None:
    for net, layer in ((lenet(embedding_noise=0.5), "noise"), (lenet(), "input")):
        with pytest.raises(InvariantNetsError, match=f"Bottleneck: {layer} has no noise that is learned: set model"):
            Bottleneck(layer).bind(net)


@pytest.mark.parametrize("name", [*KNOWING, "Adversary"])
def test_a_nuisance_that_is_unknown_for_some_is_refused_by_name(name: str) -> None:
    values = torch.where(torch.arange(12) == 3, torch.nan, angles(12, 0))
    term = adversary(ANGLE, 1) if name == "Adversary" else KNOWING[name]()
    with pytest.raises(InvariantNetsError, match="the nuisance 'angle' is unknown for some images; fill it"):
        value(term, torch.randn(12, 3), make_batch(torch.zeros(12), angle=values))
