"""Semantic bootstrapping: identities that look alike, found in the space of their linear models."""

from invariantnets.bootstrapping.distributed import nearest_in_parts, write_hyperplanes_in_parts
from invariantnets.bootstrapping.hyperplanes import write_hyperplanes
from invariantnets.bootstrapping.neighbours import Neighbours, merge, nearest
from invariantnets.bootstrapping.pool import Pool, draw_negatives
from invariantnets.bootstrapping.selection import Selection, load_selection, select
from invariantnets.bootstrapping.svm import ClosedForm, Svm

__all__ = [
    "ClosedForm",
    "Neighbours",
    "Pool",
    "Selection",
    "Svm",
    "draw_negatives",
    "load_selection",
    "merge",
    "nearest",
    "nearest_in_parts",
    "select",
    "write_hyperplanes",
    "write_hyperplanes_in_parts",
]
