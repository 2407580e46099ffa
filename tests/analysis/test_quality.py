"""Distance from the centre beside quality; and that a sheet shows the picture, in the view, that a row is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.stats import pearsonr, rankdata, spearmanr
from torch import Tensor

from invariantnets import FeatureTable, run_suite
from invariantnets.analysis import Material, Quality
from invariantnets.data import Bank, BankedImages, DataSpec, RotatedImages
from invariantnets.data.sources import digits
from invariantnets.errors import InvariantNetsError
from invariantnets.evaluation import Subject, evaluate
from invariantnets.features.extract import pictures
from invariantnets.figures.drawing import Scene
from invariantnets.figures.quality import draw
from invariantnets.foreign import Pixels
from invariantnets.randomness import numpy_rng
from invariantnets.release import Release, released
from invariantnets.results import Result
from invariantnets.statistics.ranks import spearman
from invariantnets.statistics.resampling import Resampling
from invariantnets.subjects import from_backbone, opened


def rotated(angles: tuple[float, ...] = (-40.0, 0.0, 40.0)) -> RotatedImages:
    return RotatedImages(digits, 3, [1, 28, 28], list(angles), classes=[0, 1, 2])


def same_pictures(subject: Subject, layer: str, scale: float, count: int = 200) -> None:
    """Rows in any order: the features of this layer are the pixels."""
    table = subject.table(layer)
    rows = numpy_rng(5).permutation(len(table))[:count]
    assert {str(split) for split in table.split[rows]} == {"train", "val", "test"}
    assert subject.pictures is not None
    shown = subject.pictures(rows)
    assert shown.dtype == np.uint8
    seen = shown if shown.ndim == 3 else shown.transpose(0, 3, 1, 2)
    assert seen.reshape(len(rows), -1) / scale == pytest.approx(table.features[layer][rows], abs=1e-6)


def test_each_row_has_its_own_picture_in_its_own_view() -> None:
    subject = from_backbone(Pixels(), rotated(), probe_images=60)
    same_pictures(subject, "pixels", 255)
    table = subject.table("pixels")
    assert subject.pictures is not None
    # The views of one image are three pictures, and the upright one is that of its source.
    (first,) = np.flatnonzero(table.source == table.source[table.split == "test"][0])[None]
    views = subject.pictures(first)
    assert table.nuisance["angle"][first].tolist() == [-40, 0, 40] and not np.array_equal(views[0], views[2])
    every, used = digits(), rotated()
    used.setup()
    kept = (every.split == "test") & np.isin(every.label, [0, 1, 2])
    assert np.array_equal(views[1], np.asarray(every.image[np.flatnonzero(kept)[0]]).reshape(28, 28))


class Coloured(BankedImages):
    """Eight images a split of two views each, in colour and not square."""

    def load(self) -> str:
        return "made"

    def make_bank(self, split: str) -> Bank:
        first = 8 * ["train", "val", "test"].index(split)
        stored = torch.randint(256, (8, 2, 3, 5, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(first))
        return Bank(stored, torch.arange(8) % 2, {}, first)


def test_pictures_in_colour_and_those_that_are_none() -> None:
    same_pictures(from_backbone(Pixels(), Coloured(DataSpec((3, 5, 4), 2)), probe_images=5), "pixels", 255, 42)
    assert pictures(Coloured(DataSpec((2, 5, 4), 2))) is None


def test_those_of_a_checkpoint(tmp_path: Path) -> None:
    """Its layer ``input`` is the pixels over 256."""
    made = {"image_shape": [1, 28, 28]}
    config: dict[str, Any] = {
        "model": {
            "_target_": "invariantnets.module.InvariantNet",
            "backbone": {"_target_": "invariantnets.backbones.lenet", "embedding_dim": 8, **made},
            "constraints": {
                "softmax": {"_target_": "invariantnets.constraints.Softmax", "layer": "ip2", "num_classes": 3}
            },
            "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.01},
            "scheduler": {"_target_": "invariantnets.module.inverse_decay", "_partial_": True},
        },
        "data": {
            "_target_": "invariantnets.data.RotatedImages",
            "source": {"_target_": "invariantnets.data.sources.digits", "_partial_": True},
            "num_classes": 3, "classes": [0, 1, 2], "angles": [-40, 0, 40], **made,
        },
        "choices": {"model": "lenet", "data": "rotated_digits"},
    }  # fmt: skip
    model = instantiate(config["model"], _convert_="all")
    ours = {"format": 1, "config": config, "wandb_id": None}
    torch.save({"state_dict": model.state_dict(), "epoch": 1, "invariantnets": ours}, tmp_path / "best.ckpt")
    place = {"data_dir": str(tmp_path), "cache_dir": str(tmp_path), "output_dir": str(tmp_path)}
    cfg = OmegaConf.create({"paths": place, "device": "cpu", "probe_images": 50})
    same_pictures(opened(cfg, tmp_path / "best.ckpt")[0], "input", 256)


class Means:
    """The mean of a picture and 0: a layer of which the distance from the origin is how bright it is."""

    layer_names, embedding, classifier = ("mean",), "mean", None

    def features(self, image: Tensor, names: Any) -> dict[str, Tensor]:
        x = image.float().flatten(1).mean(1, keepdim=True)
        return dict.fromkeys(names, torch.cat([x, torch.zeros_like(x)], 1))


def double(x: np.ndarray) -> np.ndarray:
    return np.concatenate([2 * x, 0 * x], 1)


@pytest.mark.parametrize("release", [False, True])
def test_a_sheet_shows_what_its_distances_say(release: bool) -> None:
    """From the pictures on the sheet the distances below them are computed again; of released features too."""
    subject = from_backbone(Means(), rotated(), probe_images=40)

    def prepare(table: FeatureTable, layer: str) -> FeatureTable:
        return released(table, Release(double, {}, "mean", 2, "twice", 1)) if release else table

    found = evaluate(subject, [], analyses=[Quality(images=6)], protocols=None, prepare=prepare)
    arrays, angle = found.arrays["quality"], found.table.nuisance["angle"]
    assert arrays["pictures"].shape == (4, 6, 28, 28)
    means = arrays["pictures"].reshape(4, 6, -1).mean(2)
    assert arrays["distance"] == pytest.approx((2 if release else 1) * means, rel=1e-5)
    assert (found.table.split[arrays["row"]] == "test").all()
    assert arrays["value"].tolist() == [[f"{v:.3g}" for v in row] for row in angle[arrays["row"]]]
    assert len(np.unique(found.table.source[arrays["row"]])) == 24  # one of each source
    assert (np.diff(arrays["distance"].mean(1)) > 0).all()
    scene = Scene({"": [found.results]}, {"": [found.results]}, layer="mean", arrays=found.arrays)
    ((_, figure, _, caption, about),) = draw(scene)
    images = [image.get_array() for image in figure.axes[0].images]
    assert np.array_equal(np.stack(images).reshape(arrays["pictures"].shape), arrays["pictures"])
    assert about == "analysis/quality" and "its angle" in caption and "no sheets" not in found.results[-1].note


def by_quality(strength: float, seed: int = 0) -> FeatureTable:
    """Features that are shorter the worse the picture; 40 people, of 12 pictures each."""
    rng = numpy_rng(seed, 9)
    who = np.repeat(np.arange(40), 12)
    quality = rng.random(40)[who] * 0.5 + rng.random(len(who))
    x = rng.normal(size=(40, 8))[who] + 0.3 * rng.normal(size=(len(who), 8))
    x *= np.exp(strength * quality + 0.1 * rng.normal(size=len(who)))[:, None]
    still, rare = (rng.random(len(who)) < 0.3).astype(int), (np.arange(len(who)) < 5).astype(int)
    return FeatureTable.from_arrays(
        x.astype(np.float32), label=who, split=np.full(len(who), "test"), quality=quality, still=still, rare=rare,
    )  # fmt: skip


def of(results: list[Result], metric: str, target: str, centre: str = "origin") -> Result:
    (one,) = [r for r in results if (r.metric, r.target, r.probe) == (metric, target, f"quality/from the {centre}")]
    return one


def test_correlations_are_those_of_scipy_and_find_what_is_there() -> None:
    table = by_quality(1.5)
    results = Quality()(Material(table, "features"))
    x = table.features["features"].astype(np.float64)
    for centre, around in (("origin", x), ("mean", x - x.mean(0))):
        distance = np.linalg.norm(around, axis=1)
        for target in ("quality", "still"):
            for metric, by_scipy in (("spearman", spearmanr), ("pearson", pearsonr)):
                expected = float(by_scipy(distance, table.nuisance[target])[0])
                assert of(results, metric, target, centre).value == pytest.approx(expected, abs=1e-6)
    quality, still = of(results, "spearman", "quality"), of(results, "spearman", "still")
    assert quality.low > 0.3 and still.low < 0 < still.high
    assert (quality.n, quality.sources) == (480, 40) and "over people" in quality.note
    assert "no sheets: they need the pictures" in quality.note and "of the independent: rare" in quality.note


@pytest.mark.parametrize("tied", [False, True])
def test_the_interval_is_that_of_ranks_computed_again_without_each_person(tied: bool) -> None:
    rng = numpy_rng(3)
    group = np.repeat(np.arange(60), 6)
    own = rng.normal(size=60)[group]
    a, b = own + rng.normal(size=360), 0.7 * own + rng.normal(size=360)
    a, b = (np.round(v) for v in (a, b)) if tied else (a, b)
    value, low, high = spearman(Resampling(group), a, b)
    assert value == pytest.approx(spearmanr(a, b)[0], abs=1e-9)
    left = np.array([spearmanr(a[group != g], b[group != g])[0] for g in range(60)])
    error = np.sqrt(59 / 60 * ((left - left.mean()) ** 2).sum()) / (1 - value**2)  # on Fisher's scale
    assert (np.arctanh(high) - np.arctanh(low)) / 2 == pytest.approx(2.0 * error, rel=0.1)
    naive = (rankdata(a) - 180.5) / 360
    assert spearman(Resampling(group), naive, b)[0] == pytest.approx(value, abs=1e-12)


def test_intervals_hold_nothing_where_there_is_nothing() -> None:
    held = 0
    for seed in range(150):
        rng = numpy_rng(seed, 4)
        group = np.repeat(np.arange(30), 5)
        a, b = (rng.normal(size=30)[group] + rng.normal(size=150) for _ in range(2))
        _, low, high = spearman(Resampling(group), a, b)
        held += low <= 0 <= high
    assert 134 <= held <= 149  # of 150 at 95 %: 142.5, give or take three standard deviations


@pytest.mark.parametrize(
    ("knobs", "change", "said"),
    [
        ({"shown": "sharp"}, {}, "shown=sharp: there is no nuisance of that name; it has quality, still, rare"),
        ({"images": 0}, {}, "analysis.quality.images=0: a row of the sheet needs one"),
        ({}, {"nuisance": {}, "nuisances": ()}, "the table has no nuisance, and no pictures"),
        ({}, {"label": np.arange(480) % 2, "num_classes": 2}, "left out, .*: quality, still, rare"),
        ({}, {"features": {"features": np.ones((480, 2), np.float32)}}, "all test features are equally far"),
    ],
)
def test_what_cannot_be_measured_is_one_line(knobs: dict[str, Any], change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvariantNetsError, match=said):
        Quality(**knobs)(Material(FeatureTable(**{**vars(by_quality(1.0)), **change}), "features"))


def test_a_table_has_its_numbers_in_a_report_without_a_sheet() -> None:
    found = run_suite(by_quality(1.0), [], analyses=["quality"], protocols=None)
    assert not found.failed and "quality" not in found.arrays
    assert not list(draw(Scene({"": [found.results]}, arrays=found.arrays)))


def test_features_of_one_length_are_measured_from_their_mean() -> None:
    table = by_quality(1.0)
    x = table.features["features"]
    unit = {"features": x / np.linalg.norm(x, axis=1, keepdims=True)}
    kept: list[Any] = []
    blank = Material(
        FeatureTable(**{**vars(table), "features": unit}), "features",
        pictures=lambda rows: np.zeros((len(rows), 4, 4), np.uint8), keep=lambda name, arrays: kept.append(arrays),
    )  # fmt: skip
    results = Quality(images=3)(blank)
    assert {r.probe for r in results} == {"quality/from the mean"}
    assert "features of one length" in results[0].note and kept[0]["centre"].tolist() == ["mean"]
    away = np.linalg.norm(unit["features"] - unit["features"].mean(0), axis=1)
    assert kept[0]["distance"] == pytest.approx(away[kept[0]["row"]], rel=1e-5)
