"""Published numbers beside ours, as a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """What a publication measured, and what we measured of the same.

    Attributes:
        title: for a heading.
        header: of the columns.
        rows: each as long as the header.
        note: what must be known to compare fairly.
        file: its name on disk, without suffix.
    """

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str
    file: str

    def to_text(self) -> str:
        """For a terminal, in aligned columns."""
        lines = [self.header, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.header))]
        text = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([text[0], "-" * len(text[0]), *text[1:], "", self.note, ""])

    def to_markdown(self) -> str:
        """For the docs."""
        lines = [self.header, ("---",) * len(self.header), *self.rows]
        return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", self.note, ""])
