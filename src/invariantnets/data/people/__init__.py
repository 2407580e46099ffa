"""People who do not exist, drawn whole: bodies of the package ``anny``, poses, clothes. See docs/people.md."""

from __future__ import annotations

from invariantnets.data.people.draw import Figure
from invariantnets.data.people.mesh import PARTS, body, missing
from invariantnets.data.people.person import OUTFIT
from invariantnets.data.people.pictures import RANGES, Known, backgrounds, check_ranges, figures, known

__all__ = [
    "OUTFIT", "PARTS", "RANGES", "Figure", "Known", "backgrounds", "body", "check_ranges", "figures", "known",
    "missing",
]  # fmt: skip
