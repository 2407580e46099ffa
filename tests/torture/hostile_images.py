"""Lists of images that would run code, look outside or fill the machine, and such images."""

from __future__ import annotations

import os
import random
import struct
from functools import partial
from pathlib import Path

import numpy as np
from hostile_checkpoints import Runs
from hostile_tables import Make, bomb
from PIL import Image
from trial import Trial
from yard import Yard, yard

__all__ = ["trials"]


def listed(make: Make, words: tuple[str, ...], said: str, folder: Path, rng: random.Random) -> None:
    """train.py refuses a list of images, or the images."""
    with yard(folder) as place:
        make(place)
        base = ("data=faces_table", "data.table=x.csv", "data.root=pictures", "data.num_classes=2", "evaluate=false")
        line = place.program("train", *base, "model=deepface_mini", *words)
        assert said in line, line


def faces(picture: str, make: Make = lambda at: None) -> Make:
    """A table of three people, one of whose pictures is this."""

    def write_it(at: Yard) -> None:
        (at.work / "pictures").mkdir()
        rows = ["path,person,yaw"]
        for i in range(12):
            Image.new("RGB", (64, 64), (i, 9 * i, 200)).save(at.work / "pictures" / f"{i}.png")
            rows.append(f"{picture if i == 5 else f'{i}.png'},p{i % 3},{i}".format(home=at.home))
        (at.work / "x.csv").write_text("\n".join(rows))
        make(at)

    return write_it


def postscript(at: Yard) -> None:
    text = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n({at.canary}) (w) file closefile\nshowpage\n%%EOF\n"
    (at.work / "pictures" / "x.png").write_text(text)


def vast_picture(at: Yard) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        import zlib

        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    (at.work / "pictures" / "x.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")
    )


def stack_of_objects(at: Yard) -> None:
    np.savez(at.work / "x.npz", x=np.array([Runs(os.mkdir, str(at.canary))], object))


LISTS: dict[str, tuple[Make, tuple[str, ...], str]] = {
    "a picture by ..": (faces("../../home/pictures/1.png"), (), "is not below"),
    "a picture anywhere": (faces("{home}/pictures/1.png"), (), "is not below"),
    "a picture with a zero": (faces("a\0b.png"), (), ""),
    "a picture that is a folder": (faces("."), (), ""),
    "a picture that is text": (
        faces("x.png", lambda at: (at.work / "pictures" / "x.png").symlink_to(at.home / "secret.txt")),
        (),
        "cannot be read",
    ),
    "a picture that is a program": (faces("x.png", postscript), (), "cannot be read"),
    "a picture of 3.6·10⁹ pixels": (faces("x.png", vast_picture), (), "cannot be read"),
    "pictures that are objects": (
        faces("5.png", stack_of_objects),
        ("data.root=x.npz", "data.path_column=yaw"),
        "data.root=x.npz",
    ),
    "pictures that unpack to 1 GB": (
        faces("5.png", bomb),
        ("data.root=x.npz", "data.path_column=yaw"),
        "data.root=x.npz",
    ),
}


def trials() -> list[Trial]:
    """All of them, in a fixed order."""
    return [Trial(name, "hostile list of images", partial(listed, *made)) for name, made in LISTS.items()]
