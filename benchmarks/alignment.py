"""Faces brought to one place and to the front, from points and with detection, beside scipy's piecewise warp."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np
import torch
from scipy.interpolate import LinearNDInterpolator
from scipy.ndimage import map_coordinates

from benchmarks.timing import alternate, cpu_seconds, ratio
from invariantnets.alignment import Frontal
from invariantnets.alignment.fiducials import FRAME, SIDE, Fiducials
from invariantnets.data import Align, renderer
from invariantnets.data.detector import generic_head

TOY = {"size": 64, "faces": 2, "fitted": 40, "rounds": 1}


def _people(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    number = torch.arange(count)
    codes = renderer.identity(0, number)
    ranges = renderer.check_ranges({"yaw": [-45, 45]})
    drawn = renderer.render(codes, renderer.nuisances(ranges, 0, number, torch.zeros_like(number), codes), size)
    return drawn.image.numpy(), drawn.landmarks.double().numpy()


def _usual(frame: Frontal, image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The same points by scipy: a triangulation of its own, and bilinear values at the places that it gives."""
    target, source, _ = frame.mesh(points)
    pixels = np.stack(np.meshgrid(np.arange(frame.size), np.arange(frame.size)), 2)
    at = LinearNDInterpolator(target, source, fill_value=-1)(pixels).transpose(2, 0, 1)[::-1]
    return np.stack([map_coordinates(channel, at, order=1) for channel in image])


def measure(size: int = 152, faces: int = 20, fitted: int = 300, rounds: int = 5) -> dict[str, dict[str, float]]:
    """Milliseconds a face.

    Args:
        size: side of the pictures.
        faces: rendered, yaw within 45°.
        fitted: people whom the detector is fitted to, on which its time does not depend.
        rounds: how often each is run.
    """
    images, points = _people(faces, size)
    similarity, frontal, mirrored = Align("similarity"), Align("frontal"), Align("frontal", mirror=True)
    finder = Fiducials.fit(*_people(fitted, SIDE), Frontal.of(generic_head(), size=FRAME, margin=0.3).generic_points)
    frame = frontal.frame(size)

    def each(work: Callable[[np.ndarray, np.ndarray], object]) -> Callable[[], float]:
        return lambda: cpu_seconds(lambda: [work(*face) for face in zip(images, points, strict=True)]) / faces

    found = alternate(
        {
            "similarity": each(lambda image, at: similarity(image, at, size)),
            "frontal": each(lambda image, at: frontal(image, at, size)),
            "frontal, mirrored": each(lambda image, at: mirrored(image, at, size)),
            "frontal by scipy": each(lambda image, at: _usual(frame, image, at)),
            "detection of the points": lambda: cpu_seconds(lambda: finder(images)) / faces,
        },
        rounds,
    )
    return {
        name: {"ms a face": 1e3 * statistics.median(times), "to ours, frontal": ratio(times, found["frontal"])}
        for name, times in found.items()
    }
