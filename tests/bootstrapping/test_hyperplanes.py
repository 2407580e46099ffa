from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pools import make_pool

from invariantnets.bootstrapping import ClosedForm, Pool, Svm, draw_negatives, write_hyperplanes
from invariantnets.bootstrapping.rows import write_rows
from invariantnets.bootstrapping.svm import Negatives
from invariantnets.errors import InvariantNetsError
from invariantnets.randomness import numpy_rng

SMALL = 100_000  # bytes: some ten identities at a time


@pytest.fixture(scope="module")
def negatives(pool: Pool) -> Negatives:
    return draw_negatives(pool, 200, numpy_rng(0))


class Interruption(Exception):
    pass


@pytest.mark.parametrize("method", [Svm(), ClosedForm()])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_an_interrupted_file_goes_on_where_it_was(
    tmp_path: Path, pool: Pool, negatives: Negatives, method: Svm | ClosedForm, dtype: str
) -> None:
    seen: list[int] = []

    def stop_at_the_third(done: int) -> None:
        seen.append(done)
        if len(seen) == 3:
            raise Interruption

    settings = {"dtype": dtype, "memory": SMALL}
    whole = write_hyperplanes(tmp_path / "whole.npy", pool, negatives, method, **settings)
    path = tmp_path / "interrupted.npy"
    with pytest.raises(Interruption):
        write_hyperplanes(path, pool, negatives, method, progress=stop_at_the_third, **settings)
    # The third block was told of before the file took it in: it is made again.
    assert json.loads((tmp_path / "interrupted.npy.progress.json").read_text())["done"] in seen[1:3]
    rest: list[int] = []
    resumed = write_hyperplanes(path, pool, negatives, method, progress=rest.append, **settings)
    assert rest[-1] == len(pool) and set(rest).isdisjoint(seen[:2])
    assert np.array_equal(resumed, whole) and resumed.dtype == dtype
    again: list[int] = []
    write_hyperplanes(path, pool, negatives, method, progress=again.append, **settings)
    assert not again, "what is finished is not made again"


def test_normals_are_those_of_the_method(tmp_path: Path, pool: Pool, negatives: Negatives) -> None:
    normals = write_hyperplanes(tmp_path / "a.npy", pool, negatives, Svm(tolerance=1e-5))
    assert np.linalg.norm(normals, axis=1) == pytest.approx(np.ones(len(pool)), abs=1e-5)
    small = write_hyperplanes(tmp_path / "b.npy", pool, negatives, Svm(tolerance=1e-5), memory=1)
    assert small == pytest.approx(np.asarray(normals), abs=1e-3), "memory, here one identity at a time, changes nothing"


def test_shards_are_the_whole(tmp_path: Path, pool: Pool, negatives: Negatives) -> None:
    """Also those of identities that are among the negatives: a shard knows who its identities are."""
    whole = write_hyperplanes(tmp_path / "whole.npy", pool, negatives, Svm(tolerance=1e-5))
    shards = [
        write_hyperplanes(tmp_path / f"{start}.npy", pool.part(start, stop), negatives, Svm(tolerance=1e-5))
        for start, stop in ((0, 25), (25, 60))
    ]
    assert np.concatenate(shards) == pytest.approx(np.asarray(whole), abs=1e-3)


def test_an_identity_of_few_images_has_no_hyperplane(tmp_path: Path, pool: Pool, negatives: Negatives) -> None:
    normals = write_hyperplanes(tmp_path / "a.npy", pool, negatives, ClosedForm(), min_images=10, memory=SMALL)
    assert np.array_equal(normals.any(1), pool.counts >= 10)
    assert 0 < normals.any(1).sum() < len(pool)


def test_an_identity_without_images_has_no_hyperplane(tmp_path: Path, pool: Pool, negatives: Negatives) -> None:
    gap = Pool(pool.features, np.insert(pool.offsets, 5, pool.offsets[5]))
    normals = write_hyperplanes(tmp_path / "a.npy", gap, negatives, ClosedForm(), min_images=1)
    assert np.flatnonzero(~normals.any(1)).tolist() == [5]


@pytest.mark.parametrize("budget", [1, 3_000, 50_000, 10**9])
def test_blocks_cover_everybody_within_the_budget(pool: Pool, budget: int) -> None:
    blocks = list(pool.blocks(7, budget, row_bytes=100, identity_bytes=50))
    assert [i for b in blocks for i in range(b.start, b.stop)] == list(range(7, len(pool)))
    for block in blocks:
        size = block.stop - block.start
        assert size == 1 or size * (100 * pool.counts[block].max() + 50) <= budget


def test_memory_does_not_grow_with_an_outlier() -> None:
    """One identity with very many images: it stands alone, and the others stay together."""
    counts = np.full(100, 5)
    counts[50] = 10_000
    pool = Pool(np.zeros((counts.sum(), 1), np.float32), np.concatenate([[0], np.cumsum(counts)]))
    blocks = list(pool.blocks(0, 1000, row_bytes=2, identity_bytes=1))
    assert slice(50, 51) in blocks and len(blocks) == 3


def test_other_settings_are_refused(tmp_path: Path, pool: Pool, negatives: Negatives) -> None:
    path = tmp_path / "a.npy"
    write_hyperplanes(path, pool, negatives, ClosedForm())
    changed = Pool(pool.features[:, ::-1], pool.offsets)
    with pytest.raises(InvariantNetsError, match=r"a\.npy: was made with another method; delete it and"):
        write_hyperplanes(path, pool, negatives, ClosedForm(0.1))
    with pytest.raises(InvariantNetsError, match="another pool;"):
        write_hyperplanes(path, changed, negatives, ClosedForm())
    with pytest.raises(InvariantNetsError, match="another dtype, negatives;"):
        other = draw_negatives(pool, 200, numpy_rng(9))
        write_hyperplanes(path, pool, other, ClosedForm(), dtype="float16")


def test_a_damaged_file_is_refused(tmp_path: Path, pool: Pool, negatives: Negatives) -> None:
    path = tmp_path / "a.npy"
    write_hyperplanes(path, pool, negatives, ClosedForm())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InvariantNetsError, match="missing or truncated, though 60 rows"):
        write_hyperplanes(path, pool, negatives, ClosedForm())
    (tmp_path / "a.npy.progress.json").write_text('{"done"')
    with pytest.raises(InvariantNetsError, match="progress.json: cannot be read; delete it"):
        write_hyperplanes(path, pool, negatives, ClosedForm())


def test_bad_pools_are_refused(tmp_path: Path, pool: Pool, negatives: Negatives) -> None:
    with pytest.raises(InvariantNetsError, match="width 24, the negatives 12"):
        narrow = draw_negatives(Pool(pool.features[:, :12], pool.offsets), 100, numpy_rng(0))
        write_hyperplanes(tmp_path / "a.npy", pool, narrow, Svm())
    with pytest.raises(InvariantNetsError, match="min_images=0"):
        write_hyperplanes(tmp_path / "a.npy", pool, negatives, Svm(), min_images=0)
    with pytest.raises(InvariantNetsError, match="the offsets do not divide its 10 rows"):
        Pool(pool.features[:10], pool.offsets)
    with pytest.raises(InvariantNetsError, match="features are float32 of shape"):
        Pool(pool.features[0], pool.offsets)
    with pytest.raises(InvariantNetsError, match=r"negatives=9999999: the pool has \d+ images"):
        draw_negatives(pool, 9999999, numpy_rng(0))
    bad = pool.features.copy()
    bad[pool.offsets[7]] = np.nan
    broken = replace(pool, features=bad)
    with pytest.raises(InvariantNetsError, match="identity 7 of the pool: its features are not finite"):
        write_hyperplanes(tmp_path / "a.npy", broken, negatives, ClosedForm())
    with pytest.raises(InvariantNetsError, match="not finite"):
        draw_negatives(broken, int(pool.offsets[-1]), numpy_rng(0))


def test_steps_that_do_not_suffice_are_told(tmp_path: Path, pool: Pool, negatives: Negatives) -> None:
    with pytest.warns(UserWarning, match="60 of 60 hyperplanes from identity 0 on did not meet the tolerance"):
        write_hyperplanes(tmp_path / "a.npy", pool, negatives, Svm(max_iter=1))


def test_fingerprints_tell_pools_apart(pool: Pool) -> None:
    others = [
        make_pool(seed=1),
        Pool(pool.features, np.delete(pool.offsets, 3)),
        Pool(pool.features.astype(np.float16), pool.offsets),
        pool.part(0, 30),
        pool.part(30, 60),
    ]
    assert len({p.fingerprint() for p in (pool, make_pool(), *others)}) == 1 + len(others)


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(done: int) -> Iterator[np.ndarray]:
        yield from np.arange(done, 6, dtype=np.float32)[:, None, None]

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "rows.npy"
    with pytest.raises(InvariantNetsError, match="4 of 7 rows were made"):
        write_rows(path, (7, 1), "float32", {}, lambda done: np.zeros((2, 2, 1), np.float32))
    path.with_name("rows.npy.progress.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("invariantnets.bootstrapping.rows.os.fsync", full)
        with pytest.raises(InvariantNetsError, match="No space left on device"):
            write_rows(path, (6, 1), "float32", {}, make)
    assert write_rows(path, (6, 1), "float32", {}, make)[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
