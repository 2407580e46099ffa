from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score, roc_curve
from torchmetrics.classification import BinaryAUROC, BinaryEER, BinaryROC

from invariantnets.protocols.rates import FARS, auc, eer, roc, shares_above, tar_at, thresholds_at


def scored(kind: str, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    same = rng.random(n) < 0.4
    scores = rng.normal(size=n) + same
    return (np.round(scores) if kind == "ties" else scores).astype(np.float32), same


@pytest.mark.parametrize("kind", ["smooth", "ties"])
def test_agrees_with_scikit_learn(kind: str) -> None:
    scores, same = scored(kind)
    far, tar = roc(scores, same)
    fpr, tpr, _ = roc_curve(same, scores, drop_intermediate=False)
    assert far == pytest.approx(fpr) and tar == pytest.approx(tpr)
    assert auc(far, tar) == pytest.approx(roc_auc_score(same, scores))
    assert eer(far, tar) == pytest.approx(brentq(lambda x: 1 - x - interp1d(fpr, tpr)(x), 0, 1), abs=1e-6)


@pytest.mark.parametrize("batches", [1, 3, 7])
@pytest.mark.parametrize("kind", ["smooth", "ties"])
def test_agrees_with_torchmetrics_told_that_scores_are_no_logits(kind: str, batches: int) -> None:
    scores, same = scored(kind)
    curve, area, error = (measure(normalization=None) for measure in (BinaryROC, BinaryAUROC, BinaryEER))
    for part in np.array_split(np.arange(len(scores)), batches):
        for measure in (curve, area, error):
            measure.update(torch.from_numpy(scores[part]), torch.from_numpy(same[part].astype(np.int64)))
    far, tar = roc(scores, same)
    fpr, tpr, thresholds = curve.compute()
    assert far == pytest.approx(fpr.numpy()) and tar == pytest.approx(tpr.numpy())
    assert np.array_equal(thresholds[1:].numpy(), np.unique(scores)[::-1])
    assert auc(far, tar) == pytest.approx(area.compute().item(), abs=1e-6)
    # Its equal error rate is that of the threshold where both are nearest; ours lies between two thresholds.
    step = max(np.diff(far).max(), np.diff(tar).max())
    assert eer(far, tar) == pytest.approx(error.compute().item(), abs=step)


def test_torchmetrics_takes_raw_scores_for_logits_batch_by_batch() -> None:
    """Why curves are ours: a sigmoid is put over those batches that happen to leave [0, 1], and over no others."""
    same = np.tile([False, True], 4)
    scores = np.array([0.1, 0.52, 0.2, 0.55, 0.0, 1.2, 0.3, 1.1], np.float32)  # the second half is not all in [0, 1]
    area = {}
    for batches in (1, 2):
        measure = BinaryAUROC()
        for part in np.array_split(np.arange(8), batches):
            measure.update(torch.from_numpy(scores[part]), torch.from_numpy(same[part].astype(np.int64)))
        area[batches] = float(measure.compute())
    assert auc(*roc(scores, same)) == area[1] == 1.0
    assert area[2] == pytest.approx(14 / 16)  # 0.3 became 0.574


@pytest.mark.parametrize("kind", ["smooth", "ties"])
def test_weights_are_repetitions(kind: str) -> None:
    scores, same = scored(kind)
    times = np.random.default_rng(2).integers(0, 4, len(scores))
    repeated = np.repeat(np.arange(len(scores)), times)
    far, tar = roc(scores, same, times.astype(float))
    plain = roc(scores[repeated], same[repeated])
    wanted = np.array(FARS)
    assert auc(far, tar) == pytest.approx(auc(*plain)) and eer(far, tar) == pytest.approx(eer(*plain))
    assert tar_at(far, tar, wanted) == pytest.approx(tar_at(*plain, wanted))
    impostor = ~same
    ours = thresholds_at(scores[impostor], wanted, times[impostor].astype(float))
    assert np.array_equal(ours, thresholds_at(scores[repeated][impostor[repeated]], wanted))


@pytest.mark.parametrize("kind", ["smooth", "ties"])
def test_thresholds_keep_their_promise_and_no_lower_one_would(kind: str) -> None:
    scores, same = scored(kind)
    impostor, wanted = scores[~same], np.array(FARS)
    for far, threshold in zip(wanted, thresholds_at(impostor, wanted), strict=True):
        assert (impostor > threshold).mean() <= far + 1e-12
        lower = impostor[impostor < threshold]
        assert not len(lower) or (impostor > lower.max()).mean() > far
    assert shares_above(scores[same], thresholds_at(impostor, wanted)) == pytest.approx(
        tar_at(*roc(scores, same), wanted)
    )


def test_by_hand() -> None:
    genuine, impostor = np.array([0.9, 0.7, 0.3]), np.array([0.8, 0.4, 0.2, 0.1])
    same = np.repeat([True, False], [3, 4])
    far, tar = roc(np.concatenate([genuine, impostor]), same)
    assert auc(far, tar) == pytest.approx(9 / 12)  # pairs in the right order: 4 + 3 + 2
    assert thresholds_at(impostor, np.array([0, 0.2, 0.25, 0.5, 1])).tolist() == [0.8, 0.8, 0.4, 0.2, -np.inf]
    assert tar_at(far, tar, np.array([0, 0.25, 0.5, 1])) == pytest.approx([1 / 3, 2 / 3, 1, 1])
    assert eer(far, tar) == pytest.approx(1 / 4 + 1 / 12, abs=0.09)


def test_perfect_and_blind_scores() -> None:
    same = np.arange(10) < 5
    for scores, area, error in ((same * 1.0, 1.0, 0.0), (np.zeros(10), 0.5, 0.5), (~same * 1.0, 0.0, 1.0)):
        curve = roc(scores, same)
        assert (auc(*curve), eer(*curve)) == (area, error)


def test_a_million_impostors_of_a_grid_of_rates() -> None:
    impostor = np.random.default_rng(3).permutation(1_000_000).astype(np.float32)
    assert thresholds_at(impostor, np.array([1e-4, 1e-3, 0.1])).tolist() == [999_899, 998_999, 899_999]
