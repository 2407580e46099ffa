"""Networks that were made and trained elsewhere, read at their layers.

A room of its own, since some of them are files and some are code: the configuration of a checkpoint may name what is in
`invariantnets.backbones`, and nothing that is in here.
"""

from invariantnets.foreign.dlib_face import DlibFace, dlib_face
from invariantnets.foreign.module import module
from invariantnets.foreign.module_backbone import ModuleBackbone
from invariantnets.foreign.onnx import OnnxBackbone, onnx
from invariantnets.foreign.pixels import Pixels
from invariantnets.foreign.preprocessing import Preprocessing
from invariantnets.foreign.published_vggface import published_vggface
from invariantnets.foreign.timm import timm
from invariantnets.foreign.torchscript import torchscript
from invariantnets.foreign.torchvision import torchvision

__all__ = [
    "DlibFace",
    "ModuleBackbone",
    "OnnxBackbone",
    "Pixels",
    "Preprocessing",
    "dlib_face",
    "module",
    "onnx",
    "published_vggface",
    "timm",
    "torchscript",
    "torchvision",
]
