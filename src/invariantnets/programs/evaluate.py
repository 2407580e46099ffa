"""Measure what features still know of a nuisance: ``invariantnets-evaluate``, or ``python evaluate.py`` in a clone."""

from pathlib import Path

from omegaconf import DictConfig

from invariantnets.programs import CONF, start


def main(cfg: DictConfig) -> None:
    """Measure what features still know of a nuisance: those of a trained network, or anybody's."""
    from invariantnets.run import evaluate  # here, after --help and wrong keys: it loads torch

    evaluate(cfg)


def run(conf: Path = CONF) -> None:
    """The program, with the configuration of a folder."""
    start(main, conf / "evaluate.yaml")
