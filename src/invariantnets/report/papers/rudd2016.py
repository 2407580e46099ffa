"""The numbers of section 4 of Rudd et al. (2016) beside ours."""

from __future__ import annotations

from collections.abc import Sequence

from invariantnets.report.papers.comparison import Comparison
from invariantnets.results.format import summary
from invariantnets.results.runs import Group
from invariantnets.results.select import LABEL, over_runs
from invariantnets.results.words import NONE, number

MODELS = {"lenet": "LeNet", "mu_lenet": "μ-LeNet", "pair_lenet": "PAIR-LeNet"}
HEADER = ("quantity", "network", "Rudd et al.", "ours", "seeds", "difference")
NOTE = (
    "Ours: mean ± s.d. over seeds (one seed: 95 % interval). Difference: ours minus Rudd et al.'s. "
    "'Uses the answer': the regressor of the true label is told the class of the test image, as there; the "
    "label-blind rows are the honest ones. The paper gives one regression error, 'around 15°', for LeNet, and calls "
    "the others' success at angles slightly lower; it gives 94.21 % for PAIR-LeNet as cosine distance to 'each label "
    "and angle mean' in the text and as MAV in its figure 4."
)

# Quantity → (metric, target, probe, the published value per model). A string has no difference.
_QUANTITIES: dict[str, tuple[str, str, str, dict[str, float | str]]] = {
    "softmax accuracy": ("accuracy", LABEL, "softmax", {"lenet": 0.9898, "pair_lenet": 0.9902}),
    "MAV accuracy": ("accuracy", LABEL, "mav", {"lenet": 0.8990, "mu_lenet": 0.9718, "pair_lenet": 0.9421}),
    "per-angle MAV, label-blind angle (headline)": ("accuracy", LABEL, "mav/estimated_angle", {"lenet": 0.9544}),
    "per-angle MAV, angle by true label (uses the answer)": (
        "accuracy",
        LABEL,
        "mav/estimated_angle_true_label",
        {"lenet": 0.9544},
    ),
    "angle RMSE, regressor per true label (uses the answer)": (
        "rmse",
        "angle",
        "ridge/per_label",
        {"lenet": 15.0, "mu_lenet": "slightly more", "pair_lenet": "slightly more"},
    ),
    "angle RMSE, one label-blind regressor": ("rmse", "angle", "ridge", {}),
}


def compare(groups: Sequence[Group]) -> Comparison | None:
    """Put our results on rotated MNIST beside those of Rudd et al. (2016).

    Args:
        groups: of a sweep.

    Returns:
        A row for each quantity and network that the paper or we have a number for; None unless each of
        its three networks is there in just one setting.
    """
    found = [g for g in groups if g.data == "rotated_mnist" and g.model in MODELS]
    if sorted(g.model for g in found) != sorted(MODELS):
        return None
    runs = {g.model: [r.here for r in g.runs] for g in found}
    rows: list[tuple[str, ...]] = []
    for quantity, (metric, target, probe, published) in _QUANTITIES.items():
        for model, name in MODELS.items():
            ours = over_runs(runs[model], metric, target, probe).get(None)
            theirs, places = published.get(model), 2 if metric == "accuracy" else 1
            if ours is None and theirs is None:
                continue
            value = theirs if isinstance(theirs, float) else None
            difference = _signed(ours.mean - value, metric) if ours and ours.runs and value is not None else NONE
            # The paper has two decimals of a per cent, and speaks of the error as "about".
            shown = theirs if isinstance(theirs, str) else NONE
            if value is not None:
                shown = f"{100 * value:.2f} %" if metric == "accuracy" else f"about {value:.0f}°"
            seeds = str(ours.runs + ours.failed) if ours else NONE
            rows.append((quantity, name, shown, summary(ours, metric, "°", places), seeds, difference))
    return Comparison("Beside Rudd et al. (2016)", HEADER, rows, NOTE, "rudd2016")


def _signed(difference: float, metric: str) -> str:
    text = number(difference, metric, "°", places=2 if metric == "accuracy" else 1).replace(" %", " points")
    return text if text.startswith("−") else f"+{text}"
