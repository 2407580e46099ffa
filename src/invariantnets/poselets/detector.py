"""Finding poselets on pictures: histograms of gradients, a linear SVM, and calibrated scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from invariantnets.errors import InvariantNetsError
from invariantnets.poselets.examples import cut
from invariantnets.poselets.geometry import Patches, upright

CELL = 8
ORIENTATIONS, BLOCK = 9, 2
C = 0.01  # of Dalal and Triggs 2005
MIN_CALIBRATION = 3  # right and wrong hits, each


class Detector(NamedTuple):
    """A template of HOG: ``(rows − 1, columns − 1, 36)`` weights, as of blocks of 2×2 cells, and what is added."""

    weights: np.ndarray
    bias: float

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.weights.shape[0] + BLOCK - 1, self.weights.shape[1] + BLOCK - 1


class Hits(NamedTuple):
    """``(H,)`` hits on one or more pictures.

    Attributes:
        picture: ``(H,)`` which.
        poselet: ``(H,)`` which.
        score: ``(H,)`` of the SVM, or calibrated.
        box: ``(H, 4)`` least x and y, greatest x and y, in pixels.
    """

    picture: np.ndarray
    poselet: np.ndarray
    score: np.ndarray
    box: np.ndarray

    def rows(self, which: np.ndarray | slice) -> Hits:
        """Some of them."""
        return Hits(*(values[which] for values in self))

    @classmethod
    def joined(cls, parts: Sequence[Hits]) -> Hits:
        """All of several."""
        empty = cls(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros((0, 4)))
        return cls(*(np.concatenate(values) for values in zip(empty, *parts, strict=True)))


def hog(image: np.ndarray, cell: int = CELL) -> np.ndarray:
    """Blocks of normalised histograms (Dalal and Triggs 2005), by scikit-image: ``(rows − 1, columns − 1, 36)``.

    Args:
        image: ``(H, W, 3)`` or ``(H, W)``.
        cell: side of a cell in pixels.

    Raises:
        InvariantNetsError: scikit-image is not installed.
    """
    try:
        from skimage.feature import hog as blocks
    except ImportError as error:
        raise InvariantNetsError(
            "poselets are found by gradients of scikit-image: pip install 'invariantnets[poselets]'"
        ) from error
    found = blocks(
        image, ORIENTATIONS, (cell, cell), (BLOCK, BLOCK), feature_vector=False,
        channel_axis=-1 if image.ndim == 3 else None,
    )  # fmt: skip
    return found.reshape(*found.shape[:2], -1).astype(np.float32)


def described(image: np.ndarray, patch: Patches, cells: tuple[int, int], cell: int = CELL) -> np.ndarray:
    """HOG of one patch, ``(rows − 1, columns − 1, 36)``, as `scan` sees it: gradients at its border are of the picture.

    Args:
        image: ``(H, W, 3)`` or ``(H, W)``, from 0 to 1.
        patch: one.
        cells: of the patch.
        cell: side in pixels.
    """
    return hog(cut(image, patch, cells, cell), cell)[1:-1, 1:-1]


def train(
    positives: np.ndarray, negatives: np.ndarray, harder: Callable[[Detector], np.ndarray], rounds: int = 1,
    seed: int = 0,
) -> Detector:  # fmt: skip
    """A linear SVM, and again with the negatives that it took for the poselet.

    Args:
        positives: ``(n, rows − 1, columns − 1, 36)``.
        negatives: ``(m, …)`` of windows that hold no person.
        harder: a detector → ``(m', …)`` windows without a person that it fires on; none ends the rounds.
        rounds: at most.
        seed: of the solver.

    Raises:
        InvariantNetsError: no examples, or no negatives.
    """
    if not len(positives) or not len(negatives):
        raise InvariantNetsError(
            f"poselet: a detector needs examples of both kinds, and has {len(positives)} patches and "
            f"{len(negatives)} windows without people"
        )
    for attempt in range(rounds + 1):
        x = np.concatenate([positives, negatives]).reshape(len(positives) + len(negatives), -1)
        y = np.arange(len(x)) < len(positives)
        svm = LinearSVC(C=C, class_weight="balanced", tol=1e-3, max_iter=5000, random_state=seed).fit(x, y)
        detector = Detector(svm.coef_[0].reshape(positives.shape[1:]).astype(np.float32), float(svm.intercept_[0]))
        more = harder(detector) if attempt < rounds else negatives[:0]
        if not len(more):
            break
        negatives = np.concatenate([negatives, more])
    return detector


def pyramid(image: np.ndarray, cell: int, zooms: Sequence[float]) -> list[tuple[float, np.ndarray]]:
    """Zooms of a picture and their `hog`; what is left of a cell at the right and at the bottom is dropped."""
    found = []
    for zoom in zooms:
        rows, columns = (int(side * zoom / cell + 1e-9) for side in image.shape[:2])
        if min(rows, columns) < BLOCK:
            continue
        less = min(rows, columns)
        whole = upright(-0.5, -0.5, less * cell / zoom, rows / less, columns / less)
        found.append((zoom, hog(cut(image, whole, (rows, columns), cell, margin=0), cell)))
    return found


def scan(
    levels: Sequence[tuple[float, np.ndarray]], detectors: Sequence[Detector], cell: int, least: float, picture: int = 0
) -> Hits:
    """All windows of a picture's pyramid that score ``least`` or more.

    Args:
        levels: of `pyramid`.
        detectors: ``P``.
        cell: side in pixels.
        least: score.
        picture: its number.
    """
    parts = []
    for zoom, grid in levels:
        for shape in dict.fromkeys(d.weights.shape for d in detectors):
            mine = [k for k, d in enumerate(detectors) if d.weights.shape == shape]
            rows, columns = grid.shape[0] - shape[0] + 1, grid.shape[1] - shape[1] + 1
            if rows < 1 or columns < 1:
                continue
            weights = np.stack([detectors[k].weights for k in mine], -1)
            score = np.zeros((rows, columns, len(mine)), np.float32) + [detectors[k].bias for k in mine]
            for i, j in np.ndindex(*shape[:2]):
                score += grid[i : i + rows, j : j + columns] @ weights[i, j]
            y, x, k = np.nonzero(score >= least)
            corner = np.stack([x, y, x + shape[1] + BLOCK - 1, y + shape[0] + BLOCK - 1], 1) * cell / zoom - 0.5
            parts.append(Hits(np.full(len(k), picture), np.array(mine, int)[k], score[y, x, k], corner))
    return Hits.joined(parts)


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes ``(…, 4)``, which broadcast."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    both = (high - low).clip(0).prod(-1)
    return both / ((a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - both)


def suppress(hits: Hits, most: float = 0.3) -> Hits:
    """Of hits of one poselet on one picture that overlap by more than ``most``, the best; best first.

    Scores must be calibrated where hits of several poselets are compared afterwards. Within a poselet the order is the
    same before and after, since calibration rises.
    """
    order = np.lexsort((-hits.score, hits.poselet, hits.picture))
    box, picture, poselet = hits.box[order], hits.picture[order], hits.poselet[order]
    new = (np.diff(picture, prepend=-1) != 0) | (np.diff(poselet, prepend=-1) != 0)
    kept: list[int] = []
    for left in np.split(np.arange(len(order)), np.flatnonzero(new)[1:]):
        while len(left):
            first, left = left[0], left[1:]
            kept.append(first)
            left = left[overlap(box[first], box[left]) <= most]
    kept = sorted(kept, key=lambda row: -hits.score[order[row]])
    return hits.rows(order[np.array(kept, int)])


class Calibration(NamedTuple):
    """Score → probability that a hit is right: 1 / (1 + exp(−slope · score − bias))."""

    slope: float
    bias: float

    def __call__(self, score: np.ndarray) -> np.ndarray:
        """Of scores ``(…)``."""
        return 1 / (1 + np.exp(-(self.slope * np.asarray(score, float) + self.bias)))


def calibrate(score: np.ndarray, right: np.ndarray, name: str) -> Calibration:
    """Logistic regression of whether hits are right, on people that the detector was not trained with.

    Args:
        score: ``(H,)`` of the SVM.
        right: ``(H,)`` bool.
        name: what to call the poselet in an error.

    Raises:
        InvariantNetsError: it has not fired, or a higher score does not mean that it is more often right.
    """
    if min(right.sum(), (~right).sum()) < MIN_CALIBRATION:
        raise InvariantNetsError(
            f"{name}: {right.sum()} right and {(~right).sum()} wrong hits to calibrate with, {MIN_CALIBRATION} of each "
            "are needed: leave it out, or scan more people with a lower least score"
        )
    found = LogisticRegression(C=100.0).fit(score[:, None], right)
    slope, bias = float(found.coef_[0, 0]), float(found.intercept_[0])
    if slope <= 0:
        raise InvariantNetsError(f"{name}: a higher score does not mean that a hit is more often right: leave it out")
    return Calibration(slope, bias)
