from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from representations import ideal, leaky

from invariantnets.errors import InvariantNetsError
from invariantnets.evaluation import remarks_on
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes import DEFAULT, KernelRidge, Mlp, Trees, named, run_probes
from invariantnets.results import to_jsonl

# Those that take little time, and rows enough for what is asked of them.
SOURCES = (80, 40, 40)
FEW = tuple(probe for probe in DEFAULT if not isinstance(probe, KernelRidge | Mlp | Trees))


def spoil(table: FeatureTable, how: str) -> FeatureTable:
    x, label = table.features["ip1"].copy(), table.label.copy()
    if how == "nan":
        x[5:8, 2] = np.nan
    elif how == "inf":
        x[0, 0] = np.inf
    elif how == "constant":
        x[:] = 0.1
    elif how == "no val":
        return table.rows(table.split != "val")
    elif how == "one class":
        return table.rows((table.split != "test") | (label == 1))
    elif how == "few sources":
        return table.rows((table.split != "train") | (label != 2) | (table.source == 2))
    elif how == "class not in val":
        return table.rows((table.split != "val") | (label != 3))
    elif how == "class not in train":
        return table.rows((table.split != "train") | (label != 3))
    elif how == "label":
        label[0] = 9
    elif how == "source":
        return replace(table, source=table.source % 150)
    elif how == "angle":
        return replace(table, nuisance={"angle": np.zeros(len(table))})
    elif how == "infinite angle":
        return replace(table, nuisance={"angle": np.where(np.arange(len(table)) == 3, np.inf, table.nuisance["angle"])})
    elif how == "unknown angle":
        return replace(table, nuisance={"angle": np.where(table.split == "val", np.nan, table.nuisance["angle"])})
    elif how == "no angle":
        return replace(table, nuisance={})
    elif how == "huge":
        x = np.where(x == x.max(), 1e160, x.astype(np.float64))
    elif how == "layer":
        return replace(table, features={"conv1": x})
    elif how == "shape":
        x = x[:-1]
    return replace(table, features={"ip1": x}, label=label)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("nan", r"'ip1': 3 values are NaN or infinite in 1 of 4 columns, the first is column 2 \(3 values\)"),
        ("inf", "column 0"),
        ("constant", "all 4 features are constant"),
        ("no val", "no row with split='val'"),
        ("one class", r"split 'test' has one class only \(1\)"),
        ("class not in train", "class 3 .* is in split 'test' but not in 'train'"),
        ("label", r"labels 0\.\.9 do not fit 4 classes"),
        ("source", "is in split 'train' and in 'val'"),
        ("huge", r"reach 1e\+160, whose square no number holds; divide them by that"),
        ("layer", "no layer 'ip1'; it has conv1"),
        ("shape", "have shape"),
    ],
)
def test_a_table_that_cannot_be_probed_is_refused_in_one_line(make_table, how, message):
    with pytest.raises(InvariantNetsError, match=message) as error:
        run_probes(spoil(make_table(ideal), how), "ip1", DEFAULT)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("angle", "it has one value only (0) in split 'train'; nothing can be predicted: vary it"),
        ("no angle", "the table has no such column; add or drop it"),
        ("infinite angle", "1 values are infinite; drop those rows"),
        ("unknown angle", "it is known in 0 rows of split 'val', and 2 are needed"),
    ],
)
def test_a_nuisance_that_cannot_be_probed_is_named_and_the_rest_goes_on(make_table, how, why):
    table = make_table(ideal, SOURCES)
    light = np.random.default_rng(0).normal(size=len(table))
    two = replace(table, nuisances=(*table.nuisances, Nuisance("light")), nuisance={**table.nuisance, "light": light})
    spoilt = spoil(two, how)
    nuisance = {"light": light, **{k: v for k, v in spoilt.nuisance.items() if k == "angle"}}
    spoilt = replace(spoilt, nuisance=nuisance)
    results = run_probes(spoilt, "ip1", FEW)
    (lost,) = [r for r in results if r.target == "angle"]
    assert (lost.metric, lost.probe, lost.status) == ("r2", "strongest", "failed") and np.isnan(lost.value)
    assert lost.note == f"not probed: {why}"
    assert '"status": "failed"' in to_jsonl([lost])
    assert f"nuisance 'angle' is not probed: {why}" in remarks_on(spoilt)
    assert [r for r in results if r.target == "light" and r.metric == "r2" and r.probe == "ridge"]
    (mav,) = [r for r in results if r.probe == "mav" and not r.where]
    assert mav.value == 1


def test_rows_in_which_a_nuisance_is_unknown_count_for_the_others(make_table):
    table = make_table(leaky)
    rng = np.random.default_rng(1)
    unknown = rng.random(len(table)) < 0.4
    same = {"all": table.nuisance["angle"], "some": np.where(unknown, np.nan, table.nuisance["angle"])}
    both = replace(table, nuisances=(Nuisance("all"), Nuisance("some")), nuisance=same)
    alone = replace(table.rows(~unknown), nuisances=(Nuisance("some"),), nuisance={"some": same["some"][~unknown]})
    found, expected = (
        {
            (r.probe, r.metric, str(r.where)): (r.value, r.low, r.n, r.n_fit)
            for r in run_probes(t, "ip1", [named("ridge"), named("knn")])
            if r.target == "some"
        }
        for t in (both, alone)
    )
    assert found == expected
    every = [r for r in run_probes(both, "ip1", [named("ridge")]) if r.target == "all" and not r.where]
    assert {r.n for r in every} == {np.count_nonzero(table.split == "test")}


@pytest.mark.parametrize("how", ["few sources", "class not in val"])
def test_a_class_with_few_images_is_said_and_still_counts(make_table, how):
    table = spoil(make_table(ideal, SOURCES), how)
    results = run_probes(table, "ip1", FEW)
    assert next(r for r in results if r.probe == "mav" and not r.where).value == 1
    expected = ["1 of 4 classes, as 2, have fewer than 2 images"] if how == "few sources" else []
    assert [remark[:46] for remark in remarks_on(table)] == [text[:46] for text in expected]
