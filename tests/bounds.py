"""What no reader exceeds, made up, for figures and reports."""

from __future__ import annotations

from dataclasses import replace

from invariantnets.results.result import Result
from invariantnets.results.select import select


def bounds_of(results: list[Result], most: float, **chosen: float) -> list[Result]:
    """What no reader of the angle exceeds, made up: of codes (``codes``, ``bits``) or of noise (``sigma``)."""
    (best,) = select(results, "r2", "angle", "strongest")
    whole = replace(best, metric="r2_at_most", probe="any", value=most, low=most - 0.01, high=most + 0.01)
    whole = replace(whole, chosen=chosen, status="ok", n_fit=None, control=None)
    adjusted = replace(whole, metric="r2_at_most_adjusted", value=most - 0.05, low=most - 0.06, high=most - 0.04)
    return [whole, *([adjusted] if "codes" in chosen else [])]
