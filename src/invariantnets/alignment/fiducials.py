"""Points of a face by regression, and again on the face that they bring in place (Taigman et al. 2014, section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from invariantnets.alignment.patterns import histograms
from invariantnets.alignment.similarity import inverse, moved, similarity
from invariantnets.alignment.warp import sample

CELLS, FOLDS, STAGES = 8, 5, 4
SIDE, FRAME = 96, 64  # of the picture as it is first read, and of the face in its place, in pixels
PENALTIES = (10.0, 30.0, 100.0, 300.0)
BLOCK = 256


class Stage(NamedTuple):
    """A linear regressor."""

    weights: np.ndarray  # (features, 2 K)
    offset: np.ndarray  # (2 K,)


@dataclass(frozen=True, eq=False)
class Fiducials:
    """A cascade of ridge regressors: the first reads the whole picture, each later one the face brought to its place.

    The paper has support vector regressors; ridge regression has its minimum in closed form.

    Attributes:
        template: ``(K, 2)`` where a similarity brings the points to, in a picture of `FRAME` pixels.
        stages: the first gives points as fractions of the picture's sides, the others what is to be added in the frame.
    """

    template: np.ndarray
    stages: tuple[Stage, ...]

    @classmethod
    def fit(cls, images: np.ndarray, points: np.ndarray, template: np.ndarray) -> Fiducials:
        """Fit to faces whose points are known.

        Each stage is trained on what those before it say of faces that they were not fitted to, in five parts.

        Args:
            images: ``(N, C, H, W)`` uint8, one person a picture.
            points: ``(N, K, 2)`` in their pixels.
            template: ``(K, 2)``.
        """
        size = np.array(images.shape[:1:-1])
        found, stages = np.empty_like(points), []
        for number in range(STAGES):
            if number == 0:
                read, target = _whole(images), points / size
            else:
                matrix = similarity(found, template)
                read = _placed(images, matrix)
                target = moved(points, matrix) - moved(found, matrix)
            stage, said = _ridge(read, target.reshape(len(points), -1))
            stages.append(stage)
            step = said.reshape(points.shape)
            found = step * size if number == 0 else moved(moved(found, matrix) + step, inverse(matrix))
        return cls(template, tuple(stages))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Points of faces.

        Args:
            images: ``(N, C, H, W)`` uint8, framed as those that it was fitted to.

        Returns:
            ``(N, K, 2)`` in their pixels.
        """
        blocks = [self._block(images[start : start + BLOCK]) for start in range(0, len(images), BLOCK)]
        return np.concatenate([np.empty((0, *self.template.shape)), *blocks])

    def _block(self, images: np.ndarray) -> np.ndarray:
        first, *others = self.stages
        size = np.array(images.shape[:1:-1])
        found = (_whole(images) @ first.weights + first.offset).reshape(len(images), -1, 2) * size
        for stage in others:
            matrix = similarity(found, self.template)
            step = (_placed(images, matrix) @ stage.weights + stage.offset).reshape(found.shape)
            found = moved(moved(found, matrix) + step, inverse(matrix))
        return found


def _grey(images: np.ndarray) -> np.ndarray:
    """Luma ``(N, H, W)`` of ``(N, 3 or 1, H, W)``."""
    if images.shape[1] == 1:
        return images[:, 0].astype(np.float32)
    return np.einsum("nchw,c->nhw", images.astype(np.float32), np.array([0.299, 0.587, 0.114], np.float32))


def _whole(images: np.ndarray) -> np.ndarray:
    """What the first stage reads."""
    found = []
    for start in range(0, len(images), BLOCK):
        grey = torch.from_numpy(_grey(images[start : start + BLOCK]))[:, None]
        small = F.interpolate(grey, (SIDE, SIDE), mode="bilinear", antialias=True)[:, 0]
        found.append(histograms(small.numpy(), CELLS))
    return np.concatenate(found)


def _placed(images: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """What the later stages read."""
    pixels = np.stack(np.meshgrid(np.arange(FRAME), np.arange(FRAME)), 2).reshape(1, -1, 2)
    found = []
    for start in range(0, len(images), BLOCK):
        rows = slice(start, start + BLOCK)
        at = moved(pixels, inverse(matrix[rows])).reshape(-1, FRAME, FRAME, 2)
        seen = [sample(image, where) for image, where in zip(images[rows], at, strict=True)]
        found.append(histograms(_grey(np.stack(seen)), CELLS))
    return np.concatenate(found)


def _ridge(x: np.ndarray, y: np.ndarray) -> tuple[Stage, np.ndarray]:
    """The regressor of all rows, its penalty chosen by what is said of rows held out; and that."""
    from sklearn.linear_model import Ridge  # loaded by those who need it

    fold = np.arange(len(x)) % FOLDS
    said = np.empty((len(PENALTIES), *y.shape))
    for k in range(FOLDS):
        for i, penalty in enumerate(PENALTIES):
            said[i, fold == k] = Ridge(penalty).fit(x[fold != k], y[fold != k]).predict(x[fold == k])
    best = int(((said - y) ** 2).sum((1, 2)).argmin())
    model = Ridge(PENALTIES[best]).fit(x, y)
    return Stage(model.coef_.T.astype(np.float64), model.intercept_.astype(np.float64)), said[best]
