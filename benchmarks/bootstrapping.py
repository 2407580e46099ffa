"""Semantic bootstrapping: hyperplanes against a loop of LinearSVC, the search against a product and its bound.

How cost grows with the pool: ``python -m benchmarks.scale``.
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.svm import LinearSVC

from benchmarks.timing import alternate, cpu_seconds, ratio
from invariantnets.bootstrapping import ClosedForm, Pool, Svm, draw_negatives, nearest, write_hyperplanes
from invariantnets.randomness import numpy_rng

WIDTH, IMAGES, IDENTITIES, RECALL = 256, 50, 500, 100
SEEDS, K, HYPERPLANES = 100, 1000, 1_000_000
TOY = {"negatives": (200,), "identities": 120, "hyperplanes": 2000, "rounds": 1}


def make_pool(identities: int) -> Pool:
    """Rectified unit features: identities in 64 dimensions, nuisances in 96, both with decaying variance, and noise."""
    rng = np.random.default_rng(0)
    person, nuisance = (
        rng.standard_normal((n, WIDTH), np.float32) / np.sqrt(np.arange(1, n + 1, dtype=np.float32))[:, None] / 2
        for n in (64, 96)
    )
    means = rng.standard_normal((identities, 64), np.float32) @ person
    x = np.repeat(means, IMAGES, 0) + rng.standard_normal((identities * IMAGES, 96), np.float32) @ nuisance
    x = np.maximum(x + 0.2 * rng.standard_normal(x.shape, np.float32), 0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return Pool(x, np.arange(0, len(x) + 1, IMAGES))


def recall(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Share of each one's nearest hyperplanes that both have."""
    near = (nearest(normals, normals, RECALL + 1).index[:, 1:] for normals in (ours, theirs))
    return float(np.mean([len(np.intersect1d(a, b)) / RECALL for a, b in zip(*near, strict=True)]))


def solve(count: int, identities: int, rounds: int) -> dict[str, dict[str, float]]:
    """Identities per second and agreement, with so many negatives; LinearSVC at its own tolerance, both its solvers."""
    pool = make_pool(identities)
    negatives = draw_negatives(pool, count, numpy_rng(0))
    found: dict[str, np.ndarray] = {}

    def ours(name: str, method: Svm | ClosedForm) -> Callable[[], float]:
        def work() -> None:
            with tempfile.TemporaryDirectory() as folder:
                found[name] = np.array(write_hyperplanes(Path(folder) / "normals.npy", pool, negatives, method))

        return lambda: cpu_seconds(work)

    def loop(name: str, dual: bool) -> None:
        x, owner = negatives.x[:, :-1].numpy(), negatives.owner.numpy()
        coefficients = []
        for identity in range(identities):
            others = x[owner != identity]
            own = pool.features[pool.offsets[identity] : pool.offsets[identity + 1]]
            y = np.repeat([1, 0], [len(own), len(others)])
            coefficients.append(LinearSVC(dual=dual).fit(np.concatenate([own, others]), y).coef_[0])
        found[name] = np.stack(coefficients)

    methods = {"SVM": Svm(), "SVM, tolerance 1e-3": Svm(tolerance=1e-3), "closed form (approximation)": ClosedForm()}
    variants = {name: ours(name, method) for name, method in methods.items()}
    primal, dual = "LinearSVC loop", "LinearSVC(dual=True) loop"
    loops = {name: lambda name=name: cpu_seconds(lambda: loop(name, name == dual)) for name in (primal, dual)}
    seconds = alternate({**variants, **loops}, rounds)
    fastest = min(primal, dual, key=lambda name: statistics.median(seconds[name]))
    rows = {}
    for name, taken in seconds.items():
        rows[f"{name}, {count:,} negatives"] = {
            "identities/s": identities / statistics.median(taken),
            "times LinearSVC": ratio(seconds[fastest], taken),
            f"recall@{RECALL}": recall(found[name], found[primal]),
        }
    return rows


def search(dtype: str, hyperplanes: int, rounds: int) -> dict[str, dict[str, float]]:
    """Seeds per second over many hyperplanes that are in memory."""
    rng = np.random.default_rng(0)
    normals = rng.standard_normal((hyperplanes, WIDTH), np.float32)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    normals = normals.astype(dtype)
    seeds = normals[:SEEDS]
    x, queries = torch.from_numpy(normals).float(), torch.from_numpy(seeds).float()
    coarse = x.bfloat16()
    variants: dict[str, Callable[[], object]] = {
        "ours": lambda: nearest(normals, seeds, K),
        "one product and topk": lambda: torch.mm(queries, x.T).topk(K),
        "the product alone": lambda: torch.mm(queries, x.T),
        "bound: the product in bfloat16": lambda: torch.mm(queries.bfloat16(), coarse.T),
        "bound: every byte read once": lambda: torch.from_numpy(normals).sum(),
    }
    if importlib.util.find_spec("faiss") is not None:
        faiss = importlib.import_module("faiss")
        faiss.omp_set_num_threads(1)
        index = faiss.IndexFlatIP(WIDTH)
        index.add(x.numpy())
        variants["FAISS flat"] = lambda: index.search(queries.numpy(), K)
        variants["FAISS flat, seed by seed"] = lambda: [index.search(seed[None], K) for seed in queries.numpy()]
    assert np.array_equal(nearest(normals, seeds, K).index[:, 0], np.arange(SEEDS))
    # `work` is bound now: each variant measures its own.
    seconds = alternate({name: lambda work=work: cpu_seconds(work) for name, work in variants.items()}, rounds)
    return {
        f"{name}, {dtype}": {
            "seeds/s": SEEDS / statistics.median(taken),
            "ours / it": ratio(taken, seconds["ours"]),
        }
        for name, taken in seconds.items()
    }


def measure(
    negatives: Sequence[int] = (2_000, 10_000),
    identities: int = IDENTITIES,
    hyperplanes: int = HYPERPLANES,
    rounds: int = 3,
) -> dict[str, dict[str, float]]:
    """Both, as rows of one table."""
    rows: dict[str, dict[str, float]] = {}
    for count in negatives:
        rows |= solve(count, identities, 1 if count > 2_000 else rounds)
    for dtype in ("float32", "float16"):
        rows |= search(dtype, hyperplanes, rounds)
    return rows
