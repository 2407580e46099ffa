"""A release that was fitted: it does the same to tomorrow's features as to those of its report."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_finite, check_layer
from invariantnets.features.table import BEFORE_NOISE, FeatureTable
from invariantnets.files import write_atomically
from invariantnets.randomness import numpy_rng
from invariantnets.statistics.spaces import sample_sources

FIT_ROWS = 20_000  # training rows that are enough for what is not exact: levels, codes, a network
STREAM = 150  # of which these are
ROOM = "invariantnets.release"  # the only package that a file may name; in the file, the key of our header
DAMAGED = (SafetensorError, OSError, ValueError, TypeError, LookupError, AttributeError, ImportError)


def fit_rows(part: FeatureTable, seed: int) -> FeatureTable:
    """At most `FIT_ROWS` training rows: all rows of randomly drawn images, so that each is seen in all its variants."""
    return part.rows(np.sort(sample_sources(part.source, FIT_ROWS, numpy_rng(seed, STREAM))))


@dataclass(frozen=True, eq=False)
class Release:
    """A function of features and what was fitted for it.

    Attributes:
        apply: ``(x, **tensors)``, ``(N, D)`` → ``(N, D')``: a function of a module of this package, which a
            file names.
        tensors: what was fitted, by the names of the function's arguments.
        layer: whose features it is for.
        width: D, how many they are.
        how: what it does, in words.
        rows: how many training rows it was fitted on.
        data: what they were, plain JSON.
        noise: the standard deviation of Gaussian noise that it adds to what it gives, ``sigma`` of the tensors; 0 for
            none.
        version: of the package that fitted it.
    """

    apply: Callable[..., np.ndarray]
    tensors: Mapping[str, np.ndarray] = field(repr=False)
    layer: str
    width: int
    how: str
    rows: int
    data: Mapping[str, Any] = field(default_factory=dict)
    noise: float = 0.0
    version: str = version("invariantnets")

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Features as they are released.

        Args:
            x: ``(N, width)`` numbers.

        Returns:
            ``(N, D')``, in float64 if they came so, else float32.

        Raises:
            InvariantNetsError: another width, or values that are not finite.
        """
        x = np.asarray(x)
        x = x if x.dtype == np.float64 else x.astype(np.float32, copy=False)
        if x.ndim != 2 or x.shape[1] != self.width:
            raise InvariantNetsError(
                f"the release ({self.how}) is for features of shape (N, {self.width}) of layer {self.layer!r}, not "
                f"{x.shape}; give those it was fitted on, or fit another"
            )
        check_finite(x, self.layer)
        return np.asarray(self.apply(x, **self.tensors), x.dtype)

    def fit(self, table: FeatureTable, layer: str) -> Release:
        """Itself, for it is fitted: stands where one that is yet to be fitted may stand.

        Raises:
            InvariantNetsError: it is of another layer.
        """
        if layer != self.layer:
            raise InvariantNetsError(
                f"layers={layer}: the release ({self.how}) is for layer {self.layer!r}; give layers={self.layer}, "
                "or fit another"
            )
        return self

    def save(self, path: str | Path) -> Path:
        """Write one file: the tensors, and the rest as JSON in its header.

        Raises:
            InvariantNetsError: it cannot be written.
        """
        record = {"_target_": f"{self.apply.__module__}.{self.apply.__name__}"}
        record |= {name: getattr(self, name) for name in ("layer", "width", "how", "rows", "data", "noise", "version")}
        tensors = {name: np.ascontiguousarray(tensor) for name, tensor in self.tensors.items()}
        record["checksum"] = _checksum(tensors, record)
        return write_atomically(path, save(tensors, {ROOM: json.dumps(record)}))

    @classmethod
    def load(cls, path: str | Path) -> Release:
        """Read what `save` wrote. A file cannot name a function outside this package.

        Raises:
            InvariantNetsError: missing, truncated, foreign, or naming what is no release here.
        """
        if not Path(path).is_file():
            raise InvariantNetsError(f"release={path}: no such file; a run leaves <run>/release/<layer>.safetensors")
        try:
            with safe_open(path, "numpy") as file:
                header = (file.metadata() or {}).get(ROOM)
                tensors = {name: file.get_tensor(name) for name in file.keys()}
            if header is None:
                raise InvariantNetsError("it holds tensors, but no release")
            record = json.loads(header)
            known = record.pop("checksum", None), _checksum(tensors, record)
            release = cls(_function(record.pop("_target_")), tensors, **record)
            release.apply(np.empty((0, release.width), np.float32), **tensors)  # they fit one another
            if known[0] not in (None, known[1]):  # earlier versions kept none
                raise ValueError("its numbers are not those that were written: fit it anew")
        except DAMAGED as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InvariantNetsError(f"release={path}: not written by invariantnets, or damaged ({reason})") from None
        return release


def _checksum(tensors: Mapping[str, np.ndarray], record: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(json.loads(json.dumps(record)), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.tobytes())
    return digest.hexdigest()


def _function(target: str) -> Callable[..., np.ndarray]:
    """A function that a module of this package defines."""
    module, _, name = target.rpartition(".")
    found = getattr(import_module(module), name) if module.startswith(f"{ROOM}.") else None
    if not isinstance(found, FunctionType) or found.__module__ != module:
        raise InvariantNetsError(f"it names {target}, which is no function of {ROOM}")
    return found


def released(table: FeatureTable, release: Release) -> FeatureTable:
    """The table with one layer, as it is released.

    The network's own answers go: they were given to what is not released. Where noise is added, the features before it
    stay beside, as wide, for bounds on what can be read through it (`invariantnets.probes.upper_bound`).

    Raises:
        InvariantNetsError: the table lacks the layer, or it has another width.
    """
    check_layer(table, release.layer)
    x = table.features[release.layer]
    silent = replace(release, tensors={**release.tensors, "sigma": np.zeros(())})
    before = {release.layer + BEFORE_NOISE: silent(x)} if release.noise else {}
    meta = {**table.meta, "released": release.how, **({"noise": release.noise} if release.noise else {})}
    features = {release.layer: release(x), **before}
    return replace(table, features=features, prediction=None, entropy=None, answers={}, meta=meta)
