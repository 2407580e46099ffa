"""Every probe, on representations of known content: what it must read, and what it must not. A new probe is a row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from representations import ideal, leaky, mixed, noise
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance
from invariantnets.probes import (
    DEFAULT,
    Estimator,
    KernelRidge,
    Knn,
    Lda,
    Mav,
    Mlp,
    Probe,
    Ridge,
    Trees,
    named,
    run_probes,
)
from invariantnets.results import Result

CONF = Path(__file__).parents[2] / "conf"
# Probe → what it reads of the angle in `mixed` at least, and whether it must find it at a thousandth of the signal.
READERS: dict[str, tuple[Probe, float, bool]] = {
    "ridge": (Ridge(), 0.3, True),
    "ridge/per_label": (Ridge("label"), 0.7, True),
    "ridge/per_mav_label": (Ridge("mav"), 0.7, True),
    "quadratic": (KernelRidge("quadratic", rows=600), 0.6, True),
    "rbf": (KernelRidge("rbf", rows=600), 0.7, True),
    "trees": (Trees(rows=600), 0.5, True),
    "knn": (Knn(), 0.7, True),
    "mlp": (Mlp(epochs=1, steps=400), 0.7, True),
    "lda": (Lda(), 0.3, True),
    "estimator": (Estimator(KNeighborsRegressor(), {"n_neighbors": [4, 16]}), 0.7, False),
}


def read(table, probe: Probe, metric: str = "r2", target: str = "angle") -> Result:
    results = run_probes(table, "ip1", [probe])
    found = [r for r in results if (r.metric, r.target, r.probe) == (metric, target, probe.name) and not r.where]
    return found[0]


@pytest.mark.parametrize("name", READERS)
def test_reads_what_is_there(make_table, name):
    probe, least, fine = READERS[name]
    assert probe.name == name
    found = read(make_table(mixed), probe)
    assert found.value > least and found.status == "ok" and found.control < 0.05 and found.uses_answer == probe.told
    assert found.validation == pytest.approx(found.value, abs=0.15) and 550 <= found.n_fit <= 1650
    if fine:
        assert read(make_table(leaky), probe).value > 0.7


@pytest.mark.parametrize("features", [ideal, noise])
@pytest.mark.parametrize("name", READERS)
def test_finds_nothing_where_nothing_is(make_table, name, features):
    found = read(make_table(features), READERS[name][0])
    assert found.value < 0.03 and (found.value > -0.1 or found.status == "failed")


@pytest.mark.parametrize("name", READERS)
def test_reads_every_kind_that_it_says(make_table, name):
    table = make_table(mixed)
    angle = table.nuisance["angle"]
    known = {
        "circular": (Nuisance("pose", "circular", "°"), angle * 2),
        "categorical": (Nuisance("pose", "categorical", categories=("a", "b", "c")), angle / 30 + 1),
        "binary": (Nuisance("pose", "binary", categories=("no", "yes")), (angle > 0).astype(float)),
    }
    for kind, (nuisance, values) in known.items():
        assert kind in READERS[name][0].reads
        found = read(replace(table, nuisances=(nuisance,), nuisance={"pose": values}), READERS[name][0], target="pose")
        assert found.value > 0.2 and found.control < 0.05


@pytest.mark.parametrize("probe", [Mav(), Lda(), Estimator(LogisticRegression(), {"C": [0.1, 1.0]}, name="logistic")])
def test_names_classes(make_table, probe):
    found = read(make_table(mixed), probe, "accuracy", "label")
    assert found.value > 0.95 and found.chance == pytest.approx(138 / 550) and found.about == "class"
    assert read(make_table(noise), probe, "accuracy", "label").value < 0.35


def test_what_is_chosen_is_a_field(make_table):
    results = run_probes(make_table(mixed), "ip1", [Lda(), Knn()])
    of = {r.probe: r for r in results if r.metric == "r2" and r.target == "angle"}
    assert of["knn"].chosen["k"] in (4, 8, 16, 32) and of["knn"].chosen["space"]
    best = max((of["lda"], of["knn"], of["stack"]), key=lambda r: r.validation)
    assert of["strongest"].chosen == {"probe": best.probe, **best.chosen} and set(of["stack"].chosen) <= {"lda", "knn"}
    found = read(make_table(mixed), READERS["estimator"][0])
    assert found.chosen == {"n_neighbors": 4} or found.chosen == {"n_neighbors": 16}
    assert found.title == "KNeighborsRegressor"


@pytest.mark.parametrize("shrinkage", [1e-3, 0.1, 1.0])
def test_discriminant_analysis_agrees_with_scikit_learn(make_table, shrinkage):
    table = make_table(mixed)
    train, test = table.part("train", "val"), table.part("test")
    scale = StandardScaler().fit(train.features["ip1"].astype(float))
    x, x_test = (scale.transform(part.features["ip1"].astype(float)) for part in (train, test))
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    accuracy = (reference.fit(x, train.label).predict(x_test) == test.label).mean()
    probe = Lda(shrinkage=[shrinkage])
    assert read(table, probe, "accuracy", "label").value == pytest.approx(accuracy, abs=1e-12)
    reference.fit(x, train.nuisance["angle"])
    predicted = reference.predict_proba(x_test) @ reference.classes_
    angle = test.nuisance["angle"]
    r2 = 1 - ((predicted - angle) ** 2).sum() / ((angle - train.nuisance["angle"].mean()) ** 2).sum()
    assert read(table, probe).value == pytest.approx(r2, abs=1e-6)


def test_discriminant_analysis_bins_many_values(make_table):
    table = make_table(mixed)
    fine = table.nuisance["angle"] + np.random.default_rng(0).normal(size=len(table))
    found = read(replace(table, nuisance={"angle": fine}), Lda())
    assert found.chosen["groups"] == 16 and found.value > 0.3


def test_a_probe_of_ones_own_needs_four_members(make_table):
    class Nothing:
        name, title, reads, told = "nothing", "a reader of nothing", frozenset({"continuous"}), False

        def __call__(self, task):
            from invariantnets.probes import Reading

            for target in task.targets:
                held_out, mean = (
                    np.broadcast_to(task.mean(target.true), (len(r), 1)) for r in (task.choice, task.y["test"])
                )
                yield Reading(target, held_out, mean, mean, 0)

    found = read(make_table(mixed), Nothing())
    assert found.value == pytest.approx(0, abs=1e-6) and found.title == "a reader of nothing"
    assert (found.status, found.validation) == ("failed", 0.0)  # the mean is no reading


def test_the_defaults_of_both_doors_are_the_same():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        readers = compose("evaluate").probe
    assert tuple(instantiate(reader, _convert_="all") for reader in readers.values()) == (
        *DEFAULT[:-1],
        Mlp(widths=[48]),
    )


@pytest.mark.parametrize("path", sorted((CONF / "probe").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_probe_of_the_configuration_is_added_and_taken_out(path):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        added = compose("train", overrides=[f"+probe={path.stem}"]).probe
        assert instantiate(added[path.stem]).reads
        assert compose("train", overrides=[f"+probe={path.stem}", f"probe.{path.stem}=null"]).probe[path.stem] is None


def test_unknown_probes_are_refused(make_table):
    with pytest.raises(InvariantNetsError, match="there is no probe 'ridgr': did you mean 'ridge'"):
        named("ridgr")
    with pytest.raises(InvariantNetsError, match="probe.estimator.grid: .*no_such"):
        read(make_table(mixed), Estimator(KNeighborsRegressor(), {"no_such": [1]}))
