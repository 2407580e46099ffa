"""``--help``: all that a program can be told, from the files of ``conf/`` and nothing else."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invariantnets.cli.notes import Composed, compose, summary

__all__ = ["Entry", "Section", "command", "parent_of", "sections", "shown", "usage"]

WIDTH = 100
COLUMNS = (20, 44)
# Copies of other keys, for networks and data beside the main ones: of each, only that it is there.
FOLDED = re.compile(r"(recipes\.[^.]+|transfer\.(?:data|protocols|probe|analysis))(?:\..*)?")

HOW = """\
  key=value      set a key; null: without it      group=choice   choose of a group; * is chosen
  +group=choice  add a choice to those that hold  -m key=1,2,3   a sweep: every combination
  --help model=… the keys of another choice       --cfg job      show the configuration, run nothing
  --config-dir=mine  choices of your own, in files such as mine/constraint/unit_length.yaml
"""


@dataclass(frozen=True)
class Entry:
    """A line of the help.

    Attributes:
        text: what one types.
        about: what it means.
        chosen: of a choice, whether it holds as it stands.
    """

    text: str
    about: str
    chosen: bool = False


@dataclass
class Section:
    """A group: its choices, and the keys that come with those that hold.

    Attributes:
        typed: what stands before ``=choice``; of the keys that are in no group, empty.
        package: the dotted key that its keys start with.
        about: what is chosen here.
        choices, keys: lines.
    """

    typed: str
    package: str
    about: str
    choices: list[Entry] = field(default_factory=list)
    keys: list[Entry] = field(default_factory=list)


def command(program: str) -> str:
    """How a program of ours is started here: as the one that runs was, from a clone or as an installed command.

    Args:
        program: ``train`` or ``evaluate``.
    """
    installed = Path(sys.argv[0]).stem.startswith("invariantnets-")
    return f"invariantnets-{program}" if installed else f"python {program}.py"


def usage(conf: Path, about: str, overrides: Iterable[str] = (), own: Path | None = None) -> str:
    """The help of a program.

    Args:
        conf: its configuration file, whose header holds the examples.
        about: what it does, in a sentence.
        overrides: of the command line: choices that are made there are respected.
        own: a folder of further choices.

    Raises:
        HydraException: the overrides name what there is not.
    """
    composed = compose(conf, [text for text in overrides if not re.search(r"=.*,(?![^\[{(]*[\]})])", text)], own)
    lines = [about, "", f"usage: {command(conf.stem)} [key=value | group=choice | flag] …", "", "examples:"]
    examples = [re.split(r" {2,}", line, maxsplit=1) for line in composed.notes.header]
    asked = [(typed.replace(f"python {conf.stem}.py", command(conf.stem)), *meaning) for typed, *meaning in examples]
    lines += _table([(f"  {typed}", "".join(meaning)) for typed, *meaning in asked], WIDTH)
    lines += ["", "how:", HOW]
    for section in sections(composed):
        title = section.about if not section.typed else f"{section.typed}=…  {section.about}"
        lines += [*textwrap.wrap(title, WIDTH, subsequent_indent="    ")]
        choices = [(f"{'*' if entry.chosen else ' '} {entry.text}", entry.about) for entry in section.choices]
        lines += [*_table(choices), *_table([(f"  {entry.text}", entry.about) for entry in section.keys]), ""]
    return "\n".join(lines)


def _table(rows: Sequence[tuple[str, str]], widest: int = COLUMNS[1]) -> Iterator[str]:
    """Two columns; where the left one is too wide, what it means comes below."""
    fitting = [len(left) + 2 for left, _ in rows if len(left) + 2 <= widest]
    column = max([COLUMNS[0], *fitting])
    for left, about in rows:
        right = textwrap.wrap(about, WIDTH - column, break_long_words=False)
        if len(left) + 2 > column:
            yield left
            left = ""
        for line in right or [""] * bool(left):
            yield f"{left:<{column}}{line}".rstrip()
            left = ""


def sections(composed: Composed) -> list[Section]:
    """What the help lists: the keys in no group, then the groups that the program has, in the order of its file."""
    found = [Section("", "", "keys:"), *sorted(_groups(composed), key=_place(composed))]
    named = {section.typed for section in found}
    seen = set()
    for key, value in composed.values.items():
        if folded := FOLDED.fullmatch(key):
            key, value = folded[1], {}
        inner = isinstance(value, dict) and key not in composed.notes.inline
        about = (
            composed.notes.keys.get(key) or _follows(value) or (composed.notes.places.get(key) if not inner else None)
        )
        if key in seen or key in named or (inner and not about):
            continue
        seen.add(key)
        owner = max((s for s in found if f"{key}.".startswith(f"{s.package}.") or not s.package), key=_depth)
        owner.keys.append(Entry(f"{key}…" if inner else f"{key}={shown(value)}", about or ""))
    return found


def _depth(section: Section) -> int:
    return len(section.package)


def _follows(value: Any) -> str:
    """Of a key without a comment that follows another."""
    match = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
    return f"as {match[1]}" if match else ""


def _place(composed: Composed) -> Any:
    """Groups as the program's file lists them, each followed by those inside it."""
    order = {group: place for place, group in enumerate(composed.notes.groups)}

    def place(section: Section) -> tuple[int, str]:
        return order.get(section.package.split(".")[0], len(order)), section.package

    return place


def _groups(composed: Composed) -> Iterator[Section]:
    """The groups that something is chosen of, and those of which choices are added to what there is."""
    for group, names in composed.groups.items():
        headers = {name: composed.header(group, name) for name in names}
        chosen = {typed: name for typed, name in composed.choices.items() if typed.partition("@")[0] == group}
        if (parent := parent_of(composed, group)) is None:
            for typed, choice in chosen.items():
                if FOLDED.fullmatch(typed.partition("@")[2]):
                    continue
                about = composed.notes.groups.get(typed, "")
                yield _section(typed, typed.partition("@")[2] or group, about, headers, {choice})
        elif parent in composed.values:
            about = f"adds one to {parent}; {parent}.<name>=null takes one out"
            yield _section(f"+{group}", parent, about, headers, set(chosen.values()))


def parent_of(composed: Composed, group: str) -> str | None:
    """Where the choices of a group are put side by side; None if one takes the place of another."""
    for name in composed.groups[group]:
        package, _ = composed.header(group, name)
        if package and package.endswith(f".{name}"):
            return package.removesuffix(f".{name}")
    return None


def _section(
    typed: str, package: str, about: str, headers: dict[str, tuple[str | None, list[str]]], chosen: set[str | None]
) -> Section:
    section = Section(typed, package, about)
    if len(headers) > 1 or None in chosen:
        for name, (_, header) in headers.items():
            section.choices.append(Entry(f"{typed}={name}", summary(header), name in chosen))
    return section


def shown(value: Any) -> str:
    """A value as one types it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if value != "" else "''"
