"""What the graph of an ONNX file is: its one picture, its tensors in order, and which of them is the embedding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from invariantnets.errors import InvariantNetsError

if TYPE_CHECKING:
    import onnx

# What may follow a linear map whose outputs are scores of classes.
_OF_SCORES = {"Add", "Softmax", "LogSoftmax", "Sigmoid", "Identity", "Reshape", "Flatten", "Squeeze", "Cast"}


def read(path: Path) -> onnx.ModelProto:
    """The model of a file, with what it keeps in files beside it.

    Raises:
        InvariantNetsError: no such file, damaged, no ONNX, or a file that belongs to it is missing.
    """
    if not path.is_file():
        raise InvariantNetsError(f"backbone.path={path}: there is no such file")
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError, UnicodeDecodeError, RuntimeError):
        raise InvariantNetsError(
            f"backbone.path={path}: damaged, or no ONNX file; fetch or export it once more (torch.onnx.export)"
        ) from None
    if not model.graph.node or not model.opset_import:
        raise InvariantNetsError(f"backbone.path={path}: no ONNX file, or one without a network; export it once more")
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, RuntimeError, onnx.checker.ValidationError) as error:
        beside = {entry.value for t in model.graph.initializer for entry in t.external_data if entry.key == "location"}
        raise InvariantNetsError(
            f"backbone.path={path}: its weights are in {', '.join(sorted(beside))}, which is missing beside it, or too "
            f"short ({_line(error)}); put it there"
        ) from None
    return model


@dataclass(frozen=True)
class Picture:
    """The input of a network.

    Attributes:
        name: of the tensor.
        batch: pictures that it takes at a time; None: any number.
        sides: height and width; None: any.
        channels: 1 or 3; None where the file does not say.
        last: whether channels come last (``NHWC``).
        kind: ONNX's number of the type of its elements.
    """

    name: str
    batch: int | None
    sides: tuple[int, int] | None
    channels: int | None
    last: bool
    kind: int


def picture(model: onnx.ModelProto, layout: str | None, owner: str) -> Picture:
    """The input that pictures go to.

    Args:
        model: as `read` gives it.
        layout: ``NCHW`` or ``NHWC``; None: found by where the 1 or 3 channels are.
        owner: what to call the file.

    Raises:
        InvariantNetsError: several inputs, none of four axes, or a layout that cannot be known.
    """
    if layout not in (None, "NCHW", "NHWC"):
        raise InvariantNetsError(f"backbone.layout={layout}: choose from NCHW, NHWC")
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise InvariantNetsError(f"{owner}: has {len(inputs)} inputs ({names}); a network that is given one picture")
    tensor = inputs[0].type.tensor_type
    sizes = [axis.dim_value if axis.HasField("dim_value") and axis.dim_value > 0 else None for axis in tensor.shape.dim]
    if len(sizes) != 4:
        raise InvariantNetsError(
            f"{owner}: its input {inputs[0].name} has {len(sizes)} axes; pictures have four (batch, channels, height, "
            "width)"
        )
    places = {"NCHW": 1, "NHWC": 3}
    found = [name for name, place in places.items() if sizes[place] in (1, 3)]
    if layout is None and not found and None not in (sizes[1], sizes[3]):
        raise InvariantNetsError(f"{owner}: takes neither 1 nor 3 channels ({sizes}), which pictures have")
    if layout is None and len(found) != 1:
        raise InvariantNetsError(
            f"{owner}: its input is {sizes}, so its layout is unknown: give backbone.layout=NCHW or NHWC"
        )
    layout = layout or found[0]
    channels = sizes[places[layout]]
    if channels not in (None, 1, 3):
        raise InvariantNetsError(f"{owner}: takes {channels} channels as {layout}; pictures have 1 or 3: {sizes}")
    high, wide = sizes[2:] if layout == "NCHW" else sizes[1:3]
    sides = None if high is None or wide is None else (high, wide)
    return Picture(inputs[0].name, sizes[0], sides, channels, layout == "NHWC", tensor.elem_type)


def computed(model: onnx.ModelProto, start: str) -> list[str]:
    """The tensors that depend on the picture, in order of execution."""
    known = {start}
    for node in model.graph.node:
        if known & {*node.input, *_outer(node)}:
            known.update(name for name in node.output if name)
    return [name for node in model.graph.node for name in node.output if name in known]


def _outer(node: onnx.NodeProto) -> Iterable[str]:
    """What the branches of an If or Loop read of what is around them."""
    return (name for attribute in node.attribute for inner in attribute.g.node for name in inner.input)


def read_by_classifier(model: onnx.ModelProto, start: str) -> str | None:
    """What the last linear map reads, if nothing but scores of classes can come of it; None: there is no classifier.

    A linear map is a Gemm, or a MatMul of what depends on the picture with what does not.
    """
    known = {start, *computed(model, start)}
    nodes = list(model.graph.node)
    for place in reversed(range(len(nodes))):
        node = nodes[place]
        if node.op_type not in ("Gemm", "MatMul") or sum(name in known for name in node.input[:2]) != 1:
            continue
        after = [later for later in nodes[place + 1 :] if known & set(later.output)]
        scores = set(node.output)
        for later in after:
            if later.op_type not in _OF_SCORES or sum(name in known for name in later.input) != 1:
                return None
            scores.update(later.output)
        return next(name for name in node.input[:2] if name in known)
    return None


def exposed(model: onnx.ModelProto, names: Iterable[str]) -> bytes:
    """The model, written so that its outputs are some of its tensors.

    Raises:
        ValueError: larger than protobuf can hold (2 GB).
    """
    copy = type(model)()
    copy.CopyFrom(model)
    known = {value.name: value for value in model.graph.output}
    del copy.graph.output[:]
    for name in names:
        if name in known:
            copy.graph.output.append(known[name])
        else:
            copy.graph.output.add().name = name  # its type is found when it is loaded
    return bytes(copy.SerializeToString())


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def library() -> ModuleType:
    """ONNX Runtime, quiet.

    Raises:
        InvariantNetsError: it, or onnx, is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ModuleNotFoundError as error:
        raise InvariantNetsError(
            f"backbone=onnx needs {error.name}: pip install onnx onnxruntime, or invariantnets[onnx]"
        ) from None
    onnxruntime.set_default_logger_severity(4)
    return onnxruntime
