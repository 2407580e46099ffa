"""Every probe of one layer: fitted on train, chosen on validation, reported on test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from invariantnets.features.checks import check_table, is_closed
from invariantnets.features.table import FeatureTable
from invariantnets.probes import mav
from invariantnets.probes.linear import Ridge, fit_ridge, predict_by_class
from invariantnets.probes.nonlinear import knn_probes, mlp_probes
from invariantnets.probes.scorer import Regression, Scorer, strongest
from invariantnets.probes.task import Problem, hold_out_people, prepare
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result


def _fit_linear(problem: Problem) -> tuple[Ridge, list[Ridge]]:
    """The label-blind regressor and one per class, of all nuisances and controls at once."""
    columns, groups = problem.regressed, problem.groups
    x, y, label = problem.x["val"], problem.y["val"][:, columns], problem.parts["val"].label
    (blind,) = fit_ridge([problem.train_all.targets(columns)], [(x, y)], groups)
    if not problem.per_class:
        return blind, []
    classes = [np.flatnonzero(label == c) for c in range(len(problem.train))]
    train = [m.targets(columns) for m in problem.train]
    return blind, fit_ridge(train, ((x[rows], y[rows]) for rows in classes), groups)


def _linear_probes(problem: Problem, blind: Ridge, per_class: list[Ridge], means: np.ndarray) -> list[list[Regression]]:
    """Per nuisance: ridge and, where there is one per class, those of the true label and of the one MAV predicts."""
    splits = ("val", "test")
    x = problem.x
    predicted = {"ridge": {s: blind.predict(x[s]) for s in splits}}
    penalties = {"ridge": blind.penalty}
    if per_class:
        label = {s: problem.parts[s].label for s in splits}
        guess = {s: mav.classify(x[s], means) for s in splits}
        for name, by in (("ridge/per_label", label), ("ridge/per_mav_label", guess)):
            predicted[name] = {s: predict_by_class(per_class, x[s], by[s]) for s in splits}
            penalties[name] = per_class[0].penalty
    probes = []
    for i, target in enumerate(problem.targets):
        probes.append(
            [
                Regression(
                    name,
                    problem.validation_r2(by_split["val"][:, target.true], target),
                    by_split["test"][:, target.true],
                    by_split["test"][:, target.control],
                    problem.train_all.n,
                    # Groups alternate between true and control, see Problem.groups.
                    f"lambda={penalties[name][2 * i]:.3g} (chosen on validation)",
                    uses_answer=name == "ridge/per_label",
                )
                for name, by_split in predicted.items()
            ]
        )
    return probes


def _label_results(problem: Problem, scorer: Scorer, means: np.ndarray, linear: list[list[Regression]]) -> list[Result]:
    """Softmax, MAV, and MAV at the known or estimated value of each nuisance with few values (figure 4)."""
    x, test = problem.x["test"], problem.parts["test"]
    majority = np.bincount(problem.parts["train"].label).max() / problem.train_all.n
    chance, n_fit = max(1 / test.num_classes, float(majority)), problem.train_all.n
    results = []
    if test.prediction is not None:
        results += scorer.classification("softmax", test.prediction, chance, None)
    results += scorer.classification("mav", mav.classify(x, means), chance, n_fit)
    for target, (ridge, *of_class) in zip(problem.targets, linear, strict=True):
        if not len(target.values) or not of_class:
            continue
        per_label, _ = of_class
        at_value = mav.means_per_value(problem.train, target.indicators)
        name = target.nuisance.name
        for probe, encoded, uses_answer in (
            (f"mav/known_{name}", problem.y["test"][:, target.true], True),
            (f"mav/estimated_{name}", ridge.test, False),
            (f"mav/estimated_{name}_true_label", per_label.test, True),
        ):
            predicted = mav.classify_at(x, target.nearest_value(encoded), at_value)
            note = f"nearest of {len(target.values)} training values of {name}"
            results += scorer.classification(probe, predicted, chance, n_fit, uses_answer=uses_answer, note=note)
    return results


def _nuisance_results(problem: Problem, scorer: Scorer, probes: list[list[Regression]]) -> list[Result]:
    """Every probe of every nuisance, the strongest, and the predictions by true value (figure 3)."""
    y, results = problem.y["test"], []
    for target, of_target in zip(problem.targets, probes, strict=True):
        true, shuffled, mean = y[:, target.true], y[:, target.control], problem.mean(target.true)
        scored = []
        for probe in of_target:
            numbers = scorer.regression(target, probe, true, shuffled, mean)
            scored.append((probe, numbers[0]))
            results += numbers
        results.append(strongest(scorer, target, scored))
        if target.nuisance.kind == "continuous":
            for probe in of_target:
                if probe.probe in ("ridge", "ridge/per_label"):
                    results += scorer.per_value(target, probe, true[:, 0])
    return results


def run_probes(
    table: FeatureTable,
    layer: str,
    *,
    seed: int = 0,
    bootstrap: int = 1000,
    knn_rows: int = 10_000,
    mlp_rows: int = 50_000,
    mlp_epochs: int = 10,
    mlp_widths: Sequence[int] = (64, 512),
    progress: Callable[[str], None] | None = None,
) -> list[Result]:
    """Measure what a layer knows of the class and of every nuisance.

    Where the classes of test are not those of train (open set), nothing is said of the class, which is
    what protocols are for; probes are fitted to some people, chosen on others and report on the people of
    test, whom neither network nor probe has seen; intervals resample people.

    Everything linear comes from one pass of sufficient statistics; kNN and MLP see random sources of
    the training rows, as many as their ``n_fit`` says.

    Args:
        table: features with splits train, val and test.
        layer: the layer to probe.
        seed: of the shuffled controls, subsets, networks and bootstrap.
        bootstrap: replicates of the 95 % intervals, which resample sources.
        knn_rows: training rows that kNN searches.
        mlp_rows: training rows of the MLP.
        mlp_epochs: of its one cycle.
        mlp_widths: of its hidden layers, to choose from.
        progress: is told the name of each step before it starts.

    Raises:
        InvariantNetsError: the table cannot be probed; the message says why.
    """
    step = progress or (lambda _: None)
    step("checking the table")
    if not is_closed(table):
        table = hold_out_people(table, numpy_rng(seed, 6))
    check_table(table, layer)
    step("sufficient statistics")
    problem = prepare(table, layer, seed)
    step("linear probes")
    train = problem.parts["train"]
    means = np.zeros((0, 0))
    if problem.closed:
        means = mav.mean_activation_vectors(problem.x["train"], train.label, table.num_classes)
    linear = _linear_probes(problem, *_fit_linear(problem), means)
    step("nearest neighbours")
    knn = knn_probes(problem, knn_rows) if problem.targets else []
    step("multi-layer perceptron")
    mlp = mlp_probes(problem, mlp_rows, mlp_epochs, mlp_widths) if problem.targets else []
    step("intervals")
    test = problem.parts["test"]
    # Pictures of one person are not independent; where people were seen in training, new pictures are what is new.
    scorer = Scorer(test if problem.closed else replace(test, source=test.label), layer, seed, bootstrap)
    probes = [[*of_target, k, m] for of_target, k, m in zip(linear, knn, mlp, strict=True)]
    of_label = _label_results(problem, scorer, means, linear) if problem.closed else []
    return of_label + _nuisance_results(problem, scorer, probes)
