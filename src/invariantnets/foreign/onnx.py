"""Networks out of ONNX files."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from invariantnets.backbones.backbone import INPUT
from invariantnets.errors import InvariantNetsError
from invariantnets.foreign import onnx_graph
from invariantnets.foreign.preprocessing import Preprocessing, declared, wanted
from invariantnets.foreign.weights import checksum
from invariantnets.randomness import torch_rng

log = logging.getLogger(__name__)
_NUMBERS = ("tensor(float)", "tensor(float16)", "tensor(double)")
_KINDS = {1: np.float32, 2: np.uint8, 10: np.float16, 11: np.float64}


class OnnxBackbone:
    """A network of ONNX, run by ONNX Runtime on the CPU. A layer is a tensor of its graph, by its name there.

    Args:
        model: as `onnx_graph.read` gives it.
        picture: its input.
        prepare: from pictures to what it takes.
        embedding: the tensor that is meant where none is named; None: what the classifier reads, or the output of a
            network without one.
        record: where it came from, plain JSON.

    Attributes:
        layer_names: ``input``, the last tensor of each shape up to the embedding, and the embedding. Any other tensor
            of numbers can be named too.
        classifier: always None: its classes are others than those of the data.

    Raises:
        InvariantNetsError: a network that does not run, an unknown layer, or one that is too large to be read inside.
    """

    classifier = None

    def __init__(
        self,
        model: Any,
        picture: onnx_graph.Picture,
        prepare: Preprocessing,
        embedding: str | None,
        record: dict[str, Any],
    ):
        self._model, self._picture, self.prepare, self.record = model, picture, prepare, record
        self._sessions: dict[tuple[str, ...], Any] = {}
        self._order = onnx_graph.computed(model, picture.name)
        outputs = [value.name for value in model.graph.output if value.name in self._order]
        if not outputs:
            raise InvariantNetsError(
                f"{record['network']}: damaged: nothing that it gives depends on the picture; export it once more"
            )
        read = onnx_graph.read_by_classifier(model, picture.name)
        self.embedding = embedding or read or outputs[0]
        self.check([self.embedding])
        self.layer_names = [INPUT, *self._last_of_each_shape(), self.embedding]
        self.record = {**record, "preprocessing": asdict(prepare), "embedding": self.embedding}
        if embedding is None:
            what = "what its last linear map reads" if read else "its output, since it ends in no classifier"
            log.info("the embedding is %s, %s; backbone.embedding= names another", self.embedding, what)

    def check(self, names: Collection[str]) -> None:
        """Raise InvariantNetsError unless all ``names`` are tensors that depend on the picture."""
        for name in names:
            if name != INPUT and name not in self._order:
                near = difflib.get_close_matches(name, self._order, 3) or self._order[-3:]
                raise InvariantNetsError(
                    f"there is no layer {name!r} in this network; did you mean {', '.join(near)}? It has "
                    f"{len(self._order)}, all tensors by their names in the file"
                )

    def features(self, image: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """Activations of the named tensors.

        Args:
            image: ``(N, C, H, W)``, bytes or floats of 0–255; grey or RGB.
            names: tensors, in any order.

        Returns:
            name → ``(N, …)`` float32, in order of execution.

        Raises:
            InvariantNetsError: an unknown tensor, or one that is not of numbers, one row a picture.
        """
        self.check(names)
        x = self.prepare(image)
        found = {INPUT: x} if INPUT in names else {}
        wanted = tuple(name for name in self._order if name in names)
        if not wanted:
            return found
        size = self._picture.batch or len(x)
        parts = [self._run(part, size, wanted) for part in x.split(size)]
        for place, name in enumerate(wanted):
            found[name] = torch.cat([part[place] for part in parts])
        return found

    def _run(self, x: Tensor, size: int, names: tuple[str, ...]) -> list[Tensor]:
        """Rows of one batch; one of a fixed size is filled up with the last picture."""
        rows = len(x)
        full = torch.cat([x, x[-1:].expand(size - rows, -1, -1, -1)]) if rows < size else x
        given = self._given(full, names)
        for name, value in zip(names, given, strict=True):
            if value.dtype.kind != "f" or value.ndim < 2 or len(value) != size:
                raise InvariantNetsError(
                    f"layer {name!r} is {value.dtype} of shape {value.shape} for {size} pictures, not a row of numbers "
                    "for each: choose another"
                )
        return [torch.from_numpy(np.asarray(value[:rows], np.float32)) for value in given]

    def _given(self, x: Tensor, names: tuple[str, ...]) -> list[np.ndarray]:
        """What the network makes of prepared pictures ``(N, C, H, W)``, as many as it takes."""
        fed = (x.permute(0, 2, 3, 1) if self._picture.last else x).contiguous().numpy()
        kind = _KINDS[self._picture.kind]
        fed = np.rint(fed).clip(0, 255).astype(kind) if kind is np.uint8 else fed.astype(kind)
        session = self._session(names)
        try:
            return list(session.run(list(names), {self._picture.name: fed}))
        except Exception as error:  # what ONNX Runtime raises has no public base
            high, wide = self.prepare.sides
            raise InvariantNetsError(
                f"the network does not take pictures of {high}×{wide} ({_reason(error)}); choose another "
                "backbone.image_size"
            ) from None

    def _session(self, names: tuple[str, ...]) -> Any:
        if names not in self._sessions:
            runtime = onnx_graph.library()
            options = runtime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            options.log_severity_level = 4
            try:
                model = onnx_graph.exposed(self._model, names)
                on = {"providers": ["CPUExecutionProvider"], "enable_fallback": 0}
                session = runtime.InferenceSession(model, options, **on)
            except Exception as error:  # as above
                raise InvariantNetsError(
                    f"{self.record['network']}: damaged, or larger than 2 GB: ONNX Runtime cannot run it "
                    f"({_reason(error)}); fetch or export it once more"
                ) from None
            self._sessions = {names: session}  # of the layers that are read now
        return self._sessions[names]

    def _last_of_each_shape(self) -> list[str]:
        """Where a map is about to shrink: few layers, in order, that speak for all before the embedding."""
        before = tuple(self._order[: self._order.index(self.embedding)])
        if not before:
            return []
        numbers = tuple(o.name for o in self._session(before).get_outputs() if o.type in _NUMBERS)
        size = self._picture.batch or 1
        noise = torch.rand(size, *self.prepare.shape, generator=torch_rng(0, size))  # a blank one: all were alike
        last: dict[tuple[int, ...], str] = {}
        for name, value in zip(numbers, self._given(noise, numbers), strict=True):
            if value.ndim >= 2 and len(value) == size:
                last[value.shape] = name
        return [name for name in numbers if name in last.values()]


def onnx(
    path: str | Path | None = None,
    embedding: str | None = None,
    image_size: int | Sequence[int] | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    interpolation: str = "bilinear",
    crop: float | None = None,
    scale: float = 1 / 255,
    channels: str | None = None,
    layout: str | None = None,
) -> OnnxBackbone:
    """A network out of an ONNX file.

    Args:
        path: of the file; what it keeps in other files lies beside it.
        embedding: the tensor that is probed; None: what the classifier reads, or the output of a network that ends in
            none.
        image_size: side, or height and width, of what the network is given; None: as the file says.
        mean: of red, green and blue, of pixels times ``scale``; one number holds for all. A network that takes bytes
            prepares them itself, and needs neither this nor ``std`` nor ``scale``.
        std: likewise.
        interpolation: ``bilinear`` or ``bicubic``.
        crop: None: the whole picture is resized; or the fraction of it that is kept, its middle.
        scale: what pixels of 0–255 are multiplied by.
        channels: the order that the network wants: ``rgb``, ``bgr``, or one of ``grey``; None: ``rgb``, or as many as
            the file says.
        layout: ``NCHW`` or ``NHWC``; None: as the file says.

    Raises:
        InvariantNetsError: onnx or onnxruntime is not installed; a file that is missing, damaged or of something else;
            preprocessing that is not said, or not what the file says.
    """
    onnx_graph.library()
    if path is None:
        raise InvariantNetsError("backbone=onnx needs its file: backbone.path=<file>.onnx")
    path = Path(path).expanduser()
    owner = f"backbone.path={path}"
    model = onnx_graph.read(path)
    picture = onnx_graph.picture(model, layout, owner)
    if picture.kind not in _KINDS:
        raise InvariantNetsError(
            f"{owner}: its input {picture.name} takes neither floats nor bytes; export it otherwise"
        )
    if _KINDS[picture.kind] is np.uint8:
        mean, std, scale = 0.0, 1.0, 1.0
    size = image_size if image_size is not None else list(picture.sides) if picture.sides else None
    wanted(f"{path}: an ONNX file", image_size=size, mean=mean, std=std)
    assert size is not None and mean is not None and std is not None
    usual = "grey" if picture.channels == 1 else "rgb"
    prepare = declared(size, mean, std, interpolation, crop, scale, channels or usual)
    if picture.sides not in (None, prepare.sides):
        raise InvariantNetsError(
            f"{owner}: takes pictures of {'×'.join(map(str, picture.sides or ()))}; leave backbone.image_size out"
        )
    if picture.channels not in (None, prepare.shape[0]):
        raise InvariantNetsError(f"{owner}: takes {picture.channels} channels; backbone.channels={channels} are others")
    record = {
        "library": "onnx",
        "network": path.name,
        "path": str(path),
        "sha256": checksum(path),
        "layout": "NHWC" if picture.last else "NCHW",
    }
    return OnnxBackbone(model, picture, prepare, embedding, record)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
