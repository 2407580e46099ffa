"""Terms of the objective, one file each."""

from invariantnets.constraints.constraint import Constraint
from invariantnets.constraints.mean_activation import MeanActivation
from invariantnets.constraints.pair import Pair
from invariantnets.constraints.pair_batch import PairBatch
from invariantnets.constraints.softmax import Softmax

__all__ = ["Constraint", "MeanActivation", "Pair", "PairBatch", "Softmax"]
