from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from invariantnets.cli.overrides import spelt_out


@pytest.mark.parametrize(
    "path",
    ["a.safetensors", "/runs/seed=0/release/ip1.safetensors", "it's mine/a, b.safetensors", "x{y}[z].safetensors"],
)
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_file_is_a_choice(path: str, quote: str) -> None:
    words = spelt_out(["features=t.npz", f"release={quote}{path}{quote}", "seed=1"])
    assert words[0] == "features=t.npz" and words[-1] == "seed=1" and spelt_out(words) == words
    choice, value = OverridesParser.create().parse_overrides(words[1:-1])
    assert (choice.key_or_group, choice.value()) == ("release", "file")
    assert (value.key_or_group, value.value()) == ("release.path", path)


def test_other_words_stay() -> None:
    words = ["-m", "release=leace", "release=leace,quantise", "release.levels=3", "features=a.safetensors", "release="]
    assert spelt_out(words) == words


def test_none_is_a_choice() -> None:
    assert spelt_out(["release=null", "transfer=null", "logger=null"]) == ["~release", "~transfer", "logger=null"]
