"""Networks that were made and trained elsewhere, read at their modules."""

from __future__ import annotations

import difflib
import hashlib
import logging
import pickle
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from invariantnets.backbones.backbone import INPUT
from invariantnets.errors import InvariantNetsError
from invariantnets.randomness import torch_rng

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preprocessing:
    """What a network wants done to pixels: resized as a whole, divided by 255, then by channel − mean, / std.

    Attributes:
        size: side of the square that pictures are resized to, with antialiasing; nothing is cropped.
        mean, std: of red, green and blue.
        interpolation: ``bilinear`` or ``bicubic``.
    """

    size: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"

    def __call__(self, image: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """``(N, C, H, W)`` of 0–255 → ``(N, 3, size, size)``; grey is repeated.

        Raises:
            InvariantNetsError: neither grey nor RGB.
        """
        if image.shape[1] not in (1, 3):
            raise InvariantNetsError(f"pictures of {image.shape[1]} channels: this network takes grey (1) or RGB (3)")
        x, sides = image.to(dtype) / 255, (self.size, self.size)
        if x.shape[2:] != sides:
            x = F.interpolate(x, sides, mode=self.interpolation, antialias=True).clamp(0, 1)
        mean, std = (x.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (x - mean) / std  # which makes three channels of one


class _Enough(Exception):
    """All that was asked for is there: the rest of the network need not run."""


class ModuleBackbone(nn.Module):
    """Any ``nn.Module`` as a `Backbone`. A layer is a module, by its name in ``named_modules``.

    Its activation is what the module returns, the last time where it runs several times; ``input`` is the
    preprocessed picture. What is no module has no name, but one: the input of the classifier is called
    ``<classifier>.input``. The network is read through hooks, which are gone afterwards, whatever happens, and is
    never changed.

    Args:
        network: takes ``(N, 3, size, size)`` and gives class scores, or an embedding.
        prepare: from bytes to what the network takes.
        embedding: the layer that is meant where none is named; None: what the classifier reads, by the name of the
            module that gives it, if one does.
        record: where it came from, plain JSON.

    Attributes:
        layer_names: ``input``, the children up to the classifier in order of execution, and the embedding. Any
            other module can be named too.
        classifier: the last linear map or convolution that runs.

    Raises:
        InvariantNetsError: pictures of a size that the network does not take, no classifier, or an unknown layer.
    """

    def __init__(
        self,
        network: nn.Module,
        prepare: Preprocessing,
        embedding: str | None = None,
        record: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.network, self.prepare = network.eval(), prepare
        self.record = {**(record or {}), "preprocessing": asdict(prepare)}
        self._order, self._times, self.classifier, read = self._watch_once()
        self.embedding = embedding or read
        self.check([self.embedding])
        before = self._order[: self._order.index(f"{self.classifier}.input")]
        shown = {name for name in before if "." not in name} | {self.embedding}
        self.layer_names = [INPUT, *(name for name in self._order if name in shown - {INPUT})]
        self.record["embedding"] = self.embedding

    @torch.inference_mode()
    def _watch_once(self) -> tuple[list[str], dict[str, int], str, str]:
        """Run one picture: names in order of execution, how often each ran, the classifier, and what it reads."""
        times: dict[str, int] = {}
        given: dict[str, Tensor] = {}
        read: dict[str, Tensor] = {}

        def returned(name: str, value: Tensor) -> None:
            times[name] = times.pop(name, 0) + 1  # at its last place
            given[name] = value.clone()

        modules = {name: module for name, module in self.network.named_modules() if name}
        leaves = [name for name, module in modules.items() if isinstance(module, nn.Linear | nn.Conv2d)]
        side = self.prepare.size
        noise = torch.rand(1, 3, side, side, generator=torch_rng(0, side))  # a blank one would make all layers equal

        def entered(name: str, value: Tensor) -> None:
            read.pop(name, None)
            read[name] = value.clone()

        try:
            self._run(noise, {name: returned for name in modules}, {name: entered for name in leaves})
        except (RuntimeError, ValueError, AssertionError, TypeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InvariantNetsError(
                f"the network does not take pictures of {side}×{side} ({reason}); choose another backbone.image_size"
            ) from None
        if not read:
            raise InvariantNetsError("the network has no linear map and no convolution, so nothing to read")
        classifier, value = list(read.items())[-1]
        order = list(times)
        place = order.index(classifier)
        same = [n for n in order[:place] if torch.equal(given[n].flatten(1), value.flatten(1))]
        order.insert(place, f"{classifier}.input")
        times[f"{classifier}.input"] = times[classifier]
        return order, times, classifier, same[-1] if same else f"{classifier}.input"

    def _run(
        self,
        x: Tensor,
        returned: Mapping[str, Callable[[str, Tensor], None]],
        entered: Mapping[str, Callable[[str, Tensor], None]],
    ) -> None:
        """Run the network; tell what the named modules return and what they are given, as long as that is a tensor."""

        def after(name: str) -> Callable[[nn.Module, Any, Any], None]:
            return lambda module, args, out: returned[name](name, out) if isinstance(out, Tensor) else None

        def before(name: str) -> Callable[[nn.Module, Any], None]:
            return lambda module, args: entered[name](name, args[0]) if isinstance(args[0], Tensor) else None

        hooks = []
        try:
            for name in returned:
                hooks.append(self.network.get_submodule(name).register_forward_hook(after(name)))
            for name in entered:
                hooks.append(self.network.get_submodule(name).register_forward_pre_hook(before(name)))
            self.network(x)
        except _Enough:
            pass
        finally:
            for hook in hooks:
                hook.remove()

    def check(self, names: Collection[str]) -> None:
        """Raise InvariantNetsError unless all ``names`` are layers."""
        for name in names:
            if name != INPUT and name not in self._times:
                near = difflib.get_close_matches(name, self._order, 3) or self.layer_names
                raise InvariantNetsError(
                    f"there is no layer {name!r} in this network; did you mean {', '.join(near)}? It has "
                    f"{len(self._order)}, all modules by their names in torch"
                )

    def features(self, image: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """Activations of the named layers; nothing after the last of them is computed.

        Args:
            image: ``(N, C, H, W)``, bytes or floats of 0–255; grey or RGB.
            names: layers, in any order.

        Returns:
            name → ``(N, …)``, in order of execution.

        Raises:
            InvariantNetsError: an unknown layer, or pictures neither grey nor RGB.
        """
        self.check(names)
        like = next(self.network.parameters())
        x = self.prepare(image.to(like.device), like.dtype)
        found = {INPUT: x} if INPUT in names else {}
        left = {name: self._times[name] for name in names if name != INPUT}

        def keep(name: str, value: Tensor) -> None:
            left[name] -= 1
            if left[name]:
                return
            del left[name]
            if not left:
                found[name] = value
                raise _Enough
            found[name] = value.clone()  # what follows may work in place

        if left:
            read = f"{self.classifier}.input"
            entered = {self.classifier: lambda _, value: keep(read, value)} if read in left else {}
            self._run(x, {name: keep for name in left if name != read}, entered)
        if left:
            raise InvariantNetsError(f"layer {next(iter(left))!r} did not run for these pictures: choose another")
        return {name: found[name] for name in (INPUT, *self._order) if name in found}


def torchvision(
    name: str = "resnet18",
    weights: str | Path | None = None,
    embedding: str | None = None,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    num_classes: int = 1000,
    seed: int = 0,
) -> ModuleBackbone:
    """A network of torchvision for classification, by its name there. Nothing is ever downloaded.

    Args:
        name: one of ``torchvision.models.list_models(module=torchvision.models)``.
        weights: file of a ``state_dict``; None: random weights.
        embedding: the layer that is probed; None: what the classifier reads.
        image_size: side that pictures are resized to; None: that of torchvision's own weights for the network.
        mean: of red, green and blue, of 0–1; None: that of torchvision's own weights.
        std: likewise.
        num_classes: of the weights.
        seed: of random weights.

    Raises:
        InvariantNetsError: an unknown name or layer, a size that the network does not take, or a file that is
            missing, damaged, or of another network.
    """
    known = models.list_models(module=models)
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, 3) or known[:3])
        raise InvariantNetsError(
            f"backbone.name={name}: torchvision has no such network; did you mean {near}? It has {len(known)}"
        )
    usual = models.get_model_weights(name).DEFAULT.transforms()
    size = image_size or usual.crop_size[0]
    prepare = Preprocessing(
        size,
        _three(mean or usual.mean, "mean"),
        _three(std or usual.std, "std"),
        usual.interpolation.value,
    )
    # Those whose parameters depend on the size of the picture are told it.
    sizes: dict[str, dict[str, Any]] = {"vit": {"image_size": size}, "maxvit": {"input_size": (size, size)}}
    told = sizes.get(name.split("_")[0], {})
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of two networks, about the default of their random weights
        torch.manual_seed(seed)
        try:
            network = models.get_model(name, weights=None, num_classes=num_classes, **told)
        except (AssertionError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InvariantNetsError(
                f"{name} is not made for pictures of {size}×{size} ({reason}); choose another backbone.image_size"
            ) from None
    record: dict[str, Any] = {"library": "torchvision", "name": name}
    if weights is None:
        log.info(
            "%s has random weights of seed %d, since nothing is downloaded: give backbone.weights=<file>", name, seed
        )
        record |= {"network": f"{name}, random weights", "weights": None, "seed": seed}
    else:
        digest = load_weights(network, Path(weights).expanduser(), name)
        record |= {"network": f"{name}, {Path(weights).name}", "weights": str(weights), "sha256": digest}
    return ModuleBackbone(network, prepare, embedding, record)


def _three(values: Sequence[float], name: str) -> tuple[float, float, float]:
    if len(values) != 3:
        raise InvariantNetsError(f"backbone.{name}={list(values)}: give three numbers, for red, green and blue")
    red, green, blue = map(float, values)
    return red, green, blue


def load_weights(network: nn.Module, path: Path, owner: str) -> str:
    """Fill a network from a file that holds all its weights and no others; returns the file's SHA-256.

    Raises:
        InvariantNetsError: missing, damaged, more than tensors, or of another network: the message names a key.
    """
    if not path.is_file():
        raise InvariantNetsError(f"backbone.weights={path}: there is no such file; nothing is downloaded")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on old formats
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError) as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise InvariantNetsError(
            f"{path}: damaged, or holds more than tensors, and was not run ({reason}); save network.state_dict()"
        ) from None
    if not isinstance(state, Mapping) or not all(isinstance(x, Tensor) for x in state.values()):
        raise InvariantNetsError(f"{path}: is no state_dict, names → tensors; save network.state_dict()")
    own = network.state_dict()
    faults = {
        "lacks": [key for key in own if key not in state],
        "has beside them": [key for key in state if key not in own],
        "has in another shape": [
            f"{key} {tuple(state[key].shape)} for {tuple(x.shape)}"
            for key, x in own.items()
            if key in state and x.shape != state[key].shape
        ],
    }
    if any(faults.values()):
        what = "; ".join(
            f"{fault} {found[0]}" + (f" and {len(found) - 1} more" if found[1:] else "")
            for fault, found in faults.items()
            if found
        )
        raise InvariantNetsError(f"{path}: not the weights of {owner} of these backbone.num_classes: it {what}")
    network.load_state_dict(state, strict=True)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
