"""Read a ``.wandb`` file back: LevelDB's log format around protobuf records. A tool for tests."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32768
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def read_records(path: Path) -> Iterator[Record]:
    """All records of a run, in order. Raises AssertionError where the file is damaged."""
    data = path.read_bytes()
    assert data[:7] == b":W&B" + struct.pack("<HB", 0xBEE1, 0), "not a .wandb file"
    position, parts = 7, b""
    while position < len(data):
        room = BLOCK - position % BLOCK
        if room < 7:  # too little for a header: the rest of the block is padding
            position += room
            continue
        checksum, length, kind = struct.unpack_from("<LHB", data, position)
        payload = data[position + 7 : position + 7 + length]
        # zlib's CRC32, unmasked, where LevelDB has a masked CRC32C
        assert checksum == zlib.crc32(bytes([kind]) + payload), f"damaged at byte {position}"
        position += 7 + length
        parts = payload if kind in (FULL, FIRST) else parts + payload
        if kind in (FULL, LAST):
            yield Record.FromString(parts)


def items(entries: Any) -> dict[str, Any]:
    """The ``(key | nested_key, value_json)`` of config, history or summary; nested keys joined by a slash."""
    return {entry.key or "/".join(entry.nested_key): json.loads(entry.value_json) for entry in entries}
