"""Drawn people: against slow versions written another way, where the package is installed, and without it."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from invariantnets.data import SyntheticPeople, people
from invariantnets.data.people import mesh
from invariantnets.data.people.draw import Placed, drawn_faces, normals, placed, posed
from invariantnets.data.people.paint import Sitter
from invariantnets.data.people.person import Outfits, outfits
from invariantnets.data.people.pose import ANGLES, LIMITS, clearance, poses, rotations
from invariantnets.data.people.raster import rasterise
from invariantnets.errors import InvariantNetsError

CACHE = Path(os.environ.get("INVARIANTNETS_CACHE", "~/.cache/invariantnets")).expanduser()
INSTALLED = find_spec("anny") is not None
installed = pytest.mark.skipif(
    not INSTALLED or not mesh.kept(str(CACHE)).exists(),
    reason="needs the package anny, and the body that `python train.py data=synthetic_people` makes once, in 90 s",
)
SIZES = {"albums": 2, "val_albums": 1, "pictures": 2, "test_identities": 3, "test_albums": 2}
SIZE = 96


def numbers(*values: int) -> torch.Tensor:
    return torch.tensor(values)


def make(cache_dir: Path | str = "none", **changes) -> SyntheticPeople:
    return SyntheticPeople(4, [3, 48, 48], cache_dir=str(cache_dir), **{**SIZES, **changes})


def some(count: int = 8) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two pictures each of some people, of two albums."""
    row = torch.arange(count)
    return row // 2, row % 2, row % 3


def drawn(*which: torch.Tensor, size: int = SIZE, **more) -> list[people.Figure]:
    return list(people.figures(*which, size=size, cache_dir=str(CACHE), **more))


def test_triangles_are_those_of_a_slow_loop() -> None:
    rng = np.random.default_rng(0)
    xy, depth = rng.uniform(-3, 23, (60, 2)), rng.normal(size=60)
    faces = rng.integers(0, 60, (80, 3))
    found = rasterise(xy, depth, faces, 18, 20)
    for row, column in np.ndindex(18, 20):
        best, which = np.inf, -1
        for number, (a, b, c) in enumerate(faces):
            matrix = np.vstack([xy[[a, b, c]].T, np.ones(3)])
            if abs(np.linalg.det(matrix)) < 1e-9:
                continue
            share = np.linalg.solve(matrix, (column, row, 1))
            turns = np.linalg.det(matrix) < 0
            if turns and (share >= 0).all() and share @ depth[[a, b, c]] < best:
                best, which = share @ depth[[a, b, c]], number
        assert found.face[row, column] == which and found.depth[row, column] == pytest.approx(best)
    assert (found.face >= 0).any() and (found.face < 0).any()


def test_a_closed_surface_has_no_holes() -> None:
    side = np.linspace(0, 30, 41)
    x, y = np.meshgrid(side, side)
    jitter = (
        np.random.default_rng(1).uniform(-0.2, 0.2, (41, 41, 2)) * ((x > 0) & (x < 30) & (y > 0) & (y < 30))[..., None]
    )
    number = np.arange(41 * 41).reshape(41, 41)
    a, b, c, d = (of.ravel() for of in (number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]))
    faces = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
    found = rasterise((np.stack([x, y], 2) + jitter).reshape(-1, 2), np.zeros(41 * 41), faces, 31, 31)
    assert (found.face >= 0).all()


def test_poses_are_within_the_limits_and_nothing_touches() -> None:
    number = torch.arange(600)
    stout = np.linspace(0.9, 1.15, 600)
    found = poses(3, number, number % 4, number % 5, stout)
    for name in ANGLES:
        assert found[name].min() >= LIMITS[name][0] and found[name].max() <= LIMITS[name][1]
        assert found[name].std() > 0.5
    assert clearance(rotations(found), stout).min() > 0
    alone = poses(3, number[7:8], number[7:8] % 4, number[7:8] % 5, stout[7:8])
    assert all(alone[name][0] == found[name][7] for name in ANGLES)
    crossed = {name: values[:1] * 0 for name, values in found.items()} | {
        "left_arm": np.array([9.0]), "left_elbow": np.array([95.0]), "left_arm_turn": np.array([90.0])}  # fmt: skip
    assert clearance(rotations(crossed), np.ones(1)) < 0


@pytest.mark.parametrize(
    ("arm", "azimuth", "expected"),
    [(0, 0, (0, 0, -1)), (90, 0, (1, 0, 0)), (90, 90, (0, -1, 0)), (60, 0, (0.866, 0, -0.5))],
)
def test_an_arm_points_where_its_angles_say(arm: float, azimuth: float, expected: tuple[float, float, float]) -> None:
    pose = dict.fromkeys(ANGLES, np.zeros(1)) | {"left_arm": np.array([arm]), "left_arm_azimuth": np.array([azimuth])}
    pose |= {"right_arm": pose["left_arm"], "right_arm_azimuth": pose["left_arm_azimuth"]}
    turned = rotations(pose)
    rest = np.array((0.377, -0.031, 0.437)) - (0.186, -0.022, 0.651)  # elbow, shoulder
    for letter, sign in (("L", 1), ("R", -1)):
        way = turned[f"clavicle.{letter}"][0] @ turned[f"upperarm01.{letter}"][0] @ (rest * (sign, 1, 1))
        assert np.allclose(way / np.linalg.norm(way), np.array(expected) * (sign, 1, 1), atol=1e-3)


def test_clothes_are_the_albums_and_people_are_their_own() -> None:
    told = people.known(numbers(5, 5, 5, 6), numbers(0, 0, 1, 0), numbers(0, 1, 0, 0))
    assert told.of.tolist() == [0, 0, 0, 1] and len(told.who.hair) == 2
    assert np.array_equal(told.worn.top[0], told.worn.top[1])
    assert not np.allclose(told.worn.top[0], told.worn.top[2]) and not np.allclose(told.worn.top[0], told.worn.top[3])
    assert told.scene["yaw"][0] != told.scene["yaw"][1] and told.poses["look"][0] != told.poses["look"][1]
    many = torch.arange(4000)
    skirts = outfits(0, many, many * 0, many.numpy() % 2 == 1).skirt
    assert not skirts[::2].any() and skirts[1::2].mean() == pytest.approx(0.35, abs=0.03)


def test_nobody_is_in_two_splits_and_rows_are_columns() -> None:
    data = make()
    assert not set(data.identities("train")) & set(data.identities("test"))
    columns = data.columns("test")
    assert columns["person"].tolist() == [1 << 20] * 4 + [(1 << 20) + 1] * 4 + [(1 << 20) + 2] * 4
    assert columns["album"].tolist() == [0, 0, 1, 1] * 3 and columns["picture"].tolist() == [0, 1] * 6
    assert data.names("test")[2] == f"people/0/{1 << 20}/1/0" and len(set(data.names("train"))) == 16
    train, val = data.columns("train"), data.columns("val")
    assert set(train["person"]) == set(val["person"]) and not set(train["album"]) & set(val["album"])
    more = make(test_identities=5, albums=3, val_albums=2).columns("test")
    assert all(np.array_equal(more[name][:12], values) for name, values in columns.items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ranges": {"yaw": [10, -10]}}, "yaw needs"),
        ({"ranges": {"smile": 1}}, "nothing that varies"),
        ({"ranges": {"zoom": [0.5, 1.2]}}, "zoom"),
        ({"ranges": {"across": [0, 1.5]}}, "across"),
        ({"albums": 0}, "data.albums=0"),
        ({"cache_dir": ""}, "data.cache_dir"),
    ],
)
def test_what_cannot_be_drawn(changes: dict, message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        make(**changes)


def test_what_never_varies_is_not_declared() -> None:
    names = [nuisance.name for nuisance in make(ranges={"pitch": 0, "light_strength": 1}).spec.nuisances]
    assert "yaw" in names and not {"pitch", "light_strength"} & set(names)


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "anny", None)
    with pytest.raises(InvariantNetsError, match=r"pip install 'invariantnets\[people\]'"):
        mesh.body(str(tmp_path))

    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("invariantnets.data.synthetic_people.version", absent)
    with pytest.raises(InvariantNetsError, match=r"pip install 'invariantnets\[people\]'"):
        make(tmp_path).prepare_data()


@pytest.fixture(scope="module")
def seen() -> list[tuple[people.Figure, Sitter, Placed]]:
    """Some pictures, and how the bodies on them stand before the camera."""
    which = some()
    told, body, found = people.known(*which), people.body(str(CACHE)), []
    for row, figure in enumerate(drawn(*which)):
        vertices, rest = posed(body, told.who, told.of[row], {k: v[row : row + 1] for k, v in told.poses.items()})
        sitter = Sitter.of(body, told.who, told.of[row], rest)
        outfit = Outfits(*(values[row] for values in told.worn))
        scene = {name: float(values[row]) for name, values in told.scene.items()}
        found.append((figure, sitter, placed(sitter, vertices[0], outfit, scene, SIZE)))
    return found


@installed
def test_keypoints_are_those_of_the_package_seen_by_a_camera(seen) -> None:
    """The package's own pose and keypoints, and a camera as a matrix found from four vertices that are drawn bare."""
    import anny

    which = some()
    told, body = people.known(*which), people.body(str(CACHE))
    regressor = anny.KeypointsRegressor(torch.from_numpy(body.keypoints).float(), list(body.names))
    assert body.names[:3] == ("nose", "left_eye", "right_eye") and len(body.names) == 23
    bare = np.flatnonzero((body.kind == 3) & (body.canonical[:, 2] < 0.4))[::40]  # hands wear nothing
    for row, (figure, _, at) in enumerate(seen):
        turned = {}
        for bone, matrix in rotations({k: v[row : row + 1] for k, v in told.poses.items()}).items():
            turned[bone] = torch.eye(4)[None].clone()
            turned[bone][0, :3, :3] = torch.from_numpy(matrix[0])
        who = {k: float(v[told.of[row]]) for k, v in told.who.phenotype.items()}
        change = {k: float(v[told.of[row]]) for k, v in told.who.change.items()}
        with torch.no_grad():
            out = body.model(turned, phenotype_kwargs=who, local_changes_kwargs=change)
            joint = regressor(out)[0].double().numpy()
        vertex = out["vertices"][0].double().numpy()
        homogeneous = np.column_stack([vertex[bare], np.ones(len(bare))])
        camera, *_ = np.linalg.lstsq(homogeneous, at.place[bare, :2], rcond=None)
        assert np.abs(homogeneous @ camera - at.place[bare, :2]).max() < 1e-3
        assert np.abs(np.column_stack([joint, np.ones(23)]) @ camera - figure.keypoints).max() < 2e-3
        # A camera without perspective: two orthogonal rows of one length; yaw turns the nose to the right.
        assert camera[:3, 0] @ camera[:3, 1] == pytest.approx(0, abs=1e-2)
        assert np.linalg.norm(camera[:3, 0]) == pytest.approx(at.scale, rel=1e-3)
        yaw = np.deg2rad(told.scene["yaw"][row])
        assert np.allclose(camera[:3, 0] / at.scale, (np.cos(yaw), -np.sin(yaw), 0), atol=1e-3)


def foremost(at: Placed, faces: np.ndarray, x: float, y: float) -> tuple[int, float]:
    """The nearest triangle that faces the camera, on a line of sight; by signed areas of all of them."""
    a, b, c = (at.place[corner] for corner in faces.T)

    def area(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return (p[:, 0] - x) * (q[:, 1] - y) - (p[:, 1] - y) * (q[:, 0] - x)

    u, v, w = area(b, c), area(c, a), area(a, b)
    total = u + v + w
    hit = (u <= 0) & (v <= 0) & (w <= 0) & (total < 0)
    if not hit.any():
        return -1, np.inf
    depth = (u * a[:, 2] + v * b[:, 2] + w * c[:, 2])[hit] / total[hit]
    return int(np.flatnonzero(hit)[depth.argmin()]), float(depth.min())


@installed
def test_what_is_seen_is_what_lines_of_sight_meet(seen) -> None:
    visible = []
    for figure, sitter, at in seen[:4]:
        faces = sitter.body.faces[at.faces]
        for k in range(len(figure.keypoints)):
            sample = np.rint(2 * (figure.keypoints[k] + 0.5) - 0.5)
            expected = False
            for step in np.ndindex(3, 3):
                x, y = (sample + step - 1 + 0.5) / 2 - 0.5
                number, depth = foremost(at, faces, x, y)
                own = number >= 0 and sitter.body.carries[k, sitter.body.part[at.faces[number]]]
                expected |= bool(own and at.joints[k, 2] - depth <= at.scale * sitter.flesh[k])
            assert figure.visible[k] == expected, (k, sitter.body.names[k])
            visible.append(expected)
    assert 0.3 < np.mean(visible) < 0.95


@installed
def test_everybody_is_whole_within_the_picture(seen) -> None:
    for figure, sitter, at in seen:
        low, high = figure.box[:2], figure.box[2:]
        assert (low >= -0.5).all() and (high <= SIZE - 0.5).all()
        used = at.place[np.unique(sitter.body.faces[at.faces])][:, :2]
        assert np.allclose((used.min(0), used.max(0)), (low, high))
        assert (figure.keypoints >= low - 1).all() and (figure.keypoints <= high + 1).all()
        row, column = np.nonzero(figure.part)
        assert low[0] - 1 <= column.min() and column.max() <= high[0] + 1
        assert low[1] - 1 <= row.min() and row.max() <= high[1] + 1
        assert len(figure.part[row, column]) > 0.05 * SIZE**2 / 2 and len(np.unique(figure.part)) > 6


@installed
def test_a_body_is_the_same_in_all_albums() -> None:
    """Its bones' lengths do not depend on album or pose; another person's differ."""
    body, told = people.body(str(CACHE)), people.known(*some())
    rests = [
        posed(body, told.who, told.of[row], {k: v[row : row + 1] for k, v in told.poses.items()})[1] for row in range(4)
    ]
    assert np.array_equal(rests[0], rests[1]) and np.abs(rests[0] - rests[2]).max() > 0.02
    bald = told.who._replace(hair=told.who.hair * 0)
    vertices, rest = posed(body, bald, 0, {k: v[:1] for k, v in told.poses.items()})
    sitter = Sitter.of(body, bald, 0, rest)
    plain = Outfits(*(values[0] for values in told.worn))._replace(skirt=np.False_)
    assert set(body.sheet[drawn_faces(sitter, plain)]) == {0}
    assert set(body.sheet[drawn_faces(sitter, plain._replace(skirt=np.True_))]) == {0, 2}


@installed
def test_normals_point_outwards() -> None:
    """By the divergence theorem a closed surface's volume is what its normals say."""
    body = people.body(str(CACHE))
    own = body.sheet == 0
    a, b, c = (body.canonical[corner] for corner in body.faces[own].T)
    assert 0.03 < (np.einsum("fi,fi->f", a, np.cross(b, c)) / 6).sum() < 0.12
    found = normals(body, body.canonical)
    for sheet, middle in ((1, (0, -0.05)), (2, (0, -0.01))):
        vertex = np.unique(body.faces[body.sheet == sheet])
        assert (np.einsum("vi,vi->v", body.canonical[vertex, :2] - middle, found[vertex, :2]) > 0).all()


@installed
def test_a_picture_is_a_function_of_its_numbers() -> None:
    one = drawn(*some(), size=64)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(one, drawn(*some(), size=64), strict=True))
    alone = drawn(*(of[5:6] for of in some()), size=64)[0]
    assert np.array_equal(alone.image, one[5].image) and np.array_equal(alone.keypoints, one[5].keypoints)
    other = drawn(*some(), size=64, seeds=(0, 1))
    assert all(np.abs(a.image.astype(int) - b.image).mean() > 2 for a, b in zip(one, other, strict=True))
    assert np.allclose(people.known(*some(), seeds=(0, 1)).who.hair, people.known(*some()).who.hair)


@installed
def test_the_data_set_holds_them(tmp_path: Path) -> None:
    mesh.kept(str(tmp_path)).symlink_to(mesh.kept(str(CACHE)))
    data = make(tmp_path)
    bank = data.bank("test")
    assert bank.image.shape == (12, 1, 3, 48, 48) and bank.label.tolist() == [4] * 4 + [5] * 4 + [6] * 4
    assert data.bank("train").label.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    figure = next(iter(data.figures("test", numbers(7))))
    assert np.array_equal(bank.image[7, 0].permute(1, 2, 0), figure.image)
    again = make(tmp_path)
    assert torch.equal(again.bank("test").image, bank.image) and again.checksum == data.checksum
    assert make(tmp_path, sample_seed=1).load() != data.checksum


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED, reason="needs the package anny")
def test_the_body_is_made_once(tmp_path: Path) -> None:
    made = mesh.body.__wrapped__(str(tmp_path))
    assert [path.name for path in tmp_path.glob("*.safetensors")] == [mesh.kept(str(tmp_path)).name]
    assert not list(tmp_path.glob(".anny-*")), "what the package wrote meanwhile is left"
    mesh.kept(str(tmp_path)).write_bytes(mesh.kept(str(tmp_path)).read_bytes())
    again = mesh.body.__wrapped__(str(tmp_path))
    assert np.array_equal(made.canonical, again.canonical) and made.names == again.names
