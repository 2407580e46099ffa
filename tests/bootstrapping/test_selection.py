from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from invariantnets.bootstrapping import Selection, load_selection, select
from invariantnets.errors import InvariantNetsError
from invariantnets.randomness import numpy_rng

NORMALS = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float16)
NORMALS[::3] = 0
MADE_WITH: dict[str, Any] = {"checkpoint": "a" * 64, "pool": "b" * 64}
SAME = {**MADE_WITH, "width": 16}


@pytest.fixture
def selection() -> Selection:
    return select(NORMALS, seeds=7, k=20, rng=numpy_rng(3), **MADE_WITH)


def test_a_selection_says_who_drew_whom(selection: Selection) -> None:
    assert selection.identity.shape == selection.similarity.shape == (7, 20)
    assert len(set(selection.seed.tolist())) == 7 and NORMALS[selection.seed].any(1).all()
    assert np.array_equal(selection.identity[:, 0], selection.seed), "a seed is the nearest of itself"
    assert selection.similarity[:, 0] == pytest.approx(np.ones(7))
    unit = NORMALS[selection.identity].astype(np.float64)
    unit /= np.linalg.norm(unit, axis=2, keepdims=True)
    assert selection.similarity == pytest.approx((unit @ unit[:, 0, :, None])[:, :, 0])
    sets = [set(row) for row in selection.identity.tolist()]
    assert selection.union.tolist() == sorted(set.union(*sets))
    assert selection.overlap().tolist() == [[len(a & b) for b in sets] for a in sets]


def test_the_draw_depends_on_the_generator_alone(selection: Selection) -> None:
    again = select(NORMALS, seeds=7, k=20, rng=numpy_rng(3), **MADE_WITH)
    other = select(NORMALS, seeds=7, k=20, rng=numpy_rng(4), **MADE_WITH)
    assert np.array_equal(again.seed, selection.seed) and np.array_equal(again.identity, selection.identity)
    assert not np.array_equal(other.seed, selection.seed)


def test_everybody_can_be_drawn_and_found() -> None:
    live = np.flatnonzero(NORMALS.any(1))
    everybody = select(NORMALS, seeds=len(live), k=len(live), rng=numpy_rng(0), **MADE_WITH)
    assert np.array_equal(np.sort(everybody.seed), live) and np.array_equal(everybody.union, live)


def test_saved_is_loaded(tmp_path: Path, selection: Selection) -> None:
    selection.save(tmp_path / "new")
    selection.save(tmp_path / "new")
    loaded = load_selection(tmp_path / "new", **SAME)
    assert all(np.array_equal(getattr(loaded, n), getattr(selection, n)) for n in ("seed", "identity", "similarity"))
    assert (loaded.width, loaded.checkpoint, loaded.pool) == (16, *MADE_WITH.values())
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["selection.json", "selection.parquet"]


@pytest.mark.parametrize(("name", "value"), [("checkpoint", "c"), ("pool", "c"), ("width", 17)])
def test_another_network_pool_or_width_is_refused(
    tmp_path: Path, selection: Selection, name: str, value: object
) -> None:
    selection.save(tmp_path)
    with pytest.raises(InvariantNetsError, match=f"was selected with {name} .*, not {value}; make it again"):
        load_selection(tmp_path, **{**SAME, name: value})


@pytest.mark.parametrize("name", ["selection.json", "selection.parquet"])
def test_a_truncated_file_is_refused(tmp_path: Path, selection: Selection, name: str) -> None:
    selection.save(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InvariantNetsError, match="the selection cannot be read .*; delete it and make it again"):
        load_selection(tmp_path, **SAME)


def test_an_unfinished_selection_is_refused(tmp_path: Path, selection: Selection) -> None:
    selection.save(tmp_path).unlink()
    with pytest.raises(InvariantNetsError, match="has no finished selection"):
        load_selection(tmp_path, **SAME)


def test_a_table_of_another_selection_is_refused(tmp_path: Path, selection: Selection) -> None:
    select(NORMALS, seeds=3, k=5, rng=numpy_rng(0), **MADE_WITH).save(tmp_path / "other")
    selection.save(tmp_path)
    (tmp_path / "other" / "selection.parquet").replace(tmp_path / "selection.parquet")
    with pytest.raises(InvariantNetsError, match="cannot be read"):
        load_selection(tmp_path, **SAME)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, selection: Selection) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvariantNetsError, match="cannot be written"):
        selection.save(tmp_path / "file")


def test_too_few_hyperplanes_are_refused() -> None:
    with pytest.raises(InvariantNetsError, match="seeds=134: only 133 identities of the pool have a hyperplane"):
        select(NORMALS, seeds=134, k=5, rng=numpy_rng(0), **MADE_WITH)
    with pytest.raises(InvariantNetsError, match="k=134: only 133 of"):
        select(NORMALS, seeds=2, k=134, rng=numpy_rng(0), **MADE_WITH)
