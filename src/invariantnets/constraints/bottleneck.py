"""The information that gets through a noisy embedding, as a price (Alemi et al. 2017; Fischer 2020)."""

from __future__ import annotations

from torch import Tensor

from invariantnets.backbones import LearnedNoise, Trainable
from invariantnets.constraints.constraint import Constraint
from invariantnets.constraints.rows import as_rows, deviations, row_labels
from invariantnets.data import Batch
from invariantnets.errors import InvariantNetsError


class Bottleneck(Constraint):
    """Rate of the noisy channel: Σ_d ½ ln(1 + Var z_d / σ_d²) nats an image, at most what z tells of the image.

    The variational bound of Alemi et al. (2017), equation 17, its marginal the Gaussian of the batch's own
    mean and variances. Both the features and σ are learned, and only their ratio counts: no network can
    lower it by shrinking.

    Conditional: the variances are those within classes, so that the class passes free and all else is paid
    for (Fischer 2020, equation 9). It is told nothing, or the class if conditional; linear in the batch.

    Args:
        layer: whose noise is learned.
        conditional: within each class only.
        weight: of the term: the price of a nat.
        ramp: steps over which the weight rises from 0.
    """

    def __init__(self, layer: str, conditional: bool = False, weight: float = 1.0, ramp: int = 0):
        super().__init__([layer], weight, ramp=ramp)
        self.conditional = conditional
        self._noise: tuple[LearnedNoise, ...] = ()  # the network's, and so no module of the constraint's own

    def bind(self, backbone: Trainable) -> None:
        """Find the noise.

        Raises:
            InvariantNetsError: the layer has none that is learned.
        """
        (layer,) = self.layers
        modules = backbone.layers[layer].modules() if layer in backbone.layers else ()
        self._noise = tuple(module for module in modules if isinstance(module, LearnedNoise))
        if not self._noise:
            raise InvariantNetsError(
                f"Bottleneck: {layer} has no noise that is learned: set model.backbone.learned_noise=true and a "
                "model.backbone.embedding_noise to start from"
            )

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar, in nats. ``layers[layer]``, ``(B, V, width)``, is noisy in training and not in evaluation."""
        layer = layers[self.layers[0]]
        x, label = as_rows(layer), row_labels(batch, layer.shape[1])
        strata = label if self.conditional else label * 0
        freedom = max(len(x) - len(strata.unique()), 1)
        variance = deviations(x, strata).square().sum(0) / freedom
        ratio = variance / (2 * self._noise[0].log_sigma.to(x.dtype)).exp()
        # Noisy features vary by σ² more. By chance they can vary by less: that is no negative information.
        return 0.5 * (ratio if self.training else 1 + ratio).clamp(min=1).log().sum()
