"""Any ``nn.Module`` as a network with named layers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from invariantnets.backbones.backbone import INPUT, Backbone
from invariantnets.errors import InvariantNetsError
from invariantnets.foreign.preprocessing import Preprocessing
from invariantnets.randomness import torch_rng

OUTPUT = "output"


class _Enough(Exception):
    """All that was asked for is there: the rest of the network need not run."""


class ModuleBackbone(nn.Module):
    """Any ``nn.Module`` as a `Backbone`. A layer is a module, by its name in ``named_modules``.

    Its activation is what the module returns, the last time where it runs several times; ``input`` is the
    preprocessed picture, and ``output`` what the whole network returns. What is no module has no name, but one: the
    input of the classifier is called ``<classifier>.input``. The network is read through hooks, which are gone
    afterwards, whatever happens, and is never changed.

    Args:
        network: takes ``(N, 3, size, size)`` and gives class scores, or an embedding.
        prepare: from bytes to what the network takes.
        embedding: the layer that is meant where none is named; None: what the classifier reads, by the name of the
            module that gives it, if one does.
        record: where it came from, plain JSON.
        untrained: makes the same network with random weights, to set it beside; None: that cannot be made.

    Attributes:
        layer_names: ``input``, the children up to the classifier in order of execution, but those that change nothing,
            and the embedding. Any other module can be named too.
        classifier: the last linear map or convolution that runs, if one does.
        ends_in_classifier: whether what the network returns is what that gives, unchanged.

    Raises:
        InvariantNetsError: pictures of a size that the network does not take, an unknown layer, or no classifier
            where no embedding is named.
    """

    def __init__(
        self,
        network: nn.Module,
        prepare: Preprocessing,
        embedding: str | None = None,
        record: Mapping[str, Any] | None = None,
        untrained: Callable[[], Backbone] | None = None,
    ):
        super().__init__()
        self.network, self.prepare, self.untrained = network.eval(), prepare, untrained
        self.record = {**(record or {}), "preprocessing": asdict(prepare)}
        self.ends_in_classifier = False
        self._order, self._times, self.classifier, read = self._watch_once()
        if embedding is None and read is None:
            raise InvariantNetsError(
                "the network has no linear map and no convolution, so nothing to read; give backbone.embedding=<layer>"
            )
        self.embedding = embedding or read or OUTPUT
        self.check([self.embedding])
        before = self._order[: self._order.index(self._read)] if self.classifier else self._order
        alike = (nn.Identity, nn.Dropout)  # give what they are given
        children = {name for name in before if "." not in name and not isinstance(self._module(name), alike)}
        shown = children | {self.embedding}
        self.layer_names = [INPUT, *(name for name in self._order if name in shown - {INPUT})]
        self.record["embedding"] = self.embedding

    @property
    def _read(self) -> str:
        """The name of what the classifier reads."""
        return f"{self.classifier}.input"

    @torch.inference_mode()
    def _watch_once(self) -> tuple[list[str], dict[str, int], str | None, str | None]:
        """Run one picture: names in order of execution, how often each ran, the classifier, and what it reads."""
        times: dict[str, int] = {}
        given: dict[str, Tensor] = {}
        read: dict[str, Tensor] = {}

        def returned(name: str, value: Tensor) -> None:
            times[name] = times.pop(name, 0) + 1  # at its last place
            given[name] = value.clone()

        modules = {
            name: module
            for name, module in self.network.named_modules()
            if name and not isinstance(module, torch.jit.ScriptModule)  # compiled: takes no hook
        }
        leaves = [name for name, module in modules.items() if isinstance(module, nn.Linear | nn.Conv2d)]
        channels, high, wide = self.prepare.shape
        noise = torch.rand(1, channels, high, wide, generator=torch_rng(0, high))  # a blank one: all layers were equal

        def entered(name: str, value: Tensor) -> None:
            read.pop(name, None)
            read[name] = value.clone()

        try:
            self._run(noise, {name: returned for name in {**modules, OUTPUT: None}}, {name: entered for name in leaves})
        except (RuntimeError, ValueError, AssertionError, TypeError) as error:
            reason = _reason(error)
            raise InvariantNetsError(
                f"the network does not take pictures of {high}×{wide} ({reason}); choose another "
                f"backbone.image_size{'' if self.prepare.channels == 'rgb' else ' or backbone.channels'}"
            ) from None
        if not read:
            return list(times), times, None, None
        classifier, value = list(read.items())[-1]
        order = list(times)
        place = order.index(classifier)
        if OUTPUT in given:
            self.ends_in_classifier = torch.equal(given[classifier].flatten(1), given[OUTPUT].flatten(1))
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
                hooks.append(self._module(name).register_forward_hook(after(name)))
            for name in entered:
                hooks.append(self.network.get_submodule(name).register_forward_pre_hook(before(name)))
            self.network(x)
        except _Enough:
            pass
        finally:
            for hook in hooks:
                hook.remove()

    def _module(self, name: str) -> nn.Module:
        """A module by its name; ``output`` is that of the whole, unless one is called so."""
        whole = name == OUTPUT and not hasattr(self.network, OUTPUT)
        return self.network if whole else self.network.get_submodule(name)

    def check(self, names: Collection[str]) -> None:
        """Raise InvariantNetsError unless all ``names`` are layers."""
        for name in names:
            if name != INPUT and name not in self._times:
                near = difflib.get_close_matches(name, self._order, 3) or [INPUT, *self._order[:3]]
                which = "all modules by their names in torch" if self.classifier else "those that can be read"
                raise InvariantNetsError(
                    f"there is no layer {name!r} in this network; did you mean {', '.join(near)}? It has "
                    f"{len(self._order)}, {which}"
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
        like = next(self.network.parameters(), image.new_zeros((), dtype=torch.float32))
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
            read = self._read
            entered = {self.classifier: lambda _, value: keep(read, value)} if self.classifier and read in left else {}
            self._run(x, {name: keep for name in left if name != read}, entered)
        if left:
            raise InvariantNetsError(f"layer {next(iter(left))!r} did not run for these pictures: choose another")
        return {name: found[name] for name in (INPUT, *self._order) if name in found}


def _reason(error: Exception) -> str:
    """The line of an error that says most: TorchScript ends with it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if "TorchScript" in str(error) else lines[0])[:200] if lines else type(error).__name__
