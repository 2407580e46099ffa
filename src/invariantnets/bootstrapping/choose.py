"""Which pictures of a pool are trained on: of look-alikes, of anybody, or those near the seeds' pictures."""

from __future__ import annotations

import numpy as np

from invariantnets.bootstrapping.neighbours import nearest
from invariantnets.bootstrapping.pool import Pool
from invariantnets.errors import InvariantNetsError


def mislabel(label: np.ndarray, classes: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Labels of which a share is wrong: drawn evenly among the pictures and among the other classes.

    Args:
        label: ``(N,)`` int64, 0 to ``classes - 1``.
        classes: how many there are.
        share: of the pictures.
        rng: draws which, and what they become.

    Returns:
        ``(N,)`` int64.
    """
    wrong = rng.choice(len(label), round(share * len(label)), replace=False)
    out = label.copy()
    out[wrong] = (label[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return out


def of_identities(pool: Pool, identity: np.ndarray) -> np.ndarray:
    """Rows of the pool's features that show some identities, in the order of those."""
    return np.concatenate([np.arange(pool.offsets[i], pool.offsets[i + 1]) for i in identity.tolist()])


def random_rows(pool: Pool, identities: int, images: int, rng: np.random.Generator) -> np.ndarray:
    """Images of random identities: as many as a selection has (2015 paper, table 2: "random").

    Args:
        pool: what to draw from.
        identities: as many, or more where theirs are too few images.
        images: exactly as many; each identity keeps at least one.
        rng: draws both.

    Returns:
        ``(images,)`` int64 rows of the pool, ascending.

    Raises:
        InvariantNetsError: the pool has fewer.
    """
    order = rng.permutation(np.flatnonzero(pool.counts))
    total = np.cumsum(pool.counts[order])
    if identities > len(order) or not identities <= images <= total[-1]:
        raise InvariantNetsError(
            f"random choice: the pool has {len(order)} identities and {total[-1]} images, not {identities} and {images}"
        )
    taken = order[: max(identities, int(np.searchsorted(total, images)) + 1)]
    rows = of_identities(pool, taken)
    first = np.concatenate([[0], np.cumsum(pool.counts[taken])[:-1]])
    kept = rng.permutation(np.setdiff1d(np.arange(len(rows)), first))[: images - len(taken)]
    return np.sort(rows[np.concatenate([first, kept])])


def nearest_rows(pool: Pool, seeds: np.ndarray, images: int) -> np.ndarray:
    """The seeds' images and those of other identities that are nearest to one of them, by the cosine of features.

    Bootstrapping by instances, which the paper found to fail (2015 paper, section 3.3). Each of the seeds' images
    selects as many as any other; of the last that they select, the nearest are taken.

    Args:
        pool: features sorted by identity.
        seeds: ``(S,)`` identities.
        images: how many to choose, the seeds' own among them.

    Returns:
        ``(images,)`` int64 rows of the pool, ascending.

    Raises:
        InvariantNetsError: the pool has fewer images, or the seeds have more.
    """
    own = of_identities(pool, seeds)
    count = int(pool.offsets[-1])
    if not len(own) <= images <= count:
        raise InvariantNetsError(
            f"nearest instances: {images} images were asked for; the seeds have {len(own)}, the pool {count}"
        )
    owner = np.searchsorted(pool.offsets, own, "right")
    queries, wanted = np.asarray(pool.features[own], np.float32), images - len(own)
    width = min(count, 2 * -(-images // len(own)) + int(pool.counts.max()))
    while True:
        found = nearest(pool.features, queries, width)
        other = np.searchsorted(pool.offsets, found.index, "right") != owner[:, None]
        rank = np.cumsum(other, 1)
        # Beyond the last rank that all of them reach, some have had more of a say than others.
        fair = other & ~np.isin(found.index, own) & ((rank <= rank[:, -1].min()) | (width == count))
        order = np.lexsort((-found.similarity[fair], rank[fair]))
        candidates = found.index[fair][order]
        first = np.sort(np.unique(candidates, return_index=True)[1])
        if len(first) >= wanted or width == count:
            return np.sort(np.concatenate([own, candidates[first][:wanted]]))
        width = min(count, 2 * width)
