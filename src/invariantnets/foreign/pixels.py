"""Pictures as they are, to set beside what a network makes of them."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor
from torch.nn import functional as F

SIDE = 64


class Pixels:
    """The pixels themselves, of 0–1; a picture larger than 64×64 is averaged down to that.

    They are no embedding: as of other wide layers, what is kept of more than 1,024 is a random projection.
    """

    layer_names, embedding, classifier = ("pixels",), "", None

    def features(self, image: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """``(N, C, H, W)`` of 0–255 → the one layer, ``pixels``."""
        x = image.float() / 255
        if max(x.shape[2:]) > SIDE:
            x = F.adaptive_avg_pool2d(x, (min(x.shape[2], SIDE), min(x.shape[3], SIDE)))
        return dict.fromkeys(names, x)
