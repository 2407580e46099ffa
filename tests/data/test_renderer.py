"""Geometry and light of the renderer: theorems that hold whatever the faces look like."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from invariantnets.data import renderer
from invariantnets.data.renderer import anatomy, basis, quality, surface
from invariantnets.data.renderer.scene import background
from invariantnets.errors import InvariantNetsError

SIZE = 64


def scene(count: int, **changes: float | list[float]) -> dict[str, Tensor]:
    """The neutral picture ``count`` times, with changes."""
    names = [*(n.name for n in renderer.NUISANCES), "scene"]
    neutral = renderer.frontal({name: torch.zeros(count) for name in names})
    return neutral | {name: torch.as_tensor(value).float().expand(count) for name, value in changes.items()}


def people(count: int, symmetric: bool = False) -> Tensor:
    codes = renderer.identity(5, torch.arange(count))
    if symmetric:
        codes[:, list(renderer.ASYMMETRIC)] = 0
    return codes


def varied(count: int) -> tuple[Tensor, dict[str, Tensor]]:
    numbers, samples = torch.arange(count) // 2, torch.arange(count) % 2
    codes = renderer.identity(1, numbers)
    return codes, renderer.nuisances({"video_frame": 0.5, "glasses": 0.5}, 1, numbers, samples, codes)


@pytest.mark.parametrize("size", [33, 64, 152])
def test_shapes_and_types(size: int) -> None:
    codes, nuisance = varied(4)
    picture = renderer.render(codes, nuisance, size)
    assert picture.image.shape == (4, 3, size, size) and picture.image.dtype == torch.uint8
    assert picture.landmarks.shape == (4, 68, 2) and picture.landmarks.isfinite().all()
    assert (picture.image.float().std((1, 2, 3)) > 5).all()


def test_a_picture_does_not_depend_on_its_batch() -> None:
    codes, nuisance = varied(40)
    whole = renderer.render(codes, nuisance, SIZE)
    rows = torch.tensor([37, 2, 11])
    part = renderer.render(codes[rows], {name: value[rows] for name, value in nuisance.items()}, SIZE)
    assert (whole.image[rows].int() - part.image.int()).abs().max() <= 1
    torch.testing.assert_close(whole.landmarks[rows], part.landmarks, rtol=0, atol=1e-3)


@pytest.mark.parametrize("yaw", [20.0, 55.0, 90.0])
def test_a_symmetric_head_seen_from_the_other_side_is_its_mirror_image(yaw: float) -> None:
    codes = people(6, symmetric=True)
    one = renderer.render(codes, scene(6, yaw=yaw, roll=8.0, light_azimuth=30.0, glasses=1.0), SIZE)
    other = renderer.render(codes, scene(6, yaw=-yaw, roll=-8.0, light_azimuth=-30.0, glasses=1.0), SIZE)
    apart = (one.image.float() - other.image.flip(3).float()).abs()
    assert apart.mean() < 1.0 and (apart > 16).float().mean() < 0.01
    swapped = other.landmarks[:, MIRRORED] * torch.tensor([-1.0, 1.0]) + torch.tensor([SIZE - 1.0, 0.0])
    torch.testing.assert_close(one.landmarks, swapped, rtol=0, atol=0.05)


MIRRORED = [
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1), 45, 44, 43, 42, 47, 46, 39, 38, 37, 36,
    41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65,
]  # fmt: skip


def test_landmarks_stand_where_a_face_has_them() -> None:
    x, y = renderer.render(people(20, symmetric=True), scene(20), SIZE).landmarks.unbind(2)
    brows, eyes, nose, mouth, chin = (
        y[:, s].mean(1) for s in (slice(17, 27), slice(36, 48), slice(30, 36), slice(48, 68), slice(7, 10))
    )
    assert ((brows < eyes) & (eyes < nose) & (nose < mouth) & (mouth < chin)).all()
    torch.testing.assert_close(
        x[:, [8, 27, 30, 33, 51, 57, 62, 66]], torch.full((20, 8), (SIZE - 1) / 2), rtol=0, atol=0.01
    )
    assert (x[:, 36:42].max(1).values < x[:, 42:48].min(1).values).all()
    assert ((x >= 0) & (x < SIZE) & (y >= 0) & (y < SIZE)).all()


def test_the_nose_follows_the_pose() -> None:
    tip = renderer.render(people(1).repeat(5, 1), scene(5, yaw=[-90, -45, 0, 45, 90]), SIZE).landmarks[:, 30]
    assert (tip[1:, 0] - tip[:-1, 0] > 3).all()
    tip = renderer.render(people(1).repeat(3, 1), scene(3, pitch=[-25, 0, 25]), SIZE).landmarks[:, 30]
    assert (tip[1:, 1] < tip[:-1, 1] - 1).all(), "looking up lifts the nose"


def test_roll_turns_the_landmarks_about_the_middle() -> None:
    codes, middle = people(1).repeat(2, 1), (SIZE - 1) / 2
    straight, rolled = renderer.render(codes, scene(2, yaw=20.0, roll=[0, 30]), SIZE).landmarks - middle
    angle = math.radians(30)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    torch.testing.assert_close(rolled, straight @ turn.T, rtol=0, atol=1e-3)


def test_landmarks_scale_with_the_picture() -> None:
    codes, nuisance = varied(3)
    small, large = (renderer.render(codes, nuisance, size).landmarks for size in (50, 100))
    torch.testing.assert_close((large + 0.5) / 2, small + 0.5, rtol=0, atol=1e-3)


@pytest.mark.parametrize("azimuth", [-70.0, 70.0])
def test_light_brightens_the_side_it_comes_from(azimuth: float) -> None:
    image = renderer.render(people(8, symmetric=True), scene(8, light_azimuth=azimuth), SIZE).image.float()
    left, right = image[..., 16:48, 20:32].mean(), image[..., 16:48, 32:44].mean()
    assert (left > right + 10) if azimuth < 0 else (right > left + 10)


def test_stronger_light_is_brighter() -> None:
    image = renderer.render(people(1).repeat(3, 1), scene(3, light_strength=[0.4, 0.8, 1.2]), SIZE).image.float()
    brightness = image[..., 20:50, 22:42].mean((1, 2, 3))
    assert (brightness[1:] > brightness[:-1] + 5).all()


@pytest.mark.parametrize(
    "name", ["smile", "mouth_open", "brow_raise", "eyes_closed", "glasses", "hat", "scarf", "background"]
)
def test_each_nuisance_shows(name: str) -> None:
    image = renderer.render(people(1).repeat(2, 1), scene(2, **{name: [0, 1]}), SIZE).image.float()
    assert (image[0] - image[1]).abs().amax() > 20


def test_frontal_is_idempotent_and_forgets_the_nuisances() -> None:
    codes, nuisance = varied(6)
    once = renderer.frontal(nuisance)
    twice = renderer.frontal(once)
    assert once.keys() == twice.keys() == nuisance.keys()
    assert all(torch.equal(once[name], twice[name]) for name in once)
    image = renderer.render(codes, once, SIZE).image
    assert torch.equal(image[0], image[1]), "two samples of one identity"


def test_a_small_step_in_identity_space_is_a_small_change() -> None:
    one, other = people(2)
    path = torch.stack([torch.lerp(one, other, share) for share in (0.0, 0.02, 0.2, 1.0)])
    image = renderer.render(path, scene(4), SIZE).image.float()
    near, middle, far = (image[1:] - image[0]).abs().mean((1, 2, 3))
    assert 0 < near < middle < far and near < 0.15 * far


def test_rays_agree_with_tiny_steps() -> None:
    count, size = 8, 48
    codes, nuisance = varied(count)
    pose = surface.Pose.of(nuisance["yaw"], nuisance["pitch"], nuisance["roll"], torch.ones(count), torch.ones(count))
    parameters, maps = torch.zeros(count, len(anatomy.PARAMETERS)), basis.room(count, 0, torch.device("cpu"))
    radius = basis.fields(parameters, maps)[:, anatomy.FIELDS.index("radius")]
    caster = surface.Caster(radius, *surface.slopes(radius), pose.direction)
    hits, origin = surface.intersect(caster, pose, size)
    found = torch.full_like(hits.depth, -math.inf)
    for depth in torch.arange(170, -170, -0.5):
        miss = caster.look(origin, torch.full_like(found, float(depth)))[0].miss
        found = torch.where(found.isinf() & (miss <= 0), depth, found)
    inside = ~found.isinf()
    covered = hits.miss < surface.WINDOW / size
    assert (covered != inside).float().mean() < 0.05, "silhouettes are drawn up to a pixel wider"
    apart = (hits.depth - found)[inside & covered].abs()
    assert apart.median() < 0.6 and apart.quantile(0.95) < 5


@pytest.mark.parametrize("size", [19, 64])
def test_quality_zero_leaves_the_picture_alone(size: int) -> None:
    image = torch.rand(3, 3, size, size)
    zero = {name: torch.zeros(3) for name in ("blur", "noise", "compression", "scene")}
    torch.testing.assert_close(quality.degrade(image, zero), image, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["blur", "compression"])
def test_degradation_grows_with_its_strength(name: str) -> None:
    codes = people(1).repeat(4, 1)
    image = renderer.render(codes, scene(4, video_frame=1.0, **{name: [0, 0.3, 0.6, 1.0]}), SIZE).image.float()
    loss = (image - image[0]).square().mean((1, 2, 3))
    assert (loss[1:] > loss[:-1]).all()


def test_noise_has_the_declared_deviation() -> None:
    image = torch.full((64, 3, 32, 32), 0.5)
    noise = quality.noisy(image, torch.ones(64), torch.rand(64)) - image
    assert abs(float(noise.std()) - 0.08) < 0.002 and abs(float(noise.mean())) < 0.002


@pytest.mark.parametrize("size", [17, 24, 64])
def test_degraded_frames_are_those_of_the_plain_formulae_to_the_last_bit(size: int) -> None:
    """Blur that mixes all copies in every picture; noise whose places are counted one by one; blocks not in place."""
    image, strength, scene_ = torch.rand(9, 3, size, size), torch.linspace(0, 1.5, 9), torch.linspace(0, 1, 9)
    level = (2 * strength)[:, None, None, None]
    copies = [F.avg_pool2d(image, factor, factor, ceil_mode=True) for factor in (2, 4)]
    half, quarter = (F.interpolate(copy, size=(size, size), mode="bilinear", align_corners=False) for copy in copies)
    blurred = torch.lerp(torch.lerp(image, half, level.clamp(0, 1)), quarter, (level - 1).clamp(0, 1))
    assert torch.equal(quality.blurred(image, strength), blurred)

    strip = torch.randn(quality.NOISE, generator=torch.Generator().manual_seed(8))
    places = (scene_.double() * quality.NOISE).long()[:, None] + torch.arange(3 * size**2)
    noise = strip[places % quality.NOISE].view_as(image) * (0.08 * strength)[:, None, None, None]
    assert torch.equal(quality.noisy(image, strength, scene_), image + noise)

    before = image.clone()
    quality.degrade(image, {"blur": strength, "noise": strength, "compression": strength, "scene": scene_})
    assert torch.equal(image, before), "what is degraded stays as it was"


def test_what_nobody_wears_changes_nothing() -> None:
    """A picture is the same to the last bit whether it is drawn beside hats and scarves or not."""
    codes, bare = people(6), scene(6, yaw=20.0)
    other = bare | {name: torch.tensor([0.0, 0, 0, 0, 0, 1]) for name in ("hat", "scarf")}
    alone, beside = (renderer.render(codes, nuisance, SIZE).image for nuisance in (bare, other))
    assert torch.equal(alone[:5], beside[:5]) and not torch.equal(alone[5], beside[5])


def test_frames_of_one_background_share_it() -> None:
    own = {
        "background": torch.tensor([0.2, 0.2, 0.9]),
        "clutter": torch.ones(3),
        "scene": torch.tensor([0.3, 0.4, 0.4]),
    }
    drawn = background(own, SIZE)
    frames = torch.tensor([0, 0, 0, 1, 1, 2, 0, 0])
    assert torch.equal(background({name: value[frames] for name, value in own.items()}, SIZE), drawn[:, frames])
    assert len({float(picture.sum()) for picture in drawn.unbind(1)}) == 3


def test_bad_input_is_refused_in_one_line() -> None:
    codes, nuisance = varied(2)
    with pytest.raises(InvariantNetsError, match="lacks yaw"):
        renderer.render(codes, {name: value for name, value in nuisance.items() if name != "yaw"}, SIZE)
    with pytest.raises(InvariantNetsError, match="codes must be"):
        renderer.render(codes[:, 1:], nuisance, SIZE)
    with pytest.raises(InvariantNetsError, match="at least 8"):
        renderer.render(codes, nuisance, 4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_draws_the_same() -> None:
    codes, nuisance = varied(16)
    here = renderer.render(codes, nuisance, SIZE)
    there = renderer.render(codes.cuda(), {name: value.cuda() for name, value in nuisance.items()}, SIZE)
    assert (here.image.float() - there.image.cpu().float()).abs().mean() < 0.5
    torch.testing.assert_close(here.landmarks, there.landmarks.cpu(), rtol=0, atol=0.01)
