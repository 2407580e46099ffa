from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from representations import ideal

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.probes import DEFAULT, run_probes


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
    elif how == "label":
        label[0] = 9
    elif how == "source":
        return replace(table, source=table.source % 150)
    elif how == "angle":
        return replace(table, nuisance={"angle": np.zeros(len(table))})
    elif how == "nan angle":
        return replace(table, nuisance={"angle": np.where(np.arange(len(table)) == 3, np.nan, table.nuisance["angle"])})
    elif how == "no angle":
        return replace(table, nuisance={})
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
        ("few sources", "class 2 has 1 source images in split 'train'"),
        ("class not in val", "class 3 has no row in split 'val'"),
        ("label", r"labels 0\.\.9 do not fit 4 classes"),
        ("source", "is in split 'train' and in 'val'"),
        ("angle", r"nuisance 'angle' has one value only \(0\)"),
        ("nan angle", "nuisance 'angle': 1 values are NaN"),
        ("no angle", "no column for nuisance 'angle'"),
        ("layer", "no layer 'ip1'; it has conv1"),
        ("shape", "have shape"),
    ],
)
def test_a_table_that_cannot_be_probed_is_refused_in_one_line(make_table, how, message):
    with pytest.raises(InvariantNetsError, match=message) as error:
        run_probes(spoil(make_table(ideal), how), "ip1", DEFAULT)
    assert "\n" not in str(error.value)
