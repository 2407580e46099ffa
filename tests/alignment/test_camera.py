from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from invariantnets.alignment import CameraFit, error_covariance, project
from invariantnets.alignment.camera import scale_and_roll
from invariantnets.errors import InvariantNetsError

RNG = np.random.default_rng(0)
SHAPE = RNG.normal(size=(68, 3)) * (60, 80, 30)
CAMERA = np.array([[1.2, 0.1, -0.4, 60.0], [0.2, -1.1, 0.3, 70.0]])


def turned(yaw: float, pitch: float = 0, roll: float = 0, scale: float = 1.5) -> np.ndarray:
    """A scaled orthographic camera, y downwards; degrees."""
    a, b, c = np.deg2rad([yaw, pitch, roll])
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    turn = about_z @ np.diag([1, -1, 1]) @ about_x @ about_y
    return np.concatenate([scale * turn[:2], [[75], [80]]], 1)


def covariance(strong: float = 4.0) -> np.ndarray:
    """Of errors: the first seventeen points, the contour's, are off by more, and x and y go together."""
    size = np.where(np.arange(68) < 17, strong, 1.0)
    one = np.array([[1.0, 0.3], [0.3, 0.5]])
    return np.kron(np.diag(size**2), one) + 0.05 * np.ones((136, 136))


def slow_gls(points: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """(Xᵀ Σ⁻¹ X)⁻¹ Xᵀ Σ⁻¹ x, as it stands."""
    rows = []
    for x in SHAPE:
        rows += [[*x, 1, 0, 0, 0, 0], [0, 0, 0, 0, *x, 1]]
    left, inverse = np.array(rows), np.linalg.inv(sigma)
    return (np.linalg.inv(left.T @ inverse @ left) @ left.T @ inverse @ points.ravel()).reshape(2, 4)


@pytest.mark.parametrize("sigma", [None, covariance()])
def test_the_camera_of_exact_points_is_exact(sigma: np.ndarray | None) -> None:
    points = project(CAMERA[None], SHAPE)
    found = CameraFit.of(SHAPE, sigma)(points)
    np.testing.assert_allclose(found[0], CAMERA, atol=1e-10)
    np.testing.assert_allclose(points - project(found, SHAPE), 0, atol=1e-9)


def test_it_is_the_closed_form_and_least_squares_of_what_is_white() -> None:
    sigma = covariance()
    errors = RNG.multivariate_normal(np.zeros(136), sigma, 5).reshape(5, 68, 2)
    points = project(CAMERA[None], SHAPE) + errors
    found = CameraFit.of(SHAPE, sigma)(points)
    root = np.linalg.inv(np.linalg.cholesky(sigma))
    left = np.zeros((136, 8))
    left[::2, :3], left[1::2, 4:7], left[::2, 3], left[1::2, 7] = SHAPE, SHAPE, 1, 1
    for camera, one in zip(found, points, strict=True):
        np.testing.assert_allclose(camera, slow_gls(one, sigma), rtol=1e-8, atol=1e-8)
        white, *_ = np.linalg.lstsq(root @ left, root @ one.ravel(), rcond=None)
        np.testing.assert_allclose(camera.ravel(), white, rtol=1e-8, atol=1e-8)


def test_white_residuals_are_chi_squared_with_136_less_8_degrees() -> None:
    sigma = covariance()
    errors = np.random.default_rng(1).multivariate_normal(np.zeros(136), sigma, 2000).reshape(-1, 68, 2)
    points = project(CAMERA[None], SHAPE) + errors
    residual = (points - project(CameraFit.of(SHAPE, sigma)(points), SHAPE)).reshape(2000, 136)
    squares = np.einsum("ni,ij,nj->n", residual, np.linalg.inv(sigma), residual)
    assert abs(squares.mean() - 128) < 4 * 16 / 2000**0.5
    assert abs((squares > chi2.ppf(0.95, 128)).mean() - 0.05) < 4 * (0.05 * 0.95 / 2000) ** 0.5


def test_known_errors_make_a_better_camera_by_as_much_as_theory_says() -> None:
    """The contour is off by four times as much: variances of both estimates are known in closed form."""
    sigma = covariance()
    errors = np.random.default_rng(2).multivariate_normal(np.zeros(136), sigma, 3000).reshape(-1, 68, 2)
    points = project(CAMERA[None], SHAPE) + errors
    fits = {"ordinary": CameraFit.of(SHAPE), "generalised": CameraFit.of(SHAPE, sigma)}
    found, expected = {}, {}
    for name, fit in fits.items():
        found[name] = ((fit(points) - CAMERA) ** 2).mean(0).ravel()
        expected[name] = np.diag(fit.solution @ sigma @ fit.solution.T)
        np.testing.assert_allclose(found[name], expected[name], rtol=5 * (2 / 3000) ** 0.5)
    assert (expected["generalised"] < expected["ordinary"]).all()
    assert found["generalised"].sum() < 0.8 * found["ordinary"].sum()


@pytest.mark.parametrize("yaw", [-60, 0, 45])
@pytest.mark.parametrize("roll", [-30, 0, 15])
def test_scale_and_roll(yaw: float, roll: float) -> None:
    scale, turn = scale_and_roll(turned(yaw, roll=roll)[None])
    assert scale[0] == pytest.approx(1.5)
    angle = np.deg2rad(roll)
    expected = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(turn[0], expected, atol=1e-9)


@pytest.mark.parametrize("yaw", [85, 90, 135])
def test_a_face_from_the_side_has_no_frontal_view(yaw: float) -> None:
    with pytest.raises(ValueError, match="seen from the side"):
        scale_and_roll(turned(yaw)[None])


def test_the_covariance_of_errors_is_shrunk_and_sound() -> None:
    sigma = covariance()
    errors = np.random.default_rng(3).multivariate_normal(np.zeros(136), sigma, 400).reshape(-1, 68, 2)
    found = error_covariance(errors)
    plain = np.cov(errors.reshape(400, -1).T, bias=True)
    assert np.linalg.norm(found - sigma) < np.linalg.norm(plain - sigma)
    assert np.linalg.cond(found) < np.linalg.cond(plain)
    CameraFit.of(SHAPE, found)


@pytest.mark.parametrize(
    ("shape", "sigma", "said"),
    [
        (SHAPE[:3], None, "four points that lie in no plane; these 3"),
        (SHAPE * (1, 1, 0), None, "these 68 do not"),
        (np.ones((68, 3)), None, "these 68 do not"),
        (SHAPE, np.eye(68), r"is 136 × 136, not \(68, 68\)"),
        (SHAPE, -np.eye(136), "is none"),
        (SHAPE, np.full((136, 136), np.nan), "is none"),
    ],
)
def test_what_has_no_camera(shape: np.ndarray, sigma: np.ndarray | None, said: str) -> None:
    with pytest.raises(InvariantNetsError, match=said):
        CameraFit.of(shape, sigma)
