"""Train networks whose features keep the class and forget the nuisance, and measure what is left.

What is named here is loaded when it is first asked for: the import itself loads neither torch nor Lightning.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invariantnets.evaluation import run_suite
    from invariantnets.features import FeatureTable
    from invariantnets.results import Result
    from invariantnets.side_by_side import compare

__all__ = ["FeatureTable", "Result", "compare", "run_suite"]

_PLACES = {
    "FeatureTable": "invariantnets.features",
    "Result": "invariantnets.results",
    "compare": "invariantnets.side_by_side",
    "run_suite": "invariantnets.evaluation",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
