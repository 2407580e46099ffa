"""What a constraint is: named layers and a batch in, one scalar out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from torch import Tensor, nn

from invariantnets.backbones import Trainable
from invariantnets.data import Batch, DataSpec
from invariantnets.errors import InvariantNetsError


class Constraint(nn.Module):
    """A term of the objective. Subclasses implement ``forward(layers, batch) -> scalar``.

    ``layers`` maps each requested layer to ``(B, V, …)``: the views axis is always there.

    Args:
        layers: the layers that the term needs.
        weight: multiplies the term in the objective.
        views: the least number of views per sample that it needs.
        ramp: steps over which the weight rises linearly from 0; 0 is the whole weight from the start.

    Attributes:
        lr_multiplier: learning rate of the constraint's own parameters relative to the network's.
    """

    lr_multiplier = 1.0

    def __init__(self, layers: Sequence[str], weight: float = 1.0, views: int = 1, ramp: int = 0):
        super().__init__()
        owner = type(self).__name__
        if weight < 0:
            raise InvariantNetsError(f"{owner}: weight={weight} is negative; use 0 to drop the term")
        if ramp < 0:
            raise InvariantNetsError(f"{owner}: ramp={ramp} is negative; give a number of steps, or 0 for none")
        self.layers, self.weight, self.views, self.ramp = tuple(layers), weight, views, ramp

    def weight_at(self, step: int | None) -> float:
        """The weight after so many training steps; None, as in validation, is after the ramp."""
        return self.weight if step is None or step >= self.ramp else self.weight * step / self.ramp

    def term(self, layers: dict[str, Tensor], batch: Batch, step: int | None = None) -> Tensor:
        """What the constraint adds to the objective: its weighted value."""
        value: Tensor = self.weight_at(step) * self(layers, batch)
        return value

    def bind(self, backbone: Trainable) -> None:
        """Called once, with the network, for a constraint that needs to know more of it than activations."""

    def connect(self, spec: DataSpec) -> None:
        """Called before training and resuming, with what the data promise."""

    def prepare(self, teacher: Trainable | None, batches: Callable[[], Iterable[Batch]]) -> None:
        """Called once before training from scratch; not after a resume, whose state has the outcome.

        Args:
            teacher: the trained network of ``model.teacher``, if one was given.
            batches: gives the training images in order, as often as called.
        """

    def chance(self) -> float | None:
        """The value that features which ignore the image can reach; None if that is no failure."""
        return None


def layer_weights(weights: Mapping[str, float], owner: str) -> dict[str, float]:
    """The layers with a weight other than 0.

    Raises:
        InvariantNetsError: a negative weight, or no layer left.
    """
    if any(weight < 0 for weight in weights.values()):
        raise InvariantNetsError(f"{owner}: weights must not be negative; got {dict(weights)}")
    kept = {layer: float(weight) for layer, weight in weights.items() if weight}
    if not kept:
        raise InvariantNetsError(
            f"{owner}: every layer has weight 0; drop the whole term with model.constraints.<name>=null"
        )
    return kept


def mean_square(difference: Tensor) -> Tensor:
    """Half the mean square: Caffe's Euclidean loss, averaged over features as well as samples.

    The average makes a weight mean the same at every layer size. (Summed over features, as in
    Caffe, a weight of 1 makes PAIR-LeNet diverge within 50 steps.)
    """
    return 0.5 * difference.square().mean()
