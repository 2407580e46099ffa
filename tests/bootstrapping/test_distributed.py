from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from invariantnets.bootstrapping import Pool, Svm, distributed, draw_negatives, nearest, write_hyperplanes
from invariantnets.bootstrapping.distributed import nearest_in_parts, write_hyperplanes_in_parts
from invariantnets.bootstrapping.svm import Negatives
from invariantnets.errors import InvariantNetsError
from invariantnets.randomness import numpy_rng

SMALL = 100_000  # bytes: some ten identities at a time


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one worker each, as two machines would be."""
    ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'invariantnets[ray]'")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a worker has
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address)
    yield ray
    ray.shutdown()
    cluster.shutdown()
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Mortal(Svm):
    """Takes the worker with it in its third block, once."""

    folder: str = ""

    def __call__(self, positives: Tensor, identity: Tensor, negatives: Negatives) -> tuple[Tensor, Tensor]:
        calls = Path(self.folder) / "calls"
        with calls.open("a") as file:
            file.write(f"{int(identity[0])}\n")
        if len(calls.read_text().split()) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(positives, identity, negatives)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_workers_give_what_one_process_gives(cluster: Any, tmp_path: Path, pool: Pool) -> None:
    assert len([node for node in cluster.nodes() if node["Alive"]]) == 2
    np.save(tmp_path / "features.npy", pool.features)
    negatives = draw_negatives(pool, 200, numpy_rng(0))
    settings = {"min_images": 8, "memory": SMALL}
    one = write_hyperplanes(tmp_path / "one.npy", pool, negatives, Svm(), **settings)
    arguments = (tmp_path / "features.npy", pool.offsets, negatives, Svm())
    two = write_hyperplanes_in_parts(tmp_path / "two.npy", *arguments, parts=4, **settings)
    assert np.array_equal(one, two)
    for name in (".npy", ".npy.progress.json"):
        assert (tmp_path / f"one{name}").read_bytes() == (tmp_path / f"two{name}").read_bytes()
    assert not (tmp_path / "two.npy.parts").exists()

    seeds = one[np.flatnonzero(one.any(1))[:5]]
    alone = nearest(one, seeds, 20)
    together = nearest_in_parts(tmp_path / "two.npy", seeds, 20, parts=3)
    assert np.array_equal(alone.index, together.index)
    assert np.array_equal(alone.similarity, together.similarity)
    with pytest.raises(InvariantNetsError, match="k=60: the parts found"):
        nearest_in_parts(tmp_path / "two.npy", seeds, 60, parts=3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_lost_worker_costs_one_block(cluster: Any, tmp_path: Path, pool: Pool) -> None:
    np.save(tmp_path / "features.npy", pool.features)
    negatives = draw_negatives(pool, 200, numpy_rng(0))
    one = write_hyperplanes(tmp_path / "one.npy", pool, negatives, Svm(), memory=SMALL)
    arguments = (tmp_path / "features.npy", pool.offsets, negatives, Mortal(folder=str(tmp_path)))
    two = write_hyperplanes_in_parts(tmp_path / "two.npy", *arguments, parts=1, memory=SMALL)
    assert np.array_equal(one, two)
    first = [int(line) for line in (tmp_path / "calls").read_text().split()]
    assert first[2] == first[3] and len(set(first)) == len(first) - 1, "only the block that was lost is made again"


def test_without_ray_it_says_so(tmp_path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed.importlib.util, "find_spec", lambda name: None)
    np.save(tmp_path / "normals.npy", np.eye(4, dtype=np.float32))
    with pytest.raises(InvariantNetsError, match=r"Ray is not installed; pip install 'invariantnets\[ray\]'"):
        nearest_in_parts(tmp_path / "normals.npy", np.eye(4, dtype=np.float32), 2, parts=2)
