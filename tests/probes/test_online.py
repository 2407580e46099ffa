from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hydra.utils import instantiate
from representations import CLASSES, ideal, leaky, noise

from invariantnets.checkpoint import load_model
from invariantnets.errors import InvariantNetsError
from invariantnets.features.extract import extract
from invariantnets.features.io import save_table
from invariantnets.nuisance import Nuisance
from invariantnets.probes.mav import Mav
from invariantnets.probes.online import divide, quick_probes
from invariantnets.probes.ridge import Ridge
from invariantnets.probes.suite import run_probes
from invariantnets.randomness import numpy_rng
from invariantnets.results import Result, read_jsonl
from programs import FEW, SMALL, run


def probed(table, x=None, nuisance=None):
    x = table.features["ip1"] if x is None else x
    rng = np.random.default_rng(0)
    nuisance = nuisance or table.nuisance
    return quick_probes(x, table.label, nuisance, table.nuisances, table.source, CLASSES, rng)


@pytest.mark.parametrize(("features", "accuracy", "r2"), [(ideal, 1, 0), (leaky, 1, 1), (noise, 1 / CLASSES, 0)])
def test_reads_what_is_there(make_table, features, accuracy, r2):
    found = probed(make_table(features))
    assert found == {"mav_accuracy": pytest.approx(accuracy, abs=0.08), "angle_r2": pytest.approx(r2, abs=0.06)}


def test_a_collapsed_network_reads_as_chance(make_table):
    table = make_table(ideal)
    found = probed(table, np.ones((len(table), 5), np.float32))
    assert found["angle_r2"] == 0 and found["mav_accuracy"] < 0.5


def test_nan_is_refused_and_an_unvarying_nuisance_is_undefined(make_table):
    table = make_table(ideal)
    assert np.isnan(probed(table, nuisance={"angle": np.zeros(len(table))})["angle_r2"])
    with pytest.raises(InvariantNetsError, match="'embedding'"):
        probed(table, np.full((len(table), 2), np.nan, np.float32))


KINDS = (
    Nuisance("angle", "continuous", "°"),
    Nuisance("turn", "circular", "°"),
    Nuisance("light", "categorical", categories=("dim", "even", "bright")),
    Nuisance("hat", "binary", categories=("no", "yes")),
)


def test_equal_to_the_probes_of_the_evaluation_on_the_same_rows(make_table):
    """Of each kind of nuisance, one of which is not in the features."""
    table = make_table(leaky)
    rng = np.random.default_rng(0)
    angle = table.nuisance["angle"]
    values = {
        "angle": angle,
        "turn": angle % 360,
        "light": np.sign(angle) + 1,
        "hat": rng.integers(0, 2, len(angle)),
    }
    table = replace(table, nuisance={n: v.astype(float) for n, v in values.items()}, nuisances=KINDS)
    quick = probed(table)
    table = replace(table, split=divide(table.source, np.random.default_rng(0)))
    found = run_probes(table, "ip1", [Ridge(), Mav()])
    assert quick == pytest.approx(of_evaluation(found), abs=1e-7)
    assert quick["angle_r2"] > 0.5 > quick["hat_r2"]


def of_evaluation(results: list[Result]) -> dict[str, float]:
    """What is compared, under the names that it has while training."""
    ours = {f"{r.target}_r2": r.value for r in results if r.metric == "r2" and r.probe == "ridge" and not r.where}
    (mav,) = (r.value for r in results if r.metric == "accuracy" and r.probe == "mav" and not r.where)
    return {"mav_accuracy": mav, **ours}


def test_what_a_run_logs_is_what_evaluate_py_says_of_the_same_rows(tmp_path):
    small = [*SMALL, *FEW, "callbacks.online_probes.every_n_epochs=1"]
    run("train.py", *small, "evaluate=false", "hydra.run.dir=out", cwd=tmp_path)
    logged = (
        pd.read_csv(tmp_path / "out" / "csv" / "version_0" / "metrics.csv").filter(like="online/").dropna().iloc[-1]
    )
    model, config = load_model(tmp_path / "out" / "checkpoints" / "last.ckpt")
    data = instantiate(config["data"], _convert_="all")
    data.setup()
    table = extract(model.backbone, data, ["ip1"]).part("val")
    table = replace(table, split=divide(table.source, numpy_rng(0, 1)))  # 1: the second and last epoch
    save_table(table, tmp_path / "table")
    probes = [f"probe.{name}=null" for name in ("knn", "mlp")]
    run("evaluate.py", "features=table", *probes, "hydra.run.dir=again", cwd=tmp_path)
    again = of_evaluation(read_jsonl(tmp_path / "again" / "results.jsonl"))
    assert {f"online/{name}": value for name, value in again.items()} == pytest.approx(logged.to_dict(), abs=1e-6)
