"""Tables of features: made from a network, or brought along."""

from invariantnets.features.table import FeatureTable

__all__ = ["FeatureTable"]
