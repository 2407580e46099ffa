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
    "SHAPES", "Calibration", "Detector", "Fits", "Hits", "Keypoints", "Patches", "People", "Poselet", "Seed", "Truth",
    "average_precision", "calibrate", "check_people", "cluster", "cut", "described", "draw_seed", "fit", "fused", "hog",
    "keypoints_of", "match", "nearest", "overlap", "predicted", "pyramid", "right", "scan", "seen_in", "select",
    "spread", "suppress", "symmetric_kl", "torso", "train", "truth", "upright",
]  # fmt: skip
