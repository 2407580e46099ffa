"""An evaluation of many layers that was interrupted goes on where it was."""

from __future__ import annotations

import json
import logging
import shutil
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invariantnets.files import slug, write_atomically
from invariantnets.results import Result, read_jsonl, to_jsonl

__all__ = ["Journal", "stamp"]

log = logging.getLogger(__name__)
# What may differ without a number being another: where a run is kept, how it is watched, which layers are asked for,
# and how it came to its checkpoint, which is compared as a file.
ASIDE = ("paths", "logger", "layers", "ckpt_path", "recipes")


def stamp(path: str | Path | None) -> list[list[str | int]]:
    """Name, size and time of change of a file, or of all files in a folder: what it holds is as it was if they are."""
    if path is None:
        return []
    path = Path(path)
    files = sorted(p for p in (path.rglob("*") if path.is_dir() else [path]) if p.is_file())
    return [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in files]


@dataclass
class Journal:
    """What of a run is complete: the results of each layer in ``finished/``, what they are of in ``finished.json``.

    Attributes:
        folder: of the run.
        of: what is measured and how, plain JSON: of another, nothing is taken over.
        complete: the layers of the whole run, if it came to its end.
        earlier: results of the layers that were complete before.
    """

    folder: Path
    of: Mapping[str, Any]
    complete: list[str] = field(default_factory=list)
    earlier: list[Result] = field(default_factory=list)
    _results: list[Result] = field(default_factory=list)
    _now: str | None = None
    _start: int = 0

    def __post_init__(self) -> None:
        self.of = json.loads(json.dumps(self.of, default=str))
        path = self.folder / "finished.json"
        record = _read(path)
        other = [key for key in self.of if record.get("of", {}).get(key) != self.of[key]]
        if not other:
            gone = [name for name in ("results.jsonl", "report.html") if not (self.folder / name).is_file()]
            if record["complete"] and gone:
                log.warning("%s: %s was here and is gone: all is measured anew", self.folder, " and ".join(gone))
            self.complete = [] if gone else record["complete"]
            return
        if record:
            log.warning("%s is of another evaluation (%s): all is measured anew", path, ", ".join(other))
        shutil.rmtree(self.folder / "finished", ignore_errors=True)
        self._write([])

    def take_up(self, wanted: Sequence[str], shown: str) -> list[str]:
        """The layers that are left to measure; the others' results are in `earlier`.

        Args:
            wanted: layers, in order.
            shown: one of them, which is measured in any case, for figures are drawn of it.

        Raises:
            InvariantNetsError: what was kept of a layer cannot be read.
        """
        kept = {layer: path for layer in wanted if layer != shown and (path := self._kept(layer))}
        done = list(kept)
        self.earlier = [result for path in kept.values() for result in read_jsonl(path)]
        if done:
            log.info("%s: measured before, and not again: %s", self.folder, ", ".join(done))
        return [layer for layer in wanted if layer not in done]

    def begin(self, layer: str) -> None:
        """The next layer begins: the one before is complete."""
        if self._now is not None:
            text = to_jsonl(self._results[self._start :])
            name = f"{slug(self._now)}.{zlib.crc32(text.encode()):08x}.jsonl"
            write_atomically(self.folder / "finished" / name, text)
        self._now, self._start = layer, len(self._results)

    def spoil(self) -> None:
        """Something of this layer is missing: a continuation measures it anew."""
        self._now = None

    def keep(self, results: Sequence[Result]) -> list[Result]:
        """Write ``results.jsonl``: those of before, and these; returns both.

        What the network itself says is written once, with whichever layer comes first, and so may be there already.
        """
        self._results = list(results)
        known = {_key(result) for result in self.earlier}
        every = [*self.earlier, *(result for result in results if _key(result) not in known)]
        write_atomically(self.folder / "results.jsonl", to_jsonl(every))
        return every

    def end(self, layers: list[str]) -> None:
        """The run is complete: what was kept for its continuation goes."""
        self._write(layers)
        shutil.rmtree(self.folder / "finished", ignore_errors=True)

    def _kept(self, layer: str) -> Path | None:
        """The file of a layer, whose name says whose it is and the checksum of what it holds."""
        for path in (self.folder / "finished").glob(f"{slug(layer)}.*.jsonl"):
            if path.name == f"{slug(layer)}.{zlib.crc32(path.read_bytes()):08x}.jsonl":
                return path
            log.warning("%s: is damaged; %s is measured anew", path, layer)
        return None

    def _write(self, complete: list[str]) -> None:
        text = json.dumps({"complete": complete, "of": self.of}, ensure_ascii=False)
        write_atomically(self.folder / "finished.json", text)


def _read(path: Path) -> dict[str, Any]:
    """What it says; nothing where it is not, or is damaged."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) and {"complete", "of"} <= record.keys() else {}


def _key(result: Result) -> tuple[str, ...]:
    return result.subject, result.layer, result.target, result.probe, result.metric, str(sorted(result.where.items()))
