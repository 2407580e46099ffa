"""Parts of rendered heads as a table for ``protocols=piper``, and what each part still tells of the yaw.

``python -m benchmarks.head_parts parts.parquet`` draws heads, cuts their parts out, and writes the table. ``--yaw``
also reads the yaw from every part and from the sums of parts.

A part is a square of the picture about exact landmarks, whose features are a linear discriminant analysis (of the
people of train) of the principal components of its pixels. Whether a part fires follows from the exact yaw and from
what is worn. An album is a day: hat, glasses, scarf, clothes, background and light stay.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch.nn.functional import affine_grid, grid_sample

from invariantnets import FeatureTable, run_suite
from invariantnets.data import renderer
from invariantnets.protocols.part_vectors import part_vectors

SIZE, SIDE = 96, 20
# What stays for a day; the yaw, the expression and the quality of the picture do not.
OF_A_DAY = ("hat", "scarf", "glasses", "dark_glasses", "background", "clutter", "scene")
OF_A_DAY += ("light_azimuth", "light_elevation", "light_strength")
# Part → landmarks that it is centred on, its side as a share of the picture, and how far up it is moved, as such.
CUTS = {
    "global": (None, 1.0, 0.0),
    "head": (slice(0, 68), 0.62, 0.06),
    "frontal": (slice(17, 68), 0.46, 0.0),
    "profile": (slice(0, 68), 0.62, 0.06),
    "left eye": (slice(36, 42), 0.2, 0.0),
    "right eye": (slice(42, 48), 0.2, 0.0),
    "nose": (slice(27, 36), 0.22, 0.0),
    "mouth": (slice(48, 68), 0.26, 0.0),
    "hair": (slice(17, 27), 0.5, 0.16),
}
TOY = {"people": (12, 6, 6), "pictures": 8, "albums": 2, "components": 8}


@dataclass(frozen=True)
class Heads:
    """Rendered pictures: ``(N, 3, size, size)`` uint8, ``(N, 68, 2)`` landmarks, and who, when and how each is."""

    image: torch.Tensor
    landmarks: torch.Tensor
    person: np.ndarray
    album: np.ndarray
    split: np.ndarray
    known: Mapping[str, np.ndarray]

    @classmethod
    def draw(cls, people: tuple[int, int, int], pictures: int, albums: int, seed: int) -> Heads:
        """Of so many people of train, val and test, each on as many pictures, in as many albums."""
        number = torch.arange(sum(people)).repeat_interleave(pictures) + 10_000 * seed
        sample = torch.arange(pictures).repeat(sum(people))
        codes = renderer.identity(seed, number)
        values = renderer.nuisances({}, seed, number, sample, codes)
        day = torch.arange(len(number)) // pictures * pictures + sample % albums  # the album's first picture
        values = {name: value[day] if name in OF_A_DAY else value for name, value in values.items()}
        drawn = renderer.render(codes, values, SIZE)
        split = np.repeat(("train", "val", "test"), np.array(people) * pictures)
        known = {name: value.numpy() for name, value in values.items()}
        return cls(drawn.image, drawn.landmarks, number.numpy(), day.numpy(), split, known)

    def fires(self) -> dict[str, np.ndarray]:
        """Part → ``(N,)`` whether it can be seen."""
        yaw, dark, scarf = self.known["yaw"], self.known["dark_glasses"] > 0, self.known["scarf"] > 0
        side = np.sign(self.landmarks[:, 45, 0].numpy() - self.landmarks[:, 36, 0].numpy())
        assert (side[np.abs(yaw) < 30] > 0).all(), "landmark 36 is left of 45 in the picture"
        # A positive yaw shows more of the eye at the left of the picture, or of the right: as the nose tells.
        towards = np.sign(np.corrcoef(yaw, self.landmarks[:, 30, 0] - self.landmarks[:, :17, 0].mean(1))[0, 1])
        turned = towards * yaw  # positive: the nose points to the right of the picture
        return {
            "global": np.ones(len(yaw), bool),
            "head": np.abs(yaw) < 60,
            "frontal": np.abs(yaw) < 30,
            "profile": np.abs(yaw) > 50,
            "left eye": (turned > -30) & (turned < 70) & ~dark,
            "right eye": (turned < 30) & (turned > -70) & ~dark,
            "nose": np.abs(yaw) < 75,
            "mouth": (np.abs(yaw) < 60) & ~scarf,
            "hair": np.ones(len(yaw), bool),
        }

    def cut(self, part: str) -> np.ndarray:
        """``(N, 3, SIDE, SIDE)`` of a part, from 0 to 1."""
        points, side, up = CUTS[part]
        half = SIZE / 2
        if points is None:
            centre = torch.zeros(len(self.image), 2)
        else:
            centre = (self.landmarks[:, points].mean(1) + 0.5) / half - 1
            centre[:, 1] -= 2 * up
        theta = torch.zeros(len(self.image), 2, 3)
        theta[:, 0, 0] = theta[:, 1, 1] = side
        theta[:, :, 2] = centre
        parts = []
        for rows in torch.arange(len(self.image)).split(512):
            grid = affine_grid(theta[rows], [len(rows), 3, SIDE * 2, SIDE * 2], align_corners=False)
            cut = grid_sample(self.image[rows].float() / 255, grid, padding_mode="border", align_corners=False)
            parts.append(torch.nn.functional.avg_pool2d(cut, 2))
        return torch.cat(parts).numpy()


def features(x: np.ndarray, person: np.ndarray, train: np.ndarray, components: int) -> np.ndarray:
    """``(N, D)`` discriminants of the principal components of ``(N, …)`` pixels, fitted on the rows of train."""
    flat = x.reshape(len(x), -1)
    few = min(2 * components, train.sum() - 1)
    reduced = PCA(few, whiten=True, random_state=0).fit(flat[train]).transform(flat)
    found = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto").fit(reduced[train], person[train])
    return found.transform(reduced)[:, :components].astype(np.float32)


def frame_of(
    people: tuple[int, int, int] = (300, 80, 80),
    pictures: int = 16,
    albums: int = 4,
    components: int = 40,
    seed: int = 0,
) -> pd.DataFrame:
    """A row a picture and part, of the people of val and test."""
    heads = Heads.draw(people, pictures, albums, seed)
    rows = []
    for part, fires in heads.fires().items():
        train = fires & (heads.split == "train")
        x = features(heads.cut(part), heads.person, train, components)
        shown = np.flatnonzero(fires & (heads.split != "train"))
        known = {"person": heads.person[shown], "split": heads.split[shown], "album": heads.album[shown]}
        frame = pd.DataFrame({"picture": shown, "part": part, **known, "yaw": heads.known["yaw"][shown]})
        rows.append(pd.concat([frame, pd.DataFrame(x[shown]).add_prefix("f")], axis=1))
    return pd.concat(rows, ignore_index=True)


def read_yaw(table: FeatureTable, seed: int = 0) -> pd.DataFrame:
    """The strongest reader of the yaw from each of `part_vectors`, and the rows that it had."""
    yaw = {int(s): float(y) for s, y in zip(table.source, table.nuisance["yaw"], strict=True)}
    found = []
    for name, x, rows in part_vectors(table, next(iter(table.features)), seed):
        angles = np.array([yaw[int(p)] for p in rows.picture])
        mine = FeatureTable.from_arrays(
            x.astype(np.float32), label=rows.person, yaw=angles, units={"yaw": "deg"}, division="identity", seed=seed
        )
        results = [r for r in run_suite(mine, protocols=None, seed=seed).results if r.target == "yaw" and not r.where]
        best = next(r for r in results if r.probe == "strongest" and r.metric == "r2")
        mae = next((r.value for r in results if r.probe == best.chosen.get("probe") and r.metric == "mae"), np.nan)
        row = {"of": name, "r2": best.value, "low": best.low, "high": best.high, "mae": mae, "sd of yaw": angles.std()}
        row |= {"reader": best.chosen.get("probe"), "rows": len(x), "fit": best.n_fit, "test": best.n}
        found.append({**row, "people": best.sources})
        print(found[-1], flush=True)
    return pd.DataFrame(found)


def main() -> None:
    """Of the command line."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("table")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--yaw", action="store_true", help="read the yaw as well")
    given = words.parse_args()
    frame = frame_of(seed=given.seed)
    frame.to_parquet(given.table)
    if given.yaw:
        table = FeatureTable.from_frame(frame, label="person", source="picture", split="split")
        print(read_yaw(table, given.seed).round(3).to_string())


if __name__ == "__main__":
    main()
