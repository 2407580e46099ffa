"""What the files of ``conf/`` say of each key: their comments, and the configuration that Hydra composes of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

__all__ = ["Composed", "Notes", "compose", "joined", "read_header", "read_notes", "summary"]

_GLOBAL = "_global_"
LONG = 120  # characters


@dataclass
class Notes:
    """The comments of a configuration file, or of all files that a configuration is composed of.

    Attributes:
        header: the comment that the file starts with, line by line.
        keys: dotted key → its comment, at the end of its line or on the lines above it.
        groups: group in the defaults list → its comment.
        inline: keys whose value is written as ``{…}``: one value, not keys of their own.
        names: all keys, those without a comment too.
        places: key below which a file was put → what that file is.
    """

    header: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    inline: set[str] = field(default_factory=set)
    names: list[str] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)


def joined(*parts: str) -> str:
    """A dotted key of parts, some of which may be empty."""
    return ".".join(part for part in parts if part)


def read_header(lines: Iterable[str]) -> tuple[str | None, list[str]]:
    """The package that a file names, where Hydra puts its keys, and the comment that it starts with."""
    package, header = None, []
    for line in lines:
        if not line.startswith("#"):
            break
        if match := re.match(r"# @package (\S+)", line):
            package = match[1]
        else:
            header.append(line.removeprefix("#").removeprefix(" ").rstrip())
    return package, header


def summary(header: Iterable[str]) -> str:
    """The first sentence of a header, or the first clause of a long one; commands, which are indented, left out."""
    text = " ".join(re.sub(r"   python .*", "", line) for line in header if not line.startswith(" "))
    sentence = re.split(r"(?<=\.)\s+(?=[A-Z])", text)[0].strip()
    return sentence if len(sentence) <= LONG else re.split(r"[:;] ", sentence)[0]


def read_notes(path: Path) -> Notes:
    """The comments of one file. Keys start at the file's own root."""
    lines = path.read_text(encoding="utf-8").splitlines()
    notes = Notes(read_header(lines)[1])
    start = next((place for place, line in enumerate(lines) if not line.startswith("#")), 0)
    root = yaml.compose("\n".join(lines))
    if isinstance(root, yaml.MappingNode):
        _walk(root, "", lines, start, notes)
    return notes


def _walk(node: yaml.MappingNode, parent: str, lines: Sequence[str], start: int, notes: Notes) -> None:
    for key, value in node.value:
        name = joined(parent, str(key.value))
        if name == "defaults":
            items = [pair for item in value.value if isinstance(item, yaml.MappingNode) for pair in item.value]
            for group, choice in items:
                if text := _comment(group, choice, lines, start):
                    notes.groups[re.sub(r"^(override )?/?", "", group.value)] = text
            continue
        notes.names.append(name)
        if text := _comment(key, value, lines, start):
            notes.keys[name] = text
        if isinstance(value, yaml.MappingNode):
            if value.flow_style:
                notes.inline.add(name)
            else:
                _walk(value, name, lines, start, notes)


def _comment(key: yaml.Node, value: yaml.Node, lines: Sequence[str], start: int) -> str | None:
    """What stands behind a value, or behind the key of a block; else what stands above."""
    block = isinstance(value, yaml.CollectionNode) and not value.flow_style
    mark = key.end_mark if block or getattr(value, "style", None) in ("|", ">") else value.end_mark
    behind = lines[mark.line][mark.column :].removeprefix(":").strip() if mark.line < len(lines) else ""
    if behind.startswith("#"):
        return behind.lstrip("# ")
    above: list[str] = []
    indent = " " * key.start_mark.column + "#"
    for line in reversed(lines[start : key.start_mark.line]):
        if not line.startswith(indent):
            break
        above.insert(0, line.strip("# "))
    return " ".join(above) or None


@dataclass(frozen=True)
class Composed:
    """A configuration, before any interpolation is resolved.

    Attributes:
        values: dotted key → value; of mappings too, so that ``model.optimizer`` is a key as well.
        notes: what the files that it is composed of say; a file that comes later has the last word.
        choices: group → what is chosen of it (null: nothing), as Hydra names both.
        groups: every group there is → its choices.
        folders: of the configuration files: the program's, then one's own.
    """

    values: dict[str, Any]
    notes: Notes
    choices: dict[str, str | None]
    groups: dict[str, list[str]]
    folders: Sequence[Path]

    def path(self, name: str) -> Path:
        """The file of ``train`` or ``group/choice``, as Hydra finds it."""
        return _file(self.folders, name) or self.folders[0] / f"{name}.yaml"

    def header(self, group: str, choice: str) -> tuple[str | None, list[str]]:
        """Package and header of one choice of a group. Without a header it is described as what it starts from."""
        text = self.path(f"{group}/{choice}").read_text(encoding="utf-8")
        package, header = read_header(text.splitlines())
        base = re.search(r"^defaults:\n +- (\w\S*)$", text, re.MULTILINE)
        return package, header or ([f"As {group}={base[1]}, with values of its own."] if base else [])


def _file(folders: Iterable[Path], name: str) -> Path | None:
    return next((path for folder in folders if (path := folder / f"{name}.yaml").is_file()), None)


def compose(conf: Path, overrides: Iterable[str] = (), own: Path | None = None) -> Composed:
    """What Hydra composes of a program's configuration file and a command line.

    Args:
        conf: the program's.
        overrides: the command line without flags.
        own: a folder of further choices, as ``--config-dir`` names it.

    Raises:
        HydraException: the command line names what there is not.
    """
    folders = [path.resolve() for path in (conf.parent, own) if path]
    places = [json.dumps(f"file://{path}", ensure_ascii=False) for path in folders[1:]]
    overrides = [*(f"hydra.searchpath=[{place}]" for place in places), *overrides]
    with initialize_config_dir(str(folders[0]), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        defaults = loader.compute_defaults_list(conf.stem, overrides, RunMode.RUN).defaults
        config = loader.load_configuration(conf.stem, overrides, RunMode.RUN)
    notes, groups = Notes(), sorted(path.name for path in folders[0].iterdir() if path.is_dir())
    options = {
        group: sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")}) for group in groups
    }
    chosen = config.hydra.runtime.choices.items()
    choices = {group: choice for group, choice in chosen if not group.startswith("hydra/")}
    values = OmegaConf.to_container(config, resolve=False)
    assert isinstance(values, dict)
    values.pop("hydra")
    for default in defaults:
        if (path := _file(folders, str(default.config_path))) is None:  # Hydra's own
            continue
        found, package = read_notes(path), (default.package or "").replace(_GLOBAL, "").strip(".")
        notes.groups.update(found.groups)
        notes.places[package] = summary(found.header)
        notes.keys.update({joined(package, key): text for key, text in found.keys.items()})
        notes.inline.update(joined(package, key) for key in found.inline)
        notes.header = notes.header or found.header
    return Composed(dict(_leaves(values, notes.inline)), notes, choices, options, folders)


def _leaves(values: Mapping[Any, Any], inline: set[str], parent: str = "") -> Iterator[tuple[str, Any]]:
    """Every key, dotted, and its value: a mapping before what is in it."""
    for key, value in values.items():
        name = joined(parent, str(key))
        if str(key).startswith("_"):  # Hydra's
            continue
        yield name, value
        if isinstance(value, dict) and name not in inline:
            yield from _leaves(value, inline, name)
