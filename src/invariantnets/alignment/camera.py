"""The affine camera that a face was seen by, from points on it (Taigman et al. 2014, section 2, equation of P)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from invariantnets.errors import InvariantNetsError

SIDEWAYS = 0.1  # of the area of the face's plane, at 84°: what is left of it from there on is no face
SPREAD = 1e-6  # of the largest singular value: points that spread less in a direction determine no camera


@dataclass(frozen=True, eq=False)
class CameraFit:
    """Generalised least squares of the camera P, of 2 × 4 numbers, that minimises ``rᵀ Σ⁻¹ r``, ``r = x - P (X, 1)``.

    Linear in the points: what depends on the shape and Σ alone is computed once, for any number of faces.

    Attributes:
        shape: ``(K, 3)`` points X of a head, y upwards, z towards the camera.
        solution: ``(8, 2 K)`` from the points, x and y in turn, to P row by row.
    """

    shape: np.ndarray
    solution: np.ndarray

    @classmethod
    def of(cls, shape: np.ndarray, covariance: np.ndarray | None = None) -> CameraFit:
        """What is known of every face.

        Args:
            shape: ``(K, 3)``, at least four points that lie in no plane.
            covariance: ``(2 K, 2 K)`` Σ of the errors of the points, x and y in turn; None: all alike.

        Raises:
            InvariantNetsError: too few points, all in one plane, or a Σ that is no covariance.
        """
        count = len(shape)
        spread = np.linalg.svd(shape - shape.mean(0), compute_uv=False)
        if count < 4 or spread[-1] <= SPREAD * spread[0]:
            raise InvariantNetsError(f"a camera needs four points that lie in no plane; these {count} do not")
        rows = np.zeros((2 * count, 8))
        rows[::2, :3] = rows[1::2, 4:7] = shape
        rows[::2, 3] = rows[1::2, 7] = 1
        if covariance is None:
            return cls(shape, np.linalg.pinv(rows))
        if covariance.shape != (2 * count, 2 * count):
            raise InvariantNetsError(
                f"the covariance of the errors of {count} points is {2 * count} × {2 * count}, not {covariance.shape}"
            )
        try:
            root = cholesky(covariance, lower=True)
        except (np.linalg.LinAlgError, ValueError) as error:
            raise InvariantNetsError(f"the covariance of the errors of the points is none: {error}") from None
        white = solve_triangular(root, rows, lower=True)
        return cls(shape, np.linalg.pinv(white) @ solve_triangular(root, np.eye(2 * count), lower=True))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Cameras of faces.

        Args:
            points: ``(N, K, 2)`` x and y in pixels, y downwards.

        Returns:
            ``(N, 2, 4)``.
        """
        return (points.reshape(len(points), -1) @ self.solution.T).reshape(-1, 2, 4)


def project(camera: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Where cameras ``(N, 2, 4)`` see points ``(K, 3)``, or ``(N, K, 3)``: ``(N, K, 2)`` pixels."""
    return shape @ camera[:, :, :3].transpose(0, 2, 1) + camera[:, None, :, 3]


def scale_and_roll(camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels per unit of the shape, and the turn in the picture's plane.

    Args:
        camera: ``(N, 2, 4)``.

    Returns:
        ``(N,)``, the mean of the two rows' lengths, and ``(N, 2, 2)`` rotations from the frontal picture, y downwards,
        to this one: the nearest to what the camera does to the plane of the face.

    Raises:
        ValueError: a camera that sees the face from the side or from behind, or mirrored.
    """
    scale = np.linalg.norm(camera[:, :, :3], axis=2).mean(1)
    plane = camera[:, :, :2] * (1, -1)  # y downwards, as in the picture
    if not (np.linalg.det(plane) > SIDEWAYS * scale**2).all():
        raise ValueError("it is seen from the side (84° or more), or left and right are exchanged")
    left, _, right = np.linalg.svd(plane)
    return scale, left @ right


def error_covariance(errors: np.ndarray) -> np.ndarray:
    """Σ of what a detector's points are off, by people that it was not fitted to; shrunk (Ledoit & Wolf 2004).

    Args:
        errors: ``(N, K, 2)`` detected less true, in pixels.

    Returns:
        ``(2 K, 2 K)``, x and y in turn.
    """
    from sklearn.covariance import LedoitWolf  # loaded by those who need it

    return LedoitWolf().fit(errors.reshape(len(errors), -1)).covariance_
