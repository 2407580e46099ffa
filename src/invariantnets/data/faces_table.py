"""Faces of one's own: a folder and a table of who is on which image, under which conditions."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image

from invariantnets.data.align import Align
from invariantnets.data.banked import Stream
from invariantnets.data.batch import DataSpec
from invariantnets.data.faces import FaceFiles, Faces
from invariantnets.division import Division, divide, read_split
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import SPLITS, Kind, infer_nuisance

if TYPE_CHECKING:
    from typing_extensions import Unpack

log = logging.getLogger(__name__)
STACKS = (".npz", ".npy")
MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]


class FacesTable(FaceFiles):
    """A CSV or parquet table with a row for each image, and the folder that its paths start from.

    Args:
        table: path of the table.
        root: folder of the images; or a ``.npy`` or ``.npz`` that holds them as one array ``(N, H, W)``
            or ``(N, H, W, 3)`` of bytes: then ``path_column`` holds row numbers.
        num_classes: number of people trained on.
        image_shape: ``(C, H, W)`` that images are brought to; 1 channel is grey, 3 are RGB.
        path_column: of the image's path below ``root``.
        label_column: of who it shows.
        nuisances: columns of what varies between images of one person, empty where unknown. Numbers are
            continuous, text and booleans categorical. None takes all that are nothing else.
        kinds: nuisance → what it is, where that is not what its values look like: an angle that wraps is
            ``circular`` (degrees), 0 and 1 are ``binary``, codes ``categorical``.
        units: nuisance → its unit, for axes and tables.
        split_column: of ``train``, ``val``, ``test``. Where it names no ``val``, ``val_fraction`` of each
            training person's images are taken. None divides by ``division``.
        division: ``identity`` tests on people who are not trained on (open set), ``image`` on other
            images of those who are (closed set).
        test_fraction: of the people (``identity``) or of each person's images (``image``); 1 makes everything
            ``test``, for evaluating a network that was trained elsewhere (``num_classes`` is then 0).
        val_fraction: of each training person's images.
        split_seed: of the division.
        landmarks: pairs of columns, x and y in pixels; a similarity transform brings them to
            ``template``, as many points in fractions of width and height.
        template: see ``landmarks``.
        center_crop: side in pixels of the central square that is kept where images are not aligned.
        align: how 68 ``landmarks``, iBUG's, are used in place of a template; images are square then.
        cache_dir: folder of the decoded images.
        **stream: how training batches are made, see :class:`~invariantnets.data.BankedImages`.

    Raises:
        InvariantNetsError: a table, column or value that is missing, by name; see also :class:`FaceFiles`.
    """

    def __init__(
        self,
        table: str,
        root: str,
        num_classes: int,
        image_shape: Sequence[int],
        cache_dir: str,
        path_column: str = "path",
        label_column: str = "person",
        nuisances: Sequence[str] | None = None,
        kinds: Mapping[str, Kind] | None = None,
        units: Mapping[str, str] | None = None,
        split_column: str | None = None,
        division: Division = "identity",
        test_fraction: float = 0.2,
        val_fraction: float = 0.1,
        split_seed: int = 0,
        landmarks: Sequence[Sequence[str]] | None = None,
        template: Sequence[Sequence[float]] | None = None,
        center_crop: int | None = None,
        align: Align | None = None,
        **stream: Unpack[Stream],
    ):
        points = [name for pair in landmarks or () for name in pair]
        if align:
            _check_alignable(align, len(points) // 2, template, image_shape)
        elif len(points) != 2 * len(template or ()) or len(points) == 2:
            raise InvariantNetsError(
                "data.landmarks and data.template: give both, with as many points, two or more; got "
                f"{len(landmarks or ())} and {len(template or ())}"
            )
        text = [path_column, label_column, *([split_column] if split_column else [])]
        frame = _read(Path(table), text)
        if nuisances is None:
            nuisances = [name for name in map(str, frame) if name not in (*text, *points)]
        for name in (*text, *points, *nuisances):
            if missing := _missing(frame, name, str(table)):
                if name not in nuisances or len(missing) == len(frame):
                    raise InvariantNetsError(
                        f"{table}: column {name!r} is empty in {len(missing)} of {len(frame)} rows, first in row "
                        f"{missing[0] + 1}; fill it, or drop those rows"
                    )
                log.info(
                    "%s: %r is unknown in %d of %d rows, which count for the others",
                    table,
                    name,
                    len(missing),
                    len(frame),
                )
        kinds, units = dict(kinds or {}), dict(units or {})
        for key, said in (("kinds", kinds), ("units", units)):
            if unknown := sorted(set(said) - set(nuisances)):
                raise InvariantNetsError(
                    f"data.{key}: {unknown[0]} is no nuisance of {table}; it has {', '.join(nuisances) or 'none'}"
                )
        # Composed and decomposed letters look the same and are one person.
        person = np.array([unicodedata.normalize("NFC", name) for name in frame[label_column]], dtype=str)
        if split_column is None:
            split = divide(person, division, test_fraction, val_fraction, split_seed)
        else:
            split, understood = read_split(frame[split_column].to_numpy(str), f"{table}: column {split_column!r}")
            if understood:
                log.info("%s: %s was understood", table, understood)
            if not (split == "val").any():
                train = np.flatnonzero(split == "train")
                split[train] = divide(person[train], "image", 0, val_fraction, split_seed)
        columns = {
            name: infer_nuisance(name, frame[name].to_numpy(), kinds.get(name), units.get(name, ""))
            for name in nuisances
        }
        channels, height, width = image_shape
        spec = DataSpec((channels, height, width), num_classes, tuple(kind for kind, _ in columns.values()))
        super().__init__(spec, root, cache_dir, division == "identity", center_crop, template, align, **stream)
        self._listed = Faces(
            frame[path_column].to_numpy(str),
            person,
            split,
            {name: values for name, (_, values) in columns.items()},
            _points(frame, points, str(table)) if points else None,
        )
        self._stack: np.ndarray | None = None
        self.check(self._listed)
        log.info("%s: %s", table, _told(self._listed))

    def listed(self, split: str) -> np.ndarray:
        """Who each row of a split shows, known before an image is read."""
        return self._listed.person[self._listed.split == split]

    def list_faces(self) -> Faces:
        """The table's rows."""
        if self.root.suffix in STACKS:
            self._stack = _read_stack(self.root)
            for number in self._listed.file.tolist():
                if not number.isdigit() or int(number) >= len(self._stack):
                    raise InvariantNetsError(
                        f"data.path_column: {number!r} is no row of {self.root}, which holds {len(self._stack)} images"
                    )
        elif not self.root.is_dir():
            raise InvariantNetsError(f"data.root={self.root}: there is no such folder")
        return self._listed

    def open_image(self, row: int) -> Image.Image:
        """The image of a row, out of its file or out of the stack."""
        if self._stack is None:
            return super().open_image(row)
        return Image.fromarray(self._stack[int(self.faces.file[row])])

    def stats(self) -> Iterator[tuple[int, int]]:
        """Size and date of each file; of a stack, of the one file."""
        if self._stack is None:
            yield from super().stats()
        else:
            found = self.root.stat()
            yield found.st_size, found.st_mtime_ns


def _check_alignable(align: Align, points: int, template: object, image_shape: Sequence[int]) -> None:
    if template or points != (0 if align.detects else 68):
        raise InvariantNetsError(
            f"align: needs the 68 points of iBUG's scheme in data.landmarks, {points} are given, and no data.template; "
            "or data.align.points=detected, and neither"
        )
    if image_shape[1] != image_shape[2]:
        raise InvariantNetsError(f"data.image_shape={list(image_shape)}: aligned faces are square")


def _read(path: Path, text: Sequence[str]) -> pd.DataFrame:
    """The table. Paths, people and splits are never parsed: ``NA`` may be somebody's name, ``007`` a file's."""
    if not path.is_file():
        raise InvariantNetsError(f"data.table={path}: there is no such file")
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
            frame = frame.assign(**{c: frame[c].astype(str).where(frame[c].notna(), "") for c in text if c in frame})
        else:
            missing = {name: MISSING for name in map(str, pd.read_csv(path, nrows=0)) if name not in text}
            types = dict.fromkeys(text, str)
            frame = pd.read_csv(path, dtype=types, na_values=missing, keep_default_na=False, skipinitialspace=True)
    except (OSError, ValueError) as error:
        raise InvariantNetsError(f"data.table={path}: cannot be read ({' '.join(str(error).split())})") from None
    if frame.empty:
        raise InvariantNetsError(f"data.table={path}: has no row")
    return frame.rename(columns=str)


def _missing(frame: pd.DataFrame, name: str, table: str) -> list[int]:
    """Rows in which a column is empty."""
    if name not in frame:
        raise InvariantNetsError(f"{table}: has no column {name!r}; it has {', '.join(map(str, frame))}")
    empty: list[int] = np.flatnonzero((frame[name].isna() | (frame[name].astype(str) == "")).to_numpy()).tolist()
    return empty


def _told(faces: Faces) -> str:
    """How many pictures of how many people there are for what."""
    parts = []
    for split, what in zip(SPLITS, ("train", "validate", "test"), strict=True):
        count = np.unique(faces.person[faces.split == split], return_counts=True)[1]
        parts.append(f"{count.sum():,} pictures of {len(count):,} people to {what} on")
    trained, validated = (set(faces.person[faces.split == split].tolist()) for split in ("train", "val"))
    if alone := len(trained - validated):
        parts.append(f"{alone:,} of those trained on have none to validate on")
    return ", ".join(parts)


def _points(frame: pd.DataFrame, columns: Sequence[str], table: str) -> np.ndarray:
    for name in columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise InvariantNetsError(f"{table}: column {name!r} is a landmark and must hold numbers (pixels)")
    return frame[list(columns)].to_numpy(np.float64).reshape(len(frame), -1, 2)


def _read_stack(path: Path) -> np.ndarray:
    """The array of images in a .npy or .npz."""
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            arrays = [loaded]
        else:
            with loaded:
                arrays = [loaded[name] for name in loaded.files]
    except (OSError, ValueError, EOFError) as error:
        raise InvariantNetsError(f"data.root={path}: cannot be read ({' '.join(str(error).split())})") from None
    images = [x for x in arrays if x.dtype == np.uint8 and (x.ndim == 3 or (x.ndim == 4 and x.shape[3] == 3))]
    if len(images) != 1:
        found = ", ".join(f"{x.dtype} {x.shape}" for x in arrays)
        raise InvariantNetsError(
            f"data.root={path}: needs one array (N, H, W) or (N, H, W, 3) of bytes (uint8); it holds {found}"
        )
    return images[0]
