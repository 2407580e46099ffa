"""python -m benchmarks: every table of README.md. About twenty minutes on a quiet machine."""

from __future__ import annotations

import logging
import os
import platform
import warnings
from collections.abc import Mapping

import numpy
import pytorch_lightning
import sklearn
import torch
from threadpoolctl import threadpool_limits

from benchmarks import (
    alignment,
    attributes,
    bootstrapping,
    cache,
    constraints,
    evaluation,
    faces,
    identity_tests,
    kernels,
    lda_draws,
    locally_connected,
    networks,
    probes,
    releases,
    solvers,
    training,
)


def table(title: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """A Markdown table with one line per entry; columns that an entry lacks stay empty."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = [f"| {title} | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for name, row in rows.items():
        cells = [f"{row[column]:,.3g}" if column in row else "" for column in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def machine() -> str:
    """What the numbers depend on, without names of hosts or folders."""
    versions = [(torch, "torch"), (pytorch_lightning, "pytorch-lightning"), (numpy, "numpy"), (sklearn, "scikit-learn")]
    return (
        f"{os.cpu_count()} cores ({platform.machine()}, {torch.backends.cpu.get_cpu_capability()}), "
        f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {module.__version__.partition('+')[0]}" for module, name in versions)
        + f", data={training.data_name()}\n"
    )


def main() -> None:
    """Training and probes on one thread; the evaluation as a user would run it."""
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    print(machine())
    torch.set_num_threads(1)
    with threadpool_limits(1):
        rows = {name: training.measure(name) for name in ("pair_lenet", "lenet")}
        rows["pair_lenet, bf16-mixed"] = training.measure("pair_lenet", "bf16-mixed")
        print(table("training", rows), flush=True)
        print(table("constraints", constraints.measure()), flush=True)
        print(table("solvers", solvers.measure()), flush=True)
        print(table("locally connected", locally_connected.measure()), flush=True)
        print(table("faces", faces.measure()), flush=True)
        print(table("alignment", alignment.measure()), flush=True)
        print(table("cache", cache.measure()), flush=True)
        print(table("probes", probes.measure()), flush=True)
        print(table("releases", releases.measure()), flush=True)
        print(table("linear discriminants", lda_draws.measure()), flush=True)
        print(table("linear SVMs", attributes.measure()), flush=True)
        print(table("networks", networks.measure()), flush=True)
        print(table("bootstrapping", bootstrapping.measure()), flush=True)
        print(table("identity tests", identity_tests.measure()), flush=True)
        print(table("kernels", kernels.measure()), flush=True)
    print(table("evaluation", evaluation.measure()), flush=True)


if __name__ == "__main__":
    main()
