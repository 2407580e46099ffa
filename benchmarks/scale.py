"""python -m benchmarks.scale FOLDER IDENTITIES [FEATURES.npz [MORE]]: hyperplanes and search of a pool of any size.

MORE: the search again, among so many drawn like the hyperplanes, in half precision. On this machine, in as many
processes as it has cores. Killed and called again, it goes on where it was.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from invariantnets.bootstrapping import Pool, Svm, draw_negatives, merge, nearest, write_hyperplanes
from invariantnets.randomness import numpy_rng

WIDTH, IMAGES, NEGATIVES, SEEDS, K = 256, 50, 2_000, 100, 1_000


@dataclass(frozen=True)
class Population:
    """Identities and their images as a Gaussian has them, made of unit length.

    Attributes:
        mean: ``(D,)`` of all.
        between: ``(D, D)`` a root of the covariance of identities.
        within: ``(D, D)`` a root of the covariance of the images of one.
    """

    mean: np.ndarray
    between: np.ndarray
    within: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, label: np.ndarray) -> Population:
        """To ``(N, D)`` features of identities ``label``, by moments; an identity's mean varies by its images too."""
        x = features / np.linalg.norm(features, axis=1, keepdims=True)
        _, index, counts = np.unique(label, return_inverse=True, return_counts=True)
        means = np.stack([np.bincount(index, column) for column in x.T], 1) / counts[:, None]
        inside = (x - means[index]).T @ (x - means[index]) / (len(x) - len(means))
        return cls(x.mean(0), _root(np.cov(means.T) - inside * (1 / counts).mean()), _root(inside))


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return np.sqrt(values.clip(min=0))[:, None] * vectors.T


@dataclass
class Drawn:
    """The features of a pool, ``IMAGES`` of each identity, drawn when they are read: always the same.

    Attributes:
        population: where they are drawn from.
        identities: how many.
        seconds: of CPU that drawing took.
    """

    population: Population
    identities: int
    seconds: float = 0.0
    ndim: int = 2
    dtype: np.dtype = field(default=np.dtype(np.float32))

    def __len__(self) -> int:
        return self.identities * IMAGES

    @property
    def shape(self) -> tuple[int, int]:
        """``(N, D)``."""
        return len(self), len(self.population.mean)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        start = time.process_time()
        wanted = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else rows
        identity, place = np.unique(wanted // IMAGES, return_inverse=True)
        noise = np.empty((len(identity), IMAGES + 1, self.shape[1]), np.float32)
        for number, out in zip(identity, noise, strict=True):
            np.random.Generator(np.random.Philox(key=number)).standard_normal(out=out, dtype=np.float32)
        p = self.population
        person = p.mean.astype(np.float32) + noise[:, :1] @ p.between.astype(np.float32)
        x = person + noise[:, 1:] @ p.within.astype(np.float32)
        x /= np.linalg.norm(x, axis=2, keepdims=True)
        found = x[place, wanted % IMAGES]
        self.seconds += time.process_time() - start
        return found


def _part(folder: Path, population: Population, identities: int, start: int, stop: int) -> dict[str, float]:
    """Hyperplanes and neighbours of some of the identities, and what they cost."""
    torch.set_num_threads(1)
    drawn = Drawn(population, identities)
    pool = Pool(cast(np.ndarray, drawn), np.arange(0, len(drawn) + 1, IMAGES))
    negatives = draw_negatives(pool, NEGATIVES, numpy_rng(0))
    seen: list[int] = []
    with threadpool_limits(1):
        begin, drawn.seconds, wall = time.process_time(), 0.0, time.time()
        path = folder / f"normals-{start}.npy"
        progress = path.with_name(f"{path.name}.progress.json")
        before = json.loads(progress.read_text())["done"] if progress.is_file() else 0
        write_hyperplanes(path, pool.part(start, stop), negatives, Svm(), progress=seen.append)
        seconds = time.process_time() - begin
    return {
        "identities made now": stop - start - before,
        "seconds": seconds - drawn.seconds,
        "drawing": drawn.seconds,
        "wall": time.time() - wall,
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _search(files: list[Path], seeds: np.ndarray) -> dict[str, float]:
    """The neighbours of seeds in some files, on one thread. The peak holds the files' pages in memory."""
    torch.set_num_threads(1)
    begin, wall = time.process_time(), time.time()
    with threadpool_limits(1):
        parts = [np.load(file, mmap_mode="r") for file in files]
        counts = [len(part) for part in parts]
        k, firsts = min(K, *counts), (np.cumsum(counts) - counts).tolist()
        merge([nearest(part, seeds, k, first=first) for part, first in zip(parts, firsts, strict=True)], k)
    seconds, wall = time.process_time() - begin, time.time() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"search seconds": seconds, "search wall": wall, "search peak MB": peak, "seeds/s": len(seeds) / seconds}


def draw_more(path: Path, like: np.ndarray, count: int) -> None:
    """Unit rows of the covariance of some, in half precision; block by block, as they are searched."""
    rng, root = np.random.default_rng(0), _root(np.cov(np.asarray(like[:100_000], np.float64).T)).astype(np.float32)
    mean, rows = np.asarray(like[:100_000]).mean(0), np.lib.format.open_memmap(path, "w+", "float16", (count, WIDTH))
    for start in range(0, count, 100_000):
        x = mean + rng.standard_normal((min(100_000, count - start), WIDTH), np.float32) @ root
        rows[start : start + len(x)] = x / np.linalg.norm(x, axis=1, keepdims=True)
    rows.flush()


def run(folder: Path, identities: int, population: Population, workers: int) -> dict[str, float]:
    """What hyperplanes and a search of ``SEEDS`` seeds cost, summed over the workers (of memory: the most of one)."""
    bounds = np.linspace(0, identities, workers + 1).astype(int).tolist()
    # Fresh processes for each step: its peak of memory is its own.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as processes:
        tasks = [
            processes.submit(_part, folder, population, identities, start, stop)
            for start, stop in itertools.pairwise(bounds)
        ]
        done = [task.result() for task in tasks]
    files = [folder / f"normals-{start}.npy" for start in bounds[:-1]]
    found = search(files)
    combine: dict[str, Callable[..., float]] = {"wall": max, "peak MB": max}
    costs = {name: combine.get(name, sum)(part[name] for part in done) for name in done[0]}
    rate = costs["identities made now"] / max(costs["seconds"], 1e-9)
    return {**costs, "identities/s/core": rate, **found}


def search(files: list[Path]) -> dict[str, float]:
    """What a search of ``SEEDS`` seeds costs, in a process of its own."""
    seeds = np.array(np.load(files[0], mmap_mode="r")[:SEEDS])
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        return processes.submit(_search, files, seeds).result()


def main() -> None:
    """Draw from real features if they are given, else from made-up ones."""
    warnings.simplefilter("ignore")
    folder, identities = Path(sys.argv[1]), int(sys.argv[2])
    if len(sys.argv) > 3:
        with np.load(sys.argv[3]) as table:
            population = Population.fit(table["features"], table["label"])
    else:
        from benchmarks.bootstrapping import make_pool

        pool = make_pool(500)
        population = Population.fit(pool.features, np.repeat(np.arange(len(pool)), pool.counts))
    folder.mkdir(parents=True, exist_ok=True)
    print(json.dumps(run(folder, identities, population, os.cpu_count() or 1), indent=1))
    if len(sys.argv) > 4:
        more = folder / f"{sys.argv[4]}.npy"
        if not more.exists():
            draw_more(more, np.load(folder / "normals-0.npy", mmap_mode="r"), int(sys.argv[4]))
        print(json.dumps(search([more]), indent=1))


if __name__ == "__main__":
    main()
