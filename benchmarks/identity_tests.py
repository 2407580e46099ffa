"""t-tests of every feature within every person: all from sums at once, against scipy person by person."""

from __future__ import annotations

import statistics
from functools import partial

import numpy as np
from scipy.stats import ttest_ind

from benchmarks.timing import alternate, cpu_seconds, ratio
from invariantnets.randomness import numpy_rng
from invariantnets.statistics.two_sample import shuffled_tests, two_sample

TOY = {"people": 3, "features": 4, "rounds": 1}
LEAST, MOST = 20, 40  # images on each side


def measure(people: int = 500, features: int = 512, rounds: int = 5) -> dict[str, dict[str, float]]:
    """CPU seconds of all people and features, and how many times faster than a loop over people, or over both."""
    rng = numpy_rng(0)
    images = rng.integers(LEAST, MOST, 2 * people, endpoint=True)
    cell = rng.permutation(np.repeat(np.arange(2 * people), images))
    who, side = cell // 2, cell % 2 == 1
    x = rng.normal(size=(len(cell), features)).astype(np.float32)
    few = max(people // 50, 1)  # a loop over both is measured on a fiftieth, and scaled

    def loop(columns: bool, count: int) -> None:
        for person in range(count):
            sides = [x[(who == person) & s].astype(np.float64) for s in (~side, side)]
            for part in zip(*(s.T for s in sides), strict=True) if columns else [sides]:
                ttest_ind(*part, equal_var=False)

    variants = {
        "all at once": partial(cpu_seconds, lambda: two_sample(x, who, side)),
        "scipy, a person at a time": partial(cpu_seconds, lambda: loop(False, people)),
        "scipy, a feature at a time": lambda: people / few * cpu_seconds(lambda: loop(True, few)),
        "20 shuffles of the sides": partial(
            cpu_seconds, lambda: shuffled_tests(x, who, side, 20, 0.05 / features, rng, welch=True)
        ),
    }
    found = alternate(variants, rounds)
    return {
        name: {"CPU s": statistics.median(times), "times all at once": ratio(times, found["all at once"])}
        for name, times in found.items()
    }
