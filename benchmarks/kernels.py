"""The ensemble of View 2: kernels of some networks over all pairs of LFW, each alone and their sum, in ten folds."""

from __future__ import annotations

from time import process_time

import numpy as np

from invariantnets.protocols.kernels import by_kernels, cpd_kernel
from invariantnets.protocols.verification import Pairs, cross_validate

NETWORKS = 4
TOY = {"pairs": 200, "dims": 8}


def measure(pairs: int = 6000, dims: int = 4096, seed: int = 0) -> dict[str, dict[str, float]]:
    """CPU seconds to make the kernels and to cross-validate one and their sum, on random elements of χ².

    Args:
        pairs: of them all, half of one person.
        dims: features of each network.
        seed: of the elements.
    """
    rng = np.random.default_rng(seed)
    same = np.arange(pairs) % 2 == 0
    made = Pairs(np.arange(pairs), np.arange(pairs), same, np.arange(pairs) * 10 // pairs)
    kernels, elapsed = [], 0.0
    for _ in range(NETWORKS):
        # Sparse and never negative, as of F7; nearer in pairs of one person.
        x = np.maximum(rng.normal(size=(pairs, dims)), 0).astype(np.float32) * np.where(same, 0.9, 1.0)[:, None]
        x = x.astype(np.float32)
        start = process_time()
        kernels.append(cpd_kernel(x))
        elapsed += process_time() - start
    rows = {"kernels": {"s": elapsed}}
    for name, parts in {"one kernel in ten folds": kernels[:1], "their sum in ten folds": kernels}.items():
        start = process_time()
        _, accuracy = cross_validate(made, by_kernels(parts, same), threshold=0.0)
        rows[name] = {"s": process_time() - start, "accuracy": float(accuracy.mean())}
    return rows


def main() -> None:
    """Python -m benchmarks.kernels: on one thread."""
    from threadpoolctl import threadpool_limits

    from benchmarks.__main__ import machine, table

    with threadpool_limits(1):
        print(machine(), table("kernels", measure()), sep="\n")


if __name__ == "__main__":
    main()
