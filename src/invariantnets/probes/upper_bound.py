"""What any reader can find at most: arithmetic, where what is released is one of few codes, or has noise added.

A probe says what *is* read, by those who were asked. Of the rows of test themselves it can be said what *can* be read:
whatever is a function of a code says the same of all rows of that code, and nothing of the kind has less squared error
than the code's mean over these very rows, nor more right answers than its most frequent value. With Gaussian noise the
same holds of the rows weighed by how likely each is under what was released: the Bayes reader, who knows every row
before the noise. Nobody can be as good as these without knowing the answers; nobody at all can be better.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from invariantnets.features.table import BEFORE_NOISE, FeatureTable
from invariantnets.probes.lookup import codes_of
from invariantnets.probes.metrics import judge
from invariantnets.probes.scorer import Scorer
from invariantnets.probes.targets import Target
from invariantnets.probes.task import Task
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.moments import BLOCK_ROWS

__all__ = ["blurred_means", "code_means", "luck", "upper_bounds"]

NOISE_ROWS = 20_000  # rows that noise may have made of one another: their number enters squared
_METRICS = {"r2": "r2_at_most", "accuracy": "accuracy_at_most"}


def code_means(code: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The mean of each row's code.

    Args:
        code: ``(N,)``.
        y: ``(N, K)``.

    Returns:
        ``(N, K)``.
    """
    count = np.bincount(code)
    means = np.stack([np.bincount(code, column) for column in y.T], 1) / np.maximum(count, 1)[:, None]
    return means[code]


def luck(code: np.ndarray, y: np.ndarray, source: np.ndarray, mean: np.ndarray) -> float:
    """The share of the squares that the codes' means explain on average of values that have nothing to do with them.

    Values are shuffled among the rows of each source, where sources have several; else among all rows, of which it is
    (codes - 1) / (rows - 1), as in an adjusted R². Exact: no draws.

    Args:
        code: ``(N,)``.
        y: ``(N, K)``.
        source: ``(N,)`` what rows have in common.
        mean: ``(K,)`` the yardstick of R².
    """
    _, group, count = np.unique(source, return_inverse=True, return_counts=True)
    if count.max() == 1:
        group, count = np.zeros(len(code), np.int64), np.array([len(code)])
    centred = y - mean
    means = code_means(group, centred)
    variance = ((centred - means) ** 2).sum(1)  # of a row's values about the mean of its source
    per_source = np.bincount(group, variance, len(count)) / count
    pairs, at, inside = np.unique(group * (int(code.max()) + 1) + code, return_index=True, return_counts=True)
    of, size = group[at], np.bincount(code)
    # A sum of so many of a source's values, drawn without replacement; over the rows of the code.
    drawn = inside * (count[of] - inside) / np.maximum(count[of] - 1, 1) * per_source[of]
    lucky = (drawn / size[code[at]]).sum()
    certain = (code_means(code, means) ** 2).sum()
    return float((lucky + certain) / (centred**2).sum())


def blurred_means(
    z: np.ndarray, x: np.ndarray, sigma: float, y: np.ndarray, label: np.ndarray | None = None
) -> np.ndarray:
    """The Bayes reader of noise: the mean of the rows, weighed by how likely each has become what was released.

    Args:
        z: ``(N, D)`` released.
        x: ``(N, D)`` the same rows before ``sigma`` times white Gaussian noise was added.
        sigma: of the noise, per feature.
        y: ``(N, K)``.
        label: ``(N,)`` the class, where it is told; then only rows of the same count.

    Returns:
        ``(N, K)``.
    """
    if label is not None:
        found = np.empty(y.shape)
        for rows in (np.flatnonzero(label == c) for c in np.unique(label)):
            found[rows] = blurred_means(z[rows], x[rows], sigma, y[rows])
        return found
    clean, blocks = x.astype(np.float32), []
    half = (clean.astype(np.float64) ** 2).sum(1) / 2
    for start in range(0, len(z), BLOCK_ROWS):
        block = z[start : start + BLOCK_ROWS].astype(np.float32)
        likely = ((block @ clean.T).astype(np.float64) - half) / sigma**2
        weight = np.exp(likely - likely.max(1, keepdims=True))
        blocks.append(weight @ y / weight.sum(1, keepdims=True))
    return np.concatenate(blocks)


def upper_bounds(scorer: Scorer, task: Task, target: Target, layer: str) -> list[Result]:
    """R² that no reader of the test rows exceeds, and accuracy of categories: of codes, and of features with noise.

    Args:
        scorer: of the test rows.
        task: what is read.
        target: the nuisance.
        layer: of the table.

    Returns:
        Of readers that are told nothing (``any``) and of those told the class (``any/label``). Of codes also
        ``r2_at_most_adjusted``, less what so many codes explain by `luck`. Nothing where features are not few codes
        and have no noise: then whoever knows the rows may know all of each.
    """
    part = task.parts["test"]
    code = task.once(_codes)
    if code is None:  # equal rows have equal noise, so that of few codes come few codes
        sigma = float(part.meta.get("noise", 0.0))
        return _of_noise(scorer, task, target, part, layer, sigma) if sigma else []
    count = int(code.max()) + 1
    how = {"codes": count, "bits": round(float(np.log2(count)), 2)}
    note = (
        f"{count:,} codes in these rows: arithmetic, and no reader of what is released, however trained, is better on "
        "them; the adjusted is what so many codes do not explain by luck"
    )
    y, found = task.y["test"][:, target.true], []
    for label in (None, part.label) if part.labelled else (None,):
        cells = code if label is None else np.unique(code * (int(label.max()) + 1) + label, return_inverse=True)[1]
        results = _judged(scorer, task, target, code_means(cells, y), label is not None, chosen=how, note=note)
        by_luck = luck(cells, y, part.source, task.mean(target.true))
        found += [*results, *(_adjusted(r, by_luck) for r in results if r.metric == "r2_at_most")]
    return found


def _codes(task: Task) -> np.ndarray | None:
    """``(N,)`` of the test rows; None where more than half of them differ: those are no codes."""
    found = codes_of([task.x["test"]], len(task.x["test"]) // 2)
    return found[0] if found else None


def _adjusted(result: Result, by_luck: float) -> Result:
    def less(share: float) -> float:
        return (share - by_luck) / (1 - by_luck) if by_luck < 1 else 0.0

    low, high = (None if end is None else less(end) for end in (result.low, result.high))
    return replace(result, metric="r2_at_most_adjusted", value=less(result.value), low=low, high=high)


def _of_noise(scorer: Scorer, task: Task, target: Target, part: FeatureTable, layer: str, sigma: float) -> list[Result]:
    """Of some sources, if there are many rows: who knows fewer rows confuses fewer, so that it is the looser bound."""
    sources = numpy_rng(task.seed, 156).permutation(np.unique(part.source))
    _, rows_of = np.unique(part.source, return_counts=True)
    some = np.isin(part.source, sources[: max(int(NOISE_ROWS / rows_of.mean()), 1)])
    rows = part.rows(some) if not some.all() else part
    y, z, x = task.y["test"][some][:, target.true], task.x["test"][some], rows.features[layer + BEFORE_NOISE]
    note = (
        f"noise of σ {sigma:g} was added: the Bayes reader, who knows these {len(rows):,} rows before it, and their "
        "answers; what is beyond its interval is luck. One release of each row: who sees several averages them"
    )
    of = Scorer(rows if task.closed else replace(rows, source=rows.label), layer, scorer.seed)
    return [
        result
        for label in ((None, rows.label) if rows.labelled else (None,))
        for result in _judged(
            of, task, target, blurred_means(z, x, sigma, y, label), label is not None, y, {"sigma": sigma}, note
        )
    ]


def _judged(
    scorer: Scorer,
    task: Task,
    target: Target,
    best: np.ndarray,
    told: bool,
    true: np.ndarray | None = None,
    chosen: dict[str, Any] | None = None,
    note: str = "",
) -> list[Result]:
    """The numbers of the best predictions."""
    true = task.y["test"][:, target.true] if true is None else true
    mean = task.mean(target.true)
    judged = judge(target, best, true, mean)
    chance = judge(target, np.broadcast_to(mean, true.shape), true, mean).plain() | judged.chance
    resampling = scorer.people if target.nuisance.fixed else scorer.images
    value, low, high = resampling.interval(judged.quantities, judged.statistic, judged.numbers)
    return [
        scorer.result(
            metric=_METRICS[metric],
            value=float(value[i]),
            low=float(low[i]),
            high=float(high[i]),
            chance=chance[metric],
            target=target.nuisance.name,
            probe="any/label" if told else "any",
            uses_answer=told,
            chosen=chosen or {},
            note=note,
            fixed=target.nuisance.fixed,
        )
        for i, metric in enumerate(judged.metrics)
        if metric in _METRICS
    ]
