"""What a configuration out of a file may call and read. Whole programs given hostile files: tests/torture."""

from __future__ import annotations

import inspect
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser

from invariantnets import data
from invariantnets.data import BankedImages, sources
from invariantnets.errors import InvariantNetsError
from invariantnets.trust import BELOW_ROOT, READ, check_paths, check_plain, named_places, of_this_machine, offered

# Texts that data take and that are no paths, or (the last) are not read when a network is looked at.
NO_PATHS = {"name", "emnist_split", "path_column", "label_column", "split_column", "division", "test_partition", "by"}
NO_PATHS |= {"device", "pairs", "nuisance", "values", "angles", "features_from", "folder", "cache_dir", "part"}


def test_every_path_that_data_read_is_known() -> None:
    made = [getattr(data, name) for name in data.__all__]
    kinds = [x for x in made if isinstance(x, type) and issubclass(x, BankedImages) and not inspect.isabstract(x)]
    found = {
        name
        for call in (*kinds, *(getattr(sources, name) for name in sources.__all__))
        for name, argument in inspect.signature(call).parameters.items()
        if "str" in str(argument.annotation).replace("Mapping[str", "").split("[")[0].split(" | ")
    }
    assert {*READ, *BELOW_ROOT} <= found <= {*READ, *BELOW_ROOT, *NO_PATHS}


def test_public_names_alone_are_offered() -> None:
    names = offered("model") | offered("data")
    assert {"torch.optim.SGD", "torch.optim.lr_scheduler.StepLR", "invariantnets.data.sources.digits"} <= names
    assert not offered("choices") and not offered("data") & offered("model")
    assert not [name for name in names if "._" in name or name.count(".") > 3 or "foreign" in name]
    assert not hasattr(torch.optim, "load") or "torch.optim.load" not in names


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work" / "run" / "checkpoints").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def allowed(here: Path, *more: str) -> list[str | Path]:
    paths = {"data_dir": "../data", "cache_dir": "../cache", "allow": list(more)}
    return named_places(paths, here / "run" / "checkpoints" / "best.ckpt")


@pytest.mark.parametrize("path", ["a.csv", "b/../a.csv", "../data/a.csv", "../cache/a", "run/bootstrap/a", "../work/a"])
def test_what_the_command_names_is_read(here: Path, path: str) -> None:
    check_paths({"pool": [{"table": path, "root": "."}]}, allowed(here), "x")


@pytest.mark.parametrize("name", ["it's.csv", "a b.csv", "$HOME.csv", "a,[b]{c}=d.csv", "back\\slash.csv", "a.csv"])
def test_what_it_does_not_is_asked_for_by_a_word_that_allows_it(here: Path, name: str) -> None:
    config = {"table": str(here.parent / "other" / name), "root": "../pictures", "images": "../x"}
    with pytest.raises(InvariantNetsError) as asked:
        check_paths(config, allowed(here), "given.ckpt")
    line = str(asked.value)
    assert line.startswith("given.ckpt: its data would be read from data.table=") and "\n" not in line
    (word,) = shlex.split(line.partition("if you want that, add ")[2])
    (override,) = OverridesParser.create().parse_overrides([word])
    more: Any = override.value()
    assert override.key_or_group == "paths.allow" and config["table"] in map(str, more)
    check_paths(config, allowed(here, *map(str, more)), "given.ckpt")


def test_links_are_followed_on_both_sides(here: Path) -> None:
    (here.parent / "data").symlink_to(here.parent / "disk")
    check_paths({"table": str(here.parent / "disk" / "a.csv")}, allowed(here), "x")
    (here / "link").symlink_to(here.parent)
    with pytest.raises(InvariantNetsError, match="data.table='link/a.csv'"):
        check_paths({"table": "link/a.csv"}, allowed(here), "x")


def test_a_checkpoint_beside_no_run_names_no_folder(here: Path) -> None:
    places = named_places({"data_dir": "d", "cache_dir": "c"}, here.parent / "best.ckpt")
    assert places == [here, "d", "c"]


def test_data_write_into_this_cache_and_fetch_nothing() -> None:
    source = {"_target_": "invariantnets.data.sources.torchvision_digits", "root": "data"}
    found = of_this_machine({"pool": [{"cache_dir": "/etc", "source": source}]}, "~/cache")
    assert found == {"pool": [{"cache_dir": "~/cache", "source": {**source, "download": False}}]}


def test_plain_values_alone() -> None:
    check_plain({"a": [1, 2.5, None, True, "x", float("nan")], 3: {}}, "x")
    for wrong in (b"x", {1, 2}, 1 << 64, object()):
        with pytest.raises(InvariantNetsError, match="so it was not loaded"):
            check_plain({"a": [wrong]}, "x")
