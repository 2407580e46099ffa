from __future__ import annotations

import math

import numpy as np
import pytest

from invariantnets.results.result import Result
from invariantnets.results.select import at_layer, over_runs, select, spread
from invariantnets.results.words import probe_name


def result(value: float, **fields) -> Result:
    return Result("r2", value, "ip1", "angle", "ridge", "test", n=10, sources=5, seed=0, **fields)


def test_spread_is_mean_and_sample_deviation():
    values = [0.5, 0.7, 0.9]
    found = spread([result(v) for v in values])
    assert (found.mean, found.deviation, found.runs) == pytest.approx((np.mean(values), np.std(values, ddof=1), 3))


def test_one_run_keeps_its_own_interval():
    found = spread([result(0.5, low=0.4, high=0.7)])
    assert (found.mean, found.low, found.high, found.deviation) == (0.5, 0.4, 0.7, None)


def test_failed_probes_are_counted_not_averaged():
    found = spread([result(0.5), result(-60.0, status="failed"), result(math.nan)])
    assert (found.mean, found.runs, found.failed) == (0.5, 1, 2)


def test_subsets_never_pass_for_the_whole(make_results):
    results = make_results(mav=0.95)
    assert len(select(results, "accuracy", "label", "mav")) == 1
    assert len(select(results, "accuracy", "label", "mav", by="label")) == 10
    assert set(over_runs([results, results], "predicted_mean", "angle", "ridge", by="angle")) == {
        a * 15.0 for a in range(-3, 4)
    }


def test_softmax_belongs_to_every_layer(make_results):
    conv = [r for r in make_results(layer="conv1") if r.probe != "softmax"]
    assert select(at_layer(conv + make_results(), "conv1"), "accuracy", "label", "softmax")[0].value == 0.987


@pytest.mark.parametrize(
    ("probe", "name"),
    [
        ("mav/known_angle", "MAV per angle, angle known"),
        ("mav/estimated_angle", "MAV per angle, estimated"),
        ("mav/estimated_angle_true_label", "MAV per angle, estimated by true label"),
        ("something_new", "something_new"),
    ],
)
def test_probe_names(probe, name):
    assert probe_name(probe) == name
