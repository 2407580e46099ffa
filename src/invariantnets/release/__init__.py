"""What is done to features after training, before anybody sees them: fitted on the training rows alone."""

from invariantnets.release.leace import leace
from invariantnets.release.quantise import quantise

__all__ = ["leace", "quantise"]
