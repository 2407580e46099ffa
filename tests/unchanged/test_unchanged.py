"""Every number is what it was at the commits whose results of the same tables lie beside this file.

Of the network's own answers, the features themselves and recognition the values are those of commit 8d8781d; their
intervals are of the commit that made these files anew (November 2026), since they leave sources out in place of drawing
them. So are all that probes read, since when they are chosen out of fold on train and val, and fitted to both.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from unchanged_tables import columns

from invariantnets.evaluation import run_suite
from invariantnets.features.table import FeatureTable
from invariantnets.files import write_atomically
from invariantnets.nuisance import Nuisance
from invariantnets.probes import DEFAULT
from invariantnets.protocols import run_protocols
from invariantnets.results import Result, read_jsonl, to_jsonl
from programs import QUICK, run

HERE = Path(__file__).parent
# Readers of single precision, that learn: a rounding may turn a choice between two that are as good.
LEARNED = ("quadratic", "rbf", "trees", "knn", "mlp", "stack", "stack/label", "strongest")


def table(closed: bool) -> FeatureTable:
    found = columns(closed)
    features = {"features": found.pop("features")}
    made = FeatureTable.from_columns(features, found)
    circular = Nuisance("direction", "circular", "°")
    return replace(made, nuisances=tuple(circular if n.name == "direction" else n for n in made.nuisances))


def protocols(table: FeatureTable, layer: str, **options) -> list[Result]:
    similarities = ("cosine", "inner_product", "chi2")
    small = {"folds": 5, "pairs_per_fold": 30, "bootstrap": 200}
    return run_protocols(table, layer, similarities=similarities, **small, **options)


def key(r: Result) -> tuple[object, ...]:
    return r.metric, r.target, r.probe, r.layer, r.split, tuple(sorted(r.where.items()))


def same(a: float | None, b: float | None, tolerance: float) -> bool:
    return a == b if a is None or b is None else bool(np.isclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True))


def compare(now: list[Result], then: list[Result], tolerance: float) -> None:
    found = {key(r): r for r in now}
    assert len(found) == len(now) and set(found) == {key(r) for r in then}
    for old in then:
        new = found[key(old)]
        for field in ("value", "low", "high", "chance", "control", "validation"):
            # An end of R² moves by (1 - end) / (1 - value), of these tables twice as far as the value.
            learned = 0.05 if old.probe == "mlp" and field in ("low", "high") else 0.02
            allowed = max(tolerance, learned) if old.probe in LEARNED else tolerance
            if old.metric in ("r2", "auc", "accuracy") or old.probe not in LEARNED:
                after, before = getattr(new, field), getattr(old, field)
                if field == "control" and old.probe == "mlp" and before is not None:
                    # How far below chance it lies goes by how long it was trained; in selectivity it counts as chance.
                    after, before = max(after, old.chance or 0.0), max(before, old.chance or 0.0)
                assert same(after, before, allowed), (field, new, old)
        for field in ("n", "sources", "seed", "n_fit", "uses_answer", "about"):
            assert getattr(new, field) == getattr(old, field), (field, key(old))


@pytest.mark.parametrize("name", [pytest.param("closed", marks=pytest.mark.slow), "open"])
def test_every_number_is_what_it_was(name: str, tmp_path: Path) -> None:
    measured = run_suite(table(name == "closed"), DEFAULT, seed=3, protocols=protocols)
    now = read_jsonl(write_atomically(tmp_path / "results.jsonl", to_jsonl(measured.results)))
    compare(now, read_jsonl(HERE / f"{name}.jsonl"), 1e-6)  # kernels with and without AVX differ by 1e-7


def test_an_old_checkpoint_gives_its_numbers(tmp_path: Path) -> None:
    """Of 8d8781d: its configuration, its weights and the numbers that its own evaluation gave."""
    run("evaluate.py", f"ckpt_path={HERE / 'lenet.ckpt'}", *QUICK, "hydra.run.dir=run", cwd=tmp_path)
    now = [r for r in read_jsonl(tmp_path / "run" / "results.jsonl") if not r.where]
    # The softmax was written with whichever layer was probed; now it is at its own.
    now = [replace(r, layer="ip1") if r.probe == "softmax" else r for r in now]
    # Convolutions in single precision differ between processors: a neighbour in 64 is another, a row crosses an edge.
    compare(now, read_jsonl(HERE / "lenet.jsonl"), 2e-3)
