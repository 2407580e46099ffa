"""Train a network under invariance constraints: ``invariantnets-train``, or ``python train.py`` in a clone."""

from pathlib import Path

from omegaconf import DictConfig

from invariantnets.programs import CONF, start


def main(cfg: DictConfig) -> None:
    """Train a network under constraints, then measure what its features still know of a nuisance."""
    from invariantnets.run import train  # here, after --help and wrong keys: it loads torch

    train(cfg)


def run(conf: Path = CONF) -> None:
    """The program, with the configuration of a folder."""
    start(main, conf / "train.yaml")
