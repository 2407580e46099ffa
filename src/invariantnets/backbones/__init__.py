"""Networks with named layers."""

from invariantnets.backbones.backbone import Backbone
from invariantnets.backbones.lenet import lenet

__all__ = ["Backbone", "lenet"]
