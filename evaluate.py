"""Measure what features still know of a nuisance: python evaluate.py --help."""

import hydra
from omegaconf import DictConfig

from invariantnets.cli import run_main
from invariantnets.run import evaluate


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Entry point."""
    evaluate(cfg)


if __name__ == "__main__":
    run_main(main)
