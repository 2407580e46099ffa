"""A detector of 68 points, fitted once to rendered faces and kept: no weights of others are needed, nor had."""

from __future__ import annotations

import hashlib
import logging
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.numpy import load, save

from invariantnets import alignment
from invariantnets.alignment import Frontal, error_covariance
from invariantnets.alignment.fiducials import FRAME, SIDE, Fiducials, Stage
from invariantnets.alignment.similarity import moved, similarity
from invariantnets.data import renderer
from invariantnets.files import write_atomically

log = logging.getLogger(__name__)
# People of no data set: those whose mean head is the generic one, those fitted to, and those whose errors are known.
SEED, MEAN, FITTED, KNOWN = 20_140_624, 300, range(1000, 4000), range(4000, 4800)
RANGES = {"yaw": [-60, 0, 60]}  # all else as the renderer's faces vary
MARGIN = 0.3


@lru_cache(maxsize=1)
def generic_head() -> np.ndarray:
    """The mean of 300 rendered heads with neutral faces: ``(68, 3)`` in mm, iBUG's points."""
    codes = renderer.identity(SEED, torch.arange(MEAN))
    neutral = {name: torch.zeros(MEAN) for name in renderer.RANGES}
    return renderer.shapes(codes, renderer.frontal(neutral)).double().mean(0).numpy()


@lru_cache(maxsize=1)
def detector(cache_dir: str) -> tuple[Fiducials, np.ndarray]:
    """The detector, and the covariance of its errors on people whom it was not fitted to, in their place.

    Args:
        cache_dir: where it is kept; made there in about a minute where it is not.

    Raises:
        InvariantNetsError: the folder cannot be written to.
    """
    path = Path(cache_dir).expanduser() / f"fiducials-{_sources()[:24]}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        try:
            kept = load(path.read_bytes())
            stages = [Stage(kept[f"weights{i}"], kept[f"offset{i}"]) for i in range(len(kept) // 2 - 1)]
            return Fiducials(kept["template"], tuple(stages)), kept["covariance"]
        except FileNotFoundError:
            pass
        except (SafetensorError, OSError, KeyError) as error:
            log.warning("%s: damaged (%s); it is made anew", path, error)
        log.info("fitting a detector of points to %d rendered faces, once: %s", len(FITTED), path)
        found, covariance = _fitted()
        tensors = {f"{part}{i}": getattr(s, part) for i, s in enumerate(found.stages) for part in Stage._fields}
        write_atomically(path, save({**tensors, "template": found.template, "covariance": covariance}))
    return found, covariance


def _fitted() -> tuple[Fiducials, np.ndarray]:
    template = Frontal.of(generic_head(), size=FRAME, margin=MARGIN).generic_points
    found = Fiducials.fit(*_faces(FITTED), template)
    images, true = _faces(KNOWN)
    matrix = similarity(true, template)
    return found, error_covariance(moved(found(images), matrix) - moved(true, matrix))


def _faces(numbers: range) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and points of people, one a person."""
    number = torch.tensor(numbers)
    codes = renderer.identity(SEED, number)
    values = renderer.nuisances(renderer.check_ranges(RANGES), SEED, number, torch.zeros_like(number), codes)
    drawn = renderer.render(codes, values, SIDE)
    return drawn.image.numpy(), drawn.landmarks.double().numpy()


def _sources() -> str:
    """SHA-256 of the code that makes it: what an older one fitted is not taken for this one's."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for package in (renderer, alignment):
        for path in sorted(Path(str(package.__file__)).parent.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
