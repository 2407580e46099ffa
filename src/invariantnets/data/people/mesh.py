"""The body: a CC0 mesh of the package ``anny`` (Brégier et al. 2025, arXiv:2511.03589) with hair and a skirt added."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
from filelock import FileLock
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load, save

from invariantnets.data.people import cloth
from invariantnets.errors import InvariantNetsError
from invariantnets.files import write_atomically

log = logging.getLogger(__name__)

# Changes of a head that the package knows, one number each; they come on top of the phenotypes.
CHANGES = (
    "head-fat-incr", "head-scale-vert-incr", "head-scale-horiz-incr", "head-scale-depth-incr",
    "head-back-scale-depth-incr", "forehead-scale-vert-incr", "nose-scale-horiz-incr", "nose-scale-vert-incr",
    "nose-scale-depth-incr", "chin-width-incr", "chin-height-incr", "chin-prominent-incr", "mouth-scale-horiz-incr",
    "neck-scale-horiz-incr",
)  # fmt: skip
SIDED = ("upper_arm", "lower_arm", "hand", "upper_leg", "lower_leg", "foot")
PARTS = ("head", "torso", *(f"{side}_{part}" for side in ("left", "right") for part in SIDED))
"""What a part mask holds besides 0, the background: the first is 1. The neck and the hair are of the head."""

KINDS = ("head", "torso", "arm", "hand", "leg", "foot")
KIND = np.array(
    [
        -1,
        *(KINDS.index("leg" if p.endswith("leg") else "arm" if p.endswith("arm") else p.split("_")[-1]) for p in PARTS),
    ]
)
"""Of each part, from 1, its kind."""

LIMB_BONES = {
    "upper_arm": ("upperarm",), "lower_arm": ("lowerarm",), "hand": ("wrist", "finger", "metacarpal"),
    "upper_leg": ("upperleg",), "lower_leg": ("lowerleg",), "foot": ("foot", "toe"),
}  # fmt: skip


@dataclass(frozen=True)
class Body:
    """The mesh, and what is known of its vertices; ``V`` of them, ``F`` triangles, ``K`` keypoints, ``J`` bones.

    Attributes:
        model: the package's model of it, which knows how shape and pose move the vertices.
        names: of the keypoints: COCO's 17, and toes and heels.
        keypoints: ``(K, V)`` weights whose sum over the vertices is a keypoint.
        faces: ``(F, 3)`` int64, anticlockwise from outside; those of hair and skirt last.
        sheet: ``(F,)`` 0 for the body, 1 for hair, 2 for the skirt.
        part: ``(F,)`` of `PARTS`, from 1.
        canonical: ``(V, 3)`` where each vertex is on the mean body, in metres: x to its left, y backwards, z up.
        limb: ``(V,)`` how far down an arm or a leg: 0 at shoulder and hip, 0.5 at elbow and knee, 1 at wrist and ankle.
        lips: ``(V,)`` 1 on the lips.
        ears: ``(V,)`` 1 on the ears.
        eye: ``(F,)`` whether it is of an eyeball.
        kind: ``(V,)`` of `KINDS`, from 0; -1 for hair and skirt.
        carries: ``(K, 1 + parts)`` whether a part carries a keypoint: at least a twentieth of its weight.
        around: ``(V, F)`` sparse: the triangles at each vertex.
    """

    model: Any
    names: tuple[str, ...]
    keypoints: np.ndarray
    faces: np.ndarray
    sheet: np.ndarray
    part: np.ndarray
    canonical: np.ndarray
    limb: np.ndarray
    lips: np.ndarray
    ears: np.ndarray
    eye: np.ndarray
    kind: np.ndarray
    carries: np.ndarray
    around: scipy.sparse.csr_matrix


def missing() -> InvariantNetsError:
    """What to say where the package is not installed."""
    return InvariantNetsError(
        "data=synthetic_people needs the body model of the package anny: pip install 'invariantnets[people]'"
    )


def anny_package() -> Any:
    """The package.

    Raises:
        InvariantNetsError: it is not installed.
    """
    try:
        import anny
    except ImportError as error:
        raise missing() from error
    return anny


def kept(cache_dir: str) -> Path:
    """Where the body is kept, once it was made."""
    key = hashlib.sha256(f"{version('anny')} {CHANGES} {cloth.source()}".encode()).hexdigest()[:24]
    return Path(cache_dir).expanduser() / f"people-body-{key}.safetensors"


@lru_cache(maxsize=1)
def body(cache_dir: str) -> Body:
    """The body, from the cache or made now.

    Args:
        cache_dir: where it is kept (60 MB). Making it takes a minute or two, once, and 0.9 GB there meanwhile.

    Raises:
        InvariantNetsError: the package is not installed, or the folder cannot be written to.
    """
    anny_package()
    path = kept(cache_dir)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvariantNetsError(
            f"{path.parent}: cannot be made ({error.strerror}); choose paths.cache_dir=…"
        ) from error
    with FileLock(f"{path}.lock"):
        if path.exists():
            try:
                return _opened(path.read_bytes())
            except (SafetensorError, KeyError, ValueError) as error:
                log.warning("%s: damaged (%s); it is made anew", path, error)
        log.info("making the body of the drawn people, once; about 90 s of one core: %s", path)
        write_atomically(path, _made(path.parent))
    return _opened(path.read_bytes())


def _made(folder: Path) -> bytes:
    """The package's model with hair and skirt; its own cache, 0.9 GB of parts of this, is thrown away again."""
    anny = anny_package()
    from anny import paths

    before = paths.get_anny_cache_path()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".anny-") as temporary:
        paths.set_anny_cache_path(temporary)
        try:
            model = anny.Anny(phenotypes="all", local_changes=list(CHANGES), skinning_method="lbs").float()
        finally:
            paths.set_anny_cache_path(before)
    regressor = anny.KeypointsRegressor.coco(model)
    data = model.to_model_data()
    corners = data.face_texture_coordinate_indices
    painted = {name: _painted(name, data.texture_coordinates, corners, data.faces) for name in ("lips", "ears")}
    extended, sheet = cloth.dressed(data)
    more = len(extended.template_vertices) - len(data.template_vertices)
    tensors = {f.name: getattr(extended, f.name) for f in fields(extended) if f.name != "metadata"}
    known = {
        "keypoints": torch.nn.functional.pad(regressor.regression_weights, (0, more)),
        "sheet": sheet,
        **{name: torch.nn.functional.pad(values, (0, more)) for name, values in painted.items()},
    }
    held = {name: value.contiguous() for name, value in {**tensors, **{f"own.{k}": v for k, v in known.items()}}.items()
            if value is not None}  # fmt: skip
    return save(held, {"model": json.dumps(asdict(extended.metadata)), "keypoints": json.dumps(regressor.labels)})


def _painted(name: str, place: torch.Tensor, corners: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Where a texture of the package is white, at the vertices."""
    from anny.paths import get_anny_root_dir

    with Image.open(Path(get_anny_root_dir()) / "data" / "mpfb2" / "textures" / f"mpfb_{name}.jpg") as picture:
        shade = np.asarray(picture.convert("L")) / 255.0
    side = np.array(shade.shape)
    row, column = np.clip(np.stack([1 - place[:, 1], place[:, 0]]) * side[:, None], 0, side[:, None] - 1).astype(int)
    value = torch.from_numpy(shade[row, column]).float()[corners.flatten()]
    total = torch.zeros(2, int(faces.max()) + 1).index_add_(
        1, faces.flatten(), torch.stack([value, torch.ones_like(value)])
    )
    return total[0] / total[1].clamp_min(1)


def _opened(content: bytes) -> Body:
    anny = anny_package()
    from anny.models.model_data import ModelData, ModelMetadata

    length = int.from_bytes(content[:8], "little")
    said = json.loads(content[8 : 8 + length])["__metadata__"]
    held = load(content)
    own = {name.removeprefix("own."): held.pop(name).numpy() for name in list(held) if name.startswith("own.")}
    data = ModelData(metadata=ModelMetadata(**json.loads(said["model"])), **held)
    model = anny.Anny.from_model_data(
        data, skinning_method="lbs", pose_parameterization="local-ref", bone_orientation="cached",
        root_identity_orientation=False,
    )  # fmt: skip
    faces, bones = data.faces.numpy(), model.bone_labels
    strongest = model.dense_vertex_bone_weights.argmax(1).numpy()
    of_vertex = np.array([_part(name) for name in bones])[strongest]
    canonical = data.template_vertices.double().numpy()
    head = {name: place for name, place in zip(bones, data.template_bone_heads.double().numpy(), strict=True)}
    eye = np.char.startswith(np.array(bones), "eye")[strongest]
    # Hair and skirt are there twice, seen from outside and from inside: their normals are those of the outside.
    inside = [
        np.flatnonzero(own["sheet"] == sheet)[(own["sheet"] == sheet).sum() // 2 :]
        for sheet in (cloth.HAIR, cloth.SKIRT)
    ]
    outside = np.setdiff1d(np.arange(len(faces)), np.concatenate(inside))
    pairs = faces[outside].ravel(), np.repeat(outside, 3)
    around = scipy.sparse.csr_matrix((np.ones(len(pairs[0])), pairs), (len(canonical), len(faces)))
    part = np.median(of_vertex[faces], 1).astype(np.int64)
    part[own["sheet"] > 0] = np.array([0, 1, 2])[own["sheet"][own["sheet"] > 0]]
    keypoints = own["keypoints"].astype(np.float64)
    carries = np.stack([np.abs(keypoints[:, of_vertex == n]).sum(1) for n in range(len(PARTS) + 1)], 1)
    carries = carries >= 0.05 * carries.sum(1, keepdims=True)
    kind = np.where(np.isin(np.arange(len(canonical)), faces[own["sheet"] > 0]), -1, KIND[of_vertex])
    return Body(
        model, tuple(json.loads(said["keypoints"])), keypoints, faces, own["sheet"], part,
        canonical, _along(canonical, of_vertex, head), own["lips"].astype(np.float64), own["ears"].astype(np.float64),
        eye[faces].all(1), kind, carries, around,
    )  # fmt: skip


def _part(bone: str) -> int:
    """Of `PARTS`, from 1."""
    side = {"L": "left_", "R": "right_"}.get(bone.rpartition(".")[2], "")
    for name, begins in LIMB_BONES.items():
        if bone.startswith(begins):
            return PARTS.index(side + name) + 1
    return PARTS.index("head" if bone.startswith(("neck", "head", "eye")) else "torso") + 1


def _along(place: np.ndarray, part: np.ndarray, head: dict[str, np.ndarray]) -> np.ndarray:
    """See ``limb`` of `Body`; 0 where there is none."""
    found = np.zeros(len(place))
    for side, letter in (("left", "L"), ("right", "R")):
        for limb, joints in (
            ("arm", ("upperarm01", "lowerarm01", "wrist")),
            ("leg", ("upperleg01", "lowerleg01", "foot")),
        ):
            joint = [head[f"{name}.{letter}"] for name in joints]
            for number, name in enumerate((f"{side}_upper_{limb}", f"{side}_lower_{limb}")):
                here = part == PARTS.index(name) + 1
                way = joint[number + 1] - joint[number]
                found[here] = (number + (place[here] - joint[number]) @ way / (way @ way)) / 2
            end = {"arm": "hand", "leg": "foot"}[limb]
            found[part == PARTS.index(f"{side}_{end}") + 1] = 1.1
    return found
