"""What a constraint is: named layers and a batch in, one scalar out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from torch import Tensor, nn

from invariantnets.backbones import Backbone
from invariantnets.data import Batch
from invariantnets.errors import InvariantNetsError


class Constraint(nn.Module):
    """A term of the objective. Subclasses implement ``forward(layers, batch) -> scalar``.

    ``layers`` maps each requested layer to ``(B, V, …)``: the views axis is always there.

    Args:
        layers: the layers that the term needs.
        weight: multiplies the term in the objective.
        views: the least number of views per sample that it needs.
    """

    def __init__(self, layers: Sequence[str], weight: float = 1.0, views: int = 1):
        super().__init__()
        if weight < 0:
            raise InvariantNetsError(f"{type(self).__name__}: weight={weight} is negative; use 0 to drop the term")
        self.layers, self.weight, self.views = tuple(layers), weight, views

    def prepare(self, teacher: Backbone | None, batches: Callable[[], Iterable[Batch]]) -> None:
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
