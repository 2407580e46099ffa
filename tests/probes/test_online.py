from __future__ import annotations

import numpy as np
import pytest
from representations import CLASSES, ideal, leaky, noise

from invariantnets.errors import InvariantNetsError
from invariantnets.probes.online import quick_probes


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
