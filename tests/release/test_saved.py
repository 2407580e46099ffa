"""A fitted release on disk: the same to tomorrow's features, and one line for what is no release."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from invariantnets.errors import InvariantNetsError
from invariantnets.evaluation import run_suite
from invariantnets.features.io import load_table
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.release import Codes, Inlp, Lda, Leace, Noise, Pca, Qleace, Quantise, Release, Triplet, released
from invariantnets.results.result import read_jsonl
from programs import ROOT, run

RELEASES = {
    "leace": Leace(("yaw",)),
    "quantise": Quantise(3),
    "codes": Codes(5),
    "product": Codes(3, groups=2),
    "codes along axes": Codes(5, axes=2),
    "noise": Noise(0.5, seed=7),
    "qleace": Qleace(("yaw",), groups=2),
    "inlp": Inlp(("yaw",), rounds=1),
    "lda": Lda(3),
    "axes": Lda(3, sigma=0.0),
    "pca": Pca(3),
    "triplet": Triplet(3, steps=20, batch=4),
}
RIDGES = ("ridge", "ridge/per_label", "ridge/per_mav_label")
PROBES = tuple(f"probe.{name}=null" for name in ("quadratic", "rbf", "trees", "knn", "mlp"))


def features(seed: int, sources: int = 60) -> dict[str, np.ndarray]:
    """Four classes and a yaw in six features, as a user's ``.npz`` holds them; worlds differ by the noise alone."""
    world, rng = np.random.default_rng(0), np.random.default_rng(seed)
    label, yaw = np.arange(sources) % 4, rng.normal(size=sources)
    x = world.normal(size=(4, 6))[label] + yaw[:, None] * world.normal(size=6) + rng.normal(size=(sources, 6)) / 3
    split = np.repeat(["train", "val", "test"], sources // 3)
    return {"ip1": x.astype(np.float32), "label": label, "split": split, "yaw": yaw}


def table_of(columns: dict[str, np.ndarray]) -> FeatureTable:
    return FeatureTable(
        features={"ip1": columns["ip1"]},
        label=columns["label"],
        split=columns["split"],
        source=np.arange(len(columns["label"])),
        nuisance={"yaw": columns["yaw"]},
        nuisances=(Nuisance("yaw"),),
        num_classes=4,
        meta={"checksum": "c0ffee"},
    )


TABLE, OTHER = table_of(features(0)), table_of(features(1))


@pytest.mark.parametrize("name", RELEASES)
def test_what_is_loaded_does_the_same_as_what_was_saved(name: str, tmp_path: Path) -> None:
    fitted = RELEASES[name].fit(TABLE, "ip1")
    loaded = Release.load(fitted.save(tmp_path / "ip1.safetensors"))
    for table in (TABLE, OTHER):
        x = table.features["ip1"]
        assert loaded(x).dtype == np.float32 and loaded(x).tobytes() == fitted(x).tobytes()
        assert released(table, loaded).features["ip1"].tobytes() == fitted(x).tobytes()
        for row in (0, 59):  # each row by itself: nothing is fitted to the others
            np.testing.assert_allclose(loaded(x[row : row + 1]), fitted(x)[row : row + 1], atol=1e-6)
    assert loaded(np.zeros((0, 6))).shape == (0, loaded(x).shape[1])
    known = ("layer", "width", "how", "rows", "data", "noise", "version")
    assert [getattr(loaded, key) for key in known] == [getattr(fitted, key) for key in known]
    assert (loaded.width, loaded.rows, loaded.data) == (6, 20 if name != "noise" else 0, {"checksum": "c0ffee"})
    assert loaded.fit(OTHER, "ip1") is loaded
    assert loaded.save(tmp_path / "again.safetensors").read_bytes() == (tmp_path / "ip1.safetensors").read_bytes()


def test_the_file_is_tensors_and_words(tmp_path: Path) -> None:
    path = RELEASES["quantise"].fit(TABLE, "ip1").save(tmp_path / "ip1.safetensors")
    with safe_open(path, "numpy") as file:
        record, levels = json.loads(file.metadata()["invariantnets.release"]), file.get_tensor("levels")
    assert record["_target_"] == "invariantnets.release.quantise.round_to" and record["how"] == "quantised to 3 levels"
    assert levels.shape == (6, 3) and (np.diff(levels) > 0).all()
    assert set(np.unique(Release.load(path)(OTHER.features["ip1"])[:, 2])) <= set(levels[2].astype(np.float32))


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.zeros((5, 7)), r"is for features of shape \(N, 6\) of layer 'ip1', not \(5, 7\)"),
        (np.zeros(6), r"not \(6,\)"),
        (np.full((2, 6), np.nan), "12 values are NaN or infinite"),
    ],
)
def test_other_features_are_refused(x: np.ndarray, said: str) -> None:
    for name in RELEASES:
        with pytest.raises(InvariantNetsError, match=said):
            RELEASES[name].fit(TABLE, "ip1")(x)


def test_another_layer_is_refused() -> None:
    fitted = RELEASES["leace"].fit(TABLE, "ip1")
    with pytest.raises(InvariantNetsError, match=r"layers=ip2: the release \(leace of yaw\) is for layer 'ip1'"):
        fitted.fit(TABLE, "ip2")
    with pytest.raises(InvariantNetsError, match="has no layer 'ip2'"):
        Quantise().fit(TABLE, "ip2")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("os.system", "names os.system, which is no function of invariantnets.release"),
        ("invariantnets.checkpoint.load_model", "is no function of"),
        ("invariantnets.release.leace.np.load", "is not a package"),
        ("invariantnets.release.leace.moments", "is no function of"),
        ("invariantnets.release.leace.Leace", "is no function of"),
        ("invariantnets.release.letters.encode", "No module named"),
        ("invariantnets.release.quantise.best_levels", "unexpected keyword argument 'mean'"),
        ("invariantnets.release.quantise.round_to", "unexpected keyword argument 'mean'"),
    ],
)
def test_a_file_names_nothing_but_releases(target: str, said: str, tmp_path: Path) -> None:
    path = RELEASES["leace"].fit(TABLE, "ip1").save(tmp_path / "ip1.safetensors")
    rewrite(path, _target_=target)
    refused(path, said)


def rewrite(path: Path, **changes: object) -> None:
    """Change the record in the header of a file."""
    with safe_open(path, "numpy") as file:
        record = json.loads(file.metadata()["invariantnets.release"]) | changes
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    save_file(tensors, path, {"invariantnets.release": json.dumps(record)})


def refused(path: Path, said: str) -> None:
    with pytest.raises(InvariantNetsError, match=re.escape(said)) as error:
        Release.load(path)
    assert str(error.value).startswith(f"release={path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("name", RELEASES)
def test_what_is_no_release_is_one_line(name: str, tmp_path: Path) -> None:
    path = RELEASES[name].fit(TABLE, "ip1").save(tmp_path / "ip1.safetensors")
    whole = path.read_bytes()
    for cut in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:cut])
        refused(path, "not written by invariantnets, or damaged")
    for changes in ({"width": 5}, {"width": "six"}, {"width": -1}, {"colour": "red"}):
        path.write_bytes(whole)
        rewrite(path, **changes)
        refused(path, "not written by invariantnets, or damaged")
    save_file({"ip1": np.zeros((3, 6))}, path)  # anybody's tensors
    refused(path, "it holds tensors, but no release")
    path.write_bytes(b"PK\x03\x04 not tensors at all")
    refused(path, "not written by invariantnets, or damaged")
    refused(tmp_path / "none.safetensors", "no such file; a run leaves <run>/release/<layer>.safetensors")


def test_the_examples_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What evaluate.py says of other features with the file is what is said of them released by hand."""
    page = (ROOT / "docs" / "probing.md").read_text(encoding="utf-8")
    section = re.split(r"\n## ", page[page.index("\n## Releases\n") + 1 :])[0]
    (commands,), (code,) = (re.findall(rf"```{kind}\n(.*?)```", section, re.DOTALL) for kind in ("bash", "python"))
    monkeypatch.chdir(tmp_path)
    np.savez("today.npz", **features(0))
    np.savez("tomorrow.npz", **features(1))
    np.save("tomorrow.npy", features(1)["ip1"])
    for line, folder in zip(commands.splitlines(), ("outputs/today", "file"), strict=True):
        program, *words = line.split("  #")[0].removeprefix("python ").split()
        run(program, f"hydra.run.dir={folder}", *words, *PROBES, cwd=tmp_path)
    saved = tmp_path / "outputs" / "today" / "release" / "ip1.safetensors"
    release = Release.load(saved)
    assert release.how == "leace of yaw" and release.data["data"] == "features on today.npz"
    assert (tmp_path / "file" / "release" / "ip1.safetensors").read_bytes() == saved.read_bytes()

    by_hand = run_suite(released(load_table("tomorrow.npz"), release), ["mav", "class_mean", "class_mean/mav", *RIDGES])
    found, first = (read_jsonl(tmp_path / folder / "results.jsonl") for folder in ("file", "outputs/today"))
    assert found == by_hand.results and found != first

    names: dict[str, np.ndarray] = {}
    exec(code, names)
    np.testing.assert_array_equal(names["x"], release(features(1)["ip1"]))


def test_a_release_that_does_not_fit_is_one_line(tmp_path: Path) -> None:
    columns = features(0)
    (tmp_path / "seed=0").mkdir()
    RELEASES["quantise"].fit(TABLE, "ip1").save(tmp_path / "seed=0" / "ip1.safetensors")
    np.savez(tmp_path / "wide.npz", **{**columns, "ip1": np.tile(columns["ip1"], 2)})
    given = ("features=wide.npz", "release=seed=0/ip1.safetensors")
    _, err = run("evaluate.py", *given, *PROBES, "hydra.run.dir=out", cwd=tmp_path, code=2)
    assert "is for features of shape (N, 6) of layer 'ip1', not (60, 12)" in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("error: ") and "Traceback" not in err
