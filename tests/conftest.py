from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Mapping

import pytest

from invariantnets.results.result import Result
from read_once import read_once

ABOUT = {"label": "class", "features": "features", "identity": "identity", "norm": "norm"}
ANGLES = (-45.0, -30.0, -15.0, 0.0, 15.0, 30.0, 45.0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole programs first: they take longest, and workers that begin with them end together."""
    long = ("test_readme", "test_resume", "test_torture", "test_signals", "test_late")
    items.sort(key=lambda item: "programs" not in item.path.stem and item.path.stem not in long)


def pytest_collection_finish() -> None:
    """What was imported is no garbage before the end; not to look through it saves a sixth of tests that are small."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Some libraries tell of what nobody takes away at the end."""
    gc.unfreeze()


@pytest.fixture(autouse=True, scope="session")
def configuration_is_read_once() -> Iterator[None]:
    """The same files for every test that composes a configuration in this process."""
    with read_once():
        yield


@pytest.fixture
def make_results() -> Callable[..., list[Result]]:
    """What one run of ten classes measures, made up: every kind of result that figures and reports know."""

    def make(
        r2: float = 0.9,
        mav: float = 0.95,
        layer: str = "ip1",
        seed: int = 0,
        failed: bool = False,
        softmax: float = 0.987,
    ) -> list[Result]:
        def result(metric: str, value: float, target: str, probe: str, **fields) -> Result:
            fields = {"about": ABOUT.get(target, "nuisance"), **fields}
            return Result(metric, value, layer, target, probe, "test", n=3780, sources=540, seed=seed, **fields)

        def accuracy(probe: str, value: float, **fields) -> list[Result]:
            wheres = [{}, *({"label": d} for d in range(10))]
            low, high = value - 0.01, min(value + 0.01, 1.0)
            return [
                result("accuracy", value, "label", probe, low=low, high=high, chance=0.1, where=where, **fields)
                for where in wheres
            ]

        def angle(probe: str, r2: float, **fields) -> list[Result]:
            status = "failed" if failed else "ok"
            rmse = 30 * math.sqrt(max(1 - r2, 0))
            shared = {"status": status, "n_fit": 9000, **fields}
            return [
                result("r2", r2, "angle", probe, low=r2 - 0.01, high=r2 + 0.01, chance=0.0, control=-0.001, **shared),
                result("rmse", rmse, "angle", probe, low=rmse - 1, high=rmse + 1, chance=30.0, control=30.1, **shared),
            ]

        def predictions(probe: str, **fields) -> list[Result]:
            return [
                result(metric, value, "angle", probe, where={"angle": a}, **fields)
                for a in ANGLES
                for metric, value in (("predicted_mean", 0.8 * a), ("predicted_std", 9.0))
            ]

        best = result(
            "r2",
            math.nan if failed else r2,
            "angle",
            "strongest",
            chance=0.0,
            status="failed" if failed else "ok",
            n_fit=None if failed else 9000,
            chosen={} if failed else {"probe": "mlp"},
        )
        return [
            *accuracy("softmax", softmax),
            *accuracy("mav", mav),
            *accuracy("mav/estimated_angle", mav + 0.01),
            *accuracy("mav/estimated_angle_true_label", mav + 0.02, uses_answer=True),
            *angle("ridge", r2 - 0.2),
            *angle("ridge/per_label", r2 + 0.05, uses_answer=True),
            *angle("mlp", r2),
            best,
            *predictions("ridge"),
            *predictions("ridge/per_label", uses_answer=True),
            *(
                result("singular_value", 40 / i, "features", "description", where={"component": i})
                for i in range(1, 41)
            ),
            result("effective_rank", 21.3, "features", "description"),
            result("ideal_rank", 9.0, "features", "description"),
        ]

    return make


@pytest.fixture
def make_attribute_results() -> Callable[..., list[Result]]:
    """What one run measures of binary attributes, made up: name → R² and AUC of ridge, which is the strongest.

    A reading that is told the class stands beside it, and an honest one that finds ``other``, where that is given.
    """

    def make(
        attributes: Mapping[str, tuple[float, float]], other: float | None = None, fixed: bool = False
    ) -> list[Result]:
        def result(metric: str, value: float, target: str, probe: str, n: int = 400, **fields) -> Result:
            fields = {"seed": 0, "low": value - 0.05, "high": min(value + 0.05, 1.0), "fixed": fixed, **fields}
            return Result(metric, value, "F7", target, probe, "test", n=n, sources=40 if fixed else n, **fields)

        def reading(name: str, r2: float, auc: float, probe: str, **fields) -> list[Result]:
            return [
                result("r2", r2, name, probe, chance=0.0, control=0.01, **fields),
                result("auc", auc, name, probe, chance=0.5, control=0.51, **fields),
                result("accuracy", 0.98, name, probe, chance=0.98, **fields),
                result("balanced_accuracy", 0.7, name, probe, chance=0.5, **fields),
                result("false_negative_rate", 0.25, name, probe, n=8, **fields),
                result("false_positive_rate", 0.35, name, probe, n=392, **fields),
            ]

        found = []
        for name, (r2, auc) in attributes.items():
            found += reading(name, r2, auc, "ridge")
            found += reading(name, 1.0, 1.0, "class_mean", uses_answer=True)
            found += reading(name, r2, other, "knn") if other is not None else []
            found += reading(name, r2, auc, "strongest", chosen={"probe": "ridge"})[:2]
        return found

    return make


@pytest.fixture
def make_face_results() -> Callable[..., list[Result]]:
    """What one run measures on people never trained on, made up: protocols, nuisances by their R² (None: failed)."""

    def make(
        rank1: float = 0.6, leaks: Mapping[str, float | None] | None = None, seed: int = 0, layer: str = "F7"
    ) -> list[Result]:
        def result(metric: str, value: float, target: str, probe: str, **fields) -> Result:
            fields = {"about": ABOUT.get(target, "nuisance"), **fields}
            return Result(metric, value, layer, target, probe, "test", n=4000, sources=200, seed=seed, **fields)

        def people(metric: str, value: float, probe: str, chance: float, **fields) -> Result:
            low, high = value - 0.02, value + 0.02
            return result(metric, value, "identity", f"{probe}/cosine", low=low, high=high, chance=chance, **fields)

        def leak(name: str, value: float | None) -> list[Result]:
            if value is None:
                return [result("r2", math.nan, name, "strongest", chance=0.0, status="failed")]
            bounds = {"low": value - 0.03, "high": value + 0.03}
            return [
                result("r2", value, name, "ridge", chance=0.0, **bounds),
                result("rmse", 40 * math.sqrt(1 - value), name, "ridge", chance=40.0),
                result("r2", value, name, "strongest", chance=0.0, chosen={"probe": "ridge"}, **bounds),
            ]

        return [
            *(row for name, value in (leaks or {}).items() for row in leak(name, value)),
            people("accuracy", 0.5 + 0.45 * rank1, "verification", 0.5),
            *(people("tar", rank1 * far**0.25, "verification", far, where={"far": far}) for far in (0.001, 0.01, 0.1)),
            people("rank1", rank1, "closed_set", 0.005),
            people("rank10", 0.5 + rank1 / 2, "closed_set", 0.05),
            *(people("cmc", 1 - (1 - rank1) / k, "closed_set", 0.005 * k, where={"rank": k}) for k in (1, 2, 5, 10)),
            people("dir_far1", rank1 / 2, "open_set", 0.0001),
            *(people("dir", rank1 * far**0.25, "open_set", 0.0, where={"far": far}) for far in (0.01, 0.1, 1.0)),
        ]

    return make
