"""What the inverse contrastive loss promises (Akash et al. 2021)."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from invariantnets.constraints import Icl
from invariantnets.data import Batch, DataSpec
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance

AGE, HOUR = Nuisance("age", unit="years"), Nuisance("hour", "circular")
GLASSES = Nuisance("glasses", "binary", categories=("no", "yes"))
ANGLE = Nuisance("angle", "categorical", categories=("-45", "-22.5", "0", "22.5", "45"))
SPEC = DataSpec((1, 2, 2), 4, (AGE, HOUR, GLASSES, ANGLE))
NO_PUSH = {"reach": -1000.0}


def value(term: Icl, x: Tensor, values: Tensor, label: Tensor | None = None) -> Tensor:
    """Of the constraint on the rows ``x``, of one class unless said."""
    term.connect(SPEC)
    column = torch.arange(len(x))[:, None]
    label = torch.zeros(len(x), dtype=torch.int64) if label is None else label
    nuisance = {term.nuisance: values[:, None].to(x.dtype)}
    return term({"a": x[:, None]}, Batch(torch.zeros(len(x), 1, 1, 2, 2), label, column, column, nuisance))


def rows(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_of_two_groups_the_pull_is_the_distance_of_the_means_and_the_scatter() -> None:
    """The regularised MMD of the abstract, of a linear kernel."""
    x, glasses = rows(40), torch.arange(40) % 5 == 0
    x[glasses] += 2
    a, b = x[glasses], x[~glasses]
    wanted = (a.mean(0) - b.mean(0)).square().sum() + a.var(0, correction=0).sum() + b.var(0, correction=0).sum()
    assert value(Icl("a", "glasses", **NO_PUSH), x, glasses).item() == pytest.approx(wanted.item())


def test_a_group_counts_alike_however_many_rows_it_has() -> None:
    x, angle = rows(10), torch.arange(10) % 5
    twice = torch.cat([x, x[angle == 3], x[angle == 3]]), torch.cat([angle, torch.full((4,), 3)])
    once = value(Icl("a", "angle"), x, angle)
    assert value(Icl("a", "angle"), *twice).item() == pytest.approx(once.item())


def test_it_draws_groups_together_and_does_not_let_them_collapse() -> None:
    angle = torch.arange(50) % 5
    x = (rows(50, 1) + 3 * rows(5, 2)[angle]).requires_grad_()
    between = lambda: torch.stack([x[angle == a].mean(0) for a in range(5)]).var(0).sum().item()  # noqa: E731
    before, solver = between(), torch.optim.SGD([x], lr=1.0)
    for _ in range(100):
        solver.zero_grad()
        value(Icl("a", "angle"), x, angle).backward()
        solver.step()
    assert between() < 0.01 * before
    assert x.detach().var(0).sum() > 0.1


def test_like_images_in_one_place_cost_the_reach() -> None:
    same = torch.ones(4, 3, dtype=torch.float64, requires_grad=True)
    for name, values in (("glasses", torch.tensor([0, 1, 0, 1])), ("age", torch.ones(4))):
        cost = value(Icl("a", name, reach=0.5), same, values)
        assert cost.item() == pytest.approx(math.exp(0.5))
        (gradient,) = torch.autograd.grad(cost, same)
        assert not gradient.any()  # nowhere to go, but no NaN


@pytest.mark.parametrize(("name", "values"), [("age", (20.0, 25.0, 30.1)), ("hour", (358.0, 3.0, 8.1))])
def test_numbers_are_alike_up_to_near(name: str, values: tuple[float, ...]) -> None:
    x = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    unlike = 2 * (3.0**2 + 2.0**2)  # the last and either of the others
    found = value(Icl("a", name, near=5.05, **NO_PUSH), x, torch.tensor(values, dtype=torch.float64))
    assert found.item() == pytest.approx(unlike / 9)


def test_within_classes_nothing_is_said_of_the_classes() -> None:
    x, glasses, label = rows(16), torch.arange(16) % 2, torch.arange(16) // 8
    term = Icl("a", "glasses", conditional=True)
    apart = x + 100.0 * label[:, None]
    assert value(term, apart, glasses, label).item() == pytest.approx(value(term, x, glasses, label).item())
    halves = [value(term, x[label == y], glasses[label == y]).item() for y in (0, 1)]
    assert value(term, x, glasses, label).item() == pytest.approx(sum(halves) / 2)


def test_a_single_value_says_nothing() -> None:
    assert value(Icl("a", "glasses"), rows(6), torch.ones(6)).item() == 0


@pytest.mark.parametrize("changes", [{"rate": 0.0}, {"rate": float("nan")}, {"near": -1.0}])
def test_what_cannot_be_is_refused(changes: dict[str, float]) -> None:
    (name,) = changes
    with pytest.raises(InvariantNetsError, match=f"Icl: {name}="):
        Icl("a", "angle", **changes)
