from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from invariantnets.bootstrapping import merge, nearest
from invariantnets.bootstrapping import neighbours as module
from invariantnets.errors import InvariantNetsError

RNG = np.random.default_rng(0)
SPREAD = RNG.normal(size=(700, 32)).astype(np.float32)
CROWDED = np.repeat(RNG.integers(-1, 2, size=(40, 32)), 20, 0).astype(np.float32)  # twenty times each, ties everywhere
CROWDED[:, 0] += 2
SCALED = SPREAD * RNG.uniform(0.01, 10, size=(700, 1)).astype(np.float32)
POOLS = {"spread": SPREAD, "crowded": CROWDED, "half precision": SPREAD.astype(np.float16), "lengths": SCALED}
POOLS["close"] = (SPREAD[:1] + 1e-4 * SPREAD).astype(np.float32)  # cosines that float32 can hardly tell apart
POOLS["equal"] = np.ones((700, 32), np.float32)
POOLS["double"] = SPREAD.astype(np.float64)
DRAWN = np.array([3, 400, 77, 3])


def brute_force(normals: np.ndarray, seeds: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """One pair at a time in float64; Python's sort is stable, so that equal ones stay in order."""
    index, similarity = [], []
    for seed in seeds.astype(np.float64):
        unit = seed / np.sqrt(np.einsum("d,d->", seed, seed))
        cosine = []
        for row in normals.astype(np.float64):
            length = np.sqrt(np.einsum("d,d->", row, row))
            cosine.append(np.einsum("d,d->", unit, row) / length if length else -np.inf)
        order = sorted(range(len(normals)), key=lambda i: -cosine[i])[:k]
        index.append(order)
        similarity.append([cosine[i] for i in order])
    return np.array(index), np.array(similarity)


@pytest.mark.parametrize("k", [1, 50, 699, 700])
@pytest.mark.parametrize("name", POOLS)
def test_neighbours_are_those_of_brute_force(name: str, k: int) -> None:
    normals = POOLS[name]
    index, similarity = brute_force(normals, normals[DRAWN], k)
    for block in (1, 64, 10_000):
        found = nearest(normals, normals[DRAWN], k, block=block)
        assert np.array_equal(found.index, index), f"in blocks of {block}"
        assert found.similarity == pytest.approx(similarity, abs=1e-14)


@pytest.mark.parametrize("name", POOLS)
def test_equal_hyperplanes_tie_exactly_and_stay_in_order(name: str) -> None:
    normals = POOLS[name]
    found = nearest(normals, normals[DRAWN], 300, block=97)
    for index, similarity in zip(found.index, found.similarity, strict=True):
        assert (np.diff(similarity) <= 0).all()
        assert (np.diff(index)[np.diff(similarity) == 0] > 0).all()
        for twins in (np.flatnonzero((normals[index] == normals[i]).all(1)) for i in index[::50]):
            assert len(np.unique(similarity[twins])) == 1


@pytest.mark.parametrize("name", POOLS)
def test_parts_merge_to_the_whole(name: str) -> None:
    """As on two machines, with the larger part not the first."""
    normals = POOLS[name]
    parts = [nearest(normals[a:b], normals[DRAWN], 150, first=a) for a, b in ((0, 200), (200, len(normals)))]
    whole, merged = nearest(normals, normals[DRAWN], 150), merge(parts, 150)
    assert np.array_equal(merged.index, whole.index)
    assert np.array_equal(merged.similarity, whole.similarity)


def test_rows_of_zeros_are_nobodys_neighbours() -> None:
    normals = SPREAD.copy()
    normals[::2] = 0
    found = nearest(normals, normals[1:6:2], 350, block=100)
    assert (np.sort(found.index) == np.arange(1, 700, 2)).all()
    with pytest.raises(InvariantNetsError, match="k=351: only 350 of the pool's identities have a hyperplane"):
        nearest(normals, normals[1:2], 351)
    with pytest.raises(InvariantNetsError, match="seed 1 has no hyperplane"):
        nearest(normals, normals[1:4], 5)


@pytest.mark.parametrize("k", [0, 701])
def test_more_neighbours_than_the_pool_are_refused(k: int) -> None:
    with pytest.raises(InvariantNetsError, match=f"k={k}: the pool has 700 hyperplanes"):
        nearest(SPREAD, SPREAD[:1], k)
    with pytest.raises(InvariantNetsError, match="k=20: the parts found 10 neighbours"):
        merge([nearest(SPREAD, SPREAD[:1], 5)] * 2, 20)


def test_another_width_is_refused() -> None:
    with pytest.raises(InvariantNetsError, match="seeds have width 31, the hyperplanes 32"):
        nearest(SPREAD, SPREAD[:2, :31], 5)


@pytest.mark.parametrize("decoys", ["near", "far"])
def test_a_sample_that_misleads_costs_a_pass_and_no_neighbour(monkeypatch: pytest.MonkeyPatch, decoys: str) -> None:
    """All whom the sample shows are nearer, or farther, than anybody else: the guess is much too high, or too low."""
    monkeypatch.setattr(module, "SAMPLE", 64)
    monkeypatch.setattr(module, "RUN", 16)
    passes: list[float] = []
    real = module._above

    def counted(normals: np.ndarray, seeds: np.ndarray, least: np.ndarray, *rest: Any) -> list[np.ndarray]:
        passes.append(float(least.max()))
        return real(normals, seeds, least, *rest)

    monkeypatch.setattr(module, "_above", counted)
    normals, seed = SPREAD.copy(), SPREAD[350:351]
    for start in np.linspace(0, len(normals) - 16, 4).astype(int):
        normals[start : start + 16] = (seed if decoys == "near" else -seed) + 0.1 * SPREAD[start : start + 16]
    index, similarity = brute_force(normals, seed, 200)
    found = nearest(normals, seed, 200)
    assert np.array_equal(found.index, index) and found.similarity == pytest.approx(similarity, abs=1e-14)
    assert (len(passes) > 1) == (decoys == "near")


@pytest.mark.parametrize("coarse", [torch.bfloat16, torch.float32])
def test_the_type_of_coarse_products_does_not_matter(monkeypatch: pytest.MonkeyPatch, coarse: torch.dtype) -> None:
    monkeypatch.setattr(module, "coarse_type", lambda device: coarse)
    wide = np.random.default_rng(1).normal(size=(3000, 256)).astype(np.float32)
    index, similarity = brute_force(wide, wide[:2], 100)
    found = nearest(wide, wide[:2], 100)
    assert np.array_equal(found.index, index) and found.similarity == pytest.approx(similarity, abs=1e-14)
