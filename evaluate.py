"""Measure what features still know of a nuisance: python evaluate.py --help."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from invariantnets.cli import run_main


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Measure what features still know of a nuisance: those of a trained network, or anybody's."""
    from invariantnets.run import evaluate  # here, after --help and wrong keys: it loads torch

    evaluate(cfg)


if __name__ == "__main__":
    run_main(main, Path(__file__).parent / "conf" / "evaluate.yaml")
