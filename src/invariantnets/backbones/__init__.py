"""Networks with named layers: those that are trained here, and those of others."""

from invariantnets.backbones.backbone import Backbone, LayeredBackbone, Trainable
from invariantnets.backbones.deepface import deepface
from invariantnets.backbones.embedding import FixedNorm, GaussianNoise, LearnedNoise
from invariantnets.backbones.foreign import ModuleBackbone, Preprocessing, torchvision
from invariantnets.backbones.lenet import lenet
from invariantnets.backbones.locally_connected import LocallyConnected2d, tied_weight

__all__ = [
    "Backbone",
    "FixedNorm",
    "GaussianNoise",
    "LayeredBackbone",
    "LearnedNoise",
    "LocallyConnected2d",
    "ModuleBackbone",
    "Preprocessing",
    "Trainable",
    "deepface",
    "lenet",
    "tied_weight",
    "torchvision",
]
