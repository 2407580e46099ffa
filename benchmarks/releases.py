"""What a release costs, to fit and to apply, and what its upper bound costs, beside a linear reader of these rows."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.features import make_table
from benchmarks.timing import alternate, cpu_seconds, ratio
from invariantnets.features.table import FeatureTable
from invariantnets.probes import Ridge, run_probes
from invariantnets.probes.upper_bound import blurred_means, code_means, luck
from invariantnets.release import Codes, Inlp, Leace, Noise, Obliviator, Qleace, Quantise, released

IMAGES, DIMS = (4000, 1000, 2857), 500  # of train, val and test; seven rows each
NOISE_ROWS = 4_000
TOY = {"images": (300, 60, 100), "dims": 12, "rounds": 1}
RELEASES = {
    "leace": Leace(),
    "qleace": Qleace(),
    "inlp, 20 rounds": Inlp(rounds=20),
    "obliviator, 1 round": Obliviator(rounds=1),
    "quantise, 2 levels": Quantise(2),
    "codes, 20": Codes(20),
    "codes, 1,000": Codes(1000),
    "noise": Noise(0.1),
}


def means_one_by_one(code: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The usual way: one code after the other."""
    means = np.empty_like(y)
    for one in np.unique(code):
        means[code == one] = y[code == one].mean(0)
    return means


def shuffled(code: np.ndarray, y: np.ndarray, source: np.ndarray, mean: np.ndarray, draws: int = 20) -> float:
    """The usual way: the mean of some shuffles within images, which is exact to their number alone."""
    rng, total = np.random.default_rng(0), ((y - mean) ** 2).sum()
    order, explained = np.argsort(source, kind="stable"), []
    for _ in range(draws):
        drawn = np.lexsort((rng.random(len(y)), source))
        one = np.empty_like(y)
        one[order] = y[drawn]
        explained.append(((code_means(code, one) - mean) ** 2).sum() / total)
    return float(np.mean(explained))


def blurred_one_by_one(z: np.ndarray, x: np.ndarray, sigma: float, y: np.ndarray) -> np.ndarray:
    """The usual way: distances of one row to all others."""
    means = np.empty_like(y)
    for i, row in enumerate(z):
        likely = -((x - row).astype(np.float64) ** 2).sum(1) / (2 * sigma**2)
        weight = np.exp(likely - likely.max())
        means[i] = weight @ y / weight.sum()
    return means


def measure(images: tuple[int, int, int] = IMAGES, dims: int = DIMS, rounds: int = 3) -> dict[str, dict[str, float]]:
    """CPU seconds to fit a release or to compute a bound, and how they compare with a line and with the usual way.

    Raises:
        AssertionError: a bound is another than what the usual way gives.
    """
    table = make_table(images, dims)
    read = partial(cpu_seconds, lambda: run_probes(table, "ip1", [Ridge()]))
    rows: dict[str, dict[str, float]] = {}
    for name, release in RELEASES.items():
        fitted = release.fit(table, "ip1")
        found = alternate(
            {
                "line": read,
                "fit": partial(cpu_seconds, partial(release.fit, table, "ip1")),
                "apply": partial(cpu_seconds, partial(released, table, fitted)),
            },
            rounds,
        )
        both = [fit + apply for fit, apply in zip(found["fit"], found["apply"], strict=True)]
        rows[name] = {
            "s": statistics.median(found["fit"]),
            "apply, µs a row": statistics.median(found["apply"]) / len(table) * 1e6,
            "fit and apply / a line": ratio(both, found["line"]),
        }
    return rows | _bounds(table, rounds)


def _bounds(table: FeatureTable, rounds: int) -> dict[str, dict[str, float]]:
    test = table.part("test")
    coded = released(test, Codes(len(test) // 20).fit(table, "ip1")).features["ip1"]
    code = np.unique(coded, axis=0, return_inverse=True)[1]
    y = test.nuisance["angle"][:, None]
    what = code, y, test.source, y.mean(0)
    x, few = test.features["ip1"][:NOISE_ROWS], y[:NOISE_ROWS]
    sigma = 3.0
    z = x + sigma * np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    noise = z, x, sigma, few
    ways: dict[str, tuple[Callable[[], Any], Callable[[], Any], float]] = {
        f"bound of codes, {len(y):,} rows": (lambda: code_means(code, y), lambda: means_one_by_one(code, y), 1e-9),
        "its luck; usual: 20 shuffles": (lambda: luck(*what), lambda: shuffled(*what), 0.01),
        f"bound of noise, {len(x):,} rows": (lambda: blurred_means(*noise), lambda: blurred_one_by_one(*noise), 0.05),
    }
    rows = {}
    for name, (ours, usual, tolerance) in ways.items():
        difference = float(np.abs(np.asarray(ours()) - np.asarray(usual())).max())
        assert difference <= tolerance, f"{name}: ours and the usual way differ by {difference:.2g}"
        found = alternate({"ours": partial(cpu_seconds, ours), "usual": partial(cpu_seconds, usual)}, rounds)
        rows[name] = {"s": statistics.median(found["ours"]), "usual / ours": ratio(found["usual"], found["ours"])}
    return rows


def main() -> None:
    """Python -m benchmarks.releases: on one thread."""
    import torch
    from threadpoolctl import threadpool_limits

    from benchmarks.__main__ import machine, table

    torch.set_num_threads(1)
    with threadpool_limits(1):
        print(machine(), table("releases", measure()), sep="\n")


if __name__ == "__main__":
    main()
