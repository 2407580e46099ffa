"""All attributes of yes and no at once, each as if its two answers were equally frequent (MOON, Rudd et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invariantnets.backbones import Trainable
from invariantnets.constraints.constraint import Constraint
from invariantnets.constraints.nuisance import told
from invariantnets.constraints.rows import as_rows
from invariantnets.data import Batch, DataSpec
from invariantnets.errors import InvariantNetsError

LOSSES = ("squared", "cross_entropy")


def balancing_weights(share: Tensor, target: float) -> Tensor:
    """What an image counts, so that of all that counts ``target`` has the attribute.

    One side counts 1 an image, the other so much less: p(+) = 1 if T⁺ > S⁺, else S⁻T⁺ / (S⁺T⁻), and p(−) likewise with
    the signs exchanged.

    Args:
        share: ``(K,)`` S⁺ of each attribute, more than 0 and less than 1.
        target: T⁺, more than 0 and less than 1.

    Returns:
        ``(2, K)``: of images without, and with it.
    """
    odds = (1 - share) * target / (share * (1 - target))
    return torch.stack([1 / odds, odds]).clamp(max=1)


class Moon(Constraint):
    """A line for each attribute, from one layer, all of them learned together.

    Rudd, Günther and Boult (2016), "MOON: a mixed objective optimization network for the recognition of facial
    attributes", learn +1 and −1 by least squares; AFFACT (Günther et al. 2017) by cross-entropy. Where MOON draws, at
    each step, which images of the more frequent answer count, by a probability, here each counts that probability:
    the same on average, and nothing is drawn. Its value is averaged over attributes and images; where an attribute is
    unknown, the image does not count for it. The answer is yes where the line is above 0.

    It is told the attributes. Linear in the batch.

    Args:
        layer: whose features are read.
        embedding_dim: its width.
        attributes: names of binary nuisances of the data.
        loss: ``squared`` (MOON) or ``cross_entropy`` (AFFACT).
        target_share: share of images with each attribute that is to be learned for; None: that of the training images,
            which then all count the same.
        lr_multiplier: learning rate of the lines relative to the network's.
        weight: of the term.
        ramp: steps over which the weight rises from 0.

    Raises:
        InvariantNetsError: no attribute, one twice, another loss, a share that is none, or a layer of another width;
            from `connect`, a nuisance that the data lack or that is not binary; from `prepare`, an attribute that all
            training images have, or none.
    """

    def __init__(
        self,
        layer: str,
        embedding_dim: int,
        attributes: Sequence[str],
        loss: str = "squared",
        target_share: float | None = 0.5,
        lr_multiplier: float = 1.0,
        weight: float = 1.0,
        ramp: int = 0,
    ):
        super().__init__([layer], weight, ramp=ramp)
        if not attributes or len(set(attributes)) < len(attributes):
            raise InvariantNetsError(
                "Moon: name the attributes, each once: model.constraints.<name>.attributes=[glasses,hat]; of CelebA, "
                f"data.attributes=[Smiling,Male]; got {list(attributes or ())}"
            )
        if loss not in LOSSES:
            raise InvariantNetsError(f"Moon: loss={loss}: choose {' or '.join(LOSSES)}")
        if target_share is not None and not 0 < target_share < 1:
            raise InvariantNetsError(
                f"Moon: target_share={target_share}: give a share above 0 and below 1, or null for no weights"
            )
        self.embedding_dim, self.attributes, self.lr_multiplier = embedding_dim, tuple(attributes), lr_multiplier
        self.loss, self.target_share = loss, target_share
        self.head = nn.Linear(embedding_dim, len(self.attributes))
        self.share: Tensor
        self.register_buffer("share", torch.full((len(self.attributes),), 0.5))

    def connect(self, spec: DataSpec) -> None:
        """See that the data have the attributes.

        Raises:
            InvariantNetsError: they do not.
        """
        binary = [n.name for n in spec.nuisances if n.kind == "binary"]
        if unknown := [name for name in self.attributes if name not in binary]:
            raise InvariantNetsError(
                f"Moon: {unknown[0]!r} is no attribute of yes and no of these data; they have "
                f"[{','.join(binary)}]: set model.constraints.<name>.attributes to some of them"
                if binary
                else "Moon: these data have no attribute of yes and no (no binary nuisance) that could be learned"
            )

    @torch.no_grad()
    def prepare(self, teacher: Trainable | None, batches: Callable[[], Iterable[Batch]]) -> None:
        """How frequent each attribute is: one pass over the training images.

        Raises:
            InvariantNetsError: all of them have one, or none of them.
        """
        yes = torch.cat([self._yes(batch).double().cpu() for batch in batches()])
        share = yes.nanmean(0)
        if constant := [n for n, s in zip(self.attributes, share.tolist(), strict=True) if not 0 < s < 1]:
            raise InvariantNetsError(
                f"Moon: training images with and without {', '.join(constant)} are needed, and all are alike: take it "
                "out of model.constraints.<name>.attributes"
            )
        self.share.copy_(share)

    def counts(self) -> Tensor:
        """``(2, K)`` what an image without, and one with each attribute counts."""
        if self.target_share is None:
            return self.share.new_ones(2, len(self.share))
        return balancing_weights(self.share, self.target_share)

    def chance(self) -> float:
        """The loss of the best constant answers."""
        without, having = self.counts() * torch.stack([1 - self.share, self.share])
        total = without + having
        if self.loss == "squared":
            return float((4 * without * having / total).mean())
        return float(-(torch.xlogy(without, without / total) + torch.xlogy(having, having / total)).mean())

    def scores(self, features: Tensor) -> Tensor:
        """``(N, K)`` of ``(N, D)`` features, above 0 for yes.

        Raises:
            InvariantNetsError: they have another width.
        """
        if features.shape[1] != self.embedding_dim:
            width = features.shape[1]
            raise InvariantNetsError(
                f"Moon: {self.layers[0]} is {width} wide: set model.constraints.<name>.embedding_dim={width}"
            )
        said: Tensor = self.head(features).to(features.dtype)
        return said

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar: the loss of all lines on ``layers[layer]``, ``(B, V, …)``."""
        scores, yes = self.scores(as_rows(layers[self.layers[0]])), self._yes(batch)
        known, having = ~yes.isnan(), yes == 1
        margin = torch.where(having, scores, -scores)  # of the true answer; 1 is what least squares aim at
        loss = (1 - margin).square() if self.loss == "squared" else F.softplus(-margin)
        without, with_it = self.counts()
        return (torch.where(having, with_it, without) * known * loss).sum() / known.sum().clamp(min=1)

    def _yes(self, batch: Batch) -> Tensor:
        """``(B · V, K)``: 1, 0, or NaN where it is unknown."""
        return torch.stack([told(batch, name, "Moon") for name in self.attributes], 1)
