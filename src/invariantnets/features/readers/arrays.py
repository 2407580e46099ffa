"""Files of named arrays: of numpy, safetensors and torch."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from safetensors import safe_open

from invariantnets.errors import InvariantNetsError
from invariantnets.features.readers.limits import check_size, first_bytes
from invariantnets.sizes import bytes_in_words

Columns = tuple[dict[str, np.ndarray], list[str]]


def read_npz(path: Path) -> Columns:
    """The arrays of a .npz."""
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        check_zip(archive)
        for member in archive.infolist():
            with archive.open(member) as opened:
                _check_header(member.filename, opened, member.file_size)
        with np.load(path, allow_pickle=False) as loaded:
            return {name: decoded(loaded[name]) for name in loaded.files}, []


def check_zip(archive: zipfile.ZipFile) -> None:
    """Refuse two members of one name, and what unpacks to more than it can honestly hold.

    Raises:
        InvariantNetsError: naming the member.
    """
    members = archive.infolist()
    for place, member in enumerate(members):
        if member.filename in [other.filename for other in members[:place]]:
            raise InvariantNetsError(f"holds {member.filename!r} twice; keep one")
        check_size(f"array {member.filename.removesuffix('.npy')!r}", member.file_size, member.compress_size)
    check_size("all arrays together", sum(m.file_size for m in members), sum(m.compress_size for m in members))


def _check_header(name: str, file: IO[bytes], size: int) -> None:
    """Refuse an array whose header promises other than what follows it: numpy would take that memory first."""
    if not name.endswith(".npy"):
        raise InvariantNetsError(f"holds {name!r}, which is no array of numpy; write it with np.savez")
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    name = name.removesuffix(".npy")
    if dtype.hasobject:
        raise InvariantNetsError(
            "cannot be read (Object arrays cannot be loaded when allow_pickle=False): "
            f"array {name!r} holds Python objects; save text as np.array(x, str) and numbers as np.array(x, float)"
        )
    if (needed := int(np.prod(shape, dtype=object)) * dtype.itemsize) > size:
        raise InvariantNetsError(
            f"cannot be read (array {name!r} of shape {shape} needs {bytes_in_words(needed)}, the file has "
            f"{bytes_in_words(size)}); it was cut off or damaged: write it again"
        )


def read_npy(path: Path) -> Columns:
    """The array of a .npy, memory-mapped; one of a structured type is columns."""
    with path.open("rb") as file:
        _check_header("features.npy", file, path.stat().st_size)
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype.names:
        return {name: decoded(array[name]) for name in array.dtype.names}, []
    return {"features": array}, []


def decoded(array: np.ndarray) -> np.ndarray:
    """Bytes as text, all else as it is."""
    return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array


def read_safetensors(path: Path) -> Columns:
    """The tensors of a .safetensors file, memory-mapped where numpy knows their type."""
    with safe_open(path, "pt") as file:
        return {name: _of_tensor(file.get_tensor(name)) for name in file.keys()}, []


def read_torch(path: Path) -> Columns:
    """Tensors and plain containers of torch.save; nothing else in the file is looked at, let alone run."""
    import torch

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_zip(archive)
    elif first_bytes(path, 1) != b"\x80":
        raise OSError("it begins like no file of torch.save")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        if "weights_only" not in str(error).lower() and "unsupported" not in str(error).lower():
            raise OSError(str(error).splitlines()[0]) from None
        raise InvariantNetsError(
            "it holds more than tensors and plain containers, and is not opened; if you trust it: python -c "
            f"\"import numpy, torch; numpy.savez('{path.stem}.npz', **torch.load('{path.name}', weights_only=False))\""
        ) from None
    if isinstance(found, list) and found and all(isinstance(row, Mapping) for row in found):
        found = {name: [row.get(name) for row in found] for name in found[0]}
    if isinstance(found, torch.Tensor):
        found = {"features": found}
    if not isinstance(found, Mapping):
        raise InvariantNetsError(
            f"it holds a {type(found).__name__} without names; save a dictionary: "
            "torch.save({'features': x, 'label': y}, …)"
        )
    if any(str(name).split(".")[-1] in ("weight", "bias") for name in (*found, *found.get("state_dict", {}))):
        raise InvariantNetsError("it holds the weights of a network, no table; see backbone= in docs/models.md")
    return {str(name): _of_values(str(name), values) for name, values in found.items()}, []


def _of_tensor(tensor: Any) -> np.ndarray:
    import torch

    tensor = tensor.detach()
    check_size(f"a tensor of shape {tuple(tensor.shape)}", tensor.nbytes, tensor.untyped_storage().nbytes())
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).contiguous().numpy()


def _of_values(name: str, values: Any) -> np.ndarray:
    import torch

    if isinstance(values, torch.Tensor):
        return _of_tensor(values)
    if isinstance(values, list | tuple) and values and all(isinstance(value, torch.Tensor) for value in values):
        if len({value.shape for value in values}) > 1:
            raise InvariantNetsError(f"{name!r} is a list of tensors of several shapes; one shape is needed")
        return _of_tensor(torch.stack(list(values)))
    if isinstance(values, list | tuple):
        kinds = {type(value) for value in values} - {type(None)}
        return np.array(values, None if len(kinds) == 1 and None not in values and str not in kinds else object)
    return np.asarray(values)
