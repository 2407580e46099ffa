"""The class-only floor, and what never varies within a class: its control and its intervals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from scipy.stats import binomtest, t
from sklearn.metrics import r2_score

from invariantnets import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes import ClassMean, Reading, Ridge, run_probes
from invariantnets.probes.class_mean import PULLS, class_means_pulled
from invariantnets.probes.targets import shuffled_by_class
from invariantnets.probes.task import prepare
from invariantnets.results import Result
from invariantnets.results.select import select

PEOPLE, IMAGES = 20, 30


def faces(seed: int = 7, **columns: np.ndarray) -> FeatureTable:
    """Features that hold the person and nothing else; who is whose sex, and a light that has nothing to do with it."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(PEOPLE), IMAGES)
    x = 2 * rng.normal(size=(PEOPLE, 32))[label] + rng.normal(size=(len(label), 32))
    gender = rng.permutation(np.arange(PEOPLE) % 2)[label]
    split = np.tile(np.repeat(["train", "val", "test"], [18, 6, 6]), PEOPLE)
    light = rng.normal(size=len(label))
    habit = rng.normal(size=PEOPLE)[label] + 0.5 * rng.normal(size=len(label))
    columns = {"gender": np.where(gender > 0, "f", "m"), "light": light, "habit": habit, **columns}
    table = FeatureTable.from_arrays(x, label=label, split=split, **columns)
    return replace(table, nuisances=tuple(replace(n, fixed=n.name == "gender") for n in table.nuisances))


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return run_probes(faces(), "features", [ClassMean(), ClassMean("mav"), Ridge()])


def one(results: list[Result], metric: str, target: str, probe: str) -> Result:
    (found,) = select(results, metric, target, probe)
    return found


def test_who_knows_the_class_knows_what_is_constant_within_it(results):
    floor, mav = (one(results, "r2", "gender", probe) for probe in ("class_mean", "class_mean/mav"))
    assert floor.value == floor.high == 1 and floor.uses_answer and floor.chosen == {"pull": 0.0}
    assert floor.low == pytest.approx(0.025 ** (1 / PEOPLE)), "another person might be read wrongly"
    assert mav.value > 0.99 and not mav.uses_answer
    for metric in ("auc", "accuracy", "balanced_accuracy"):
        assert one(results, metric, "gender", "class_mean").value == 1
    assert one(results, "false_negative_rate", "gender", "class_mean").value == 0


def test_what_has_nothing_to_do_with_the_class_has_a_floor_of_nothing(results):
    for probe in ("class_mean", "class_mean/mav"):
        assert one(results, "r2", "light", probe).value == pytest.approx(0, abs=0.02)
        assert one(results, "r2", "light", probe).status == "failed"  # pulled to the mean of all: it reads nothing


def test_the_floor_of_a_habit_is_what_the_means_of_people_give(results):
    table = faces()
    train, test = table.part("train"), table.part("test")
    means = np.array([train.nuisance["habit"][train.label == c].mean() for c in range(PEOPLE)])
    found = one(results, "r2", "habit", "class_mean")
    # scikit-learn compares with the mean of test; the two differ little, and a pull may help a little.
    assert found.value == pytest.approx(r2_score(test.nuisance["habit"], means[test.label]), abs=0.02)
    assert found.value > 0.7 and found.control < 0.02


def test_means_are_pulled_as_if_so_many_mean_rows_were_added():
    rng = np.random.default_rng(0)
    y, label = rng.normal(size=(40, 3)), rng.integers(4, size=40)
    found = class_means_pulled(y, label, 5)
    for pull, means in zip(PULLS[:-1], found[:-1], strict=True):
        for c in range(4):
            added = np.concatenate([y[label == c], np.tile(y.mean(0), (int(pull), 1))])
            np.testing.assert_allclose(means[c], added.mean(0))
    np.testing.assert_allclose(found[-1], np.tile(y.mean(0), (5, 1)))
    np.testing.assert_allclose(found[:, 4], np.tile(y.mean(0), (len(PULLS), 1)))  # nobody was seen of this class


def test_a_constant_of_people_is_drawn_by_people(results):
    """Thirty rows of a person are one person: as many people, fewer draws than rows."""
    gender, light = one(results, "r2", "gender", "ridge"), one(results, "r2", "light", "ridge")
    assert gender.fixed and gender.sources == PEOPLE and gender.n == light.n == PEOPLE * 6
    assert not light.fixed and light.sources == light.n
    rates = one(results, "false_negative_rate", "gender", "ridge")
    assert (rates.n, rates.sources, rates.note) == (PEOPLE * 3, PEOPLE // 2, "positive is 'm'")


@dataclass(frozen=True)
class Mistaken:
    """Of some people it is as wrong in every image."""

    name: ClassVar = "mistaken"
    title: ClassVar = "mistaken"
    reads: ClassVar = frozenset({"binary"})
    told: ClassVar = False

    def __call__(self, task):
        for target in task.targets:
            wrong = np.linspace(0, 0.6, PEOPLE)[task.parts["test"].label][:, None]
            true, control = (task.y["test"][:, c] for c in (target.true, target.control))
            known = task.y["known"][task.choice][:, target.true]
            yield Reading(target, known, true + wrong * [1, -1], control, 1)


@pytest.mark.parametrize("fixed", [True, False])
def test_errors_of_one_person_are_one_draw(fixed):
    table = replace(faces(), nuisances=tuple(replace(n, fixed=fixed) for n in faces().nuisances[:1]))
    found = one(run_probes(table, "features", [Mistaken()]), "r2", "gender", "mistaken")
    # Half are women, so the variance of the two columns is 1/2 of every row; errors are known.
    error = 2 * np.linspace(0, 0.6, PEOPLE) ** 2 / 0.5
    units = np.tile(error, 1 if fixed else 6)
    n = len(units)
    left = np.log((units.sum() - units) / (n - 1))  # without one person, or one image
    influence = (n - 1) * (left.mean() - left)
    many = min(n, 3 * (influence**2).sum() ** 2 / (influence**4).sum())
    deviation = np.sqrt((influence**2).sum() / (n * (n - 1)))
    times = t.ppf(0.975, 0.75 * many - 1)
    further = max((influence**3).sum() / (influence**2).sum() ** 1.5, 0) * (1 + 2 * t.ppf(0.975, n - 1) ** 2) / 6
    assert found.value == pytest.approx(1 - error.mean())
    assert [found.low, found.high] == pytest.approx(
        1 - error.mean() * np.exp([(times + further) * deviation, -times * deviation]), abs=2e-3
    )


def test_the_control_of_a_constant_is_a_constant_of_others(results):
    """Whoever knows the person reads it, so that what exceeds it is more than the person."""
    assert one(results, "r2", "gender", "class_mean").control == 1
    assert one(results, "r2", "gender", "ridge").control > 0.2
    assert one(results, "r2", "light", "ridge").control < 0.05


@pytest.mark.parametrize("closed", [True, False])
def test_classes_swap_their_values_in_all_splits(closed):
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(30), 10)
    test = np.tile(np.arange(10) < 3, 30) if closed else label >= 20
    values = rng.normal(size=30)[label]
    found = shuffled_by_class(values, label, test, np.random.default_rng(1))
    per_class = [np.unique(found[label == c]) for c in range(30)]
    assert all(len(v) == 1 for v in per_class) and not np.array_equal(found, values)
    for rows in (test, ~test):
        np.testing.assert_array_equal(np.sort(found[rows]), np.sort(values[rows]))


def test_of_people_never_seen_there_is_no_floor():
    table = faces()
    label = np.where(table.split == "test", table.label + PEOPLE, table.label)
    found = run_probes(
        replace(table, label=label, num_classes=2 * PEOPLE), "features", [ClassMean(), ClassMean("mav"), Ridge()]
    )
    assert {r.probe for r in found if r.about == "nuisance" and not r.where} == {"ridge", "stack", "strongest"}
    assert one(found, "r2", "gender", "ridge").control < 0.2  # shuffled by person, and nobody knows these


def test_one_class_has_no_floor():
    table = faces()
    one_class = replace(table, label=np.zeros_like(table.label), num_classes=1, nuisances=(Nuisance("light"),))
    assert not list(ClassMean()(prepare(one_class, "features", 0, closed=True)))


def test_no_error_in_few_rows_is_not_none_for_sure(results):
    found = one(results, "false_negative_rate", "gender", "class_mean")
    assert found.value == found.low == 0 and found.sources == PEOPLE // 2
    assert found.high == pytest.approx(binomtest(0, PEOPLE // 2).proportion_ci(method="exact").high)
