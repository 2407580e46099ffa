"""From a network and a pool to the pictures to train on: what is kept, what is continued, what is refused."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from invariantnets import look_alikes
from invariantnets.bootstrapping import extraction
from invariantnets.checkpoint import load_model
from invariantnets.data import SelectedFaces
from invariantnets.data.bootstrap import load_pictures
from invariantnets.errors import InvariantNetsError
from invariantnets.look_alikes import find_look_alikes, told
from look_alikes import checkpoint, configuration
from programs import environment

PRODUCTS = ("features.npy", "normals.npy", "selection.json", "selection.parquet")


@pytest.fixture(scope="module", autouse=True)
def blocks() -> Iterator[None]:
    """As many pictures at once as in the process that is killed: other batches may be rounded otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction, "BLOCK", 50)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network, and all products of it."""
    folder = tmp_path_factory.mktemp("look_alikes")
    checkpoint(folder / "net.ckpt")
    find_look_alikes(configuration(folder), folder / "hyperplanes")
    return folder


def found(cfg: DictConfig, folder: Path) -> SelectedFaces:
    """What is trained on."""
    find_look_alikes(cfg, folder)
    data: SelectedFaces = instantiate(cfg.data, _convert_="all")
    data.setup()
    return data


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in PRODUCTS}


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """The same products, to spoil."""
    for name in ("products", "cache"):
        shutil.copytree(made / name, tmp_path / name)
    shutil.copy(made / "net.ckpt", tmp_path / "net.ckpt")
    return tmp_path


def test_features_are_the_networks_and_people_lie_together(made: Path) -> None:
    data = found(configuration(made), made / "again")
    model, _ = load_model(made / "net.ckpt")
    bank = data.pool.bank("train")
    with torch.no_grad():
        expected = torch.nn.functional.normalize(model.layers(bank.image, ["ip1"])["ip1"][:, 0], dim=1)
    features = np.load(made / "products" / "features.npy")
    assert features.shape == (180, 16)
    np.testing.assert_allclose(features, expected.numpy(), atol=1e-6)  # the pool's pictures lie in this order too
    normals = np.load(made / "products" / "normals.npy")
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), np.ones(30), atol=1e-6)


def test_trained_on_are_the_pictures_of_the_look_alikes(made: Path) -> None:
    data = found(configuration(made), made / "again")
    selection = json.loads((made / "products" / "selection.json").read_text())
    normals = np.load(made / "products" / "normals.npy").astype(np.float64)
    table = np.argsort(-normals @ normals.T, axis=1)[:, :5]
    chosen = load_pictures(made / "again" / "bootstrap" / "pictures.parquet")
    assert len(chosen.identities) == data.spec.num_classes == selection["identities"]
    seeds = [i for i in range(30) if set(table[i]) <= set(chosen.identities.tolist())]
    assert len(seeds) >= 3 and set(np.unique(table[seeds])) >= set(chosen.identities.tolist())
    assert len(data.bank("train")) == 6 * selection["identities"] and len(data.bank("val")) == 2 * data.spec.num_classes
    assert len(data.bank("test")) == 12
    for name in ("selection.json", "selection.parquet", "selection_sheet.png", "figures.json"):
        assert (made / "again" / "bootstrap" / name).is_file()


@pytest.mark.parametrize("by", ["random", "instances"])
def test_other_ways_choose_as_many_pictures(made: Path, by: str) -> None:
    before = {name: (made / "products" / name).stat().st_mtime_ns for name in PRODUCTS}
    reference = found(configuration(made), made / "again")
    data = found(configuration(made, by=by), made / by)
    assert len(data.bank("train")) == len(reference.bank("train"))
    assert by == "instances" or data.spec.num_classes == reference.spec.num_classes
    assert set(data.chosen.row.tolist()) != set(reference.chosen.row.tolist())
    assert {name: (made / "products" / name).stat().st_mtime_ns for name in PRODUCTS} == before, "shared, not remade"
    assert not (made / by / "bootstrap" / "selection.json").exists(), "not what these were chosen by"


def test_the_same_seed_chooses_the_same_and_another_others(made: Path, tmp_path: Path) -> None:
    kept = content(made / "products")
    rows = []
    for seed in (0, 1):
        folder = tmp_path / str(seed)
        rows.append(found(configuration(made, choice_seed=seed, folder=str(folder)), tmp_path / "run").chosen.row)
        assert (content(folder) == kept) == (seed == 0)
    assert rows[0].tolist() != rows[1].tolist()


def test_wrong_names_are_felt_by_features_and_training(made: Path, tmp_path: Path) -> None:
    data = found(configuration(made, label_noise=0.2, folder=str(tmp_path)), tmp_path / "run")
    chosen = data.chosen
    train = chosen.split == "train"
    wrong = chosen.identity[train] != data.pool.bank("train").label.numpy()[chosen.row[train]]
    assert 0.05 < wrong.mean() < 0.4
    val = chosen.split == "val"
    assert (chosen.identity[val] == data.pool.bank("val").label.numpy()[chosen.row[val]]).all(), "val tells the truth"
    clean, noisy = (np.load(folder / "features.npy") for folder in (made / "products", tmp_path))
    assert (clean != noisy).any()
    order = [np.lexsort(x.T) for x in (clean, noisy)]
    np.testing.assert_allclose(clean[order[0]], noisy[order[1]], atol=1e-6)  # the same pictures, in another order


@pytest.mark.parametrize(
    ("step", "done", "there", "missing"),
    [
        ("features", 100, "features.npy.progress.json", "normals.npy"),
        pytest.param("hyperplanes", 0, "normals.npy.progress.json", "selection.json", marks=pytest.mark.slow),
        pytest.param("selection", 0, "selection.json", "run", marks=pytest.mark.slow),
    ],
)
def test_killed_and_continued_equals_uninterrupted(
    made: Path, tmp_path: Path, step: str, done: int, there: str, missing: str
) -> None:
    shutil.copy(made / "net.ckpt", tmp_path)
    shutil.copytree(made / "cache", tmp_path / "cache")
    command = [sys.executable, str(Path(__file__).with_name("look_alikes.py")), str(tmp_path), step, str(done)]
    threads = environment(OMP_NUM_THREADS=str(torch.get_num_threads()))  # so may sums of several threads
    assert subprocess.run(command, env=threads, capture_output=True).returncode == -9
    products = tmp_path / "products"
    assert (products / there).is_file() and not (products / missing).exists()
    if step == "features":
        assert json.loads((products / there).read_text())["done"] == 100, "what is told is on the disk"
    find_look_alikes(configuration(tmp_path), tmp_path / "run")
    assert content(products) == content(made / "products")


def test_a_full_disk_costs_nothing_that_was_computed(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(made / "net.ckpt", tmp_path)
    commits: list[int] = []

    def sync(handle: int) -> None:
        commits.append(handle)
        if len(commits) == 5:  # what says how much was written, after the second block
            raise OSError(errno.ENOSPC, "No space left on device")

    cfg = configuration(tmp_path)
    cfg.data.pool.cache_dir = str(made / "cache")
    with monkeypatch.context() as full, pytest.raises(InvariantNetsError, match=r"No space left on device\); free"):
        full.setattr(os, "fsync", sync)
        find_look_alikes(cfg, tmp_path / "run")
    done = json.loads((tmp_path / "products" / "features.npy.progress.json").read_text())["done"]
    assert done == 50
    told_of: list[int] = []
    monkeypatch.setattr(look_alikes, "told", lambda what, total: told_of.append)
    find_look_alikes(cfg, tmp_path / "run")
    assert told_of[0] == 100, "only the rest is computed"
    assert content(tmp_path / "products") == content(made / "products")


def test_the_last_line_of_progress_is_always_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    tell = told("pictures", 3)
    for done in (1, 2, 3):
        tell(done)
    assert [record.message for record in caplog.records] == ["pictures: 3 of 3"]


def test_another_network_is_told_from_the_one_that_made_the_features(copied: Path) -> None:
    checkpoint(copied / "net.ckpt", seed=1)
    with pytest.raises(InvariantNetsError, match="features.npy: was made with another checkpoint; delete it"):
        find_look_alikes(configuration(copied), copied / "run")
    checkpoint(copied / "net.ckpt", embedding_dim=8)
    with pytest.raises(InvariantNetsError, match="features.npy: was made with another checkpoint, shape"):
        find_look_alikes(configuration(copied), copied / "run")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"pool": {"sample_seed": 5}}, "features.npy: was made with another pool; delete it"),
        ({"label_noise": 0.5}, "features.npy: was made with another labels; delete it"),
        ({"negatives": 30}, "normals.npy: was made with another negatives; delete it"),
        ({"seeds": 4}, "selection.json: was made with data.seeds=3 and data.neighbours=5; delete it"),
    ],
)
def test_products_of_other_settings_are_refused(copied: Path, changes: dict[str, Any], expected: str) -> None:
    before = content(copied / "products")
    with pytest.raises(InvariantNetsError, match=expected):
        find_look_alikes(configuration(copied, **changes), copied / "run")
    assert content(copied / "products") == before, "and kept"


@pytest.mark.parametrize("name", ["features.npy", "normals.npy", "selection.parquet"])
def test_a_truncated_product_is_refused(copied: Path, name: str) -> None:
    path = copied / "products" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InvariantNetsError, match=r"is missing or truncated|cannot be read"):
        find_look_alikes(configuration(copied), copied / "run")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"pool": {"first_identity": 0}}, r"was trained on 1 of the people in the pool \(synthetic/0/0, …\)"),
        ({"pool": {"images_per_identity": 1}}, "nobody in it has two pictures"),
        ({"neighbours": 31}, "data.neighbours=31: the pool has 30 people with two pictures or more"),
        ({"seeds": 0}, "data.seeds=0: the pool has 30 people"),
        ({"negatives": 181}, "data.negatives=181: the pool has 180 pictures"),
        ({"features_from": "nowhere.ckpt"}, "nowhere.ckpt: no such checkpoint"),
        (
            {"image_shape": [3, 28, 28], "pool": {"image_shape": [3, 28, 28]}},
            "reads images of .*24.*set data.image_shape",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_computed(
    made: Path, tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InvariantNetsError, match=expected):
        find_look_alikes(configuration(made, folder=str(tmp_path / "products"), **changes), tmp_path / "run")
    assert not any((tmp_path / "products").glob("*.npy"))


def test_networks_that_cannot_serve_are_refused(made: Path, tmp_path: Path) -> None:
    given = {"folder": str(tmp_path / "products"), "features_from": str(tmp_path / "net.ckpt")}
    for changes, expected in (
        ({"known": ("synthetic/0/1048577",)}, "was trained on 1 of the people to be tested on"),
        ({"embedding": "conv2"}, "its embedding conv2 is 50 × 6 × 6, where a vector is needed"),
    ):
        checkpoint(tmp_path / "net.ckpt", **changes)
        with pytest.raises(InvariantNetsError, match=expected):
            find_look_alikes(configuration(made, **given), tmp_path / "run")
    torch.save({"state_dict": {}}, tmp_path / "net.ckpt")
    with pytest.raises(InvariantNetsError, match="not written by invariantnets"):
        find_look_alikes(configuration(made, **given), tmp_path / "run")


def test_digits_are_no_pool(made: Path, tmp_path: Path) -> None:
    source = {"_target_": "invariantnets.data.sources.digits", "_partial_": True, "split_seed": 0}
    digits = {"_target_": "invariantnets.data.RotatedImages", "source": source, "num_classes": 10, "angles": [0]}
    net = checkpoint(tmp_path / "net.ckpt", image_shape=[1, 28, 28])
    cfg = configuration(made, folder=str(tmp_path), image_shape=[1, 28, 28], features_from=str(net))
    cfg.data.pool = {**digits, "image_shape": [1, 28, 28]}
    with pytest.raises(InvariantNetsError, match="data.pool: is not divided by person"):
        find_look_alikes(cfg, tmp_path / "run")
