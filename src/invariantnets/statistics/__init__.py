"""Sufficient statistics, resampling, spaces and neighbours: what probes and protocols are computed with."""

from invariantnets.statistics.moments import Moments, class_moments, moments
from invariantnets.statistics.resampling import Resampling
from invariantnets.statistics.spaces import Space, spaces

__all__ = ["Moments", "Resampling", "Space", "class_moments", "moments", "spaces"]
