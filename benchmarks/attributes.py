"""Balanced linear SVMs of many attributes and values of C at once, against scikit-learn's LinearSVC one by one."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from sklearn.svm import LinearSVC

from benchmarks.timing import alternate, cpu_seconds, ratio
from invariantnets.probes.balanced_svm import fit_balanced, weights_of
from invariantnets.statistics.moments import moments

ROWS, DIMS, ATTRIBUTES, PENALTIES = 60_000, 500, 40, (0.01, 0.1, 1.0, 10.0, 100.0)
# LinearSVC takes as long as attributes there are: it is fitted to so many, from the rarest to the most frequent.
COMPARED = 2
TOY = {"rows": 500, "dims": 10, "attributes": 3, "rounds": 1}


def make(rows: int, dims: int, attributes: int) -> tuple[np.ndarray, np.ndarray]:
    """Rectified features in which attributes of 2 % to 50 % of the rows show, some plainly and some hardly."""
    rng = np.random.default_rng(0)
    style = rng.standard_normal((rows, 60), np.float32)
    rate = np.linspace(0.02, 0.5, attributes)
    noise = rng.standard_normal((rows, attributes), np.float32)
    hidden = style[:, np.arange(attributes) % 60] * np.linspace(0.3, 2, attributes) + noise
    present = (hidden > np.quantile(hidden, 1 - rate, axis=0).diagonal()).T
    x = style @ rng.standard_normal((60, dims), np.float32) / 60**0.5
    x += 0.3 * rng.standard_normal((rows, dims), np.float32)
    return np.maximum(x, 0), np.ascontiguousarray(present)


def ours(x: np.ndarray, present: np.ndarray, penalties: Sequence[float]) -> np.ndarray:
    """``(C, N, M)`` whether each is said to be there, of the rows that were fitted to."""
    weights = np.stack([weights_of(one, np.ones(len(x), bool)) for one in present])
    found = fit_balanced(x, moments(x, np.zeros((len(x), 0))), present, weights, penalties)
    return found.scores(x, np.arange(len(x))) > 0


def theirs(x: np.ndarray, present: np.ndarray, penalties: Sequence[float], tolerance: float = 1e-4) -> np.ndarray:
    """The same by a fit of each on standardised rows."""
    deviation = x.std(0, dtype=np.float64)
    z = ((x - x.mean(0, dtype=np.float64)) / np.where(deviation > 0, deviation, 1)).astype(np.float64)
    said = np.empty((len(penalties), len(x), len(present)), bool)
    for i, c in enumerate(penalties):
        for j, one in enumerate(present):
            said[i, :, j] = LinearSVC(C=c, dual=False, class_weight="balanced", tol=tolerance).fit(z, one).predict(z)
    return said


def measure(
    rows: int = ROWS, dims: int = DIMS, attributes: int = ATTRIBUTES, rounds: int = 1
) -> dict[str, dict[str, float]]:
    """CPU seconds, how many times faster ours is, and the share of predictions that are equal.

    LinearSVC is fitted to `COMPARED` of the attributes at every C, and its seconds are scaled up to all of them.

    Raises:
        AssertionError: fewer than 999 predictions of 1,000 are equal.
    """
    x, present = make(rows, dims, attributes)
    some = np.unique(((np.arange(COMPARED) + 0.5) * attributes / COMPARED).astype(int))
    answers: dict[str, np.ndarray] = {}
    found = alternate(
        {
            "ours": lambda: cpu_seconds(lambda: answers.update(ours=ours(x, present, PENALTIES))),
            "LinearSVC, scaled up": lambda: (
                cpu_seconds(lambda: answers.update(theirs=theirs(x, present[some], PENALTIES))) * attributes / len(some)
            ),
        },
        rounds,
    )
    equal = float((answers["ours"][:, :, some] == answers["theirs"]).mean())
    assert equal >= 0.999, f"{1 - equal:.2g} of the predictions differ"
    row = {name: statistics.median(seconds) for name, seconds in found.items()}
    row |= {"fitted by LinearSVC": len(some), "times": ratio(found["LinearSVC, scaled up"], found["ours"])}
    return {f"{attributes} attributes, {len(PENALTIES)} values of C": {**row, "equal": equal}}


def main() -> None:
    """Python -m benchmarks.attributes [rows dims attributes]: on one thread."""
    import sys

    import torch
    from threadpoolctl import threadpool_limits

    from benchmarks.__main__ import machine, table

    torch.set_num_threads(1)
    with threadpool_limits(1):
        print(machine(), table("linear SVMs", measure(*map(int, sys.argv[1:]))), sep="\n")


if __name__ == "__main__":
    main()
