"""YouTube Faces (Wolf et al. 2011), from its folders of frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from invariantnets.data.banked import Bank, Stream
from invariantnets.data.batch import DataSpec
from invariantnets.data.faces import FaceFiles, Faces
from invariantnets.errors import InvariantNetsError

if TYPE_CHECKING:
    from typing_extensions import Unpack


class YouTubeFaces(FaceFiles):
    """Frames of videos in the layout of the data set, ``<person>/<video>/<frame>.jpg``; everything is ``test``.

    The source of a row is its video. The protocol's list of pairs is read by `invariantnets.protocols.run_videos`.
    This follows public descriptions of the layout; the data themselves were not at hand.

    Args:
        root: folder of the data set.
        image_shape: ``(C, H, W)`` that frames are brought to.
        cache_dir: folder of the decoded frames.
        images: folder of frames below ``root``: ``aligned_images_DB`` or ``frame_images_DB``.
        num_classes: 0, since nobody is trained on; networks ask for it.
        center_crop: side in pixels of the central square that is kept.
        max_frames: of each video at most, evenly spread; None: all.
        **stream: how training batches are made, see :class:`~invariantnets.data.BankedImages`.

    Raises:
        InvariantNetsError: no frame, or no frame wanted; see also :class:`FaceFiles`.
    """

    def __init__(
        self,
        root: str,
        image_shape: Sequence[int],
        cache_dir: str,
        images: str = "aligned_images_DB",
        num_classes: int = 0,
        center_crop: int | None = None,
        max_frames: int | None = None,
        **stream: Unpack[Stream],
    ):
        channels, height, width = image_shape
        spec = DataSpec((channels, height, width), num_classes)
        super().__init__(spec, str(Path(root) / images), cache_dir, center_crop=center_crop, **stream)
        self.max_frames = max_frames

    def list_faces(self) -> Faces:
        """The frames, a video's together and in order, and whose they are."""
        videos: dict[str, list[str]] = {}
        for path in self.root.glob("*/*/*.jpg"):
            videos.setdefault(f"{path.parts[-3]}/{path.parts[-2]}", []).append(path.name)
        if not videos:
            raise InvariantNetsError(
                f"{self.root}: no frames <person>/<video>/<frame>.jpg. Name the folder that holds YouTube Faces with "
                "data.root=… and its folder of frames with data.images=…"
            )
        found = []
        for video, names in sorted(videos.items()):
            names.sort(key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
            kept = range(len(names))
            if self.max_frames is not None and self.max_frames < len(names):
                kept = np.linspace(0, len(names) - 1, self.max_frames).round().astype(int).tolist()
            found += [f"{video}/{names[i]}" for i in kept]
        person = np.array([name.partition("/")[0] for name in found])
        return Faces(np.array(found), person, np.full(len(found), "test", dtype="U5"))

    def make_bank(self, split: str) -> Bank:
        """The frames of a split; those of a video are one source."""
        bank = super().make_bank(split)
        video = [name.rpartition("/")[0] for name in self.names(split).tolist()]
        group = np.unique(np.array(video, dtype=str), return_inverse=True)[1]
        return Bank(bank.stored, bank.label, bank.nuisance, group=torch.from_numpy(group))
