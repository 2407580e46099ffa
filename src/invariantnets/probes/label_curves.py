"""What is said of readings at several numbers of labelled rows: curve, spread over seeds, heading, description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import chi2

from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes.learning_curve import heading
from invariantnets.probes.likelihood import scale_of
from invariantnets.probes.scorer import Scorer
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import Resampling, ratio

__all__ = ["ROWS", "Curves", "Read"]

ROWS = "labelled_rows"


@dataclass(frozen=True, eq=False)
class Read:
    """What the strongest honest reader makes of one nuisance at one size.

    Attributes:
        rows: labelled rows that it saw.
        by: its name; empty: every honest probe failed, and the mean was said.
        test: ``(N, K)`` predictions of the test rows.
        control: R² of the shuffled nuisance in the test rows.
        code: ``(B,)`` bits that it takes to tell each row of the next block.
        died: readers that ended in an error there, in words: it may be that they would read more.
    """

    rows: int
    by: str
    test: np.ndarray
    control: float
    code: np.ndarray
    died: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Curves:
    """All readings of one nuisance.

    Attributes:
        nuisance: what was read.
        table: in which rows.
        reads: of each seed, of each size.
        orders: of each seed, the known rows of each size.
        source: ``(M,)`` of the known rows.
    """

    nuisance: Nuisance
    table: FeatureTable
    reads: Sequence[Sequence[Read]]
    orders: Sequence[Sequence[np.ndarray]]
    source: np.ndarray

    def results(self, scorer: Scorer, sizes: Sequence[int]) -> list[Result]:
        """Curve, spread, heading and description length."""
        encoded = self.nuisance.encode(self.table.nuisance[self.nuisance.name])
        known, true = (encoded[self.table.split != "test"], encoded[self.table.split == "test"])
        # The yardstick of all sizes is one.
        deviation = ((true - known.mean(0)) ** 2).sum(1)
        found: list[Result] = []
        curve: list[Result] = []
        for size, *reads in zip(sizes, *self.reads, strict=True):
            errors = np.stack([((true - read.test) ** 2).sum(1) for read in reads], 1)
            where = {ROWS: int(size)}
            each = 1 - errors.sum(0) / deviation.sum()
            curve.append(self._point(scorer, errors.mean(1), deviation, reads, where, each))
            if len(reads) > 1:
                found.append(self._spread(scorer, each, reads, where if size < sizes[-1] else {}))
        if len(sizes) > 1:
            found += [*curve, self._heading(scorer, curve), self._description(scorer, known)]
        return found

    def _result(self, scorer: Scorer, metric: str, value: float, **fields: Any) -> Result:
        common = {"target": self.nuisance.name, "probe": "strongest", "fixed": self.nuisance.fixed}
        return scorer.result(metric=metric, value=value, **{**common, **fields})

    def _point(
        self,
        scorer: Scorer,
        error: np.ndarray,
        deviation: np.ndarray,
        reads: Sequence[Read],
        where: Mapping[str, int],
        each: np.ndarray,
    ) -> Result:
        draws = scorer.people if self.nuisance.fixed else scorer.images
        quantities = np.stack([error, deviation, np.ones(len(error))], 1)
        value, low, high = (float(v[0]) for v in draws.interval(quantities, _r2, [Number("below_one", (2,))]))
        by = {read.by: None for read in reads if read.by}
        note = "" if by else "every honest probe failed, and the mean was said"
        note = "; ".join(filter(None, (note, *dict.fromkeys(why for read in reads for why in read.died))))
        if len(reads) > 1:
            note = "; ".join(filter(None, (note, f"mean of {len(reads)} probe seeds: {_listed(each)}")))
        return self._result(
            scorer,
            "r2",
            value,
            low=low,
            high=high,
            chance=0.0,
            control=float(np.mean([read.control for read in reads])),
            n_fit=reads[0].rows,
            where=where,
            chosen={"probe": ", ".join(by)} if by else {},
            status="ok" if by else "failed",
            note=note,
        )

    def _spread(self, scorer: Scorer, each: np.ndarray, reads: Sequence[Read], where: Mapping[str, int]) -> Result:
        free, value = len(each) - 1, float(each.std(ddof=1))
        low, high = (value * float(np.sqrt(free / chi2.ppf(p, free))) for p in (0.975, 0.025))
        note = f"standard deviation of R² over {len(each)} probe seeds: {_listed(each)}"
        fields = {"n_fit": reads[0].rows, "where": where, "note": note}
        fields["status"] = "ok" if any(read.by for read in reads) else "failed"
        return self._result(scorer, "r2_over_seeds", value, low=low, high=high, **fields)

    def _heading(self, scorer: Scorer, curve: Sequence[Result]) -> Result:
        sound = [r for r in curve if r.status == "ok"]
        points = [(r.n_fit or 0, r.value, float(np.nan_to_num((r.high or 0.0) - (r.low or 0.0))) / 2) for r in sound]
        rows, values, half = np.array(points or [(len(self.source), 0.0, 0.0)]).T
        to = heading(rows, values, half, scorer.seed)
        said = not to.why
        law = dict(zip(("a", "b", "c"), to.law, strict=True)) if said else {}
        words = f"a − b n^−c, followed to {to.rows:,} labelled rows" if said else f"cannot be said: {to.why}"
        return self._result(
            scorer,
            "r2_heading",
            to.value,
            chance=0.0,
            n_fit=int(rows[-1]),
            note=words,
            **({"low": to.low, "high": to.high, "chosen": {**law, ROWS: to.rows}} if said else {"status": "failed"}),
        )

    def _description(self, scorer: Scorer, known: np.ndarray) -> Result:
        """Bits a row to tell the known rows one block after the other, by the reader of those before."""
        marginal = scale_of(self.nuisance.kind, known).marginal(known)
        code = np.zeros_like(marginal)
        for reads, sets in zip(self.reads, self.orders, strict=True):
            told = marginal.copy()  # so is the first block, of which nobody knows anything
            for read, before, after in zip(reads[:-1], sets[:-1], sets[1:], strict=True):
                told[np.setdiff1d(after, before, assume_unique=True)] = read.code
            code += told / len(self.reads)
        unit = self.source
        if self.nuisance.fixed:
            unit = self.table.label[self.table.split != "test"]
        draws, quantities = Resampling(unit), np.stack([code, np.ones(len(code))], 1)
        value, low, high = (float(v[0]) for v in draws.interval(quantities, ratio, [Number("positive", (1,))]))
        result = self._result(
            scorer,
            "description_length",
            value,
            low=low,
            high=high,
            chance=float(marginal.mean()),
            n_fit=len(code),
            note=f"compression {marginal.mean() / value:.3g}; of known rows, each block told by who knows those before",
        )
        return replace(result, n=len(code), sources=draws.sources)


def _r2(sums: np.ndarray) -> np.ndarray:
    found: np.ndarray = 1 - sums[:, :1] / sums[:, 1:2]
    return found


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{v:.4f}" for v in values)
