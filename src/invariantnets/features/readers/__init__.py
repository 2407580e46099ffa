"""One file for each family of formats: from a path to named arrays."""

from invariantnets.features.readers.arrow import columns_of_frame

__all__ = ["columns_of_frame"]
