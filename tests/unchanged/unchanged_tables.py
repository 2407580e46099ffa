"""Two small tables, from a seed: classes that test knows (closed), and people that it does not (open)."""

from __future__ import annotations

import numpy as np


def columns(closed: bool) -> dict[str, np.ndarray]:
    """As an ``.npz`` would hold them: features, label, split, source and one nuisance of each kind."""
    rng = np.random.default_rng(20161 if closed else 20162)
    people, sources, views = (5, 40, 3) if closed else (36, 6, 2)
    count = people * sources
    label = np.repeat(np.arange(count) % people, views)
    split = np.repeat(["train", "val", "test"], count * views // 3) if closed else np.where(label < 24, "train", "test")
    if closed:
        split = np.repeat(rng.permutation(np.repeat(["train", "val", "test"], (110, 40, 50))), views)
    else:
        split = np.where((split == "train") & (rng.random(len(label)) < 0.25), "val", split)
        split = np.where((split == "val") & (np.arange(len(label)) < views * people), "train", split)
        split = np.repeat(split[::views], views)
    angle = np.tile(np.linspace(-30, 30, views), count)
    direction = rng.uniform(-180, 180, len(label)) if closed else np.round(rng.uniform(-180, 180, len(label)))
    glasses = rng.random(len(label)) < 0.3
    kind = rng.integers(3, size=len(label))
    means, slopes = rng.normal(size=(2, people, 16))
    x = means[label] + slopes[label] * angle[:, None] / 50 + 0.6 * rng.normal(size=(len(label), 16))
    x += 0.8 * np.outer(np.cos(np.deg2rad(direction)), rng.normal(size=16))
    x += 0.5 * np.outer(np.abs(angle) > 20, rng.normal(size=16)) + 0.7 * np.outer(glasses, rng.normal(size=16))
    x += 0.5 * rng.normal(size=(3, 16))[kind]
    found = {
        "features": np.maximum(x, 0).astype(np.float32),
        "label": label,
        "split": split,
        "source": np.repeat(np.arange(count), views),
        "angle": angle,
        "glasses": np.where(glasses, "yes", "no"),
        "kind": np.array(["a", "b", "c"])[kind],
    }
    if closed:
        found["prediction"] = np.where(rng.random(len(label)) < 0.9, label, (label + 1) % people)
    else:
        found["direction"] = direction
        found["entropy"] = rng.random(len(label))
    return found
