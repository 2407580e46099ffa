"""V-information: how many bits of a nuisance the readers can use, and how many beyond what the class tells.

Xu et al. (2020), "A theory of usable information under computational constraints", definitions 2 and 3; per row as in
Ethayarajh et al. (2022), "Understanding dataset difficulty with V-usable information", equation 4: the surprise of a
nuisance to who knows nothing, H_V(Y), less that to who has read the features, H_V(Y|X). Whatever the likelihoods have
to learn (how far off a reader is, how sure it may be) they learn on known rows that the reader had not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from invariantnets.probes.likelihood import NOTHING, Scale, cross_fitted, fit_likelihood, scale_of
from invariantnets.probes.probe import Reading
from invariantnets.probes.scorer import Scorer
from invariantnets.probes.stack import Found, stack_of
from invariantnets.probes.targets import Target
from invariantnets.probes.task import Task
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import ratio

__all__ = ["Saved", "conditional_v_information", "saved_bits", "v_information"]

CLASS_ONLY = "class_mean"
_NOTHING = "no reader saves a bit on rows that it was not fitted to, so it is taken as the mean: 0 bits are no proof"
_NO_MORE = "on rows that they were not fitted to, the readers save no bit beyond the class: 0 bits are no proof"


@dataclass(frozen=True, eq=False)
class Saved:
    """Bits that predictions save in telling each row, against the marginal.

    Attributes:
        held_out: ``(C,)`` of the known rows that were held out, by a likelihood of the other half of them.
        test: ``(N,)`` of the test rows, by a likelihood of all that were held out.
        control: ``(N,)`` of the shuffled test rows, by the shuffled predictions and a likelihood of the other half.
    """

    held_out: np.ndarray
    test: np.ndarray
    control: np.ndarray

    def beyond(self, other: Saved) -> Saved:
        """What is saved beyond the savings of another."""
        return Saved(self.held_out - other.held_out, self.test - other.test, self.control - other.control)


def saved_bits(
    scale: Scale,
    reading: Reading,
    held_out: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    shuffled: np.ndarray,
    seed: int,
) -> Saved:
    """The bits that a reading saves: none in any row, where it saves none in rows that it had not seen.

    Args:
        scale: of the known rows.
        reading: predictions.
        held_out: ``(C, K)`` true values of the known rows that were held out, and ``(C,)`` their sources.
        test: ``(N, K)`` true values of the test rows, and ``(N,)`` their sources.
        shuffled: ``(N, K)`` shuffled values of the test rows.
        seed: draws the halves.
    """
    fitted = fit_likelihood(scale, reading.held_out, *held_out, seed)
    # Nobody predicted the shuffled values of known rows, so that their likelihood is that of the other half of test.
    control = cross_fitted(scale, reading.control, shuffled, test[1], seed)
    return Saved(fitted.held_out, fitted.saved(reading.test, test[0]), control)


def v_information(scorer: Scorer, task: Task, target: Target, strongest: Reading | None) -> list[Result]:
    """Bits a row that the strongest honest reader can use: H_V(Y) - H_V(Y|X).

    Args:
        scorer: of the test rows.
        task: what was read.
        target: the nuisance.
        strongest: the honest reading that is best on known rows; None: all have failed.
    """
    if strongest is None:
        failed: dict[str, Any] = {"value": 0.0, "chance": 0.0, "status": "failed", "note": _NOTHING}
        failed |= {"metric": "v_information", "target": target.nuisance.name, "probe": "strongest"}
        return [scorer.result(fixed=target.nuisance.fixed, **failed)]
    scale = scale_of(target.nuisance.kind, task.y["known"][:, target.true])
    saved = _saved(scorer, task, scale, strongest)
    marginal = float(scale.marginal(task.y["test"][:, target.true]).mean())
    of = f"of {marginal:.2f} bits that there are" if scale.whole else ""
    return [_result(scorer, target, saved, strongest, "v_information", "strongest", of, _NOTHING)]


def conditional_v_information(scorer: Scorer, task: Task, target: Target, found: Sequence[Found]) -> list[Result]:
    """Bits a row that the features tell beyond the class: H_V(Y|C) - H_V(Y|X, C). Of closed sets only.

    Who knows the class alone reads its mean. Who has the features as well may weigh all readers, those who are told
    the class among them, by least squares without negative weights (`stack_of`).

    Args:
        scorer: of the test rows.
        task: what was read.
        target: the nuisance.
        found: every reading of it, by whom.

    Returns:
        Nothing where nobody has read the means of the classes.
    """
    alone = [reading for probe, reading in found if probe.name == CLASS_ONLY]
    if not task.closed or not alone:
        return []
    both = stack_of(task, target, found)
    scale = scale_of(target.nuisance.kind, task.y["known"][:, target.true])
    by_class = _saved(scorer, task, scale, alone[0])
    saved = _saved(scorer, task, scale, both).beyond(by_class)
    told = f"the class alone tells {by_class.test.mean():.2f} bits"
    metric, probe = "conditional_v_information", "stack/label"
    return [_result(scorer, target, saved, both, metric, probe, told, _NO_MORE, "all readers together, class known")]


def _saved(scorer: Scorer, task: Task, scale: Scale, reading: Reading) -> Saved:
    target, chosen = reading.target, task.choice
    known, test = task.y["known"][chosen], task.y["test"]
    draws = scorer.people if target.nuisance.fixed else scorer.images
    held_out = (known[:, target.true], task.source[chosen])
    return saved_bits(scale, reading, held_out, (test[:, target.true], draws.group), test[:, target.control], task.seed)


def _result(
    scorer: Scorer,
    target: Target,
    saved: Saved,
    reading: Reading,
    metric: str,
    probe: str,
    note: str,
    why: str,
    title: str = "",
) -> Result:
    nuisance = target.nuisance
    draws = scorer.people if nuisance.fixed else scorer.images
    some = bool(saved.held_out.mean() > NOTHING)
    test = saved.test if some else np.zeros_like(saved.test)
    quantities = np.stack([test, np.ones(len(test))], 1)
    value, low, high = (float(v[0]) for v in draws.interval(quantities, ratio, [Number("any", (1,))]))
    return scorer.result(
        metric=metric,
        value=value,
        chance=0.0,
        control=float(saved.control.mean()),
        n_fit=reading.n_fit,
        target=nuisance.name,
        probe=probe,
        title=title,
        fixed=nuisance.fixed,
        uses_answer=bool(title),
        note="; ".join(filter(None, (note, "" if some else why))),
        **({"low": low, "high": high} if some else {"status": "failed"}),
    )
