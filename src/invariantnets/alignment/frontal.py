"""The frontal view of a face from its points (Taigman et al. 2014, section 2): camera, residual, piecewise warp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invariantnets.alignment.camera import CameraFit, project, scale_and_roll
from invariantnets.alignment.warp import sample, source_map, triangulate, turn

RING = 24  # points around the face, so that forehead, ears and what is beside them are not cut off
REACH = 1.8  # how far out they lie, in half the height of the points


@dataclass(frozen=True, eq=False)
class Frontal:
    """Warps faces to the front.

    The camera of a face is fitted to its points and those of a generic head. What the camera cannot explain of the
    points, the residual, is the person: it is added to the generic points in the plane of the frontal view, without
    which all faces would have one shape. The picture is then warped triangle by triangle.

    Attributes:
        fit: of the camera, for the generic head.
        ring: ``(R, 3)`` points around the face, at the depth of the jaw's ends.
        corners: ``(T, 3)`` triangles over points and ring.
        size: side of the frontal picture in pixels.
        scale: its pixels per unit of the generic head.
        centre: ``(2,)`` of the picture, in these units.
    """

    fit: CameraFit
    ring: np.ndarray
    corners: np.ndarray
    size: int
    scale: float
    centre: np.ndarray

    @classmethod
    def of(
        cls, shape: np.ndarray, covariance: np.ndarray | None = None, size: int = 152, margin: float = 0.2
    ) -> Frontal:
        """For a generic head.

        Args:
            shape: ``(K, 3)`` points, y upwards, z towards the camera.
            covariance: of the points' errors, as of `CameraFit`.
            size: side of the frontal picture.
            margin: around the points, as a fraction of half their height.

        Raises:
            InvariantNetsError: see `CameraFit` and `triangulate`.
        """
        low, high = shape[:, :2].min(0), shape[:, :2].max(0)
        centre, half = (low + high) / 2, (high - low).max() / 2
        angle = 2 * np.pi * np.arange(RING) / RING
        around = centre + REACH * half * np.stack([np.sin(angle), np.cos(angle)], 1)
        ring = np.concatenate([around, np.full((RING, 1), shape[:, 2].min())], 1)
        corners = triangulate(np.concatenate([shape, ring])[:, :2] * (1, -1))
        return cls(CameraFit.of(shape, covariance), ring, corners, size, size / (2 * half * (1 + margin)), centre)

    @property
    def generic_points(self) -> np.ndarray:
        """Where the generic head's points are in the frontal picture, ``(K, 2)``."""
        return self._placed(self.fit.shape)

    def frontal_points(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the points of faces come to lie.

        Args:
            points: ``(N, K, 2)`` in the pictures.

        Returns:
            ``(N, K, 2)`` in the frontal picture, and ``(N, 2, 4)`` the cameras.

        Raises:
            ValueError: a face that is seen from the side or mirrored, see `scale_and_roll`.
        """
        camera = self.fit(points)
        scale, roll = scale_and_roll(camera)
        residual = (points - project(camera, self.fit.shape)) / scale[:, None, None] @ roll
        return self.generic_points + residual * self.scale, camera

    def mesh(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The mesh of one face.

        Args:
            points: ``(K, 2)``.

        Returns:
            ``(K + R, 2)`` its points in the frontal picture and in the given one, and ``(T,)`` whether each triangle
            is seen, by the sense of rotation of its corners under the camera.

        Raises:
            ValueError: as of `frontal_points`.
        """
        target, camera = self.frontal_points(points[None])
        generic = np.concatenate([self.fit.shape, self.ring])
        seen = turn(project(camera, generic)[0][self.corners]) > 0
        at = np.concatenate([target[0], self._placed(self.ring)])
        return at, np.concatenate([points, project(camera, self.ring)[0]]), seen

    def __call__(self, image: np.ndarray, points: np.ndarray, mirror: bool = False) -> np.ndarray:
        """The frontal view.

        Args:
            image: ``(C, H, W)`` uint8.
            points: ``(K, 2)`` in it.
            mirror: whether what is not seen is taken from the other half, with its light.

        Returns:
            ``(C, size, size)`` uint8.

        Raises:
            ValueError: as of `frontal_points`.
        """
        target, source, seen = self.mesh(points)
        order = np.argsort(seen, kind="stable")  # what is seen covers what is not
        at = source_map(target, source, self.corners[order], self.size)
        if mirror:
            visible = source_map(target, source, self.corners[seen], self.size)
            other = visible[:, ::-1]
            hidden = np.isnan(visible[..., :1])
            at = np.where(hidden, np.where(np.isnan(other), at, other), visible)
        return sample(image, at)

    def _placed(self, shape: np.ndarray) -> np.ndarray:
        """Points of the head ``(…, 3)`` in the frontal picture, ``(…, 2)`` pixels."""
        return (shape[..., :2] - self.centre) * (self.scale, -self.scale) + (self.size - 1) / 2
