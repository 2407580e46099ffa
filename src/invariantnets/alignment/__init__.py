"""Faces brought to one place, or to the front, by points on them (Taigman et al. 2014, section 2)."""

from invariantnets.alignment.camera import CameraFit, error_covariance, project
from invariantnets.alignment.frontal import Frontal

__all__ = ["CameraFit", "Frontal", "error_covariance", "project"]
