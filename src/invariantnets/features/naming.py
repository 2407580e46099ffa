"""What people call the columns and arrays of their tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# The first of each is the name that needs no word; the others are guessed, and said.
PEOPLE = ("person", "identity", "id_name", "subject", "who", "identities", "person_id", "subject_id")
LABEL = ("label", "labels", "y", "target", "targets", "class", *PEOPLE, "class_id")
SPLIT = ("split", "splits", "set", "subset", "partition")
SOURCE = ("source", "photo", "picture", "video", "image_id", "photo_id", "picture_id", "video_id")
ONE_NAME = ("name", "img_path", "image_path", "path", "filepath", "file", "filename", "file_name", "image")
NAME = (*ONE_NAME, *(f"{name}s" for name in ONE_NAME if name != "image"))
SPELT = {"train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval", "0", "1", "2"}
# Numbers of these are names of rows, not something to predict.
ROW_IDS = {"id", "ids", "idx", "index", "row", "row_id", "rowid", "row_number"}
# Matrices that are features, and those that face pipelines write beside them.
FEATURES = {"embedding", "embeddings", "emb", "embs", "features", "feature", "feats", "feat", "x"}
FEATURES |= {"encoding", "encodings", "vector", "vectors", "descriptors", "representations", "latents"}
SIDE = {"bbox", "bboxes", "box", "boxes", "rect", "rects", "kps", "keypoint", "keypoints", "landmark", "landmarks"}
SIDE |= {
    "lmk",
    "lmks",
    "pose",
    "poses",
    "points",
    "attr",
    "attrs",
    "attribute",
    "attributes",
    "det",
    "logits",
    "scores",
}
# What numbered columns begin with; of another beginning, so many in a row are features too.
PREFIXES = {
    "",
    "f",
    "feat",
    "feature",
    "features",
    "emb",
    "embs",
    "embedding",
    "embeddings",
    "x",
    "v",
    "dim",
    "pc",
    "pca",
}
MANY = 8


def is_id(name: str) -> bool:
    """Whether a column names something, so that '030' in it is not the number 30."""
    lower = name.lower()
    return lower in {*LABEL, *SOURCE, *NAME, *ROW_IDS, "prediction"} or lower.endswith(("_id", "_name", "_path"))


def is_features(name: str) -> bool:
    """Whether a matrix is called like features."""
    return not FEATURES.isdisjoint(_words(name))


def is_side(name: str) -> bool:
    """Whether an array is called like what comes beside features: boxes, landmarks, scores."""
    return not SIDE.isdisjoint(_words(name))


def _words(name: str) -> list[str]:
    return re.split(r"[^a-z]+", name.lower())


def numbered(names: Iterable[str]) -> Mapping[str, list[str]]:
    """Columns that are the numbers of one vector, by what they begin with and in the order of their numbers.

    ``f0 f1 …``, ``0 1 …``, ``feat_0 …``, ``emb_000 …``: three or more of a usual beginning (of ``f``, one), eight or
    more of any other.
    """
    groups: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        if found := re.fullmatch(r"(.*?)[ _.\-]?(\d+)", name):
            groups.setdefault(found[1], []).append((int(found[2]), name))
    least = {prefix: (1 if prefix == "f" else 3) if prefix.lower() in PREFIXES else MANY for prefix in groups}
    return {prefix: [name for _, name in sorted(g)] for prefix, g in groups.items() if len(g) >= least[prefix]}
