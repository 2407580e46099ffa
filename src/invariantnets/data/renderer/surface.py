"""Where the picture's rays meet the head: poses, and an intersection with a fixed number of steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from invariantnets.data.renderer import anatomy

WINDOW, CENTRE_Y, PIVOT = (
    256.0,
    24.0,
    28.0,
)  # height of the picture, the y of its centre, and z of the pivot from the axis (mm)
START = 132.0  # radius (mm) at which rays start: beyond most noses
COARSE_STEPS, FINE_STEPS = 16, 3
STUCK = 0.7  # pixels from the surface at which a ray counts as having passed it
LAYERS = 10.0  # mm between neighbours' depths that make them different parts of the head


@dataclass
class Pose:
    """Camera coordinates = turn · (scale · head − pivot); all in mm."""

    turn: Tensor  # (B, 3, 3)
    scale: Tensor  # (B, 3)
    pivot: Tensor  # (3,)

    @classmethod
    def of(cls, yaw: Tensor, pitch: Tensor, roll: Tensor, width: Tensor, height: Tensor) -> Pose:
        """From degrees: positive yaw turns the nose to the right of the picture, pitch up, roll clockwise."""
        angles = torch.deg2rad(torch.stack([yaw, pitch, roll]))
        (cy, cp, cr), (sy, sp, sr) = angles.cos(), angles.sin()
        o, i = torch.zeros_like(cy), torch.ones_like(cy)
        about_y = torch.stack([cy, o, sy, o, i, o, -sy, o, cy], -1).view(-1, 3, 3)
        about_x = torch.stack([i, o, o, o, cp, sp, o, -sp, cp], -1).view(-1, 3, 3)
        about_z = torch.stack([cr, sr, o, -sr, cr, o, o, o, i], -1).view(-1, 3, 3)
        pivot = cy.new_tensor((0.0, CENTRE_Y, PIVOT))
        return cls(about_z @ about_x @ about_y, torch.stack([width, height, i], -1), pivot)

    def project(self, points: Tensor, size: int) -> Tensor:
        """Pixel coordinates (x, y) ``(B, N, 2)`` of head points ``(B, N, 3)``; pixel centres are whole numbers."""
        seen = (points * self.scale[:, None] - self.pivot) @ self.turn.transpose(1, 2)
        return seen[..., :2] * seen.new_tensor((1, -1)) * (size / WINDOW) + (size - 1) / 2

    def rays(self, count: int, pixel: float) -> Tensor:
        """Origins of the rays of ``count`` × ``count`` pixels of ``pixel`` mm around the middle of the picture.

        Returns:
            ``(3, B, count, count)`` in head coordinates.
        """
        place = (torch.arange(count, device=self.turn.device, dtype=self.turn.dtype) - (count - 1) / 2) * pixel
        start = (self.pivot / self.scale).T[..., None, None]
        return start + self._axis(0) * place - self._axis(1) * place[:, None]

    @property
    def direction(self) -> Tensor:
        """Of all rays, towards the camera, ``(3, B, 1, 1)`` in head coordinates."""
        return self._axis(2)

    def _axis(self, i: int) -> Tensor:
        """A camera axis in head coordinates."""
        return (self.turn[:, i] / self.scale).T[..., None, None]


def lookup(w: Tensor, y: Tensor) -> Tensor:
    """The grid's coordinates for ``grid_sample``: w = sin(θ / 2) runs over the columns, y over the rows."""
    return torch.stack([w, (y - anatomy.BOTTOM) * (2 / (anatomy.TOP - anatomy.BOTTOM)) - 1], -1)


def sample(maps: Tensor, at: Tensor) -> Tensor:
    """Bilinear values ``(B, C, …)`` of maps ``(B, C, ROWS, COLUMNS)``."""
    return F.grid_sample(maps, at, padding_mode="border", align_corners=True)


@dataclass
class Hits:
    """Per pixel: the nearest point of the head, its place in the grid, and how far the surface still is."""

    depth: Tensor
    x: Tensor
    y: Tensor
    z: Tensor
    rho: Tensor
    at: Tensor
    miss: Tensor  # ρ − r (mm): above 0 where the ray passes by


def slopes(radius: Tensor) -> tuple[Tensor, Tensor]:
    """∂r/∂θ (mm per radian) and ∂r/∂y of radii ``(B, ROWS, COLUMNS)``."""
    rows, columns = radius.shape[1:]
    w = torch.linspace(-1, 1, columns, device=radius.device)
    per_radian = (columns - 1) / 8 * (1 - w.square()).sqrt()  # w = sin(θ / 2), so that dw/dθ = √(1 − w²) / 2
    per_mm = (rows - 1) / (2 * (anatomy.TOP - anatomy.BOTTOM))
    across = F.pad(radius[:, :, 2:] - radius[:, :, :-2], (1, 1), mode="replicate") * per_radian
    return across, F.pad(radius[:, 2:] - radius[:, :-2], (0, 0, 1, 1)) * per_mm


class Caster:
    """Finds where rays meet r(θ, y), from outside, by damped fixed-point steps t ← t − k (ρ − r).

    With k below 1 / (the surface's slope along the ray) the first crossing is not jumped.

    Args:
        radius: ``(B, ROWS, COLUMNS)``.
        across: its slope in θ, from ``slopes``.
        along: its slope in y.
        direction: ``(3, B, 1, 1)``.
    """

    def __init__(self, radius: Tensor, across: Tensor, along: Tensor, direction: Tensor) -> None:
        steep = torch.addcmul(across.square().mul_(1 / 85**2).add_(1).sqrt_(), along.abs(), direction[1].abs())
        for axis, reach in ((2, 1), (1, 2)):  # the steepest of the neighbourhood
            near, far = (
                steep.narrow(axis, 0, steep.shape[axis] - reach),
                steep.narrow(axis, reach, steep.shape[axis] - reach),
            )
            worst = torch.maximum(near, far)
            steep = steep.clone()
            steep.narrow(axis, 0, worst.shape[axis]).copy_(worst)
            shifted = steep.narrow(axis, reach, worst.shape[axis])
            shifted.copy_(torch.maximum(shifted, worst))
        self.maps = torch.stack([radius, steep.reciprocal_()], 1)
        self.direction = direction
        self.small = radius.new_full((), 1e-9)

    def start(self, origin: Tensor) -> Tensor:
        """Depths at which rays enter a cylinder of radius ``START``, or come closest to its axis."""
        (ox, _, oz), (dx, _, dz) = origin, self.direction
        a, b, c = dx * dx + dz * dz, ox * dx + oz * dz, ox * ox + oz * oz - START**2
        return ((b * b - a * c).clamp_min_(0).sqrt_() - b) / a

    def look(self, origin: Tensor, depth: Tensor) -> tuple[Hits, Tensor]:
        """The points at given depths, and the safe share of a step there."""
        x, y, z = (torch.addcmul(o, depth, d) for o, d in zip(origin, self.direction, strict=True))
        rho = torch.addcmul(x * x, z, z).sqrt_()
        # sin(θ / 2) = x / √(2 ρ (ρ + z)); the small number is for the seam at the back.
        half = torch.addcmul(self.small, rho, rho + z, value=2).rsqrt_()
        at = lookup(half.mul_(x), y)
        found, k = sample(self.maps, at).unbind(1)
        return Hits(depth, x, y, z, rho, at, rho - found), k

    def march(self, origin: Tensor, depth: Tensor, steps: int) -> Tensor:
        """Depths after a number of steps."""
        for _ in range(steps):
            hits, k = self.look(origin, depth)
            depth = torch.addcmul(depth, hits.miss, k, value=-1)
        return depth


def intersect(caster: Caster, pose: Pose, size: int) -> tuple[Hits, Tensor]:
    """The head's point in every pixel: many steps for every second pixel, few more from the neighbours' nearest.

    A ray that the nearest neighbour led past a silhouette takes the farthest neighbour's depth instead.

    Returns:
        Hits ``(B, size, size)``, and the rays' origins ``(3, B, size, size)``.
    """
    pixel = WINDOW / size
    half = (size + 1) // 2
    coarse = pose.rays(half, 2 * pixel)
    depth = caster.march(coarse, caster.start(coarse), COARSE_STEPS)
    hits, k = caster.look(coarse, depth)
    behind = torch.where(hits.miss * k > 2 * STUCK * pixel, depth.new_full((), math.inf), depth)
    ends = F.max_pool2d(torch.stack([depth, -behind], 1), 3, 1, 1)
    nearest, farthest = ends.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, :, :size, :size].unbind(1)
    origin = pose.rays(size, pixel)
    depth = caster.march(origin, nearest, FINE_STEPS)
    hits, k = caster.look(origin, depth)
    step = hits.miss * k
    passed = (step > STUCK * pixel) & (depth + farthest > LAYERS)
    depth = torch.where(passed, -farthest, depth - step)
    depth = caster.march(origin, depth, 1)
    return caster.look(origin, depth)[0], origin
