"""Networks with named layers."""

from invariantnets.backbones.backbone import Backbone
from invariantnets.backbones.deepface import deepface
from invariantnets.backbones.embedding import FixedNorm, GaussianNoise, LearnedNoise
from invariantnets.backbones.lenet import lenet
from invariantnets.backbones.locally_connected import LocallyConnected2d, tied_weight

__all__ = [
    "Backbone",
    "FixedNorm",
    "GaussianNoise",
    "LearnedNoise",
    "LocallyConnected2d",
    "deepface",
    "lenet",
    "tied_weight",
]
