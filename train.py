"""Train a network under invariance constraints: python train.py --help."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from invariantnets.cli import run_main


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> None:
    """Train a network under constraints, then measure what its features still know of a nuisance."""
    from invariantnets.run import train  # here, after --help and wrong keys: it loads torch

    train(cfg)


if __name__ == "__main__":
    run_main(main, Path(__file__).parent / "conf" / "train.yaml")
