from __future__ import annotations

from unittest import mock

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from programs import ROOT


def test_a_file_of_the_configuration_is_read_once_a_process() -> None:
    """Of hundreds of tests that compose; else they take half as long again."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        compose("train")
        with mock.patch.object(OmegaConf, "load", side_effect=AssertionError("read again")):
            compose("train")
