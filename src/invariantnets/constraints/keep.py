"""The opposite of an adversary: features from which the nuisance can be read."""

from __future__ import annotations

from torch import Tensor, nn

from invariantnets.constraints.head import HeadConstraint
from invariantnets.data import Batch


class Keep(HeadConstraint):
    """A line reads the nuisance from a layer, and both learn that it can.

    Its value is 1 − R² of that line on the batch for a number or an angle, 1 where it reads nothing; cross-entropy,
    in nats, for categories: see `HeadConstraint`. That the head is a line puts what is kept where a line finds it.
    The gradient goes into the layer and into those that it reads. Of an aside, as ``kept`` of `lenet`, no layer
    after it has any: what they forget they forget. What the shared layers before it know, ``kept`` can give as well.

    It is told the nuisance. Linear in the batch.

    Args:
        layer: whose features are to keep it.
        embedding_dim: its width.
        nuisance: its name; of several, each has a term of its own.
        outputs: columns of the encoded nuisance: 1 for a number, 2 for an angle, else its categories.
        lr_multiplier: learning rate of the head relative to the network's.
        weight: of the term.
        ramp: steps over which the weight rises from 0.

    Raises:
        InvariantNetsError: a layer of another width; from `connect`, a nuisance of other columns.
    """

    def __init__(
        self,
        layer: str,
        embedding_dim: int,
        nuisance: str,
        outputs: int = 1,
        lr_multiplier: float = 1.0,
        weight: float = 1.0,
        ramp: int = 0,
    ):
        head = nn.Linear(embedding_dim, outputs)
        super().__init__(layer, embedding_dim, nuisance, outputs, head, lr_multiplier, weight, ramp)

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar: the line's loss on ``layers[layer]``, ``(B, V, …)``."""
        return self.reading_loss(layers[self.layers[0]], batch)

    def chance(self) -> float | None:
        """The loss of a line that reads nothing; None until the nuisance is known."""
        return self.nothing_read if self.known else None
