"""Networks with named layers that are trained here."""

from invariantnets.backbones.backbone import Backbone, LayeredBackbone, Trainable
from invariantnets.backbones.convolutional import parde_a, parde_b, vggface
from invariantnets.backbones.deepface import deepface
from invariantnets.backbones.embedding import FixedNorm, GaussianNoise, LearnedNoise
from invariantnets.backbones.lenet import lenet
from invariantnets.backbones.locally_connected import LocallyConnected2d, tied_weight

__all__ = [
    "Backbone",
    "FixedNorm",
    "GaussianNoise",
    "LayeredBackbone",
    "LearnedNoise",
    "LocallyConnected2d",
    "Trainable",
    "deepface",
    "lenet",
    "parde_a",
    "parde_b",
    "tied_weight",
    "vggface",
]
