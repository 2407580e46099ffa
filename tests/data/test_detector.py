"""The detector of points, fitted to a tenth of its faces."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from invariantnets.alignment.fiducials import Fiducials
from invariantnets.data import Align, SyntheticFaces, detector, renderer
from invariantnets.data.faces_table import FacesTable
from invariantnets.errors import InvariantNetsError

SIDE = 80


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detector, "FITTED", range(1000, 1300))
        patch.setattr(detector, "KNOWN", range(4000, 4100))
        detector.detector.cache_clear()
        yield tmp_path_factory.mktemp("detector")
        detector.detector.cache_clear()


@pytest.fixture(scope="module")
def strangers() -> tuple[np.ndarray, np.ndarray]:
    number = torch.arange(100)
    codes = renderer.identity(0, number)
    values = renderer.nuisances(renderer.check_ranges({"yaw": [-40, 40]}), 0, number, torch.zeros_like(number), codes)
    drawn = renderer.render(codes, values, SIDE)
    return drawn.image.numpy(), drawn.landmarks.double().numpy()


def off(found: np.ndarray, true: np.ndarray) -> float:
    """In distances between the eyes."""
    eyes = np.linalg.norm(true[:, 36:42].mean(1) - true[:, 42:48].mean(1), axis=1)
    return float((np.linalg.norm(found - true, axis=2).mean(1) / eyes).mean())


def test_points_of_strangers_are_found(cache: Path, strangers: tuple[np.ndarray, np.ndarray]) -> None:
    images, true = strangers
    found, covariance = detector.detector(str(cache))
    mean = np.repeat(true.mean(0)[None], len(true), 0)
    first = Fiducials(found.template, found.stages[:1])
    assert off(found(images), true) < 0.75 * off(first(images), true) < 0.6 * off(mean, true)
    assert covariance.shape == (136, 136) and np.linalg.eigvalsh(covariance).min() > 0
    spread = np.sqrt(np.diag(covariance).reshape(68, 2).sum(1))
    assert spread[6:11].mean() > 1.2 * spread[36:48].mean(), "the chin's are off by more than the eyes'"


def test_a_large_picture_has_the_same_points(cache: Path, strangers: tuple[np.ndarray, np.ndarray]) -> None:
    images, _ = strangers
    found, _ = detector.detector(str(cache))
    large = images[:20].repeat(3, 2).repeat(3, 3)
    small, same = found(images[:20]), (found(large) + 0.5) / 3 - 0.5
    assert np.linalg.norm(small - same, axis=2).mean() < 0.02 * SIDE


def test_it_is_fitted_once_and_kept(cache: Path, strangers: tuple[np.ndarray, np.ndarray], caplog) -> None:
    found, covariance = detector.detector(str(cache))
    detector.detector.cache_clear()
    start = time.process_time()
    again, same = detector.detector(str(cache))
    assert time.process_time() - start < 1 and np.array_equal(same, covariance)
    assert np.array_equal(again(strangers[0][:5]), found(strangers[0][:5]))
    (path,) = cache.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:1000])
    detector.detector.cache_clear()
    with caplog.at_level(logging.WARNING):
        mended, _ = detector.detector(str(cache))
    assert "damaged" in caplog.text and np.allclose(mended(strangers[0][:5]), found(strangers[0][:5]))


def test_faces_are_aligned_by_points_that_nobody_told(cache: Path, tmp_path: Path) -> None:
    """Rendered ones, and files without landmarks, grey and in colour."""
    align = Align("frontal", points="detected", cache_dir=str(cache))
    data = SyntheticFaces(
        3, [3, 40, 40], 2, 1, 4, 2, ranges={"yaw": [-30, 30]}, align=align, device="cpu", batch_size=1, epoch_batches=1
    )
    data.setup()
    found = data.landmarks("test", torch.arange(8))
    generic = align.frame(40).generic_points
    assert np.linalg.norm(found - generic, axis=2).mean() < 0.06 * 40
    codes = renderer.identity(0, torch.arange(4))
    drawn = renderer.render(codes, _front(codes), 100).image
    for i, picture in enumerate(drawn.numpy()):
        Image.fromarray(picture.transpose(1, 2, 0)).save(tmp_path / f"{i}.png")
    rows = "path,person\n" + "".join(f"{i}.png,p{i // 2}\n" for i in range(4))
    (tmp_path / "faces.csv").write_text(rows)
    where = {"table": str(tmp_path / "faces.csv"), "root": str(tmp_path), "cache_dir": str(tmp_path / "cache")}
    for channels in (1, 3):
        files = FacesTable(
            **where, num_classes=0, test_fraction=1, image_shape=[channels, 40, 40], align=align, batch_size=1,
            epoch_batches=1,
        )  # fmt: skip
        files.setup()
        assert files.make_bank("test").image.shape == (4, 1, channels, 40, 40)


def _front(codes: torch.Tensor) -> dict[str, torch.Tensor]:
    number = torch.arange(len(codes))
    return renderer.frontal(renderer.nuisances(renderer.check_ranges({}), 0, number, number, codes))


def test_what_cannot_be_detected() -> None:
    with pytest.raises(InvariantNetsError, match=r"align\.points=guessed: choose from exact, detected"):
        Align(points="guessed")
    with pytest.raises(InvariantNetsError, match=r"needs align\.cache_dir"):
        Align(points="detected")
    with pytest.raises(ValueError, match="it has no landmarks: align.points=detected"):
        Align().file(Image.new("RGB", (50, 50)), (3, 40, 40), None, None)
