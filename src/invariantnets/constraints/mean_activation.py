"""μ-LeNet: regress to the mean activation of the class (Rudd et al. 2016, section 4.2.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from invariantnets.backbones import Trainable
from invariantnets.constraints.constraint import Constraint
from invariantnets.data import Batch
from invariantnets.errors import InvariantNetsError


class MeanActivation(Constraint):
    """Half the squared distance to the class's mean activation in a trained network, averaged over samples.

    Summed over features, as Caffe's Euclidean loss, where the pair terms are averaged: regression is
    all that this network is trained for, its step size is limited by what each feature receives, and
    so it is the weight per feature that must hold at every width. (Averaged, a weight that trains 500
    features diverges at 32.)

    The means are min–max normalised to [0, 1], each feature over the classes: without that step the
    small targets of rarely active features are lost among the large ones. A feature whose mean is
    the same for all classes becomes 0.

    Args:
        layer: the layer that regresses, and the layer of the teacher that is averaged.
        embedding_dim: its width.
        num_classes: number of classes.
        weight: of the term.
        ramp: steps over which the weight rises from 0.
    """

    def __init__(self, layer: str, embedding_dim: int, num_classes: int, weight: float = 1.0, ramp: int = 0):
        super().__init__([layer], weight, ramp=ramp)
        self.targets: Tensor
        self.register_buffer("targets", torch.full((num_classes, embedding_dim), torch.nan))

    @torch.no_grad()
    def prepare(self, teacher: Trainable | None, batches: Callable[[], Iterable[Batch]]) -> None:
        """One pass over the training images through the teacher.

        Raises:
            InvariantNetsError: no teacher, a teacher of another width, or a class without images.
        """
        if teacher is None:
            raise InvariantNetsError(
                "MeanActivation needs a trained network: model.teacher=<checkpoint> or model.teacher=train"
            )
        layer, (classes, width) = self.layers[0], self.targets.shape
        total, count = torch.zeros(classes, width, dtype=torch.float64), torch.zeros(classes, dtype=torch.float64)
        device = next(teacher.parameters()).device
        for batch in batches():
            x = teacher.features(batch.image.flatten(0, 1).to(device), [layer])[layer].flatten(1).cpu()
            if x.shape[1] != width:
                raise InvariantNetsError(
                    f"the teacher's {layer} is {x.shape[1]} wide, this network's {width}: set "
                    f"model.backbone.embedding_dim={x.shape[1]} or give another teacher"
                )
            label = batch.label.repeat_interleave(batch.image.shape[1]).cpu()
            total.index_add_(0, label, x.double())
            count += label.bincount(minlength=classes)
        if (count == 0).any():
            raise InvariantNetsError(
                f"class {int((count == 0).nonzero()[0])} has no training image: it has no mean activation"
            )
        mean = total / count[:, None]
        low, high = mean.amin(0), mean.amax(0)
        span = high - low
        self.targets.copy_((mean - low) / span.where(span > 0, torch.ones_like(span)))

    def chance(self) -> float:
        """The loss of the best constant: half the variance of the targets between classes."""
        return float(_half_square(self.targets - self.targets.mean(0)))

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar. ``layers[layer]`` is ``(B, V, embedding_dim)``."""
        return _half_square(layers[self.layers[0]] - self.targets[batch.label][:, None])


def _half_square(difference: Tensor) -> Tensor:
    return 0.5 * difference.square().sum(-1).mean()
