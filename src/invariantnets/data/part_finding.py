"""Where parts of drawn people are: poselets that fire on them, the frontal face, and what is cut out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

from invariantnets import poselets
from invariantnets.data import people
from invariantnets.randomness import numpy_rng

GLOBAL, FACE, POSELET = "global", "face", "poselet "
# People that poselets are learned from are nobody's else, and each of their pictures is of an album of its own.
FIRST_NUMBER = 1 << 21
TRAIN, VAL, EMPTY = (200, 4), (90, 3), 30  # people and pictures of each; pictures of nobody
SHOULDERS, HIPS = [5, 6], [11, 12]  # of the keypoints of `people`, which begin with nose, eyes and ears
TORSO = (*SHOULDERS, *HIPS)
OVERLAP = 0.3  # of the torso that a cluster of hits tells with the person's, from which on the hits are the person's
FACE_SIDE = 2.2  # of the square of a face, in distances of the ears


class Learned(NamedTuple):
    """Poselets, as they are needed on new pictures.

    Attributes:
        detectors: find them.
        by: score → probability.
        keypoints: where each tells the person's.
    """

    detectors: list[poselets.Detector]
    by: list[poselets.Calibration]
    keypoints: list[poselets.Keypoints]

    def flat(self) -> dict[str, np.ndarray]:
        """As named arrays, to be written."""
        every = enumerate(zip(*self, strict=True))
        return {
            f"{k}/{type(one).__name__}/{name}": np.asarray(value)
            for k, three in every
            for one in three
            for name, value in one._asdict().items()
        }

    @classmethod
    def of(cls, flat: Mapping[str, np.ndarray]) -> Learned:
        """Of what `flat` gave."""
        found: Any = cls([], [], [])
        kinds: list[Any] = [poselets.Detector, poselets.Calibration, poselets.Keypoints]
        for k in range(len({name.split("/")[0] for name in flat})):
            for place, kind in zip(found, kinds, strict=True):
                place.append(kind(*(flat[f"{k}/{kind.__name__}/{name}"] for name in kind._fields)))
        return cls(*found)


class _Scaled(Sequence[np.ndarray]):
    """Pictures of bytes, from 0 to 1 while they are looked at: of a thousand at once that would be a gigabyte."""

    def __init__(self, images: list[np.ndarray]):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: Any) -> Any:
        return self.images[row] / 255


def look_at(size: int) -> poselets.Look:
    """Pictures of ``size`` pixels: short sides of patches are 0.16 to 0.48 of the picture's."""
    return poselets.Look(4, [1.6 / 1.25**k * 128 / size for k in range(6)])


def learn(size: int, *, examples: int, candidates: int, keep: int, seed: int, **drawn: Any) -> Learned:
    """Poselets of people who are nowhere else, chosen by others of these.

    Args:
        size: side of the pictures in pixels.
        examples: of each poselet.
        candidates: seeds that are tried.
        keep: how many are kept.
        seed: of seeds and windows.
        **drawn: as of `people.figures`.

    Raises:
        InvariantNetsError: what `poselets` and `people` raise.
    """
    first, each = FIRST_NUMBER, []
    for count, pictures in (TRAIN, VAL):
        row = torch.arange(count * pictures)
        which = first + row // pictures, row % pictures, row % pictures
        figures = list(people.figures(*which, size=size, **drawn))
        points, visible = (np.stack([getattr(f, name) for f in figures]) for name in ("keypoints", "visible"))
        crowd = poselets.People(points, visible, np.full((len(row), 2), size))
        each.append(poselets.Pictures(_Scaled([f.image for f in figures]), which[0].numpy(), crowd))
        first += count
    look, rng = look_at(size), numpy_rng(seed, 11, 1)
    nobody = people.backgrounds(*(v[:EMPTY] for v in which), size=size, **drawn)
    train, val = each
    sizes = {"examples": examples, "candidates": candidates, "keep": keep}
    # A poselet that does not tell the torso would never be matched to anybody.
    chosen, _ = poselets.choose(train, val, [look.levels(one) for one in nobody], rng, look, **sizes, tells=TORSO)
    keypoints = [poselets.keypoints_of(one.poselet, train.people) for one in chosen]
    return Learned([one.detector for one in chosen], [one.by for one in chosen], keypoints)


def parts_on(
    figures: Iterable[people.Figure], rows: np.ndarray, learned: Learned, parts: Sequence[str], side: int
) -> dict[str, np.ndarray]:
    """Which parts fire on some pictures.

    Args:
        figures: ``N``.
        rows: ``(N,)`` their numbers.
        learned: poselets; what fires is called after their numbers.
        parts: names, of all that may fire.
        side: of what is cut out, in pixels.

    Returns:
        For each part ``<part>/row`` ``(n,)``, ``<part>/box`` ``(n, 4)``, ``<part>/score`` ``(n,)`` probabilities and
        ``<part>/cut`` ``(n, 3, side, side)`` uint8.
    """
    fired: dict[str, list[tuple[int, np.ndarray, float]]] = {part: [] for part in parts}
    images = []
    for k, figure in enumerate(figures):
        size = len(figure.image)
        images.append(torch.from_numpy(figure.image).permute(2, 0, 1))
        fired[GLOBAL].append((k, np.array([-0.5, -0.5, size - 0.5, size - 0.5]), 1.0))
        if (face := frontal_face(figure.keypoints)) is not None:
            fired[FACE].append((k, face, 1.0))
        hits = activations(figure, learned)
        for which, box, score in zip(hits.poselet, hits.box, hits.score, strict=True):
            fired[f"{POSELET}{which}"].append((k, box, score))
    found = {}
    for part, some in fired.items():
        of = np.array([one[0] for one in some], np.int64)
        box = np.array([one[1] for one in some]).reshape(-1, 4)
        found[f"{part}/row"], found[f"{part}/box"] = rows[of], box
        found[f"{part}/score"] = np.array([one[2] for one in some], np.float64)
        found[f"{part}/cut"] = cut_out(torch.stack(images)[torch.from_numpy(of)], box, side)
    return found


def frontal_face(keypoints: np.ndarray) -> np.ndarray | None:
    """``(4,)`` box of the face of a person who looks at the camera: whose nose is between the eyes; else None.

    Args:
        keypoints: ``(K, 2)`` of a `people.Figure`, which begin with nose, eyes (left, right) and ears.
    """
    nose, left, right, left_ear, right_ear = keypoints[:5]
    if not right[0] < nose[0] < left[0]:
        return None
    half = FACE_SIDE / 2 * np.linalg.norm(left_ear - right_ear)
    centre = (nose + left + right) / 3
    return np.concatenate([centre - half, centre + half])


def activations(figure: people.Figure, learned: Learned) -> poselets.Hits:
    """Poselets that fire on the person of a picture, one hit of each at most (section 4.1 of Zhang et al. 2015).

    Hits are taken together by the keypoints that they tell. Those count whose torso matches the person's.
    """
    look = look_at(len(figure.image))
    hits = poselets.calibrated(poselets.hits_on([figure.image / 255], learned.detectors, look), learned.by)
    found, members = poselets.torsos(hits, learned.keypoints, SHOULDERS, HIPS)
    own = poselets.torso(figure.keypoints[SHOULDERS], figure.keypoints[HIPS])
    matched = np.flatnonzero(poselets.match(found.box, own[None], OVERLAP) == 0)
    return hits.rows(members[matched[0]] if len(matched) else slice(0))


def cut_out(image: Tensor, box: np.ndarray, side: int) -> np.ndarray:
    """``(n, 3, side, side)`` uint8 of boxes ``(n, 4)`` on pictures ``(n, 3, size, size)``, stretched to be square.

    Beyond a picture its border goes on. Each pixel is the mean of four samples, or more where much is shrunk.
    """
    size = image.shape[-1]
    if not len(box):
        return np.zeros((0, 3, side, side), np.uint8)
    x0, y0, x1, y1 = torch.from_numpy(box.reshape(-1, 4)).float().T
    theta = torch.zeros(len(image), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = (x1 - x0) / size, (y1 - y0) / size
    theta[:, 0, 2], theta[:, 1, 2] = (x0 + x1 + 1) / size - 1, (y0 + y1 + 1) / size - 1
    fine = side * max(2, -(-size // side))
    grid = affine_grid(theta, [len(image), 3, fine, fine], align_corners=False)
    drawn = grid_sample(image.float(), grid, padding_mode="border", align_corners=False)
    found: np.ndarray = avg_pool2d(drawn, fine // side).round().to(torch.uint8).numpy()
    return found
