"""Results on a network whose neurons are silenced: those that follow a nuisance, and as many at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from invariantnets.analysis.analysis import measured
from invariantnets.inspection.inspection import Specimen
from invariantnets.inspection.layers_seen import LayerSeen
from invariantnets.inspection.neuron_findings import R2, Findings, interval_of, r2_of
from invariantnets.inspection.neuron_silencing import FIRM, Judge, embeddings, together
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.resampling import Resampling

__all__ = ["TITLE", "Losses", "sizes_of"]

TITLE = "What is lost where neurons are silenced"
# Where a layer inside the network is silenced, it is run again and again: with a quarter of the pictures of train and
# val, and of test, but no fewer than these.
FEWER, LEAST = 4, (1000, 500)
_READERS = ("read as before", "read anew")


def sizes_of(shares: Sequence[float], width: int) -> list[int]:
    """How many neurons are silenced, ascending, each number once, one neuron at least and never all."""
    return sorted({min(max(round(share * width), 1), width - 1) for share in shares if width > 1})


@dataclass(frozen=True)
class Losses:
    """Silence and measure.

    Attributes:
        found: what the results are made of.
        specimen: the network, held by `looking`.
        opened: people of test are others than those of train.
        shares: of neurons.
        draws: at random, of each size.
        to: ``mean`` or ``zero``.
        stream: of random numbers; the next is used too.
    """

    found: Findings
    specimen: Specimen
    opened: bool
    shares: Sequence[float]
    draws: int
    to: str
    stream: int

    def of(self, layer: LayerSeen, whose: Sequence[int], device: torch.device) -> tuple[list[Result], str]:
        """Results of one layer, or a sentence why there are none.

        Args:
            layer: whose neurons.
            whose: nuisances, by their places.
            device: of the pictures.
        """
        seen, coded, copies = self.found.seen, self.found.coded, 0
        if layer.name != self.specimen.network.embedding or layer.kind != "numbers":
            fewer = [s.fewer(max(-(-len(s) // FEWER), least)) for s, least in zip(seen, LEAST, strict=True)]
            seen = (fewer[0][0], fewer[1][0])
            coded = (coded[0].rows(fewer[0][1]), coded[1].rows(fewer[1][1]))
            copies = together(self.specimen, layer, next(seen[0].batches(device, 2))[1], sum(map(len, seen)))
            if not copies:
                return [], f"{layer.name} is not silenced: it is not what one module gives, once"
        if not (sizes := sizes_of(self.shares, layer.live)):
            return [], f"{layer.name} is not silenced: fewer than two of its neurons vary"
        seed = self.found.material.seed
        judge = Judge(seen, (coded[0].of(whose), coded[1].of(whose)), self.opened, numpy_rng(seed, self.stream))
        keep = self._selections(layer, whose, sizes)
        fill = layer.mean if self.to == "mean" else np.zeros(layer.width)
        recognised, errors = [], []
        for i, (known, test) in enumerate(embeddings(self.specimen, layer, seen, keep, fill, device, copies)):
            if not i:
                judge.begin(known)
            recognised.append(judge.recognised(known, test))
            errors.append(judge.errors(known, test))
        return self._results(layer, judge, whose, sizes, np.stack(recognised, 1), np.array(errors)), ""

    def _selections(self, layer: LayerSeen, whose: Sequence[int], sizes: Sequence[int]) -> np.ndarray:
        """``(M, D)`` bool: none silenced; then of each size those of each nuisance, and as many live ones at random."""
        rng = numpy_rng(self.found.material.seed, self.stream + 1)
        orders = [rng.permutation(np.flatnonzero(layer.followed.live)) for _ in range(self.draws)]
        silent = [np.zeros(0, np.int64)]
        for size in sizes:
            silent += [layer.order[t, :size] for t in whose] + [order[:size] for order in orders]
        keep = np.ones((len(silent), layer.width), bool)
        for kept, units in zip(keep, silent, strict=True):
            kept[units] = False
        return keep

    def _results(
        self,
        layer: LayerSeen,
        judge: Judge,
        whose: Sequence[int],
        sizes: Sequence[int],
        recognised: np.ndarray,
        errors: np.ndarray,
    ) -> list[Result]:
        """Of ``(P, M)`` and ``(M, 2, N, T)``, selections in the order of `_selections`."""
        make = partial(measured, self.found.material, title=TITLE, note=self._note(judge, layer))
        step, results = len(whose) + self.draws, []
        for place, t in enumerate(whose):
            target = self.found.coded[0].nuisances[t].name
            for s, size in enumerate([0, *sizes]):
                where = {"layer": layer.name, "silenced": size, "of": layer.live}
                first = 1 + (s - 1) * step
                kinds = {"its neurons": [first + place], "at random": list(range(first + len(whose), first + step))}
                for kind, at in ({"its neurons": [0]} if not size else kinds).items():
                    of = partial(make, target=target, where=where)
                    if not judge.why:
                        results += self._recognition(of, judge, kind, recognised[:, at])
                    for reader, error in zip(_READERS, errors[at].transpose(1, 0, 2, 3)[..., place], strict=True):
                        results += self._read(of, judge, kind, reader, error, place)
        return results

    def _recognition(self, make: Any, judge: Judge, kind: str, found: np.ndarray) -> list[Result]:
        metric, each, low, high, people = judge.recognition(found)
        ends = {"low": low, "high": high} if np.isfinite(low) and np.isfinite(high) else {}
        chance = 0.5 if metric == "auc" else 1 / len(np.unique(judge.seen[0].label))
        fields: dict[str, Any] = {"n": len(found), "sources": people}
        results = [make(metric, each.mean(), probe=f"{self.found.name}/{kind}", chance=chance, **ends, **fields)]
        if len(each) > 1:
            probe = f"{self.found.name}/{metric_of(metric)}"
            results.append(make("sd_over_draws", each.std(ddof=1), probe=probe, **fields))
        return results

    def _read(self, make: Any, judge: Judge, kind: str, reader: str, error: np.ndarray, place: int) -> list[Result]:
        """Of squared errors ``(draws, N)``."""
        coded = judge.coded[1]
        tested = np.flatnonzero(coded.known[:, place])
        deviation = (coded.y[tested, coded.columns[place]] ** 2).sum(1)
        people = Resampling(judge.seen[1].source[tested])
        mean = interval_of(people, (error[:, tested].mean(0), deviation), r2_of, R2)
        fields: dict[str, Any] = {"n": len(tested), "sources": people.sources}
        fields["n_fit"] = int(judge.coded[0].known[:, place].sum())
        results = [make("r2", probe=f"{self.found.name}/{reader}, {kind}", chance=0.0, **mean, **fields)]
        if len(error) > 1:
            each = 1 - error[:, tested].sum(1) / deviation.sum()
            results.append(make("sd_over_draws", each.std(ddof=1), probe=f"{self.found.name}/{reader}", **fields))
        return results

    def _note(self, judge: Judge, layer: LayerSeen) -> str:
        fit, test = judge.seen
        how = (
            f"recognition: {len(judge.pairs):,} pairs of test pictures by cosine"
            if judge.pairs is not None
            else "recognition: the class of the nearest mean, by cosine, the means taken anew"
        )
        said = [
            "shares are of the neurons that vary; silenced neurons say "
            + ("their mean over train and val" if self.to == "mean" else "0"),
            f"{layer.name}: {len(test):,} test pictures and {len(fit):,} of train and val",
            judge.why or how,
            "read as before: by the line fitted to the network as it is; read anew: by one fitted to what is left, at "
            f"the same penalty ({FIRM:g} or more); at random: as many neurons, means over {self.draws} draws",
            f"intervals over {self.found.over}",
        ]
        return "; ".join(said)


def metric_of(metric: str) -> str:
    """What the scatter of recognition over draws is called."""
    return "AUC" if metric == "auc" else "accuracy"


def said_of(results: Sequence[Result], sentences: Sequence[str]) -> list[Result]:
    """Results whose notes say what is missing, too."""
    return [replace(r, note="; ".join([r.note, *sentences])) for r in results] if sentences else list(results)
