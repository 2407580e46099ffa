"""Which identities were selected, and why: a small table that is kept with what was trained on it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from invariantnets.bootstrapping.neighbours import Neighbours, nearest
from invariantnets.errors import InvariantNetsError
from invariantnets.features.reading import DAMAGED
from invariantnets.files import replacing, write_atomically

TABLE, HEADER = "selection.parquet", "selection.json"


@dataclass(frozen=True)
class Selection:
    """``k`` look-alikes of each of ``S`` seeds, out of a pool.

    Attributes:
        seed: ``(S,)`` int64 identities drawn at random.
        identity: ``(S, k)`` int64, nearest first; a seed is the nearest of itself.
        similarity: ``(S, k)`` float64 cosine between the hyperplanes of the seed and the identity.
        width: of the features.
        checkpoint: fingerprint of the network that the features are from.
        pool: fingerprint of the features (`Pool.fingerprint`).
    """

    seed: np.ndarray
    identity: np.ndarray
    similarity: np.ndarray
    width: int
    checkpoint: str
    pool: str

    @property
    def union(self) -> np.ndarray:
        """``(U,)`` int64, ascending: every identity selected by any seed. Their images are DB2 (section 3.3)."""
        return np.unique(self.identity)

    def overlap(self) -> np.ndarray:
        """``(S, S)`` int64: identities that two seeds have in common; ``k`` on the diagonal."""
        member = np.zeros((len(self.seed), len(self.union)), np.float64)
        np.put_along_axis(member, np.searchsorted(self.union, self.identity), 1, axis=1)
        return (member @ member.T).astype(np.int64)

    def save(self, folder: str | Path) -> Path:
        """Write ``selection.parquet``, a row per seed and rank, and, last, ``selection.json``.

        Raises:
            InvariantNetsError: the folder cannot be written to, or the disk is full.
        """
        folder = Path(folder)
        seeds, k = self.identity.shape
        columns = {
            "seed": np.repeat(self.seed, k),
            "rank": np.tile(np.arange(k), seeds),
            "identity": self.identity.ravel(),
            "similarity": self.similarity.ravel(),
        }
        header = {
            "seeds": seeds,
            "k": k,
            "identities": len(self.union),
            "width": self.width,
            "checkpoint": self.checkpoint,
            "pool": self.pool,
        }
        try:
            (folder / HEADER).unlink(missing_ok=True)  # it vouches for the table beside it
            with replacing(folder / TABLE) as file:
                pd.DataFrame(columns).to_parquet(file, write_page_checksum=True)
        except OSError as error:
            raise InvariantNetsError(
                f"{folder / TABLE}: cannot be written ({error.strerror}); free the disk or choose another folder"
            ) from error
        return write_atomically(folder / HEADER, json.dumps(header, indent=1))


def load_selection(folder: str | Path, *, checkpoint: str, pool: str, width: int) -> Selection:
    """Read what was saved, for the network and the pool that it was made with.

    Args:
        folder: of :meth:`Selection.save`.
        checkpoint: fingerprint of the network in use.
        pool: fingerprint of the pool in use.
        width: of its features.

    Raises:
        InvariantNetsError: missing, damaged or truncated, or made from another network, pool or width.
    """
    folder = Path(folder)
    if not (folder / HEADER).is_file():
        raise InvariantNetsError(f"{folder}: has no finished selection ({HEADER}); make it again")
    try:
        header = json.loads((folder / HEADER).read_text())
        table = pd.read_parquet(folder / TABLE, page_checksum_verification=True)
        shape = header["seeds"], header["k"]
        selection = Selection(
            seed=table["seed"].to_numpy().reshape(shape)[:, 0],
            identity=table["identity"].to_numpy().reshape(shape),
            similarity=table["similarity"].to_numpy().reshape(shape),
            width=header["width"],
            checkpoint=header["checkpoint"],
            pool=header["pool"],
        )
    except (*DAMAGED, TypeError) as error:
        why = " ".join(str(error).split())
        raise InvariantNetsError(
            f"{folder}: the selection cannot be read ({why}); delete it and make it again"
        ) from None
    for name, wanted in {"width": width, "checkpoint": checkpoint, "pool": pool}.items():
        if getattr(selection, name) != wanted:
            raise InvariantNetsError(
                f"{folder}: was selected with {name} {getattr(selection, name)}, not {wanted}; make it again, or name "
                "what it was made with"
            )
    return selection


def select(
    normals: np.ndarray, *, seeds: int, k: int, rng: np.random.Generator, checkpoint: str, pool: str
) -> Selection:
    """Draw seeds at random and take the nearest hyperplanes of each (2015 paper, section 3.3).

    Args:
        normals: ``(I, D)``, a row per identity of the pool; 0 where an identity has none.
        seeds: identities to draw, of those that have a hyperplane.
        k: identities that each seed selects, itself included.
        rng: draws the seeds.
        checkpoint: fingerprint of the network.
        pool: fingerprint of the pool.

    Raises:
        InvariantNetsError: the pool has fewer hyperplanes than ``seeds`` or ``k``.
    """
    drawn = draw_seeds(normals, seeds, rng)
    found: Neighbours = nearest(normals, normals[drawn], k)
    return Selection(drawn, found.index, found.similarity, normals.shape[1], checkpoint, pool)


def draw_seeds(normals: np.ndarray, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """``(S,)`` int64: rows of ``normals`` drawn without replacement, among those that are not 0."""
    order = rng.permutation(len(normals))
    drawn = np.zeros(0, np.int64)
    for start in range(0, len(order), max(1, seeds)):
        batch = order[start : start + seeds]
        drawn = np.concatenate([drawn, batch[np.asarray(normals[batch]).any(1)]])
        if len(drawn) >= seeds:
            return drawn[:seeds]
    raise InvariantNetsError(f"seeds={seeds}: only {len(drawn)} identities of the pool have a hyperplane; draw fewer")
