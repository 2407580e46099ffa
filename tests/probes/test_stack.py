"""The stack, and who is the strongest."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from representations import noise
from scipy.optimize import minimize

from invariantnets.probes import ClassMean, Ridge, run_probes
from invariantnets.probes.probe import Reading
from invariantnets.probes.stack import honest, with_stack
from invariantnets.probes.task import prepare


@dataclass(frozen=True)
class Noisy:
    """Tells the truth, and noise of its own."""

    name: str
    sigma: float
    told: bool = False
    title: str = "noisy"
    reads: frozenset = frozenset({"continuous"})

    def __call__(self, task):
        rng = np.random.default_rng(len(self.name))
        for t in task.targets:
            known = task.y["known"][task.choice][:, t.true]
            test, control = task.y["test"][:, t.true], task.y["test"][:, t.control]
            noisy = (y + self.sigma * rng.normal(size=y.shape) for y in (known, test, control))
            yield Reading(t, *noisy, n_fit=10 * len(self.name))


@pytest.fixture
def task(make_table):
    return prepare(make_table(noise, (2000, 100, 2000)), "ip1", 0, closed=True)


def read(task, *probes):
    return [(probe, reading) for probe in probes for reading in probe(task)]


def test_two_that_err_apart_are_better_together(task):
    """Readings of variances a and b about the truth of variance v, each shrunk and weighed by its precision."""
    target, v = task.every[0], float(task.y["test"][:, :1].var())
    found = with_stack(task, target, read(task, Noisy("a", 20), Noisy("bb", 30)))
    probe, stack = found[-1]
    assert (probe.name, stack.n_fit) == ("stack", 20)
    precision = 1 / v + 1 / 20**2 + 1 / 30**2
    assert stack.chosen == {
        "a": pytest.approx(1 / 20**2 / precision, abs=0.02),
        "bb": pytest.approx(1 / 30**2 / precision, abs=0.02),
    }
    expected = 1 - 1 / precision / v
    assert task.validation_r2(stack.held_out, target) == pytest.approx(expected, abs=0.03)
    error = ((stack.test - task.y["test"][:, target.true]) ** 2).mean()
    assert 1 - error / v == pytest.approx(expected, abs=0.02)
    assert [p.name for p, _ in honest(task, found)] == ["stack", "a"]  # alone, bb is worse than the mean


def test_weights_are_the_least_squares_that_are_not_negative(task):
    target = task.every[0]
    found = read(task, Noisy("a", 20), Noisy("bb", 22), Noisy("ccc", 29))
    stack = with_stack(task, target, found)[-1][1]
    z = np.stack([r.held_out[:, 0] - task.mean(target.true) for _, r in found], 1)
    y = task.y["known"][task.choice][:, 0] - task.mean(target.true)
    slow = minimize(lambda w: ((z @ w - y) ** 2).mean(), np.ones(3) / 3, bounds=[(0, None)] * 3, tol=1e-12).x
    assert [stack.chosen[name] for name in ("a", "bb", "ccc")] == pytest.approx(slow, abs=2e-3)


def test_who_is_told_the_answer_has_no_part(task):
    target = task.every[0]
    found = with_stack(task, target, read(task, Noisy("told", 1, told=True), Noisy("a", 20)))
    assert set(found[-1][1].chosen) == {"a"}
    assert [p.name for p, _ in found] == ["told", "a", "stack"]
    none = read(task, Noisy("told", 1, told=True))
    assert with_stack(task, target, none) == none


def test_the_control_is_that_of_the_members(make_table):
    task = prepare(make_table(noise, (400, 100, 400)), "ip1", 0, closed=True)
    target = task.every[0]
    found = read(task, Noisy("a", 20))
    shuffled = [(p, replace(r, control=np.zeros_like(r.control))) for p, r in found]
    stack = with_stack(task, target, shuffled)[-1][1]
    weight = stack.chosen["a"]
    expected = np.broadcast_to(task.mean(target.control) * (1 - weight), stack.control.shape)
    np.testing.assert_allclose(stack.control, expected, atol=1e-2)


@pytest.mark.parametrize("people", [10, 30])
def test_of_nothing_nothing_is_read_and_it_is_called_failed_or_said_with_chance(make_table, people):
    """Noise of few people in an open set: no number is taken for a success of forgetting."""
    table = make_table(noise, (people * 4, people * 2, people * 4))
    label = np.where(table.split == "test", people + table.source % people, table.source % people)
    table = replace(table, label=label, num_classes=2 * people, prediction=None)
    for seed in range(5):
        results = run_probes(table, "ip1", [ClassMean(), Ridge()], seed=seed)
        (found,) = (r for r in results if (r.probe, r.metric) == ("strongest", "r2"))
        assert (found.status == "failed" and np.isnan(found.value)) or (
            found.chance == 0 and -0.05 < found.value < 0.05
        )
