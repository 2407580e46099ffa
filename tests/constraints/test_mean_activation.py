"""Regression to mean activations: what is prepared from a teacher."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from test_constraints import CLASSES, WIDTH, make_batch, mean_activation

from invariantnets.backbones import LayeredBackbone, lenet
from invariantnets.constraints import MeanActivation
from invariantnets.data import Batch
from invariantnets.errors import InvariantNetsError


def image_batches(views: int = 3, classes: Iterable[int] = range(CLASSES)) -> list[Batch]:
    rng = torch.Generator().manual_seed(2)
    batches = []
    for size in (5, 8, 3):
        label = torch.tensor(list(classes))[torch.randint(len(list(classes)), (size,), generator=rng)]
        image = torch.randint(256, (size, views, 1, 16, 16), dtype=torch.uint8, generator=rng)
        batches.append(Batch(image, label, torch.zeros(size, views), torch.zeros(size, views)))
    batches.append(Batch(batches[0].image[: len(list(classes))], torch.tensor(list(classes)), *[torch.zeros(1, 1)] * 2))
    return batches


def teacher(width: int = WIDTH) -> LayeredBackbone:
    torch.manual_seed(0)
    return lenet((1, 16, 16), CLASSES, width).eval()


def test_targets_are_the_normalised_class_means_over_all_rotations() -> None:
    net, batches = teacher(), image_batches()
    term = MeanActivation("ip1", WIDTH, CLASSES)
    assert term.targets.isnan().all()
    term.prepare(net, lambda: batches)
    rows: list[list[np.ndarray]] = [[] for _ in range(CLASSES)]
    for batch in batches:
        for images, label in zip(batch.image, batch.label, strict=True):
            for image in images:
                rows[int(label)].append(net.features(image[None], ["ip1"])["ip1"][0].detach().numpy())
    mean = np.array([np.mean(r, 0) for r in rows])
    span = np.ptp(mean, 0)
    expected = (mean - mean.min(0)) / np.where(span > 0, span, 1)
    assert term.targets.numpy() == pytest.approx(expected, abs=1e-5)
    moving = span > 0
    assert moving.any()
    assert (term.targets.amin(0) == 0).all() and (term.targets.amax(0)[torch.from_numpy(moving)] == 1).all()


def test_features_equal_for_all_classes_get_the_target_zero() -> None:
    net = teacher()
    with torch.no_grad():
        net.layers["ip1"][1].bias[2] = -1e6  # never active
    term = MeanActivation("ip1", WIDTH, CLASSES)
    term.prepare(net, image_batches)
    assert (term.targets[:, 2] == 0).all() and term.targets.isfinite().all()


def test_any_layer_can_be_regressed() -> None:
    term = MeanActivation("pool2", 50, CLASSES)
    term.prepare(teacher(), image_batches)
    assert term.targets.shape == (CLASSES, 50) and term.targets.isfinite().all()


@pytest.mark.parametrize(
    ("net", "classes", "message"),
    [
        (None, range(CLASSES), "model.teacher=<checkpoint> or model.teacher=train"),
        (7, range(CLASSES), "the teacher's ip1 is 7 wide, this network's 6: set model.backbone.embedding_dim=7"),
        (WIDTH, [0, 1, 3], "class 2 has no training image"),
    ],
)
def test_what_cannot_be_prepared(net: int | None, classes: Iterable[int], message: str) -> None:
    term = MeanActivation("ip1", WIDTH, CLASSES)
    with pytest.raises(InvariantNetsError, match=message):
        term.prepare(None if net is None else teacher(net), lambda: image_batches(classes=classes))


def test_mean_activation_chance_is_the_loss_of_the_mean_target() -> None:
    term = mean_activation()
    _, batch = make_batch(range(CLASSES), 2)
    constant = term.targets.mean(0).expand(CLASSES, 2, -1)
    assert term({"ip1": constant}, batch).item() == pytest.approx(term.chance(), rel=1e-5)
