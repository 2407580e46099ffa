from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from representations import ANGLES, CLASSES, collapsed, hidden, ideal, leaky, mixed, noise
from sklearn.linear_model import LinearRegression

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes import DEFAULT, KernelRidge, Mlp, Trees, named, read_answers, run_probes
from invariantnets.probes.task import Task, prepare
from invariantnets.results.result import Result

HONEST = ("ridge", "ridge/per_mav_label", "quadratic", "rbf", "trees", "knn", "mlp")
REGRESSORS = (*HONEST, "ridge/per_label")
FLOORS = ("class_mean", "class_mean/mav")
# The default readers, but that they look at fewer rows, for a shorter while.
FEWER = {KernelRidge: {"rows": 400}, Trees: {"rows": 400}, Mlp: {"epochs": 1, "steps": 120}}
READERS = tuple(replace(probe, **FEWER.get(type(probe), {})) for probe in DEFAULT)


def probed(table, *, readers=READERS, progress=None, **seed: int) -> list[Result]:
    found = run_probes(table, "ip1", readers, progress=progress, **seed)
    return read_answers(table, "ip1", **seed) + found


_KEPT: dict[str, list[Result]] = {}


@pytest.fixture
def read_of(make_table) -> Callable[..., list[Result]]:
    """What is read of a representation; it takes seconds, and several look at the same."""

    def read(features, seed: int = 0) -> list[Result]:
        name = f"{features.__name__}, {seed}"
        if name not in _KEPT:
            _KEPT[name] = probed(make_table(features), seed=seed)
        return _KEPT[name]

    return read


@pytest.fixture
def of_mixed(read_of) -> list[Result]:
    """Of `mixed`, with a seed that is told in every number."""
    return read_of(mixed, seed=3)


def overall(results: list[Result], metric: str, target: str, probe: str) -> Result:
    (found,) = [r for r in results if (r.metric, r.target, r.probe) == (metric, target, probe) and not r.where]
    return found


def test_ideal_representation_leaks_nothing(make_table):
    results = probed(make_table(ideal))
    assert overall(results, "accuracy", "label", "mav").value == 1
    assert overall(results, "accuracy", "label", "mav/estimated_angle").value == 1
    for probe in REGRESSORS:
        found = overall(results, "r2", "angle", probe)
        assert found.value == pytest.approx(0, abs=0.02) and found.status == "failed"
    strongest = overall(results, "r2", "angle", "strongest")
    assert np.isnan(strongest.value) and strongest.status == "failed"  # to predict the mean is to read nothing
    rmse = overall(results, "rmse", "angle", "ridge")
    assert rmse.value == pytest.approx(rmse.chance) == pytest.approx(np.sqrt((ANGLES**2).mean()))


def test_noise_gives_chance(make_table):
    results = probed(make_table(noise))
    accuracy = overall(results, "accuracy", "label", "mav")
    known = np.bincount(np.arange(550) % CLASSES).max() / 550  # of 550 images of train and val
    assert accuracy.chance == pytest.approx(known)
    assert accuracy.value == pytest.approx(accuracy.chance, abs=0.07)
    for probe in HONEST:
        assert overall(results, "r2", "angle", probe).value < 0.03
    strongest = overall(results, "r2", "angle", "strongest")
    assert strongest.status == "failed" or abs(strongest.value) < 0.03


def test_angle_at_a_thousandth_of_the_class_signal_is_found_out(make_table):
    results = probed(make_table(leaky))
    assert overall(results, "accuracy", "label", "mav").value == 1
    assert overall(results, "r2", "angle", "ridge").value > 0.9
    assert overall(results, "r2", "angle", "strongest").value > 0.9


@pytest.mark.parametrize("features", [hidden, collapsed])
def test_an_angle_that_no_line_reads_is_found_out_too(read_of, features):
    results = read_of(features)
    assert overall(results, "accuracy", "label", "mav").value == 1
    assert overall(results, "r2", "angle", "ridge").value < 0.05
    strongest = overall(results, "r2", "angle", "strongest")
    assert strongest.value > 0.9 and strongest.chosen["probe"] in ("rbf", "mlp", "stack")


def test_least_squares_that_explode_are_not_called_forgetting(make_table, read_of):
    table = make_table(collapsed)
    train, test = (table.part(split) for split in ("train", "test"))
    plain = LinearRegression().fit(train.features["ip1"].astype(float), train.nuisance["angle"])
    assert plain.score(test.features["ip1"].astype(float), test.nuisance["angle"]) < -0.2  # what would be believed
    results = read_of(collapsed)
    assert all(r.value > -0.05 or r.status == "failed" for r in results if r.metric == "r2")


def test_failed_probes_are_excluded_and_none_left_is_no_evidence(make_table, monkeypatch):
    table = make_table(mixed, (60, 40, 40))
    monkeypatch.setattr(Task, "validation_r2", lambda *args: -0.25)
    found = [r for r in probed(table) if r.metric == "r2"]
    assert len(found) == len(REGRESSORS) + len(FLOORS) + 2 and {r.status for r in found} == {"failed"}
    strongest = overall(found, "r2", "angle", "strongest")
    assert np.isnan(strongest.value) and strongest.low is None and "every honest probe failed" in strongest.note


@pytest.mark.parametrize("scale", [1e-2, 1e-4, 1e-5])
def test_a_nearly_collapsed_representation_never_reads_as_worse_than_chance(make_table, scale):
    def collapsed(label, angle, rng):
        constant = 1 + rng.random(12)
        rare = rng.random((len(label), 12)) < 0.01  # all but dead: constant but for a few rows
        return constant + scale * rare * rng.normal(size=rare.shape)

    results = probed(make_table(collapsed))
    for probe in REGRESSORS:
        found = overall(results, "r2", "angle", probe)
        assert found.value > -0.08 or found.status == "failed"
    assert overall(results, "r2", "angle", "strongest").value == pytest.approx(0, abs=0.08)


def test_duplicated_columns_change_nothing(make_table):
    table, names = make_table(mixed), ("ridge", "ridge/per_label", "ridge/per_mav_label", "knn")
    x, readers = table.features["ip1"], tuple(map(named, ("mav", *names)))
    twice = replace(table, features={"ip1": np.concatenate([x, x], 1)})
    plain, doubled = (probed(each, readers=readers) for each in (table, twice))
    for probe in names:
        expected = overall(plain, "r2", "angle", probe)
        assert expected.value > 0.2
        assert overall(doubled, "r2", "angle", probe).value == pytest.approx(expected.value, abs=1e-3)
    assert overall(doubled, "accuracy", "label", "mav").value == overall(plain, "accuracy", "label", "mav").value


def test_shuffled_controls_are_at_chance(of_mixed):
    results = of_mixed
    for probe in REGRESSORS:
        found = overall(results, "r2", "angle", probe)
        assert found.status == "ok" and found.value > 0.3
        assert found.control is not None and found.control < 0.03


def test_every_number_says_what_it_was_measured_on(make_table, of_mixed):
    table, results = make_table(mixed), of_mixed
    test, known = table.part("test"), table.part("train", "val")
    for r in results:
        assert (r.layer, r.split, r.seed) == ("ip1", "test", 3)
        part = test
        for key, value in r.where.items():
            part = part.rows((part.label if key == "label" else part.nuisance[key]) == value)
        assert (r.n, r.sources) == (len(part), len(np.unique(part.source)))
        assert r.low is not None and r.high is not None and r.low <= r.value <= r.high
        assert r.chance is not None or r.metric.startswith("predicted")
        told = ("ridge/per_label", "class_mean", "stack/label", "mav/known_angle", "mav/estimated_angle_true_label")
        assert r.uses_answer == (r.probe in told)
        if r.probe != "softmax":
            assert r.n_fit is not None and r.n_fit <= len(known)
    assert {r.probe for r in results if r.target == "label"} == {
        "softmax",
        "mav",
        "mav/known_angle",
        "mav/estimated_angle",
        "mav/estimated_angle_true_label",
    }
    labels = [r.where["label"] for r in results if r.probe == "mav" and r.where]
    assert labels == list(range(CLASSES))
    angles = [r.where["angle"] for r in results if r.metric == "predicted_std" and r.probe == "ridge"]
    assert angles == list(ANGLES)


def test_regression_numbers_follow_their_definitions(of_mixed):
    results = of_mixed
    for probe in REGRESSORS:
        r2, rmse, mae = (overall(results, m, "angle", probe) for m in ("r2", "rmse", "mae"))
        assert r2.value == pytest.approx(1 - (rmse.value / rmse.chance) ** 2)
        assert mae.value <= rmse.value
        assert r2.chance == 0


def test_predictions_by_angle_rise_with_the_angle(of_mixed):
    results = of_mixed
    for probe in ("ridge", "ridge/per_label"):
        means = [r.value for r in results if r.metric == "predicted_mean" and r.probe == probe]
        assert means == sorted(means) and len(means) == len(ANGLES)


def test_the_seed_is_all_that_decides(make_table):
    table = make_table(mixed, (60, 40, 40))
    first, again, other = (probed(table, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_strongest_is_the_best_honest_probe_out_of_fold(of_mixed):
    validation = {p: overall(of_mixed, "r2", "angle", p).validation for p in (*HONEST, "stack")}
    best, strongest = max(validation, key=validation.__getitem__), overall(of_mixed, "r2", "angle", "strongest")
    assert strongest.chosen["probe"] == best
    assert strongest.value == overall(of_mixed, "r2", "angle", best).value


def test_other_kinds_of_nuisance(make_table):
    table = make_table(mixed)
    angle = table.nuisance["angle"]
    nuisances = (Nuisance("pose", "circular", "°"), Nuisance("light", "categorical", categories=("a", "b", "c")))
    table = replace(table, nuisances=nuisances, nuisance={"pose": angle, "light": (angle / 30 + 1).astype(int)})
    results = probed(table)
    bits = {"v_information", "conditional_v_information"}
    assert {r.metric for r in results if r.target == "pose"} == {"r2", "mae", *bits}
    accuracy = overall(results, "accuracy", "light", "ridge")
    assert accuracy.chance == pytest.approx(1 / 3) and accuracy.value > 0.6
    of_classes = {"r2", "auc", "accuracy", "balanced_accuracy", *bits}
    assert {r.metric for r in results if r.target == "light"} == of_classes
    assert overall(results, "accuracy", "label", "mav/known_light").value > 0.5


def test_without_nuisances_the_label_is_still_probed(make_table):
    results = probed(replace(make_table(ideal), nuisances=(), prediction=None))
    assert {r.probe for r in results} == {"mav"}


def test_progress_is_told_each_step(make_table):
    steps: list[str] = []
    probed(make_table(ideal, (40, 20, 20)), progress=steps.append)
    assert steps[0] == "checking the table" and len(steps) == len(set(steps)) > 4


def open_set(table):
    """The same rows, but the people of test are others."""
    label = np.where(table.split == "test", table.label + CLASSES, table.label)
    return replace(table, label=label, num_classes=2 * CLASSES)


def test_new_people_are_probed_for_nuisances_alone_and_resampled_whole(make_table):
    new = probed(open_set(make_table(mixed)))
    assert {r.target for r in new} == {"angle"}
    assert {r.probe for r in new if r.metric == "r2"} == {*HONEST, "stack", "strongest"} - {"ridge/per_mav_label"}
    assert {r.sources for r in new if not r.where} == {CLASSES}


def habits() -> FeatureTable:
    """Features that tell the person and nothing else; everybody has their own habit of smiling."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(300), 5)
    split = np.where(label >= 200, "test", np.where(np.arange(1500) % 5 < 1, "val", "train"))
    features = (rng.normal(size=(300, 12))[label] + 0.1 * rng.normal(size=(1500, 12))).astype(np.float32)
    smile = rng.normal(size=300)[label] + 0.3 * rng.normal(size=1500)
    return FeatureTable({"ip1": features}, label, split, np.arange(1500), {"smile": smile}, (Nuisance("smile"),), 300)


def test_knowing_the_habits_of_people_is_not_reading_a_nuisance():
    results = probed(habits())
    for probe in ("ridge", "mlp", "knn"):
        found = overall(results, "r2", "smile", probe)
        # Chosen on other pictures of the same people, kNN would pass for sound and have an R² of -1.3.
        assert found.status == "failed" or -0.5 < found.value < 0.1


def test_probes_are_chosen_on_people_they_were_not_fitted_to():
    task = prepare(habits(), "ip1", 0, closed=False)
    label = task.parts["known"].label
    assert set(label[task.choice]) == set(range(200)) and task.folds.count == 5
    for k in range(5):
        fit, held = (set(label[rows]) for rows in (task.folds.fit(k), task.folds.held(k)))
        assert not fit & held and len(held) == 40


def test_people_in_both_splits_and_in_one_are_refused(make_table):
    table = make_table(mixed)
    label = np.where((table.split == "test") & (table.label == 1), CLASSES, table.label)
    with pytest.raises(InvariantNetsError, match=f"class {CLASSES} .* is in split 'test' but not in 'train'"):
        probed(replace(table, label=label, num_classes=CLASSES + 1))


def test_too_many_classes_for_moments_of_each_share_a_regressor(make_table, monkeypatch):
    table = make_table(mixed)
    full = probed(table, readers=(named("mav"), named("ridge")))
    monkeypatch.setattr("invariantnets.probes.task.PER_CLASS", 0)
    shared = probed(table)
    assert {r.probe for r in shared} == {
        "softmax",
        "mav",
        *FLOORS,
        *REGRESSORS,
        "stack",
        "strongest",
        "stack/label",
    } - {"ridge/per_label", "ridge/per_mav_label"}
    assert [r for r in shared if r.probe == "mav"] == [r for r in full if r.probe == "mav"]
    found, expected = (overall(results, "r2", "angle", "ridge").value for results in (shared, full))
    assert found == pytest.approx(expected, rel=1e-6)


def test_one_row_far_out_does_not_outweigh_the_others(make_table):
    """A feature that is all but dead in training is not believed at hundreds of standard deviations in test."""
    table = make_table(mixed)
    rare = np.zeros((len(table), 1), np.float32)
    rare[np.flatnonzero(table.split == "train")[0]] = 1e-3

    def ridge() -> Result:
        features = np.hstack([table.features["ip1"], rare])
        results = probed(replace(table, features={"ip1": features}), readers=[named("ridge")])
        return overall(results, "r2", "angle", "ridge")

    plain = ridge()
    rare[np.flatnonzero(table.split == "test")[0]] = 10
    found = ridge()
    assert plain.value > 0.3
    assert found.value == pytest.approx(plain.value, abs=0.02)
