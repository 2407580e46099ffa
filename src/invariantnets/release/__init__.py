"""What is done to features after training, before anybody sees them: fitted once, kept, applied to others."""

from invariantnets.release.codes import Codes
from invariantnets.release.inlp import Inlp
from invariantnets.release.lda import Lda
from invariantnets.release.leace import Leace
from invariantnets.release.noise import Noise
from invariantnets.release.obliviator import Obliviator
from invariantnets.release.pca import Pca
from invariantnets.release.qleace import Qleace
from invariantnets.release.quantise import Quantise
from invariantnets.release.release import Release, released
from invariantnets.release.triplet import Triplet

__all__ = [
    "Codes",
    "Inlp",
    "Lda",
    "Leace",
    "Noise",
    "Obliviator",
    "Pca",
    "Qleace",
    "Quantise",
    "Release",
    "Triplet",
    "released",
]
