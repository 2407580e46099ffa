"""Whether anything reads more than `strongest`: readers of scikit-learn and torch, tuned by hand on the same rows.

``python -m benchmarks.readers``: every table of ``tests/probes/hidden.py``; ``… norm fine features.npz``: some of them,
or tables in files; ``--keep FILE.json``: numbers are written there as they come, and what is there is not done again.

A reference is tuned on the rows of val, which it has not seen, and fitted once more to train and val together; on test
it is used once. None of our code is in it but for the encoding of the nuisance.
"""

from __future__ import annotations

import argparse
import json
import runpy
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.linalg import eigh
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path
from sklearn.svm import SVR

from benchmarks.reference_spaces import SPACES
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes import DEFAULT, Knn, Probe, Ridge, run_probes

TABLES: dict[str, Callable[[], FeatureTable]] = runpy.run_path(
    str(Path(__file__).parents[1] / "tests" / "probes" / "hidden.py")
)["TABLES"]
TOY = {"names": ("norm",), "rows": 200, "references": ("lasso", "quadratic"), "probes": (Ridge(), Knn(rows=100))}

# Setting → predictions of the queries.
Path_ = Mapping[Any, np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], Path_]
Spaces = Mapping[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]]


@dataclass(frozen=True)
class Rows:
    """One nuisance of a table: features, its encoding, and which row is of which split."""

    x: np.ndarray
    y: np.ndarray
    split: np.ndarray
    source: np.ndarray

    @classmethod
    def of(cls, table: FeatureTable, nuisance: Nuisance) -> Rows:
        """Of the rows in which it is known. Of yes and no, one column says all."""
        known = np.isfinite(table.nuisance[nuisance.name])
        y = nuisance.encode(table.nuisance[nuisance.name][known])
        (features,) = table.features.values()
        return cls(
            np.asarray(features[known], np.float64),
            y[:, 1:] if nuisance.kind == "binary" else y,
            table.split[known],
            table.source[known],
        )

    def part(self, *splits: str) -> tuple[np.ndarray, np.ndarray]:
        """Features and encoding of some splits."""
        rows = np.isin(self.split, splits)
        return self.x[rows], self.y[rows]


# What features are before they are read: fitted to the first rows, applied to both.


# Readers. Each gives candidates: a name, and a fit that gives predictions for every setting of a path.


def distances(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """``(N, M)`` squared."""
    found: np.ndarray = (x**2).sum(1)[:, None] - 2 * x @ z.T + (z**2).sum(1)
    return found.clip(0)


def svr(x: np.ndarray, y: np.ndarray, queries: np.ndarray, width: float, cost: float, epsilon: float) -> Path_:
    """Support vector regression with the kernel exp(−width · distance² / their median)."""
    within = distances(x, x)
    gamma = width / float(np.median(within[:500]))
    kernel, asked = np.exp(-gamma * within), np.exp(-gamma * distances(queries, x))
    model = SVR(kernel="precomputed", C=cost, epsilon=epsilon, cache_size=1000)
    return {None: np.stack([model.fit(kernel, column).predict(asked) for column in y.T], 1)}


def trees(x: np.ndarray, y: np.ndarray, queries: np.ndarray, leaves: int, rate: float, most: int) -> Path_:
    """Boosted trees, after 25, 50, 100 … of them."""
    kept = [n for n in (25, 50, 100, 200, 400, 800, 1600) if n <= most]
    found: dict[int, list[np.ndarray]] = {n: [] for n in kept}
    for column in y.T:
        model = HistGradientBoostingRegressor(
            max_iter=most, max_leaf_nodes=leaves, learning_rate=rate, early_stopping=False, random_state=0
        )
        for n, predicted in enumerate(model.fit(x, column).staged_predict(queries), 1):
            if n in found:
                found[n].append(predicted)
    return {n: np.stack(columns, 1) for n, columns in found.items()}


def quadratic(x: np.ndarray, y: np.ndarray, queries: np.ndarray, offset: float) -> Path_:
    """Ridge on all features, squares and products, by the kernel (x·z / |x|² + offset)², at every penalty."""
    scale, pairs = float((x**2).sum(1).mean()), np.triu_indices(x.shape[1])

    def products(z: np.ndarray) -> np.ndarray:
        """Whose inner product the kernel is, but for a constant."""
        squares = z[:, pairs[0]] * z[:, pairs[1]] * np.where(pairs[0] == pairs[1], 1, np.sqrt(2))
        return np.hstack([squares / scale, np.sqrt(2 * offset / scale) * z])

    if len(pairs[0]) + x.shape[1] < len(x):
        u = products(x)
        mean = u.mean(0)
        values, vectors = eigh((u - mean).T @ (u - mean))
        projected, mapped = vectors.T @ (u - mean).T @ y, (products(queries) - mean) @ vectors
    else:
        values, vectors = eigh((x @ x.T / scale + offset) ** 2)
        projected, mapped = vectors.T @ y, (queries @ x.T / scale + offset) ** 2 @ vectors
    penalties = 10.0 ** np.arange(-9, 2, 0.5)
    return {p: mapped @ (projected / (values.clip(0) + p * len(x))[:, None]) for p in penalties}


def lasso(x: np.ndarray, y: np.ndarray, queries: np.ndarray) -> Path_:
    """A sparse line, at 60 penalties."""
    penalties = np.abs(x.T @ y).max() / len(x) * 10 ** np.linspace(0, -4, 60)
    paths = [lasso_path(x, column, alphas=penalties)[1] for column in y.T]
    return {i: np.stack([queries @ coef[:, i] for coef in paths], 1) for i in range(60)}


def mlp(x: np.ndarray, y: np.ndarray, queries: np.ndarray, epochs: int, decay: float, rate: float = 1e-3) -> Path_:
    """Two hidden layers of 512, AdamW in batches of 128, the rate falling to 0; the mean of two."""
    inputs, targets, asked = (torch.from_numpy(a.astype(np.float32)) for a in (x, y, queries))
    kept, total = {}, len(x) // 128 * epochs + epochs
    for member in range(2):
        torch.manual_seed(member)
        net = torch.nn.Sequential(
            torch.nn.Linear(x.shape[1], 512), torch.nn.ReLU(), torch.nn.Linear(512, 512), torch.nn.ReLU(),
            torch.nn.Linear(512, y.shape[1]),
        )  # fmt: skip
        solver = torch.optim.AdamW(net.parameters(), rate, weight_decay=decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(solver, rate, total_steps=total + 1)
        for epoch in range(1, epochs + 1):
            for batch in torch.randperm(len(x)).split(128):
                solver.zero_grad()
                torch.nn.functional.mse_loss(net(inputs[batch]), targets[batch]).backward()
                solver.step()
                schedule.step()
            if epoch in (epochs, epochs * 3 // 4, epochs // 2, epochs // 4):
                with torch.no_grad():
                    kept[epoch] = kept.get(epoch, 0) + net(asked).numpy().astype(np.float64) / 2
    return kept


@dataclass(frozen=True)
class Reader:
    """A reference: what is tried in every space, then what more in the best of them."""

    fit: Callable[..., Path_]
    spaces: Sequence[str]
    first: Sequence[Mapping[str, Any]]
    then: Callable[[Mapping[str, Any]], Iterable[Mapping[str, Any]]] = lambda _: ()


def _svr_then(best: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for width in (0.1, 0.25, 1, 2):
        yield {**best, "width": width}
    for cost in (1, 3, 30):
        yield {**best, "cost": cost}
    yield {**best, "cost": 30, "epsilon": 0.01}
    yield {**best, "epsilon": 0.3}


def _trees_then(best: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield {"leaves": 31, "rate": 0.1, "most": 400}
    yield {"leaves": 4, "rate": 0.1, "most": 800}
    yield {"leaves": 31, "rate": 0.03, "most": 800}


REFERENCES = {
    "svr": Reader(svr, tuple(SPACES), [{"width": 0.5, "cost": 10, "epsilon": 0.1}], _svr_then),
    "trees": Reader(
        trees, ("raw", "unit", "whitened"), [{"leaves": 12, "rate": 0.1, "most": 200}], _trees_then
    ),
    "quadratic": Reader(
        quadratic, tuple(SPACES), [{"offset": 1}], lambda best: [{"offset": c} for c in (0.03, 0.2, 5, 100)]
    ),
    "lasso": Reader(lasso, ("raw", "standardised", "unit", "ranks"), [{}]),
    "mlp": Reader(
        mlp,
        tuple(SPACES),
        [{"epochs": 16, "decay": 0.01}],
        lambda best: [{"epochs": 64, "decay": 0.01}, {"epochs": 32, "decay": 1}],
    ),
}  # fmt: skip


def r2(predicted: np.ndarray, true: np.ndarray, mean: np.ndarray) -> float:
    """Against the mean of the rows that were fitted."""
    return float(1 - ((true - predicted) ** 2).sum() / ((true - mean) ** 2).sum())


def predict(reader: Reader, space: str, fit: Any, x: np.ndarray, y: np.ndarray, queries: np.ndarray) -> Path_:
    """Everything is fitted to the first rows, the space too."""
    mean, scale = y.mean(0), y.std(0)
    x, queries = SPACES[space](x, queries)
    path = reader.fit(x, (y - mean) / scale, queries, **fit)
    return {setting: predicted * scale + mean for setting, predicted in path.items()}


def refer(reader: Reader, rows: Rows) -> dict[str, Any]:
    """Tune a reference on val, fit it to train and val, and say what it reads of test."""
    (x, y), (x_val, y_val) = rows.part("train"), rows.part("val")
    tried: dict[tuple[str, str, Any], float] = {}

    def attempt(space: str, fit: Mapping[str, Any]) -> None:
        for setting, predicted in predict(reader, space, fit, x, y, x_val).items():
            tried[space, json.dumps(fit), setting] = r2(predicted, y_val, y.mean(0))

    for space in reader.spaces:
        for fit in reader.first:
            attempt(space, fit)
    space, chosen, _ = max(tried, key=tried.__getitem__)
    for fit in reader.then(json.loads(chosen)):
        attempt(space, fit)
    best = space, chosen, setting = max(tried, key=tried.__getitem__)
    (x, y), (x_test, y_test) = rows.part("train", "val"), rows.part("test")
    predicted = predict(reader, space, json.loads(chosen), x, y, x_test)[setting]
    low, high = interval(predicted, y_test, y.mean(0), rows.source[rows.split == "test"])
    settings = {"space": space, **json.loads(chosen), "setting": setting}
    return {
        "r2": r2(predicted, y_test, y.mean(0)), "low": low, "high": high, "validation": tried[best],
        "n_fit": len(x), "n": len(x_test), "settings": settings,
    }  # fmt: skip


def interval(predicted: np.ndarray, true: np.ndarray, mean: np.ndarray, source: np.ndarray) -> tuple[float, float]:
    """95 %, resampling sources."""
    errors = np.stack([((true - predicted) ** 2).sum(1), ((true - mean) ** 2).sum(1)], 1)
    _, group = np.unique(source, return_inverse=True)
    sums = np.stack([np.bincount(group, column) for column in errors.T], 1)
    draws = np.random.default_rng(0).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), 1000) @ sums
    low, high = np.percentile(1 - draws[:, 0] / draws[:, 1], [2.5, 97.5])
    return float(low), float(high)


def ours(table: FeatureTable, nuisance: Nuisance, probes: Sequence[Probe] = DEFAULT) -> dict[str, Any]:
    """What `strongest` reads, which probe that is, and what the others read."""
    (layer,) = table.features
    found = [r for r in run_probes(table, layer, probes) if r.target == nuisance.name and r.metric == "r2"]
    (best,) = (r for r in found if r.probe == "strongest")
    others = {r.probe: [r.value, r.low, r.high] for r in found if not (r.where or r.uses_answer or r is best)}
    return {
        "r2": best.value, "low": best.low, "high": best.high, "validation": best.validation, "n_fit": best.n_fit,
        "n": best.n, "settings": {k: repr(v) for k, v in best.chosen.items()}, "probes": others,
    }  # fmt: skip


def load(name: str) -> FeatureTable:
    """A table of ours by its name, or one in a file."""
    from invariantnets.features.io import load_table

    return TABLES[name]() if name in TABLES else load_table(name)


def contents(names: Iterable[str], rows: int | None = None) -> Iterator[tuple[str, FeatureTable, Nuisance]]:
    """Every nuisance of every table; at most so many rows of each split."""
    for name in names:
        table = load(name)
        if rows is not None:
            table = table.rows(
                np.concatenate([np.flatnonzero(table.split == s)[:rows] for s in np.unique(table.split)])
            )
        for nuisance in table.nuisances:
            yield f"{Path(name).stem}{'' if name in TABLES else ' ' + nuisance.name}", table, nuisance


def summary(found: Mapping[str, Any]) -> dict[str, float]:
    """R² of `strongest` and of each reference; and `strongest` as a share of the best of these."""
    read = {name: one["r2"] for name, one in found.items()}
    best = max((value for name, value in read.items() if name in REFERENCES), default=float("nan"))
    return {**read, "strongest / best": read["strongest"] / best} if "strongest" in read else read


def measure(
    names: Sequence[str] = tuple(TABLES),
    rows: int | None = None,
    references: Sequence[str] = tuple(REFERENCES),
    readers: Sequence[str] = ("strongest",),
    keep: Path | None = None,
    probes: Sequence[Probe] = DEFAULT,
) -> dict[str, dict[str, float]]:
    """Per table (and nuisance): R² of everything, and the ratio.

    Args:
        names: of tables, or paths.
        rows: at most so many of each split; None: all.
        references: which to compute.
        readers: what our own are called, where another state of the program writes to the same file.
        keep: a JSON file of what was found before; what comes is added.
        probes: of which ours is the strongest.
    """
    kept: dict[str, dict[str, Any]] = json.loads(keep.read_text()) if keep and keep.exists() else {}
    for part in (*readers, *references):
        for name, table, nuisance in contents(names, rows):
            found = kept.setdefault(name, {})
            if part in found:
                continue
            if part in REFERENCES:
                found[part] = refer(REFERENCES[part], Rows.of(table, nuisance))
            else:
                found[part] = ours(table, nuisance, probes)
            if keep:
                keep.write_text(json.dumps(kept, indent=1))
                print(name, part, json.dumps(found[part]), flush=True)
    return {name: summary(found) for name, found in kept.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(TABLES))
    parser.add_argument("--references", nargs="*", default=list(REFERENCES))
    parser.add_argument("--readers", nargs="*", default=["strongest"])
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        rows = measure(given.names, None, given.references, given.readers, given.keep)
    from benchmarks.__main__ import table

    print(table("readers", rows))


if __name__ == "__main__":
    main()
