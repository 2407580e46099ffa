"""DeepFace at the paper's size on a GPU: python -m benchmarks.gpu, a few minutes; `measure` runs on a CPU, too.

Wall seconds, each pass waited for; the recipe and the bound are of the same tensors on the same device.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.locally_connected import CHANNELS, LAYERS
from benchmarks.timing import alternate, ratio
from invariantnets.backbones import LocallyConnected2d, deepface

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
TOY = {"device": "cpu", "size": 96, "bottleneck": 64, "images": 2, "layers": ("L6",), "batches": (2,), "rounds": 1}


def seconds(work: Callable[[], object], device: str) -> float:
    """Of the wall clock, until the device has nothing left to do."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


def network(device: str, size: int, bottleneck: int, images: int, rounds: int) -> dict[str, dict[str, float]]:
    """Images a second of training and of features, and how far features are from those of the CPU in fp32."""
    model = deepface((3, size, size), bottleneck=bottleneck).to(device)
    batch = torch.randint(256, (images, 3, size, size), dtype=torch.uint8)
    there, label = batch.to(device), torch.randint(4030, (images,), device=device)
    solver = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def step(dtype: torch.dtype) -> None:
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            loss = F.cross_entropy(model.features(there, ["F8"])["F8"].float(), label)
        solver.zero_grad(set_to_none=True)
        loss.backward()
        solver.step()

    @torch.inference_mode()
    def features(dtype: torch.dtype) -> Tensor:
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            return model.features(there, ["F7"])["F7"]

    rows = {}
    for name, dtype in PRECISIONS.items():
        found = alternate(
            {
                "training": lambda dtype=dtype: seconds(lambda: step(dtype), device),
                "features": lambda dtype=dtype: seconds(lambda: features(dtype), device),
            },
            rounds,
        )
        model.eval()
        here = features(dtype)[:2].float().cpu()
        with torch.inference_mode():
            exact = deepface((3, size, size), bottleneck=bottleneck).eval()
            exact.load_state_dict(model.state_dict())
            truth = exact.features(batch[:2], ["F7"])["F7"]
        model.train()
        rows[f"deepface, {name}, batch {images}"] = {
            **{f"{what}, images/s": images / statistics.median(times) for what, times in found.items()},
            "off the CPU": float((here - truth).norm() / truth.norm()),
        }
    return rows


class Layer:
    """One locally connected layer, its recipe and the time that its bytes take to be read."""

    def __init__(self, name: str, batch: int, device: str, dtype: torch.dtype, backward: bool) -> None:
        side, self.kernel, self.stride = LAYERS[name]
        self.device, self.backward = device, backward
        layer = LocallyConnected2d(CHANNELS, CHANNELS, side, self.kernel, self.stride, bias=False)
        image = torch.randn(batch, CHANNELS, side, side)
        with torch.inference_mode():
            self.truth = layer(image)
        self.layer = layer.to(device, dtype)
        self.image = image.to(device, dtype).requires_grad_(backward)
        kernels = self.layer.weight.detach().permute(2, 5, 0, 1, 4, 3)
        self.weight = kernels.permute(0, 1, 4, 5, 2, 3).flatten(4).flatten(1, 3).contiguous().requires_grad_(backward)
        numbers = self.layer.weight.numel() + self.image.numel() + self.truth.numel()
        # Forward reads weights and input and writes the output; the two gradients do as much each.
        self.bytes = torch.empty(numbers * (3 if backward else 1), device=device, dtype=dtype)

    def _einsum(self, image: Tensor) -> Tensor:
        patches = F.unfold(image, self.kernel, stride=self.stride)
        return torch.einsum("bkl,okl->bol", patches, self.weight).unflatten(2, self.layer.output_size)

    def _pass(self, function: Callable[[Tensor], Tensor], weight: Tensor) -> None:
        with torch.set_grad_enabled(self.backward):
            output = function(self.image)
            if self.backward:
                torch.autograd.grad(output, [self.image, weight], torch.ones_like(output))

    def measure(self, rounds: int) -> dict[str, float]:
        """Milliseconds, how many times slower the recipe is, how far from the bound we are, how far off the CPU."""
        found = alternate(
            {
                "ours": lambda: seconds(lambda: self._pass(self.layer, self.layer.weight), self.device),
                "einsum": lambda: seconds(lambda: self._pass(self._einsum, self.weight), self.device),
                "bytes": lambda: seconds(self.bytes.sum, self.device),
            },
            rounds,
        )
        with torch.inference_mode():
            here = self.layer(self.image).float().cpu()
        return {
            "ours, ms": 1e3 * statistics.median(found["ours"]),
            "unfold + einsum / ours": ratio(found["einsum"], found["ours"]),
            "ours / bytes": ratio(found["ours"], found["bytes"]),
            "off the CPU": float((here - self.truth).norm() / self.truth.norm()),
        }


def measure(
    device: str = "cuda",
    size: int = 152,
    bottleneck: int = 4096,
    images: int = 128,
    layers: Sequence[str] = tuple(LAYERS),
    batches: Sequence[int] = (32, 128, 256),
    rounds: int = 10,
) -> dict[str, dict[str, float]]:
    """The network and its locally connected layers.

    Args:
        device: ``cuda``, or ``cpu``, where it takes long.
        size: pixels a side.
        bottleneck: width of F7.
        images: of a batch of the network.
        layers: some of ``LAYERS``.
        batches: images of a batch of a layer.
        rounds: how often each is run.
    """
    rows = network(device, size, bottleneck, images, rounds)
    for name in layers:
        for precision, dtype in PRECISIONS.items():
            for backward in (False, True):
                for batch in batches:
                    title = f"{name} forward{' + backward' * backward}, {precision}, batch {batch}"
                    rows[title] = Layer(name, batch, device, dtype, backward).measure(rounds)
    return rows


if __name__ == "__main__":
    from benchmarks.__main__ import machine, table

    if not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU here; python -m benchmarks measures what a CPU does")
    warnings.simplefilter("ignore")
    print(machine(), torch.cuda.get_device_name())
    print(table("on a GPU", measure()))
