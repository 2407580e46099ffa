"""Protocols of face recognition, on any table of features."""

from invariantnets.protocols.lfw import run_lfw
from invariantnets.protocols.recognition import run_protocols

__all__ = ["run_lfw", "run_protocols"]
