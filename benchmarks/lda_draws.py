"""Linear discriminants of many draws from one pass of statistics, against scikit-learn's fitted draw by draw."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from benchmarks.timing import alternate, cpu_seconds, ratio
from invariantnets.probes.lda_weighted import weighted_discriminants

ROWS, DIMS, DRAWS, GROUPS = 60_000, 500, 20, 16
SHARE = 18_000 / 24_502  # of rows that a draw is fitted to (Parde et al. 2016, section IV)
TOY = {"rows": 600, "dims": 12, "draws": 3, "rounds": 1}


def make(rows: int, dims: int, draws: int) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Features that hold a number in noise, its bins, its limit and two classes, and the rows of each draw."""
    rng = np.random.default_rng(0)
    number = rng.standard_normal(rows)
    x = 0.1 * number[:, None] * rng.standard_normal(dims) + rng.standard_normal((rows, dims))
    x = np.maximum(x @ rng.standard_normal((dims, dims)) / dims**0.5, -0.5).astype(np.float32)
    bins = np.searchsorted(np.quantile(number, np.arange(1, GROUPS) / GROUPS), number)
    counts = np.zeros((draws, rows), np.uint8)
    for fitted in counts:
        fitted[rng.permutation(rows)[: round(SHARE * rows)]] = 1
    return x, [bins, (np.abs(number) > 1).astype(np.int64), (x[:, 0] > x[:, 1]).astype(np.int64)], counts


def ours(x: np.ndarray, groupings: list[np.ndarray], counts: np.ndarray) -> Iterator[np.ndarray]:
    """The groups of the rows that a draw is not fitted to, draw after draw, grouping after grouping."""
    for fitted, found in zip(counts, weighted_discriminants(x, groupings, counts), strict=True):
        rows = np.flatnonzero(fitted == 0)
        for one in found:
            yield one.group[one.scores(x, rows).argmax(1)]


def theirs(x: np.ndarray, groupings: list[np.ndarray], counts: np.ndarray, solver: str) -> Iterator[np.ndarray]:
    """The same by a fit of each."""
    for fitted in counts:
        for codes in groupings:
            yield (
                LinearDiscriminantAnalysis(solver=solver).fit(x[fitted > 0], codes[fitted > 0]).predict(x[fitted == 0])
            )


def measure(rows: int = ROWS, dims: int = DIMS, draws: int = DRAWS, rounds: int = 1) -> dict[str, dict[str, float]]:
    """CPU seconds, how many times faster ours is, and the share of equal predictions; of one target and three.

    Raises:
        AssertionError: fewer than 999 predictions of 1,000 are those of ``lsqr``.
    """
    x, groupings, counts = make(rows, dims, draws)
    table: dict[str, dict[str, float]] = {}
    for name, targets in (
        ("a number in 16 bins", groupings[:1]),
        ("a number in bins, a limit and two classes", groupings),
    ):
        answers: dict[str, np.ndarray] = {}

        def timed(of: str, work: Callable[[], Iterator[np.ndarray]], kept: dict[str, np.ndarray] = answers) -> float:
            return cpu_seconds(lambda: kept.update({of: np.concatenate(list(work()))}))

        found = alternate(
            {
                "ours": lambda t=targets: timed("ours", lambda: ours(x, t, counts)),
                "svd": lambda t=targets: timed("svd", lambda: theirs(x, t, counts, "svd")),
                "lsqr": lambda t=targets: timed("lsqr", lambda: theirs(x, t, counts, "lsqr")),
            },
            rounds,
        )
        row = {of: statistics.median(seconds) for of, seconds in found.items()}
        for solver in ("svd", "lsqr"):
            row[f"{solver} / ours"] = ratio(found[solver], found["ours"])
            row[f"equal to {solver}"] = float((answers[solver] == answers["ours"]).mean())
        assert row["equal to lsqr"] >= 0.999, f"{1 - row['equal to lsqr']:.2g} of the predictions differ"
        table[f"{draws} draws of {name}"] = row
    return table


def main() -> None:
    """Python -m benchmarks.lda_draws [rows dims draws]: on one thread."""
    import sys

    from threadpoolctl import threadpool_limits

    from benchmarks.__main__ import machine, table

    with threadpool_limits(1):
        print(machine(), table("linear discriminants", measure(*map(int, sys.argv[1:]))), sep="\n")


if __name__ == "__main__":
    main()
