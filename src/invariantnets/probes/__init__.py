"""Probes: what can be read from features, by whom. Each has a file; `DEFAULT` are those that are asked unless told."""

import difflib

from invariantnets.errors import InvariantNetsError
from invariantnets.probes.class_mean import ClassMean
from invariantnets.probes.efficiency import label_efficiency
from invariantnets.probes.estimator import Estimator
from invariantnets.probes.kernel import KernelRidge
from invariantnets.probes.knn import Knn
from invariantnets.probes.lda import Lda
from invariantnets.probes.lookup import Lookup
from invariantnets.probes.mav import Mav
from invariantnets.probes.mlp import Mlp
from invariantnets.probes.predicted import Predicted, predictions
from invariantnets.probes.probe import ClassReading, Probe, Reading
from invariantnets.probes.ridge import Ridge
from invariantnets.probes.suite import read_answers, run_probes
from invariantnets.probes.task import Task
from invariantnets.probes.trees import Trees

__all__ = [
    "ClassMean",
    "ClassReading",
    "DEFAULT",
    "Estimator",
    "KernelRidge",
    "Knn",
    "Lda",
    "Lookup",
    "Mav",
    "Mlp",
    "Predicted",
    "Probe",
    "Reading",
    "Ridge",
    "Task",
    "Trees",
    "label_efficiency",
    "named",
    "predictions",
    "read_answers",
    "run_probes",
]

DEFAULT: tuple[Probe, ...] = (
    Mav(),
    ClassMean(),
    ClassMean("mav"),
    Ridge(),
    Ridge("label"),
    Ridge("mav"),
    KernelRidge("quadratic"),
    KernelRidge("rbf"),
    Trees(),
    Knn(),
    Lookup(),
    Mlp(),
)


def named(name: str) -> Probe:
    """A probe as it comes, by its name in results.

    Raises:
        InvariantNetsError: none is called so.
    """
    known: dict[str, Probe] = {probe.name: probe for probe in (*DEFAULT, Lda())}
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]!r}" if close else f"choose from {', '.join(known)}"
        raise InvariantNetsError(f"there is no probe {name!r}: {hint}, or give one itself, as Estimator(SVR())")
    return known[name]
