"""Faces of the renderer, whose camera and frontal view are known exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from invariantnets.alignment import CameraFit, Frontal, project
from invariantnets.alignment.similarity import similarity
from invariantnets.alignment.warp import sample
from invariantnets.data import renderer

STILL = dict.fromkeys(("smile", "mouth_open", "brow_raise", "eyes_closed", "hat", "scarf", "glasses", "video_frame"), 0)
TURNED = {"yaw": [-45, 45], "pitch": [-20, 20], "roll": [-15, 15], **STILL}
SIDE, TRAINED, STRANGERS = 96, 100, 90


def faces(first: int, count: int, **ranges: object) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    number = torch.arange(first, first + count)
    codes = renderer.identity(0, number)
    checked = renderer.check_ranges({**TURNED, **ranges})
    return codes, renderer.nuisances(checked, 0, number, torch.zeros_like(number), codes)


@pytest.fixture(scope="module")
def generic() -> np.ndarray:
    """The mean head of people who are not tested."""
    codes, values = faces(0, TRAINED)
    return renderer.shapes(codes, values).double().mean(0).numpy()


@pytest.fixture(scope="module")
def strangers() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pictures, points, those of the frontal view, |yaw|."""
    codes, values = faces(1000, STRANGERS)
    seen, front = renderer.render(codes, values, SIDE), renderer.render(codes, renderer.frontal(values), SIDE)
    points, truth = (r.landmarks.double().numpy() for r in (seen, front))
    return seen.image.numpy(), points, truth, values["yaw"].abs().numpy()


def off(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean distance after the best similarity, in distances between the eyes."""
    eyes = np.linalg.norm(truth[:, 36:42].mean(1) - truth[:, 42:48].mean(1), axis=1)
    moved = [p @ m[:, :2].T + m[:, 2] for p, m in ((p, similarity(p, t)) for p, t in zip(points, truth, strict=True))]
    return np.linalg.norm(np.array(moved) - truth, axis=2).mean(1) / eyes


def test_the_renderers_camera_is_affine_and_found() -> None:
    codes, values = faces(5, 3)
    own, points = renderer.shapes(codes, values).double().numpy(), renderer.render(codes, values, SIDE).landmarks
    for head, seen in zip(own, points.double().numpy(), strict=True):
        camera = CameraFit.of(head)(seen[None])
        assert np.abs(project(camera, head)[0] - seen).max() < 1e-4


def test_points_come_to_the_front(generic: np.ndarray, strangers: tuple[np.ndarray, ...]) -> None:
    """Of strangers at 15° to 45° they are off by less than half of what a similarity leaves (acceptance A4)."""
    _, points, truth, yaw = strangers
    frontal = Frontal.of(generic, size=SIDE)
    found, _ = frontal.frontal_points(points)
    three, two = off(found, truth), off(points, truth)
    generically = off(np.repeat(frontal.generic_points[None], len(points), 0), truth)
    for low, high in ((15, 30), (30, 45)):
        rows = (yaw >= low) & (yaw < high)
        assert rows.sum() > 20
        assert three[rows].mean() < 0.5 * two[rows].mean()
        assert three[rows].mean() < 0.85 * generically[rows].mean(), "the residual is the person"


def test_the_warp_of_the_generic_head_from_the_front_is_a_crop(generic: np.ndarray) -> None:
    frontal = Frontal.of(generic, size=64)
    points = frontal.generic_points
    image = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    assert np.abs(frontal(image, points).astype(int) - image).max() <= 1
    scaled = frontal(image.repeat(2, 1).repeat(2, 2), 2 * points + 0.5)
    assert np.abs(scaled.astype(int) - image).max() <= 1, "where it lies and how large it is does not matter"


def test_pictures_come_to_the_front(generic: np.ndarray) -> None:
    """Of the half that is turned towards the camera the warped picture is nearer to the frontal one's, pixel by pixel.

    By a third at least; the light does not turn with the head.
    """
    codes, values = faces(2000, 30, yaw=[25, 40], light_azimuth=0, light_elevation=20, light_strength=1, clutter=0)
    upright = {**values, **{name: torch.zeros(30) for name in ("yaw", "pitch", "roll")}}
    seen, front = renderer.render(codes, values, SIDE), renderer.render(codes, upright, SIDE)
    frontal = Frontal.of(generic, size=SIDE)
    pixels = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), 2).reshape(-1, 2)

    def warped(drawn: renderer.Rendering) -> np.ndarray:
        points = drawn.landmarks.double().numpy()
        return np.stack([frontal(i, p) for i, p in zip(drawn.image.numpy(), points, strict=True)]).astype(float)

    def moved(image: np.ndarray, points: np.ndarray) -> np.ndarray:
        matrix = np.linalg.inv(np.vstack([similarity(points, frontal.generic_points), (0, 0, 1)]))[:2]
        return sample(image, pixels @ matrix[:, :2].T + matrix[:, 2]).reshape(3, SIDE, SIDE)

    flat = [moved(i, p) for i, p in zip(seen.image.numpy(), seen.landmarks.double().numpy(), strict=True)]
    truth, half = warped(front), np.s_[:, :, 25:80, 48:80]
    ours, similar = (np.abs(found - truth)[half].mean() for found in (warped(seen), np.stack(flat)))
    assert ours < 0.67 * similar


def test_what_is_not_seen_is_taken_from_the_other_half(generic: np.ndarray) -> None:
    frontal = Frontal.of(generic, size=64)
    codes, values = faces(3000, 1, yaw=44, pitch=0, roll=0)
    drawn = renderer.render(codes, values, 128)
    points = drawn.landmarks[0].double().numpy()
    _, _, seen = frontal.mesh(points)
    assert not seen.all() and seen.mean() > 0.5
    plain, mirrored = (frontal(drawn.image[0].numpy(), points, mirror=mirror) for mirror in (False, True))
    changed = (plain != mirrored).any(0)
    far = changed[:, :32].sum(), changed[:, 32:].sum()  # the nose turns to the right, the left half comes into view
    assert max(far) > 5 * min(far) and changed.any()
    codes, values = faces(3000, 1, yaw=0, pitch=0, roll=0)
    front = renderer.render(codes, values, 128)
    both = [frontal(front.image[0].numpy(), front.landmarks[0].double().numpy(), mirror=m) for m in (False, True)]
    assert np.array_equal(*both), "from the front all is seen"


def test_a_face_from_the_side_or_with_left_and_right_exchanged_is_refused(generic: np.ndarray) -> None:
    frontal = Frontal.of(generic)
    points = frontal.generic_points
    with pytest.raises(ValueError, match="left and right are exchanged"):
        frontal.frontal_points((points * (-1, 1))[None])
    codes, values = faces(0, 1, yaw=100)
    with pytest.raises(ValueError, match="seen from the side"):
        frontal.frontal_points(renderer.render(codes, values, SIDE).landmarks.double().numpy())
