"""The networks of the MLP side by side, one by one, scikit-learn's, and the matrix products that they need, alone."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np
import torch
from sklearn.neural_network import MLPRegressor

from benchmarks.timing import alternate, cpu_seconds, ratio
from invariantnets.probes.networks import BATCH_ROWS, LEARNING_RATE, Networks, train
from invariantnets.randomness import torch_rng

WIDTH, EPOCHS = 48, 10
TOY = {"rows": 300, "dims": 8, "networks": 2, "rounds": 1}


def problem(rows: int, dims: int, networks: int) -> tuple[torch.Tensor, torch.Tensor]:
    """``(N, D)`` features, and for each network one of them, times one plus another, and noise: ``(K, N, 1)``."""
    x = torch.randn(rows, dims, generator=torch_rng(0))
    pairs = torch.randint(dims, (networks, 2), generator=torch_rng(1))
    y = torch.stack([x[:, a] * (1 + x[:, b]) for a, b in pairs]) + 0.5 * torch.randn(
        networks, rows, generator=torch_rng(2)
    )
    return x, ((y - y.mean(1, keepdim=True)) / y.std(1, keepdim=True))[:, :, None]


def products(x: torch.Tensor, networks: int) -> None:
    """Two forward, three backward, of every batch: the bound."""
    wide, square = torch.randn(networks * WIDTH, x.shape[1]), torch.randn(networks, WIDTH, WIDTH)
    for block in (block for _ in range(EPOCHS) for block in x.split(BATCH_ROWS)):
        hidden = (block @ wide.T).view(len(block), networks, WIDTH).transpose(0, 1)
        second = torch.bmm(hidden, square)
        torch.bmm(second, square)
        torch.bmm(hidden.mT, second)
        torch.mm(hidden.transpose(0, 1).flatten(1).T, block)


def measure(rows: int = 12_000, dims: int = 512, networks: int = 24, rounds: int = 3) -> dict[str, dict[str, float]]:
    """CPU seconds of each, how many times that of ours it is, and R² on a third of the rows."""
    x, y = problem(rows * 3 // 2, dims, networks)
    scores: dict[str, float] = {}

    def ours(which: slice) -> np.ndarray:
        start = Networks.draw(dims, 1, WIDTH, [torch_rng(3, k) for k in range(*which.indices(networks))])
        steps = EPOCHS * rows // BATCH_ROWS or EPOCHS
        *_, last = train(start, (x[:rows], y[which, :rows]), steps, 0.1, torch_rng(4))
        return last(x[rows:]).numpy()

    def theirs() -> np.ndarray:
        found, options = [], {"batch_size": min(BATCH_ROWS, rows), "learning_rate_init": LEARNING_RATE / WIDTH**0.5}
        for target in y.numpy()[:, :, 0]:
            model = MLPRegressor(hidden_layer_sizes=(WIDTH, WIDTH), max_iter=EPOCHS, random_state=0, **options)
            found.append(model.fit(x[:rows].numpy(), target[:rows]).predict(x[rows:].numpy())[:, None])
        return np.stack(found)

    def scored(name: str, read: Callable[[], np.ndarray]) -> Callable[[], float]:
        def work() -> None:
            scores[name] = float(1 - ((read() - y[:, rows:].numpy()) ** 2).mean() / y[:, rows:].numpy().var())

        return lambda: cpu_seconds(work)

    alone = [slice(k, k + 1) for k in range(networks)]
    found = alternate(
        {
            "side by side (ours)": scored("side by side (ours)", lambda: ours(slice(0, networks))),
            "one by one": scored("one by one", lambda: np.concatenate([ours(k) for k in alone])),
            "MLPRegressor": scored("MLPRegressor", theirs),
            "products alone": lambda: cpu_seconds(lambda: products(x[:rows], networks)),
        },
        rounds,
    )
    return {
        name: {
            "seconds": statistics.median(seconds),
            "it / ours": ratio(seconds, found["side by side (ours)"]),
            **({"R²": scores[name]} if name in scores else {}),
        }
        for name, seconds in found.items()
    }
