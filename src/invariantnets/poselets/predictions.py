"""What hits say: where a person's keypoints are, which hits are of one person, and where the torso is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from invariantnets.errors import InvariantNetsError
from invariantnets.poselets.detector import Hits, overlap
from invariantnets.poselets.examples import Poselet
from invariantnets.poselets.geometry import People

MAX_KL = 5.0  # symmetrised, of hits of one person
COMPARED = 5  # strongest hits of a cluster that a new one is compared with
MOST = 100  # clusters of a picture
TORSO = 1.5  # height to width
LEAST_VARIANCE = 1e-4  # in squared units: a hundredth of the short side
KNOWN = 3  # examples that must know a keypoint, for a mean and a covariance


class Keypoints(NamedTuple):
    """Normal distributions of keypoints, in unit coordinates of a patch or in pixels.

    Attributes:
        mean: ``(…, K, 2)`` x and y; NaN of keypoints that too few examples know.
        covariance: ``(…, K, 2, 2)``.
    """

    mean: np.ndarray
    covariance: np.ndarray


def keypoints_of(poselet: Poselet, people: People) -> Keypoints:
    """Mean and covariance of the visible keypoints of a poselet's examples, in the patch and around it.

    Raises:
        InvariantNetsError: no keypoint is known of three examples.
    """
    some = people.rows(poselet.person)
    u = poselet.patches.units(some.points())
    there = some.visible & ~np.isnan(u)
    xy = np.where(there[..., None], np.stack([u.real, u.imag], -1), 0)
    count = there.sum(0)
    if (count < KNOWN).all():
        raise InvariantNetsError(f"poselet: no keypoint is visible in {KNOWN} of its {len(u)} examples: give it more")
    mean = xy.sum(0) / np.maximum(count, 1)[:, None]
    off = np.where(there[..., None], xy - mean, 0)
    covariance = np.einsum("nki,nkj->kij", off, off) / np.maximum(count - 1, 1)[:, None, None]
    mean[count < KNOWN] = np.nan
    return Keypoints(mean, covariance + LEAST_VARIANCE * np.eye(2))


def predicted(hits: Hits, keypoints: Sequence[Keypoints]) -> Keypoints:
    """Where the keypoints of the person of each hit are, in pixels: ``(H, K, …)``.

    Args:
        hits: ``H``.
        keypoints: of each poselet, in unit coordinates.
    """
    mean = np.stack([k.mean for k in keypoints])[hits.poselet]
    covariance = np.stack([k.covariance for k in keypoints])[hits.poselet]
    short = (hits.box[:, 2:] - hits.box[:, :2]).min(1)
    return Keypoints(mean * short[:, None, None] + hits.box[:, None, :2], covariance * short[:, None, None, None] ** 2)


def symmetric_kl(a: Keypoints, b: Keypoints) -> np.ndarray:
    """KL(a‖b) + KL(b‖a) in nats, mean over the keypoints that both know: ``(…)``. Infinite where there is none."""
    off = a.mean - b.mean
    both = ~np.isnan(off).any(-1)
    off = np.where(both[..., None], off, 0)
    p, q = np.linalg.inv(a.covariance), np.linalg.inv(b.covariance)
    trace = np.einsum("...ij,...ji->...", q, a.covariance) + np.einsum("...ij,...ji->...", p, b.covariance)
    each = (trace - 4 + np.einsum("...i,...ij,...j->...", off, p + q, off)) / 2
    count = both.sum(-1)
    return np.where(count > 0, np.where(both, each, 0).sum(-1) / np.maximum(count, 1), np.inf)


def cluster(hits: Hits, where: Keypoints) -> np.ndarray:
    """Which hits of one picture are of one person: ``(H,)`` numbers from 0, and −1 of hits that belong to nobody.

    Strongest first, a hit goes to the cluster whose (up to five) strongest hits predict keypoints nearest to its own,
    by the mean of their symmetrised KL divergences, if that is below 5, and founds one if there is none. It belongs
    to nobody if the cluster has a hit of that poselet already, or if there are a hundred clusters.

    Args:
        hits: calibrated and suppressed.
        where: of `predicted`.
    """
    found = np.full(len(hits.score), -1)
    members: list[list[int]] = []
    for hit in np.argsort(-hits.score, kind="stable"):
        far = []
        for some in members:
            first = some[:COMPARED]
            theirs = Keypoints(where.mean[first], where.covariance[first])
            far.append(symmetric_kl(Keypoints(where.mean[hit], where.covariance[hit]), theirs).mean())
        best = int(np.argmin(far)) if far else -1
        if best >= 0 and far[best] < MAX_KL:
            if hits.poselet[hit] not in hits.poselet[members[best]]:
                members[best].append(hit)
                found[hit] = best
        elif len(members) < MOST:
            found[hit] = len(members)
            members.append([hit])
    return found


def fused(where: Keypoints, weight: np.ndarray) -> np.ndarray:
    """Keypoints ``(K, 2)`` of several hits' predictions: means weighted by certainty and by the hits' scores.

    Args:
        where: ``(h, K, …)``.
        weight: ``(h,)`` positive.
    """
    known = ~np.isnan(where.mean).any(-1)
    certainty = np.where(known[..., None, None], np.linalg.inv(where.covariance), 0) * weight[:, None, None, None]
    pulled = np.einsum("hkij,hkj->ki", certainty, np.nan_to_num(where.mean))
    total, some = certainty.sum(0), known.any(0)
    total[~some] = np.eye(2)
    return np.where(some[:, None], np.linalg.solve(total, pulled[..., None])[..., 0], np.nan)


def torso(shoulders: np.ndarray, hips: np.ndarray) -> np.ndarray:
    """``(…, 4)`` least x and y, greatest x and y, of a box from shoulders to hips, 1.5 times as high as wide.

    Its height is the way between the middles, so that it is as wide for a person seen from the side.

    Args:
        shoulders: ``(…, 2, 2)`` left and right, x and y; NaN gives NaN.
        hips: the same.
    """
    top, bottom = shoulders.mean(-2), hips.mean(-2)
    height = np.linalg.norm(bottom - top, axis=-1, keepdims=True)
    half = np.concatenate([height / TORSO, height], -1) / 2
    centre = (top + bottom) / 2
    return np.concatenate([centre - half, centre + half], -1)


def match(found: np.ndarray, people: np.ndarray, least: float = 0.5) -> np.ndarray:
    """``(F,)`` which person each box is of, one at most of each, by the greatest sum of overlaps; −1 for none.

    Args:
        found: ``(F, 4)`` boxes; a box of NaN is of nobody.
        people: ``(P, 4)``.
        least: intersection over union of a match.
    """
    shared = np.nan_to_num(overlap(found[:, None], people[None]))
    shared[shared < least] = 0
    rows, columns = linear_sum_assignment(-shared)
    matched = np.full(len(found), -1)
    good = shared[rows, columns] > 0
    matched[rows[good]] = columns[good]
    return matched
