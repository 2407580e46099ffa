"""What is done to features after training, before anybody sees them: fitted once, kept, applied to others."""

from invariantnets.release.inlp import Inlp
from invariantnets.release.leace import Leace
from invariantnets.release.obliviator import Obliviator
from invariantnets.release.qleace import Qleace
from invariantnets.release.quantise import Quantise
from invariantnets.release.release import Release, released

__all__ = ["Inlp", "Leace", "Obliviator", "Qleace", "Quantise", "Release", "released"]
