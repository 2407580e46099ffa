from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pytest
import torch
from slow_references import (
    Reference,
    slow_adversary,
    slow_bottleneck,
    slow_centre,
    slow_coral,
    slow_hsic,
    slow_icl,
    slow_keep,
    slow_mean_activation,
    slow_mmd,
    slow_moon,
    slow_pair,
    slow_pair_batch,
    slow_siamese,
    slow_softmax,
    slow_supcon,
    slow_vicreg,
)
from torch import Tensor

from invariantnets import constraints
from invariantnets.backbones import LayeredBackbone, LearnedNoise
from invariantnets.constraints import (
    Adversary,
    Bottleneck,
    Centre,
    Constraint,
    Coral,
    Hsic,
    Icl,
    Keep,
    MeanActivation,
    Mmd,
    Moon,
    Pair,
    PairBatch,
    Siamese,
    Softmax,
    SupCon,
    VicReg,
)
from invariantnets.constraints.adversary import scale_gradient
from invariantnets.data import Batch, DataSpec
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance

CLASSES, WIDTH = 4, 6
ANGLE, HOUR = Nuisance("angle", unit="°"), Nuisance("hour", "circular")
LIGHT = Nuisance("light", "categorical", categories=("dark", "dim", "bright"))
HAT, GLASSES = (Nuisance(name, "binary", categories=("no", "yes")) for name in ("hat", "glasses"))
SPEC = DataSpec((1, 2, 2), CLASSES, (ANGLE, HOUR, LIGHT, HAT, GLASSES))
SHAPES = {"conv": (3, 5, 5), "ip1": (WIDTH,), "ip2": (CLASSES,)}


def make_batch(label: Iterable[int], views: int, seed: int = 0) -> tuple[dict[str, Tensor], Batch]:
    """Random activations of every layer, with gradients, and the batch they belong to."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.tensor(list(label))
    layers = {k: torch.randn(len(labels), views, *s, generator=rng, requires_grad=True) for k, s in SHAPES.items()}
    index = torch.arange(len(labels) * views).view(-1, views)
    nuisance = {
        "angle": torch.randint(-3, 4, index.shape, generator=rng) * 15.0,  # seven values, as in Rudd et al. (2016)
        "hour": torch.rand(index.shape, generator=rng) * 720 - 360,
        "light": torch.randint(3, index.shape, generator=rng).float(),
        "hat": torch.randint(2, index.shape, generator=rng).float(),
        "glasses": torch.randint(2, index.shape, generator=rng).float(),
    }
    return layers, Batch(torch.zeros(len(labels), views, 1, 2, 2), labels, index, index // views, nuisance)


def mean_activation(weight: float = 1.0) -> MeanActivation:
    term = MeanActivation("ip1", WIDTH, CLASSES, weight)
    term.targets.copy_(torch.rand(CLASSES, WIDTH, generator=torch.Generator().manual_seed(1)))
    return term


def adversary(nuisance: Nuisance, weight: float = 1.0) -> Adversary:
    outputs = nuisance.encode(np.zeros(1)).shape[1]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        term = Adversary("ip1", WIDTH, nuisance.name, outputs, hidden=5, weight=weight)
    if not nuisance.categories:
        term.mean.fill_(0.25)
        term.scale.fill_(1.5)
    term.connect(SPEC)
    return term


def keep(nuisance: Nuisance, weight: float = 1.0) -> Keep:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        term = Keep("ip1", WIDTH, nuisance.name, nuisance.encode(np.zeros(1)).shape[1], weight=weight)
    if not nuisance.categories:
        term.mean.fill_(0.25)
        term.scale.fill_(1.5)
    term.connect(SPEC)
    return term


SHARES = (0.05, 0.75)  # of hats and glasses


def moon(loss: str, target: float | None, weight: float = 1.0) -> Moon:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        term = Moon("ip1", WIDTH, ["hat", "glasses"], loss, target, weight=weight)
    term.share.copy_(torch.tensor(SHARES))
    term.connect(SPEC)
    return term


def bottleneck(conditional: bool, weight: float = 1.0) -> Bottleneck:
    """Bound to a network whose noise has σ 0.5."""
    term = Bottleneck("ip1", conditional, weight)
    term.bind(LayeredBackbone({"ip1": LearnedNoise(WIDTH, 0.5)}, "ip1", "ip1"))
    return term


def known(kind: type[Hsic] | type[Icl] | type[Mmd] | type[Coral], nuisance: Nuisance, **changes: object) -> Constraint:
    """A constraint on ip1 that has been told what the nuisance is."""
    term = kind("ip1", nuisance.name, **changes)
    term.connect(SPEC)
    return term


def siamese(weight: float = 1.0) -> Siamese:
    term = Siamese("ip1", WIDTH, weight=weight)
    term.alpha.data = torch.randn(WIDTH, generator=torch.Generator().manual_seed(1))
    term.bias.data.fill_(0.7)
    return term


class Row(NamedTuple):
    """How a constraint of a weight is made, its layers and least views, its reference, whether it is an adversary."""

    make: Callable[[float], Constraint]
    layers: tuple[str, ...]
    views: int
    reference: Reference
    reverses: bool = False

    def value(self, layers: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The constraint of weight 1, given the layers it asks for and no other."""
        return self.make(1.0)({name: layers[name] for name in self.layers}, batch)


def row_of_hsic(nuisance: Nuisance, kernel: str, conditional: bool) -> Row:
    make = lambda w: known(Hsic, nuisance, kernel=kernel, conditional=conditional, weight=w)  # noqa: E731
    return Row(make, ("ip1",), 1, slow_hsic(nuisance, kernel, conditional))


def row_of_icl(nuisance: Nuisance, conditional: bool) -> Row:
    make = lambda w: known(Icl, nuisance, conditional=conditional, weight=w)  # noqa: E731
    return Row(make, ("ip1",), 1, slow_icl(nuisance, conditional))


def row_of_groups(kind: type[Mmd] | type[Coral], nuisance: Nuisance, conditional: bool) -> Row:
    slow = slow_mmd if kind is Mmd else slow_coral
    make = lambda w: known(kind, nuisance, conditional=conditional, weight=w)  # noqa: E731
    return Row(make, ("ip1",), 1, slow(nuisance, conditional))


def row_of_adversary(nuisance: Nuisance) -> Row:
    slow = slow_adversary(nuisance, adversary(nuisance).head, 0.25, 1.5)
    return Row(lambda w: adversary(nuisance, w), ("ip1",), 1, slow, reverses=True)


def row_of_keep(nuisance: Nuisance) -> Row:
    return Row(lambda w: keep(nuisance, w), ("ip1",), 1, slow_keep(nuisance, keep(nuisance).head, 0.25, 1.5))


def row_of_moon(loss: str, target: float | None) -> Row:
    slow = slow_moon(moon(loss, target).head, loss, SHARES, target)
    return Row(lambda w: moon(loss, target, w), ("ip1",), 1, slow)


WEIGHTS = {"conv": 2.0, "ip1": 0.5, "ip2": 0.0}
TABLE = {  # a new constraint is one more row; what follows a slash is a variant
    "Softmax": Row(lambda w: Softmax("ip2", CLASSES, w), ("ip2",), 1, slow_softmax),
    "Pair": Row(lambda w: Pair(WEIGHTS, w), ("conv", "ip1"), 2, slow_pair),
    "PairBatch": Row(lambda w: PairBatch(WEIGHTS, w), ("conv", "ip1"), 1, slow_pair_batch),
    "MeanActivation": Row(mean_activation, ("ip1",), 1, slow_mean_activation(mean_activation().targets)),
    "SupCon": Row(lambda w: SupCon("ip1", weight=w), ("ip1",), 1, slow_supcon),
    "Siamese": Row(siamese, ("ip1",), 1, slow_siamese(siamese().alpha, 0.7)),
    "Bottleneck": Row(lambda w: bottleneck(False, w), ("ip1",), 1, slow_bottleneck(0.5, False)),
    "Bottleneck/conditional": Row(lambda w: bottleneck(True, w), ("ip1",), 1, slow_bottleneck(0.5, True)),
    "Centre": Row(lambda w: Centre("ip1", w), ("ip1",), 1, slow_centre),
    "VicReg": Row(lambda w: VicReg("ip1", weight=w), ("ip1",), 1, slow_vicreg),
    "Hsic/rbf": row_of_hsic(ANGLE, "rbf", False),
    "Hsic/conditional": row_of_hsic(HOUR, "rbf", True),
    "Hsic/linear": row_of_hsic(LIGHT, "linear", False),
    "Hsic/linear conditional": row_of_hsic(ANGLE, "linear", True),
    "Icl/categorical": row_of_icl(LIGHT, False),
    "Icl/categorical conditional": row_of_icl(LIGHT, True),
    "Icl/continuous": row_of_icl(ANGLE, False),
    "Icl/circular conditional": row_of_icl(HOUR, True),
    "Mmd": row_of_groups(Mmd, ANGLE, False),
    "Mmd/conditional": row_of_groups(Mmd, LIGHT, True),
    "Coral": row_of_groups(Coral, HOUR, False),
    "Coral/conditional": row_of_groups(Coral, ANGLE, True),
    "Adversary/continuous": row_of_adversary(ANGLE),
    "Adversary/circular": row_of_adversary(HOUR),
    "Adversary/categorical": row_of_adversary(LIGHT),
    "Keep/continuous": row_of_keep(ANGLE),
    "Keep/circular": row_of_keep(HOUR),
    "Keep/categorical": row_of_keep(LIGHT),
    "Moon/balanced": row_of_moon("squared", 0.5),
    "Moon/other shares": row_of_moon("cross_entropy", 0.2),
    "Moon/as they are": row_of_moon("squared", None),
}


@pytest.fixture(params=TABLE.values(), ids=TABLE)
def row(request: pytest.FixtureRequest) -> Row:
    return request.param


def test_the_table_is_complete() -> None:
    assert {name.split("/")[0] for name in TABLE} == set(constraints.__all__) - {"Constraint"}


@pytest.mark.parametrize("views", [2, 5])
def test_agrees_with_the_slow_reference(row: Row, views: int) -> None:
    layers, batch = make_batch([0, 2, 0, 1, 3, 2, 0, 3], views)
    value = row.value(layers, batch)
    assert value.shape == () and value.dtype == torch.float32
    assert value.item() == pytest.approx(row.reference(layers, batch), rel=1e-5)


def test_asks_for_its_layers_and_views(row: Row) -> None:
    term = row.make(3.0)
    assert (term.layers, term.views, term.weight) == (row.layers, row.views, 3.0)


@pytest.mark.parametrize("label", [[0, 1, 0, 1], [0, 1, 2, 3], [2], [1, 1, 1]], ids=str)
@pytest.mark.parametrize("views", [1, 2, 5])
def test_is_finite_and_differentiable(row: Row, label: list[int], views: int) -> None:
    layers, batch = make_batch(label, views)
    value = row.value(layers, batch)
    value.backward()
    assert value.isfinite() and value >= 0
    for name, x in layers.items():
        assert (x.grad is not None) == (name in row.layers)
        assert x.grad is None or x.grad.isfinite().all()


def test_gradients_agree_with_finite_differences(row: Row) -> None:
    layers, batch = make_batch([0, 1, 0], 3)
    term = row.make(1.0).double()
    inputs = [layers[name].detach().double().requires_grad_() for name in row.layers]

    def value(*x: Tensor) -> Tensor:
        honest = [scale_gradient(one, -1.0) for one in x] if row.reverses else x  # reversed twice
        return term(dict(zip(row.layers, honest, strict=True)), batch)

    assert torch.autograd.gradcheck(value, inputs, fast_mode=True)


def test_a_negative_weight_is_refused(row: Row) -> None:
    with pytest.raises(InvariantNetsError, match="weight=-1.0 is negative"):
        row.make(-1.0)


def test_chance_is_a_positive_number_or_nothing(row: Row) -> None:
    chance = row.make(1.0).chance()
    assert chance is None or chance > 0


def test_the_state_holds_all_that_was_prepared(row: Row) -> None:
    layers, batch = make_batch([0, 1, 0], 2)
    wanted = {name: layers[name] for name in row.layers}
    first, second = row.make(1.0), row.make(1.0)
    for buffer in second.buffers():
        buffer.fill_(math.nan)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(wanted, batch), second(wanted, batch))


# Softmax ---------------------------------------------------------------------------------------------------


def test_softmax_sees_the_first_view_in_training_and_all_in_evaluation() -> None:
    layers, batch = make_batch([0, 1, 3], 4)
    term = Softmax("ip2", CLASSES)
    first = {"ip2": layers["ip2"][:, :1]}
    assert term(layers, batch).item() == pytest.approx(slow_softmax(first, batch))
    views = [slow_softmax({"ip2": layers["ip2"][:, v : v + 1]}, batch) for v in range(4)]
    assert term.eval()(layers, batch).item() == pytest.approx(np.mean(views))


def test_softmax_chance_is_the_loss_of_equal_scores() -> None:
    _, batch = make_batch([0, 1, 3], 1)
    term = Softmax("ip2", CLASSES)
    assert term.chance() == pytest.approx(math.log(CLASSES))
    assert term({"ip2": torch.zeros(3, 1, CLASSES)}, batch).item() == pytest.approx(term.chance())


# Pair and PairBatch ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Pair, PairBatch])
def test_layers_of_weight_zero_are_dropped(kind: type[Pair] | type[PairBatch]) -> None:
    assert kind({"conv": 0, "ip1": 1, "ip2": 0.0}).layers == ("ip1",)
    with pytest.raises(InvariantNetsError, match=f"{kind.__name__}: every layer has weight 0"):
        kind({"conv": 0, "ip1": 0.0})
    with pytest.raises(InvariantNetsError, match=f"{kind.__name__}: every layer has weight 0"):
        kind({})
    with pytest.raises(InvariantNetsError, match=f"{kind.__name__}: weights must not be negative"):
        kind({"conv": 1, "ip1": -0.1})


@pytest.mark.parametrize("views", [2, 5])
def test_pair_weights_mean_the_same_at_every_layer_size(views: int) -> None:
    _, batch = make_batch([0, 1], views)
    x = torch.randn(2, views, 8)
    wide = x.repeat(1, 1, 50)
    assert Pair({"a": 1})({"a": x}, batch).item() == pytest.approx(Pair({"a": 1})({"a": wide}, batch).item(), rel=1e-5)


def test_pair_of_equal_views_is_zero() -> None:
    _, batch = make_batch([0, 1], 3)
    x = torch.randn(2, 1, WIDTH)
    for views in (1, 2, 3):
        assert Pair({"a": 1})({"a": x.expand(-1, views, -1)}, batch).item() == pytest.approx(0, abs=1e-12)


def test_pair_batch_without_two_images_of_a_class_is_zero() -> None:
    layers, batch = make_batch([0, 1, 2, 3], 1)
    value = PairBatch({"ip1": 1.0})(layers, batch)
    value.backward()
    assert value.item() == 0 and not layers["ip1"].grad.any()


def test_pair_batch_of_one_image_is_pair() -> None:
    layers, batch = make_batch([0, 1, 2, 3], 3)
    assert PairBatch(WEIGHTS)(layers, batch).item() == pytest.approx(Pair(WEIGHTS)(layers, batch).item(), rel=1e-5)
