"""Train a network under invariance constraints: python train.py --help."""

from pathlib import Path

from invariantnets.programs.train import run

if __name__ == "__main__":
    run(Path(__file__).resolve().parent / "conf")
