"""Measure what features still know of a nuisance: python evaluate.py --help."""

from pathlib import Path

from invariantnets.programs.evaluate import run

if __name__ == "__main__":
    run(Path(__file__).resolve().parent / "conf")
