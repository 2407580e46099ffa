"""Terms of the objective, one file each."""

from invariantnets.constraints.adversary import Adversary
from invariantnets.constraints.bottleneck import Bottleneck
from invariantnets.constraints.centre import Centre
from invariantnets.constraints.constraint import Constraint
from invariantnets.constraints.coral import Coral
from invariantnets.constraints.hsic import Hsic
from invariantnets.constraints.icl import Icl
from invariantnets.constraints.keep import Keep
from invariantnets.constraints.mean_activation import MeanActivation
from invariantnets.constraints.mmd import Mmd
from invariantnets.constraints.moon import Moon
from invariantnets.constraints.pair import Pair
from invariantnets.constraints.pair_batch import PairBatch
from invariantnets.constraints.siamese import Siamese
from invariantnets.constraints.softmax import Softmax
from invariantnets.constraints.supcon import SupCon
from invariantnets.constraints.vicreg import VicReg

__all__ = [
    "Adversary",
    "Bottleneck",
    "Centre",
    "Constraint",
    "Coral",
    "Hsic",
    "Icl",
    "Keep",
    "MeanActivation",
    "Mmd",
    "Moon",
    "Pair",
    "PairBatch",
    "Siamese",
    "Softmax",
    "SupCon",
    "VicReg",
]
