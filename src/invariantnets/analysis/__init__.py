"""A representation by itself: what is always described, and `Analysis`, what is measured where it is asked for."""

import difflib
from collections.abc import Callable

from invariantnets.analysis.adversary import Adversary
from invariantnets.analysis.analysis import Analysis, Material, measured
from invariantnets.analysis.attributes import Attributes
from invariantnets.analysis.bins import Bins
from invariantnets.analysis.by_value import ByValue
from invariantnets.analysis.decoder import Decoder
from invariantnets.analysis.description import describe
from invariantnets.analysis.discard import Discard
from invariantnets.analysis.groups import Groups
from invariantnets.analysis.identity_tests import IdentityTests
from invariantnets.analysis.lda_draws import LdaDraws
from invariantnets.analysis.nesting import Nesting
from invariantnets.analysis.norm import describe_norm, describe_recognition
from invariantnets.analysis.per_class import PerClass
from invariantnets.analysis.pose_knn import PoseKnn
from invariantnets.analysis.quality import Quality
from invariantnets.analysis.thresholds import Thresholds
from invariantnets.analysis.tsne import Tsne
from invariantnets.analysis.unit_deletion import UnitDeletion
from invariantnets.errors import InvariantNetsError

__all__ = [
    "ANALYSES",
    "Adversary",
    "Analysis",
    "Attributes",
    "Bins",
    "Decoder",
    "ByValue",
    "Discard",
    "Groups",
    "IdentityTests",
    "LdaDraws",
    "Material",
    "Nesting",
    "PerClass",
    "PoseKnn",
    "Quality",
    "Thresholds",
    "Tsne",
    "UnitDeletion",
    "analysis_named",
    "describe",
    "describe_norm",
    "describe_recognition",
    "measured",
]

# Each with its defaults, by its name; each has a file here and one in conf/analysis.
_ALL: tuple[Callable[[], Analysis], ...] = (
    Bins,
    LdaDraws,
    Attributes,
    PoseKnn,
    PerClass,
    IdentityTests,
    UnitDeletion,
    Nesting,
    Tsne,
    Quality,
    Discard,
    Thresholds,
    Groups,
    Decoder,
    Adversary,
    ByValue,
)
ANALYSES: dict[str, Callable[[], Analysis]] = {of().name: of for of in _ALL}


def analysis_named(name: str) -> Analysis:
    """An analysis as it comes.

    Raises:
        InvariantNetsError: none is called so.
    """
    if name not in ANALYSES:
        close = difflib.get_close_matches(name, ANALYSES, 1)
        hint = f"did you mean {close[0]!r}" if close else f"choose from {', '.join(ANALYSES)}"
        raise InvariantNetsError(f"there is no analysis {name!r}: {hint}")
    return ANALYSES[name]()
