from __future__ import annotations

import numpy as np
import pytest
from pools import make_pool

from invariantnets.bootstrapping import Pool
from invariantnets.bootstrapping.choose import mislabel, nearest_rows, of_identities, random_rows
from invariantnets.errors import InvariantNetsError
from invariantnets.randomness import numpy_rng


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_exactly_a_share_of_the_labels_is_wrong_and_evenly_so(share: float) -> None:
    label = np.repeat(np.arange(7), 300)
    noisy = mislabel(label, 7, share, numpy_rng(0))
    assert (noisy != label).sum() == round(share * len(label)) and noisy.min() >= 0 and noisy.max() < 7
    counts = np.zeros((7, 7))
    np.add.at(counts, (label, noisy), 1)
    off = counts[~np.eye(7, dtype=bool)]
    expected = share * 300 / 6
    assert np.abs(off - expected).max() <= 5 * np.sqrt(expected) if share else not off.any()


def test_the_same_seed_mislabels_the_same() -> None:
    label = np.arange(50) % 5
    first, again, other = (mislabel(label, 5, 0.3, numpy_rng(seed)) for seed in (0, 0, 1))
    assert (first == again).all() and (first != other).any()


@pytest.mark.parametrize(("identities", "images"), [(1, 1), (5, 30), (10, 120), (20, 300), (60, 60)])
def test_random_rows_are_as_many_as_asked_for(pool: Pool, identities: int, images: int) -> None:
    rows = random_rows(pool, identities, images, numpy_rng(1))
    assert len(np.unique(rows)) == images
    owners = np.unique(np.searchsorted(pool.offsets, rows, "right"))
    most = pool.counts.max()
    assert identities <= len(owners) <= max(identities, -(-images // pool.counts.min()))
    assert len(owners) == identities or images > identities * pool.counts.min()
    assert images <= len(owners) * most


def test_random_identities_are_drawn_evenly(pool: Pool) -> None:
    drawn = np.zeros(len(pool))
    for seed in range(300):
        owners = np.searchsorted(pool.offsets, random_rows(pool, 6, 6, numpy_rng(seed)), "right") - 1
        drawn[np.unique(owners)] += 1
    assert np.abs(drawn - 30).max() < 5 * np.sqrt(30)


@pytest.mark.parametrize(("identities", "images"), [(61, 100), (5, 4), (5, 10**6)])
def test_more_random_rows_than_there_are_are_refused(pool: Pool, identities: int, images: int) -> None:
    with pytest.raises(InvariantNetsError, match="random choice: the pool has 60 identities"):
        random_rows(pool, identities, images, numpy_rng(0))


def by_hand(pool: Pool, seeds: list[int], images: int) -> list[int]:
    """Every seed image names its nearest foreign image, then its second nearest, …; of a round, the nearest first."""
    owner = np.repeat(np.arange(len(pool)), pool.counts)
    x = pool.features.astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    chosen = [i for i in range(len(x)) if owner[i] in seeds]
    named = []
    for query in chosen:
        foreign = [i for i in range(len(x)) if owner[i] != owner[query]]
        foreign.sort(key=lambda i, q=query: -float(x[i] @ x[q]))
        named += [(rank, -float(x[i] @ x[query]), i) for rank, i in enumerate(foreign)]
    for _, _, i in sorted(named):
        if len(chosen) == images:
            break
        if i not in chosen:
            chosen.append(i)
    return sorted(chosen)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("seeds", [[3], [3, 17, 40]])
def test_nearest_rows_are_those_of_a_slow_search(share: float, seeds: list[int]) -> None:
    pool = make_pool(identities=45)
    own = int(pool.counts[seeds].sum())
    images = own + round(share * (len(pool.features) - own))
    assert nearest_rows(pool, np.array(seeds), images).tolist() == by_hand(pool, seeds, images)


def test_nearest_rows_that_do_not_exist_are_refused(pool: Pool) -> None:
    with pytest.raises(InvariantNetsError, match="nearest instances: 2 images were asked for"):
        nearest_rows(pool, np.array([0, 1]), 2)


def test_rows_of_identities_are_in_their_order(pool: Pool) -> None:
    rows = of_identities(pool, np.array([4, 2]))
    owner = np.searchsorted(pool.offsets, rows, "right") - 1
    assert owner.tolist() == [4] * pool.counts[4] + [2] * pool.counts[2]
