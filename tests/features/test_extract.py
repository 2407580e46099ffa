from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from invariantnets.backbones import lenet
from invariantnets.constraints import MeanActivation, Moon, Softmax
from invariantnets.data import Bank, BankedImages, DataSpec, RotatedImages
from invariantnets.data.perturbation import rotate
from invariantnets.data.sources import Images, digits
from invariantnets.errors import InvariantNetsError
from invariantnets.features.extract import choose, extract
from invariantnets.features.table import FeatureTable
from invariantnets.module import InvariantNet
from invariantnets.probes import Mav, run_probes
from invariantnets.randomness import numpy_rng

ANGLES = [-20.0, 0.0, 30.0]


def few() -> Images:
    every = digits()
    return Images(every.image[:40], every.label[:40], every.split[:40])


@pytest.fixture
def data() -> RotatedImages:
    return RotatedImages(few, 10, [1, 28, 28], ANGLES)


def make_model(classifies: bool = True) -> InvariantNet:
    torch.manual_seed(0)
    constraint = Softmax("ip2", 10) if classifies else MeanActivation("ip1", 12, 10)
    return InvariantNet(lenet(embedding_dim=12), {"term": constraint}, partial(torch.optim.SGD, lr=0.1))


def features_of(model: InvariantNet, *args: Any, **options: Any) -> FeatureTable:
    return extract(model.backbone, *args, classifies=model.classifies, **options)


def test_agrees_with_one_image_at_a_time(data: RotatedImages) -> None:
    model, images = make_model(), few()
    names = ["ip1", "conv2", "input"]
    table = features_of(model, data, names, max_width=5000)
    row = 0
    for split in ("train", "val", "test"):
        for number in np.flatnonzero(images.split == split):
            for angle in ANGLES:
                image = rotate(images.image[number][None], angle)
                with torch.no_grad():
                    found = model.backbone.features(image, [*names, "ip2"])
                for name in names:
                    expected = found[name].flatten().numpy()
                    assert table.features[name][row] == pytest.approx(expected, abs=1e-5)
                assert table.label[row] == images.label[number] and table.split[row] == split
                assert table.nuisance["angle"][row] == angle
                assert table.prediction[row] == found["ip2"].argmax()
                row += 1
    assert row == len(table) == 40 * len(ANGLES)
    sources = table.source.reshape(-1, len(ANGLES))
    assert (sources == sources[:, :1]).all() and len(np.unique(sources)) == 40
    assert list(table.features) == names and table.features["ip1"].dtype == np.float32
    assert table.num_classes == 10 and table.nuisances == data.spec.nuisances
    assert table.meta["projected"] == {}


def test_wide_layers_are_projected_and_say_so(data: RotatedImages) -> None:
    model = make_model()
    whole = features_of(model, data, ["ip1", "pool1"], max_width=5000)
    table = features_of(model, data, ["ip1", "pool1"], max_width=500)
    assert table.meta == {"projected": {"pool1": 20 * 12 * 12}}
    assert np.array_equal(table.features["ip1"], whole.features["ip1"])
    x, z = whole.features["pool1"], table.features["pool1"]
    assert z.shape == (120, 500)

    def distances(x: np.ndarray) -> np.ndarray:
        return ((x[:60] - x[60:]) ** 2).sum(1)

    assert distances(z) == pytest.approx(distances(x), rel=0.35)  # Johnson–Lindenstrauss: 5 s.d. of √(2/500)
    again = features_of(model, data, ["pool1"], max_width=500)
    assert np.array_equal(again.features["pool1"], z), "the same projection each time"
    embedding = features_of(model, data, ["ip1"], max_width=5)
    assert not embedding.meta["projected"], "protocols and sparsity are of the features themselves"
    assert np.array_equal(embedding.features["ip1"], whole.features["ip1"])


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(data: RotatedImages, training: bool) -> None:
    model = make_model().train(training)
    features_of(model, data, ["ip1"])
    assert model.training is training
    assert all(not p.is_inference() and p.requires_grad for p in model.parameters())


def test_frozen_parts_stay_in_evaluation_and_an_error_changes_nothing(data: RotatedImages) -> None:
    backbone = make_model().backbone.train()
    backbone.layers["conv2"].eval()
    before = {name: module.training for name, module in backbone.named_modules()}
    extract(backbone, data, ["ip1"])
    with pytest.raises(InvariantNetsError, match="no layer 'fc7'"):
        extract(backbone, data, ["fc7"])
    assert {name: module.training for name, module in backbone.named_modules()} == before


def test_answers_are_given_only_where_the_classes_are_the_networks_own(data: RotatedImages) -> None:
    table = extract(make_model().backbone, data, ["ip1"])
    assert table.prediction is None and table.entropy is None


def test_what_it_was_trained_to_tell_of_attributes_is_its_answer(data: RotatedImages) -> None:
    model = make_model()
    moon = Moon("conv2", 3200, ["round", "bold"])  # of a layer that nobody asks for
    table = extract(model.backbone, data, ["ip1"], moon=moon, batch_images=3)
    assert list(table.features) == ["ip1"] and list(table.answers) == ["round", "bold"]
    row = int(np.flatnonzero(table.split == "test")[1])  # the first test image at its second angle
    image = rotate(few().image[torch.from_numpy(few().split == "test")][:1], ANGLES[1])
    with torch.no_grad():
        expected = moon.scores(model.backbone.features(image, ["conv2"])["conv2"].flatten(1))[0]
    assert [table.answers[name][row] for name in ("round", "bold")] == pytest.approx(expected.tolist(), abs=1e-5)
    assert np.array_equal(table.part("test").answers["bold"], table.answers["bold"][table.split == "test"])


def test_few_images_at_a_time_give_the_same_rows(data: RotatedImages) -> None:
    whole, few_at_a_time = (extract(make_model().backbone, data, ["ip1"], batch_images=n) for n in (128, 3))
    assert few_at_a_time.features["ip1"] == pytest.approx(whole.features["ip1"], abs=1e-5)
    assert np.array_equal(few_at_a_time.source, whole.source)


def test_a_network_that_does_not_classify_predicts_nothing(data: RotatedImages) -> None:
    assert features_of(make_model(classifies=False), data, ["ip1"]).prediction is None


def test_fewer_training_images_are_the_same_for_every_network(data: RotatedImages) -> None:
    whole, table = (features_of(make_model(), data, ["ip1"], train_images=most) for most in (None, 9))
    sizes = {split: (table.split == split).sum() // len(ANGLES) for split in ("train", "val", "test")}
    assert sizes == {"train": 9, "val": (few().split == "val").sum(), "test": (few().split == "test").sum()}
    kept = np.isin(whole.source, table.source)
    assert kept.sum() == len(table) and (table.source == whole.source[kept]).all()
    assert table.features["ip1"] == pytest.approx(whole.features["ip1"][kept], abs=1e-5)
    again = features_of(make_model(), data, ["ip1"], train_images=9)
    assert np.array_equal(again.source, table.source)


def test_unknown_layers_are_refused(data: RotatedImages) -> None:
    with pytest.raises(InvariantNetsError, match="no layer 'fc7'"):
        features_of(make_model(), data, ["fc7"])


class People(BankedImages):
    """Nothing to train on, five images of people 0, 3 and 12."""

    def load(self) -> str:
        return "made"

    def make_bank(self, split: str) -> Bank:
        label = torch.tensor([0, 3, 3, 12, 12] if split == "test" else [], dtype=torch.int64)
        return Bank(torch.zeros(len(label), 1, 1, 28, 28, dtype=torch.uint8), label)

    def names(self, split: str) -> np.ndarray:
        return np.array([f"image{i}" for i in range(5 if split == "test" else 0)], dtype=str)


def test_a_set_that_is_all_test_counts_its_own_people_and_keeps_their_names() -> None:
    table = features_of(make_model(), People(DataSpec((1, 28, 28), 0)), ["ip1"])
    assert table.split.tolist() == ["test"] * 5 and table.label.tolist() == [0, 3, 3, 12, 12]
    assert table.num_classes == 13 and table.name is not None
    assert table.name.tolist() == ["image0", "image1", "image2", "image3", "image4"]
    assert features_of(make_model(), People(DataSpec((1, 28, 28), 20)), ["ip1"]).num_classes == 20


def test_images_without_names_give_none(data: RotatedImages) -> None:
    assert features_of(make_model(), data, ["ip1"]).name is None


def test_classes_keep_their_names() -> None:
    every = RotatedImages(digits, 3, [1, 28, 28], [0.0, 20.0], classes=[7, 8, 9])
    table = features_of(make_model(), every, ["ip1"], train_images=30)
    assert table.classes == (7, 8, 9) and table.num_classes == 3
    found = run_probes(table, "ip1", [Mav()])
    assert [r.where.get("label") for r in found if r.probe == "mav"] == [None, 7, 8, 9]
    named = replace(table, classes=("seven", "eight", "nine"))
    found = run_probes(named, "ip1", [Mav()])
    assert [r.where.get("label") for r in found if r.probe == "mav"] == [None, "seven", "eight", "nine"]


def test_of_many_classes_each_has_an_image() -> None:
    """Drawn freely, 400 of 42 images each of 100 classes miss some; where none is missed, nothing else is drawn."""
    label = np.tile(np.arange(100), 42)
    free = np.sort(numpy_rng(0, len(label)).permutation(len(label)))
    found = choose(label, np.arange(100), 400).numpy()
    assert len(found) == len(set(found.tolist())) == 400 and set(label[found]) == set(range(100))
    assert len(set(label[choose(label, np.arange(100, 200), 400).numpy()])) < 100, "of people never trained on"
    assert np.array_equal(choose(label, np.arange(100), len(label)).numpy(), free)
    few = np.tile(np.arange(3), 40)
    assert np.array_equal(choose(few, np.arange(3), 60).numpy(), np.sort(numpy_rng(0, 120).permutation(120)[:60]))
    assert len(choose(label, np.arange(100), 50)) == 50
