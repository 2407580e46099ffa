"""Identification: whose face is it? A probe is searched for in a gallery, whose people are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.protocols.rates import thresholds_at
from invariantnets.protocols.similarity import Similarity
from invariantnets.protocols.templates import pool_templates

_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Search:
    """What searching a gallery gave for each probe.

    Attributes:
        top: ``(P,)`` the highest score in the gallery.
        rank: ``(P,)`` place of the best-scoring mate among all entries of the gallery, 1 for the
            first; entries of other people with the same score come before it. 0 for a probe without mate.
    """

    top: np.ndarray
    rank: np.ndarray


def search(
    gallery: np.ndarray, gallery_label: np.ndarray, probe: np.ndarray, probe_label: np.ndarray, similarity: Similarity
) -> Search:
    """Compare every probe with the whole gallery, block by block.

    Args:
        gallery: ``(G, D)`` prepared features.
        gallery_label: ``(G,)`` identities.
        probe: ``(P, D)`` prepared features.
        probe_label: ``(P,)`` identities.
        similarity: of prepared features.
    """
    top, rank = np.empty(len(probe), probe.dtype), np.empty(len(probe), np.int64)
    for start in range(0, len(probe), _BLOCK_ROWS):
        here = slice(start, start + _BLOCK_ROWS)
        scores = similarity.matrix(probe[here], gallery)
        mate = probe_label[here, None] == gallery_label
        best = np.where(mate, scores, -np.inf).max(1)
        top[here] = scores.max(1)
        rank[here] = np.where(mate.any(1), 1 + ((scores >= best[:, None]) & ~mate).sum(1), 0)
    return Search(top, rank)


def detection_rates(found: Search, wanted: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Rank-1 detection and identification rate (DIR) at false alarm rates, the open set's measure.

    *Genuine* probes have a mate in the gallery, *impostors* have none. The threshold is the lowest
    that at most a share FAR of the impostors exceed with their highest score, whoever it is for. A genuine
    probe counts if its mate comes first *and* its score exceeds the threshold; DIR is the share of
    those among the genuine probes (2015, section 5, protocol 2; Phillips, Grother & Micheals 2011).

    Args:
        found: genuine probes and impostors (rank 0) together.
        wanted: ``(W,)`` false alarm rates.
        weights: ``(P,)`` how often each probe counts, once by default.

    Returns:
        ``(W,)``.
    """
    has_mate = found.rank > 0
    thresholds = thresholds_at(found.top[~has_mate], wanted, None if weights is None else weights[~has_mate])
    weights = np.ones(len(found.rank)) if weights is None else weights
    first = found.rank == 1
    detected = found.top[first, None] > thresholds
    return weights[first] @ detected / weights[has_mate].sum()


@dataclass(frozen=True)
class Task:
    """Who is in the gallery and who is searched for.

    Attributes:
        gallery: ``(G,)`` rows of the features; several rows of one identity are pooled into a template.
        probe: ``(P,)`` rows.
    """

    gallery: np.ndarray
    probe: np.ndarray

    def run(self, x: np.ndarray, label: np.ndarray, similarity: Similarity) -> Search:
        """Search for every probe.

        Args:
            x: ``(N, D)`` prepared features.
            label: ``(N,)`` identities.
            similarity: of prepared features.
        """
        gallery, identity = x[self.gallery], label[self.gallery]
        if len(np.unique(identity)) < len(identity):
            gallery, identity = pool_templates(gallery, identity)
        return search(gallery, identity, x[self.probe], label[self.probe], similarity)


def check_task(task: Task, label: np.ndarray, *, impostors: bool) -> None:
    """Refuse a gallery and probes of which nothing can be measured.

    Args:
        task: rows.
        label: ``(N,)`` identities.
        impostors: whether probes without a mate belong there (open set) or must not be (closed set).

    Raises:
        InvariantNetsError: an image in both, no probe with a mate, and a mate missing in a closed set or
            found for all in an open one.
    """
    if len(both := np.intersect1d(task.gallery, task.probe)):
        raise InvariantNetsError(
            f"{len(both)} images are both in the gallery and probes; a probe must be another image"
        )
    mate = np.isin(label[task.probe], label[task.gallery])
    if not mate.any():
        raise InvariantNetsError("no probe has a mate in the gallery: identities need two images, one for each")
    if impostors and mate.all():
        raise InvariantNetsError("an open set needs impostors: probes of people who are not in the gallery")
    if not impostors and not mate.all():
        raise InvariantNetsError(
            f"{np.count_nonzero(~mate)} of {len(mate)} probes of a closed set have no mate in the gallery; drop them"
        )


def closed_set(label: np.ndarray, template_images: int, rng: np.random.Generator) -> Task:
    """A gallery of everybody, and all other images as probes.

    Args:
        label: ``(N,)`` identities.
        template_images: images of each identity in the gallery, where it has one more to spare.
        rng: draws them.

    Raises:
        InvariantNetsError: no identity has two images.
    """
    turn = _turns(label, rng)
    images = np.bincount(label)[label]
    enrolled = turn < np.clip(images - 1, 1, template_images)
    task = Task(np.flatnonzero(enrolled), np.flatnonzero(~enrolled))
    check_task(task, label, impostors=False)
    return task


def open_set(
    label: np.ndarray,
    template_images: int,
    rng: np.random.Generator,
    *,
    enrolled: int | None = None,
    genuine: int | None = None,
    impostors: int | None = None,
) -> Task:
    """A gallery of some identities; their other images are genuine probes, all other people are impostors.

    Args:
        label: ``(N,)`` identities.
        template_images: images of each enrolled identity in the gallery, where it has one more to spare.
        rng: draws identities and images.
        enrolled: identities in the gallery, of those with two images; half of them by default.
        genuine: genuine probes of each, all by default.
        impostors: images of the others, all by default (and if there are fewer).

    Raises:
        InvariantNetsError: too few identities with two images, or nobody left to be an impostor.
    """
    turn, images = _turns(label, rng), np.bincount(label)
    mates = rng.permutation(np.flatnonzero(images > 1))
    count = len(mates) // 2 if enrolled is None else enrolled
    if not 0 < count <= len(mates):
        raise InvariantNetsError(
            f"an open set of {max(count, 1)} enrolled identities needs as many with two images (half of all are "
            f"enrolled unless told otherwise); the test split has {len(mates)}"
        )
    inside = np.isin(label, mates[:count])
    in_gallery = np.clip(images - 1, 1, template_images)[label]
    last = len(label) if genuine is None else in_gallery + genuine
    outside = np.flatnonzero(~inside)
    if impostors is not None and impostors < len(outside):
        outside = np.sort(rng.choice(outside, impostors, replace=False))
    probe = np.flatnonzero(inside & (turn >= in_gallery) & (turn < last))
    task = Task(np.flatnonzero(inside & (turn < in_gallery)), np.concatenate([probe, outside]))
    check_task(task, label, impostors=True)
    return task


def _turns(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``(N,)`` place of each row among the images of its identity, in random order."""
    order = rng.permutation(len(label))
    order = order[np.argsort(label[order], kind="stable")]
    start = np.searchsorted(label[order], label[order])
    turn = np.empty(len(label), np.int64)
    turn[order] = np.arange(len(label)) - start
    return turn
