"""Files of HDF5, and of MATLAB, whose newer ones are HDF5."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.readers.arrays import decoded
from invariantnets.features.readers.limits import check_size, first_bytes

SIZES = {"double": 8, "int64": 8, "uint64": 8, "single": 4, "int32": 4, "uint32": 4, "int16": 2, "uint16": 2}
Columns = tuple[dict[str, np.ndarray], list[str]]


def read_hdf(path: Path) -> Columns:
    """The data sets of an HDF5 file, those in groups as ``group/name``.

    Raises:
        InvariantNetsError: h5py is not installed, or a table that only pandas can read.
    """
    try:
        import h5py
    except ModuleNotFoundError:
        raise InvariantNetsError("needs h5py; install it with pip install 'invariantnets[h5]'") from None
    arrays: dict[str, np.ndarray] = {}
    matlab = first_bytes(path, 10) == b"MATLAB 7.3"
    with h5py.File(path) as file:

        def visit(name: str, node: Any) -> None:
            if "pandas_type" in node.attrs:
                raise InvariantNetsError(
                    f"it is a table of pandas in HDF5; convert it: python -c \"import pandas; pandas.read_hdf('"
                    f"{path.name}', '{name.split('/')[0]}').to_parquet('{path.stem}.parquet')\""
                )
            if isinstance(node, h5py.Dataset) and not name.startswith("#"):
                if node.is_virtual or node.external:
                    raise InvariantNetsError(f"data set {name!r} lies in another file; copy it into this one")
                stored = max(node.id.get_storage_size(), node.nbytes if node.chunks is None else 0)
                check_size(f"data set {name!r} of shape {node.shape}", node.nbytes, stored)
                arrays[name] = _matlab(file, node) if matlab else _plain(node)

        file.visititems(visit)
    return arrays, []


def _plain(node: Any) -> np.ndarray:
    if node.dtype.kind == "O":
        return np.array(node.asstr()[()], object)
    return decoded(np.asarray(node[()]))


def _matlab(file: Any, node: Any) -> np.ndarray:
    """As MATLAB shows it: HDF5 holds its arrays transposed, text as numbers and cells as references."""
    kind = node.attrs.get("MATLAB_class", b"")
    if kind == b"char":
        return np.array(["".join(map(chr, row)).rstrip() for row in np.atleast_2d(node[()].T)], object)
    if kind == b"cell":
        cells = [file[reference] for reference in node[()].T.ravel()]
        return np.array(["".join(map(chr, cell[()].ravel())) if cell.size else "" for cell in cells], object)
    values = node[()].T
    return _squeezed(values.astype(bool) if kind == b"logical" else values)


def read_mat(path: Path) -> Columns:
    """The variables of a .mat of version 4 to 7; fields of a struct as ``struct/field``.

    Raises:
        InvariantNetsError: text of MATLAB's type string, which only MATLAB can read.
    """
    import scipy.io
    from scipy.io.matlab import MatReadError

    try:
        for name, shape, kind in scipy.io.whosmat(path):
            size = int(np.prod(shape, dtype=object)) * SIZES.get(kind, 1)
            check_size(f"variable {name!r} of shape {shape}", size, path.stat().st_size)
        found = scipy.io.loadmat(path, simplify_cells=True)
    except MatReadError as error:
        raise OSError(str(error)) from None
    return _flat({name: values for name, values in found.items() if not name.startswith("__")}), []


def _flat(found: Mapping[str, Any], above: str = "") -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for name, values in found.items():
        if isinstance(values, Mapping):
            arrays |= _flat(values, f"{above}{name}/")
        elif type(values).__name__ == "MatlabOpaque":
            raise InvariantNetsError(f"variable {name!r} is of a type of MATLAB's own; save cellstr({name}) instead")
        else:
            array = np.asarray(values)
            text = array.dtype.kind == "U"
            arrays[f"{above}{name}"] = np.char.rstrip(array).astype(object) if text else _squeezed(array)
    return arrays


def _squeezed(array: np.ndarray) -> np.ndarray:
    """A column, where MATLAB has a matrix one wide or one high."""
    return array.ravel() if array.ndim == 2 and 1 in array.shape else array
