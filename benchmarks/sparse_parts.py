"""What sparsity filling gains where the truth is known: scores of parts that are drawn, of chosen sparsity.

``python -m benchmarks.sparse_parts`` prints accuracy by how often parts fire, and ``--figure`` draws it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from invariantnets.protocols.part_models import Said, fit_weights, hits, softmax
from invariantnets.results.paired import Less
from invariantnets.statistics.resampling import Resampling, ratio

RATES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0)
TOY = {"rates": (0.5,), "seeds": 2, "people": 8, "pictures": 4, "parts": 3}


def draw(
    rng: np.random.Generator,
    *,
    rate: float,
    known: float = 1.0,
    people: int = 40,
    pictures: int = 10,
    parts: int = 20,
    gap: float = 1.5,
    global_gap: float = 2.5,
    spread: float = 0.15,
) -> tuple[Said, np.ndarray]:
    """What models would say whose scores are normal, about the same for everybody but for the right person.

    Args:
        rng: draws.
        rate: how often a part fires, whoever it is of.
        known: the share of people in F, drawn for each part by itself.
        people: P.
        pictures: of each.
        parts: K, besides the global one, which fires always and knows everybody.
        gap: by how many standard deviations the right person scores higher, in a part.
        global_gap: the same, in the global model.
        spread: standard deviation of the scores. The smaller, the flatter is their softmax.

    Returns:
        What is said of ``people × pictures``, and the right person of each.
    """
    truth = np.repeat(np.arange(people), pictures)
    active = rng.random((len(truth), parts + 1)) < rate
    trained = rng.random((people, parts + 1)) < known
    active[:, 0] = trained[:, 0] = True
    scores = rng.normal(size=(len(truth), people, parts + 1))
    scores[np.arange(len(truth)), truth] += np.r_[global_gap, np.full(parts, gap)]
    own = np.zeros_like(scores)
    for k in range(parts + 1):
        there = np.flatnonzero(trained[:, k])
        own[:, there, k] = softmax(spread * scores[:, there, k]) if len(there) else 0
    active &= trained.any(0)
    return Said(own * active[:, None], active, np.broadcast_to(trained, own.shape)), truth


def right(seed: int, **drawn: Any) -> dict[str, np.ndarray]:
    """Arrangement → ``(J,)`` whether the right person comes first, weights learned on other pictures of other people.

    Args:
        seed: of all.
        **drawn: of `draw`.
    """
    rng = np.random.default_rng(seed)
    (val, answer), (test, truth) = draw(rng, **drawn), draw(rng, **drawn)
    half = np.arange(len(answer)) % 2

    def arranged(said: Said) -> dict[str, np.ndarray]:
        return {"parts": said.filled(uniform=True)[:, :, 1:], "unfilled": said.own, "filled": said.filled()}

    of_test = arranged(test)
    found = {"global": hits(test.whole(), truth)}
    weights = {name: fit_weights(p, answer, half, seed).w for name, p in arranged(val).items()}
    found |= {name: hits(of_test[name] @ w, truth) for name, w in weights.items()}
    return {**found, "unfilled, weights of the filled": hits(test.own @ weights["filled"], truth), "person": truth}


def less(found: Sequence[dict[str, np.ndarray]], of: str, base: str) -> Less:
    """What one arrangement is better by, over seeds and over people, by the same draws of both."""
    values, draws = [], []
    for one in found:
        gained = one[of] - one[base]
        people = Resampling(one["person"])
        values.append(float(gained.mean()))
        draws.append(people.drawn(np.stack([gained, np.ones(len(gained))], 1), ratio)[:, 0])
    n = people.sources
    # Every seed has people of its own, whose scatters are independent.
    return Less(tuple(values), float(np.mean([d.var() for d in draws])) / len(found) * n / (n - 1), n)


def measure(rates: Sequence[float] = RATES, seeds: int = 5, known: str = "all", **drawn: Any) -> pd.DataFrame:
    """A row for each rate: mean accuracies, and the gain by filling with its paired interval.

    Args:
        rates: how often parts fire.
        seeds: how many.
        known: ``all`` people are known to all parts; or ``seen``: those who fired on one of five training pictures.
        **drawn: of `draw`.
    """
    rows = []
    for rate in rates:
        share = 1.0 if known == "all" else 1 - (1 - rate) ** 5
        found = [right(seed, rate=rate, known=share, **drawn) for seed in range(seeds)]
        row = {name: float(np.mean([one[name].mean() for one in found])) for name in found[0] if name != "person"}
        gain = less(found, "filled", "unfilled")
        low, high = gain.bounds or (np.nan, np.nan)
        rows.append({"rate": rate, **row, "gain": gain.mean, "low": low, "high": high})
    return pd.DataFrame(rows)


def figure(path: str | Path, tables: dict[str, pd.DataFrame]) -> None:
    """Gain by filling against how often parts fire."""
    from invariantnets.figures.style import LINES, colour, legend_above, marker, new_axes, render, styled

    with styled():
        drawn, axes = new_axes(2.9)
        for i, (name, table) in enumerate(tables.items()):
            ends = 100 * np.abs(table[["low", "high"]].to_numpy().T - table["gain"].to_numpy())
            look = {"color": colour(i), "marker": marker(i), "linestyle": LINES[i], "capsize": 2}
            axes.errorbar(100 * table["rate"], 100 * table["gain"], yerr=ends, label=name, **look)
        axes.axhline(0, color="0.5", linewidth=0.8)
        axes.set_xlabel("a part fires on (% of pictures)")
        axes.set_ylabel("gained by filling (points)")
        legend_above(drawn, axes, columns=1)
        Path(path).write_bytes(render(drawn, Path(path).suffix[1:]))


def main() -> None:
    """Of the command line."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--figure", default="")
    words.add_argument("--seeds", type=int, default=5)
    given = words.parse_args()
    tables = {
        "every part knows everybody": measure(seeds=given.seeds),
        "parts know whom they saw on 5 pictures": measure(seeds=given.seeds, known="seen"),
        "as the first, scores 5 times as sharp": measure(seeds=given.seeds, spread=0.75),
    }
    for name, table in tables.items():
        print(f"\n{name}\n{(100 * table).round(1).to_string(index=False)}")
    if given.figure:
        figure(given.figure, tables)


if __name__ == "__main__":
    main()
