"""Images with labels and nuisances."""

from invariantnets.data.batch import Batch, DataSpec, Nuisance
from invariantnets.data.rotated import RotatedImages

__all__ = ["Batch", "DataSpec", "Nuisance", "RotatedImages"]
