"""Protocols of face recognition, on any table of features."""

from __future__ import annotations

from collections.abc import Callable

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.protocols.inputs import TrainedOnError
from invariantnets.protocols.lfw import run_lfw
from invariantnets.protocols.listed import run_pairs
from invariantnets.protocols.members import MemberError
from invariantnets.protocols.parts import known_rows
from invariantnets.protocols.piper import run_piper
from invariantnets.protocols.recognition import run_protocols
from invariantnets.protocols.videos import run_videos
from invariantnets.results.result import Result

__all__ = [
    "NOT_MEASURED",
    "by_list",
    "by_parts",
    "known_rows",
    "run_lfw",
    "run_pairs",
    "run_piper",
    "run_protocols",
    "run_videos",
    "unfit",
    "wants_names",
]


NOT_MEASURED = "recognition is not measured: "


def by_list(protocol: Callable[..., list[Result]]) -> bool:
    """Whether a protocol compares images that a list names, whoever is in the splits of the table."""
    of_videos = getattr(protocol, "func", protocol) is run_videos and getattr(protocol, "keywords", {}).get("list")
    return bool(of_videos) or getattr(protocol, "func", protocol) in (run_lfw, run_pairs)


def by_parts(protocol: Callable[..., list[Result]] | None) -> bool:
    """Whether a protocol reads a table of a row per picture and part, so that a row is no picture by itself."""
    return getattr(protocol, "func", protocol) is run_piper


def wants_names(protocol: Callable[..., list[Result]]) -> bool:
    """Whether a protocol finds images by name: those of a list, or of the other members of an ensemble."""
    return by_list(protocol) or bool(getattr(protocol, "keywords", {}).get("members"))


def unfit(protocol: Callable[..., list[Result]], table: FeatureTable, layer: str, seed: int) -> str | None:
    """Why a table cannot be measured by a protocol of ours, before anything is compared; None if it can.

    Raises:
        InvariantNetsError: a list or a member that was asked for cannot be read, or does not fit the table.
    """
    if by_parts(protocol):
        protocol(table, layer, seed=seed, halves=())
        return None
    if getattr(protocol, "func", protocol) not in (run_lfw, run_pairs, run_protocols, run_videos):
        return None
    try:
        protocol(table, layer, seed=seed, similarities=())
    except InvariantNetsError as error:
        if isinstance(error, MemberError) or (by_list(protocol) and not isinstance(error, TrainedOnError)):
            raise
        return f"{NOT_MEASURED}{error}"
    return None
