"""What is done to features after training, before anybody sees them: fitted once, kept, applied to others."""

from invariantnets.release.leace import Leace
from invariantnets.release.quantise import Quantise
from invariantnets.release.release import Release, released

__all__ = ["Leace", "Quantise", "Release", "released"]
