"""What may be said on the command line, in the words that Hydra has for it."""

from __future__ import annotations

from collections.abc import Iterable

FILE = ".safetensors"
OPTIONAL = ("release", "transfer")  # choices that may be none


def spelt_out(words: Iterable[str]) -> list[str]:
    """``release=<file>`` as ``release=file release.path=<file>``: Hydra takes a choice for a name in ``conf/release``.

    And ``release=null`` as ``~release``: it has another word for none.

    Args:
        words: of a command line, without the program.
    """
    out: list[str] = []
    for word in words:
        key, _, value = word.partition("=")
        path = value.strip("'\"")
        if key == "release" and path.endswith(FILE):
            quoted = path.replace("'", "\\'")  # in quotes: folders may be called seed=0
            out += ["release=file", f"release.path='{quoted}'"]
        elif key in OPTIONAL and value == "null":
            out.append(f"~{key}")
        else:
            out.append(word)
    return out
