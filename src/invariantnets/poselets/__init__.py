"""Poselets: patches that look alike because people under them are posed alike (Bourdev and Malik 2009).

Pure functions of keypoints and pictures. Nothing of the authors' code is in here; it is written from the definitions.
"""

from invariantnets.poselets.detector import (
    Calibration,
    Detector,
    Hits,
    calibrate,
    described,
    hog,
    overlap,
    pyramid,
    scan,
    suppress,
    train,
)  # fmt: skip
from invariantnets.poselets.examples import SHAPES, Poselet, Seed, cut, draw_seed, nearest, spread
from invariantnets.poselets.geometry import Fits, Patches, People, check_people, fit, seen_in, upright
from invariantnets.poselets.learning import (
    Chosen,
    Look,
    Pictures,
    calibrated,
    choose,
    firing,
    hits_on,
    learned,
    seen_as,
    torsos,
)  # fmt: skip
from invariantnets.poselets.predictions import (
    Keypoints,
    cluster,
    fused,
    keypoints_of,
    match,
    predicted,
    symmetric_kl,
    torso,
)  # fmt: skip
from invariantnets.poselets.scoring import Truth, average_precision, right, select, truth

__all__ = [
    "Calibration", "Chosen", "Detector", "Fits", "Hits", "Keypoints", "Look", "Patches", "People", "Pictures",
    "Poselet", "SHAPES", "Seed", "Truth", "average_precision", "calibrate", "calibrated", "check_people", "choose",
    "cluster", "cut", "described", "draw_seed", "firing", "fit", "fused", "hits_on", "hog", "keypoints_of", "learned",
    "match", "nearest", "overlap", "predicted", "pyramid", "right", "scan", "seen_as", "seen_in", "select", "spread",
    "suppress", "symmetric_kl", "torso", "torsos", "train", "truth", "upright",
]  # fmt: skip
