"""The command line: help, suggestions, errors. Light: it must answer before torch is loaded."""

from invariantnets.cli.errors import describe
from invariantnets.cli.program import run_main

__all__ = ["describe", "run_main"]
