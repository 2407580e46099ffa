"""The other networks of an ensemble: tables of the same images, whose rows are found by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from invariantnets.errors import InvariantNetsError
from invariantnets.features.io import load_table
from invariantnets.features.table import FeatureTable
from invariantnets.protocols.inputs import all_rows, matched


class MemberError(InvariantNetsError):
    """A member of an ensemble cannot be used."""


@dataclass(frozen=True)
class Member:
    """Features of one network.

    Attributes:
        name: in results.
        table: its own, whose train rows, if any, give the largest values that features are divided by.
        layer: that is compared.
        rows: those of the table that are compared; of all members in the same order.
    """

    name: str
    table: FeatureTable
    layer: str
    rows: FeatureTable


def members_of(table: FeatureTable, rows: FeatureTable, layer: str, others: Sequence[str | Path]) -> list[Member]:
    """A layer and what is set beside it.

    Args:
        table: that is measured.
        rows: those of it that are compared, with names if a member is another table.
        layer: that is compared; of a table of several layers, the one that is called so.
        others: other layers of the table, or paths of tables.

    Raises:
        MemberError: rows without names, an image that a member lacks or was trained on, or a table of several layers
            none of which is called as the one that is compared.
    """
    names = [str(other) for other in others if str(other) != layer]
    stems = Counter(Path(name).stem for name in names)
    found = [Member(layer, table, layer, rows)]
    for name in names:
        if name in table.features:
            found.append(Member(name, table, name, rows))
        else:
            short = Path(name).stem
            unique = stems[short] == 1 and short not in table.features
            found.append(_loaded(table, rows, layer, name, short if unique else name))
    return found


def _loaded(table: FeatureTable, rows: FeatureTable, layer: str, path: str, name: str) -> Member:
    other = load_table(path)
    if not (table.split == "train").any():  # a list that names all rows of a split that was drawn here
        other = all_rows(other)
    for owner, names in (("the table that is measured", rows.name), (f"protocols.members: {path}", other.name)):
        if names is None:
            raise MemberError(
                f"{owner} does not name its images, and members are put together by name: give it a column 'name'"
            )
    if layer not in other.features and len(other.features) > 1:
        raise MemberError(
            f"protocols.members: {path} has the layers {', '.join(other.features)} and none is called {layer!r}; save "
            "the one that is meant by itself"
        )
    assert rows.name is not None and other.name is not None
    place, _ = matched(other.name, rows.name)
    if (place < 0).any():
        missing = rows.name[place < 0]
        raise MemberError(
            f"protocols.members: {path} lacks {len(missing):,} of {len(rows):,} images, {str(missing[0])!r} the "
            f"first; its names are like {str(other.name[0])!r}: extract all images, and name them alike"
        )
    learned = place[other.split[place] != "test"]
    if len(learned) and "division" not in other.meta:
        raise MemberError(
            f"protocols.members: image {str(other.name[learned[0]])!r} (and {len(learned) - 1} more to test on) is of "
            f"split {str(other.split[learned[0]])!r} in {path}; its network may have been trained on it"
        )
    return Member(name, other, layer if layer in other.features else next(iter(other.features)), other.rows(place))
