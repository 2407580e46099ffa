"""From image files to bytes of one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from invariantnets.alignment.similarity import inverse, similarity
from invariantnets.data.cache import progress
from invariantnets.errors import InvariantNetsError

# What Pillow raises on a file that is damaged or no image.
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
BLOCK = 512


def fit_image(
    image: Image.Image,
    shape: tuple[int, int, int],
    center_crop: int | None = None,
    points: np.ndarray | None = None,
    template: np.ndarray | None = None,
) -> np.ndarray:
    """Grey or RGB, upright as its EXIF says; aligned, or cropped; resized with antialiasing.

    Args:
        image: any that Pillow opens.
        shape: ``(C, H, W)``, ``C`` 1 or 3.
        center_crop: side in pixels of the central square that is kept.
        points: ``(K, 2)`` landmarks in pixels; the similarity that brings them to ``template`` then
            takes the place of crop and resizing.
        template: ``(K, 2)`` in fractions of width and height.

    Returns:
        ``(C, H, W)`` uint8.

    Raises:
        ValueError: an image smaller than the crop.
    """
    channels, height, width = shape
    image = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
    if points is not None and template is not None:
        image = _aligned(image, (width, height), points, template * (width, height))
    else:
        if center_crop is not None:
            if center_crop > min(image.size):
                raise ValueError(f"it is {image.width}×{image.height}, smaller than center_crop={center_crop}")
            left, top = (image.width - center_crop) // 2, (image.height - center_crop) // 2
            image = image.crop((left, top, left + center_crop, top + center_crop))
        image = image.resize((width, height), Image.Resampling.BICUBIC)  # Pillow's resampling is antialiased
    return np.asarray(image).reshape(height, width, channels).transpose(2, 0, 1)


def _aligned(image: Image.Image, size: tuple[int, int], points: np.ndarray, target: np.ndarray) -> Image.Image:
    matrix = similarity(points, target)
    # Pillow's transform does not antialias: shrink by whole factors beforehand.
    factor = max(int(1 / np.hypot(*matrix[:, 0])), 1)
    if factor > 1:
        image, matrix = image.reduce(factor), similarity(points / factor, target)
    return image.transform(size, Image.Transform.AFFINE, inverse(matrix).ravel().tolist(), Image.Resampling.BICUBIC)


def decode(read: Callable[[int], np.ndarray], names: Sequence[str], owner: str) -> Iterator[Tensor]:
    """Read images in threads, with a progress bar, in blocks and in order.

    Args:
        read: row → ``(C, H, W)`` uint8.
        names: what to call each row in messages; as many as there are rows.
        owner: of the images, for the bar.

    Yields:
        ``(B, C, H, W)`` uint8.

    Raises:
        InvariantNetsError: images that cannot be read: their number and the first one's name. All are tried.
    """
    bad: list[tuple[str, str]] = []

    def attempt(row: int) -> np.ndarray | None:
        try:
            return read(row)
        except UNREADABLE as error:
            bad.append((names[row], " ".join(str(error).split()) or type(error).__name__))
            return None

    with ThreadPoolExecutor() as pool:
        for start in progress(range(0, len(names), BLOCK), f"{owner}: reading"):
            images = list(pool.map(attempt, range(start, min(start + BLOCK, len(names)))))
            if not bad:
                yield torch.from_numpy(np.stack([x for x in images if x is not None]))
    if bad:
        name, reason = min(bad)
        raise InvariantNetsError(
            f"{owner}: {len(bad)} of {len(names)} images cannot be read, e.g. {name} ({reason}); mend or remove them"
        )
