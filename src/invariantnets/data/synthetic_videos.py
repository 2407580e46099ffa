"""Videos of faces that nobody has: each one smooth walk of pose, expression and light."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from invariantnets.data.banked import Bank, Pixels
from invariantnets.data.synthetic_faces import ROW_BYTES, Rows, SyntheticFaces
from invariantnets.errors import InvariantNetsError
from invariantnets.sizes import check_room

# What changes from frame to frame; all else is the video's.
WALKING = (
    *("yaw", "pitch", "roll"),
    *("light_azimuth", "light_elevation", "light_strength"),
    *("smile", "mouth_open", "brow_raise", "eyes_closed"),
)


@dataclass(frozen=True)
class _Frames:
    """Pictures one after the other ``(V · A, 1, …)``, indexed as those of ``V`` videos of ``A`` frames each."""

    flat: Pixels
    frames: int

    @property
    def shape(self) -> torch.Size:
        """``(V, A, C, H, W)``."""
        return torch.Size((self.flat.shape[0] // self.frames, self.frames, *self.flat.shape[2:]))

    def __getitem__(self, index: Any) -> Tensor:
        if isinstance(index, tuple):
            video, frame = index
            return self.flat[video * self.frames + frame, 0]
        return self.flat[:].view(self.shape)[index]


class SyntheticVideos(SyntheticFaces):
    """As `SyntheticFaces`, but every picture goes on as a video: its frames are the variants of one image.

    Pose, light and expression go from one drawn pose, whose numbers are those of a still, to the next, along half a
    cosine, so that they stay within their ranges. Person, accessories, background, and how much the frames are
    degraded, are the video's; so is the pattern of the noise. Where all other data sets have a picture, as those that
    draw some of it anew do, stands the first frame.

    Args:
        num_classes: people trained on.
        image_shape: ``(3, size, size)``.
        frames: of each video.
        pace: frames from one drawn pose to the next.
        **faces: all else, as of `SyntheticFaces`; its numbers of pictures are those of videos.

    Raises:
        InvariantNetsError: no frame, no pace, or what `SyntheticFaces` raises.
    """

    def __init__(
        self,
        num_classes: int,
        image_shape: Sequence[int],
        frames: int = 24,
        pace: int = 8,
        **faces: Any,
    ):
        for name, value in (("frames", frames), ("pace", pace)):
            if value < 1:
                raise InvariantNetsError(f"data.{name}={value}: must be 1 or more")
        self.frames, self.pace = frames, pace
        # Frame t is between the drawn poses number t // pace and the one after it.
        time = torch.arange(frames) / pace
        self.before = time.long()
        self.share = (1 - torch.cos(math.pi * (time - self.before))) / 2
        self.poses = int(self.before.max()) + 2
        super().__init__(num_classes, image_shape, **faces)
        pictures = frames * sum(len(rows.number) for rows in self.rows.values())
        each = ROW_BYTES + (0 if self.cache_dir else math.prod(self.spec.image_shape))
        check_room(f"data: {pictures:,} frames of {image_shape[1]}×{image_shape[2]}", pictures * each)

    def _drawn(self, rows: Rows) -> dict[str, Tensor]:
        return self._pose(rows, 0)

    def _pose(self, rows: Rows, number: int) -> dict[str, Tensor]:
        return super()._drawn(Rows(rows.number, rows.sample * self.poses + number))

    def walk(self, split: str) -> dict[str, Tensor]:
        """What every frame of a split is like: name → ``(V, A)``."""
        poses = [self._pose(self.rows[split], number) for number in range(self.poses)]
        found = {name: first[:, None].expand(-1, self.frames) for name, first in poses[0].items()}
        for name in WALKING:
            drawn = torch.stack([pose[name] for pose in poses], 1)
            found[name] = torch.lerp(drawn[:, self.before], drawn[:, self.before + 1], self.share)
        return found

    def _key(self, rows: Rows) -> dict[str, Any]:
        return {**super()._key(rows), "frames": self.frames, "pace": self.pace}

    def make_bank(self, split: str) -> Bank:
        """Draw a split, or map it from the cache: a video is an image, its frames are the variants."""
        still = super().make_bank(split)
        walk = self.walk(split)
        nuisance = {n.name: walk[n.name] for n in self.spec.nuisances}
        return Bank(_Frames(still.stored, self.frames), still.label, nuisance, still.first_source)

    def _images(self, split: str) -> Pixels:
        number = self.rows[split].number.repeat_interleave(self.frames)
        nuisance = {name: values.flatten() for name, values in self.walk(split).items()}
        return self._stored(self.rows[split], number, nuisance)
