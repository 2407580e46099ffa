"""Train a network under invariance constraints: python train.py --help."""

import hydra
from omegaconf import DictConfig

from invariantnets.cli import run_main
from invariantnets.run import train


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> None:
    """Entry point."""
    train(cfg)


if __name__ == "__main__":
    run_main(main)
