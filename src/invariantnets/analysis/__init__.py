"""What a representation looks like: spectrum, scatter, length, orders for the heat maps."""

from invariantnets.analysis.description import describe
from invariantnets.analysis.norm import describe_norm, describe_recognition

__all__ = ["describe", "describe_norm", "describe_recognition"]
