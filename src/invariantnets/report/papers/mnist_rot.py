"""MNIST-ROT: what a fresh adversary names of the angle after each method, beside table 1 of Akash et al. (2021)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from invariantnets.report.papers.comparison import Comparison, mean_bounds
from invariantnets.report.papers.forgetting import methods
from invariantnets.report.readers import choice
from invariantnets.results.format import and_, chance, span, summary
from invariantnets.results.result import Result
from invariantnets.results.runs import Group, Run
from invariantnets.results.select import LABEL, Runs, Spread, failed, over_runs, select, spread
from invariantnets.results.words import NONE, interval, number

DATA, ANGLE, TRANSFER = "mnist_rot", "angle", "transfer"
# At least this accuracy by MAV, and an interval of what the adversary names that holds a fifth.
AIM = (0.99, 0.2)
# Method → accuracy of the digit and of the angle, in per cent, as they are printed.
PUBLISHED = {
    "unregularised": ("96", "42"),
    "MMD": ("96", "34 to 35"),
    "MI": ("96", "38"),
    "CAI": ("96", "38"),
    "UAI": ("98", "34"),
    "inverse contrastive loss": ("96", "33"),
}
_LAST, _CHOSEN = "adversary/last", "adversary/chosen"
_A = {"A, last epoch": _LAST, "A, epoch chosen on val": _CHOSEN}
_P = {"P, MAV": "mav", "P, own classifier": "softmax"}
_SHUFFLED, _READER, _R2, _WHICH = "A, shuffled", "angle by our strongest reader", "R², strongest", "which it is (seeds)"
_MOST = "angle by any reader, at most"
# What `transfer=mnist_rot_unseen` measures of each magnitude.
_MAGNITUDE = "|angle|"
_UNSEEN = {
    f"P at ±{at}, never seen, {name}": (f"by_value/{probe}", at)
    for name, probe in (("MAV", "mav"), ("own classifier", "softmax"))
    for at in ("55°", "65°")
}
_FEATURES, _STEPS, _FITTED = "features", "steps before + of the method", "A fitted to rows"
_N, _SEEDS = "n rows", "seeds"
HEADER = (
    *("method", *_P, *_A, _SHUFFLED, _READER, _MOST, _R2, _WHICH, *_UNSEEN),
    *(_FEATURES, _STEPS, _FITTED, _N, _SEEDS),
)
NOTE = (
    "P: accuracy of the digit. A: accuracy of a fresh adversary that names the angle of five, so that less is better "
    "and 20 % is chance. Ours: mean ± s.d. over seeds, behind A in brackets the 95 % interval of the mean over seeds "
    "(Student's t); one seed: its own, over images. Shuffled: the adversary trained and tested on shuffled angles. "
    "A last epoch that is worse than one before it understates what can be named: the epoch chosen on validation and "
    "the strongest of our readers, chosen out of fold and of those that are not told the class, stand beside it. A "
    "reader that is no better than guessing on the rows where it is chosen has failed and names nothing. "
    "Published: table 1 of Akash et al. (2021), at second hand: its text was not at hand, nor which epoch its A is of. "
    "Theirs, by the authors' code (github.com/adityakumarakash/ICL, ten seeds): one convolution of 64 filters, 10 "
    "features for the class beside 20 for a decoder, 120 epochs in steps of 64 images, the checkpoint best on "
    "validation; the adversary fitted to the 54,000 training images in steps of 64, of one hidden layer of 64 units "
    "there and of three fully connected layers in the paper as it is quoted, with batch norm, weight decay and a "
    "falling rate. Ours: LeNet; its features, steps and release as the rows say; an adversary of three layers, in "
    "steps of 1,000 rows, with their weight decay and falling rate. Both: every image at one of five "
    "angles, drawn once, in training, too (the draw is another), and Adam at 1e-3 for 100 epochs."
)


def compare(groups: Sequence[Group]) -> Comparison | None:
    """Put what a fresh adversary names after our methods beside what was published.

    Args:
        groups: of a sweep; digits at angles never seen are looked for in the folder ``transfer`` of each run.

    Returns:
        A row for each published method, for each of ours, and what guessing gives; None without a method of
        `DATA` that an adversary was set on.
    """
    named = set(methods(groups))
    ours = [g for g in groups if g.name in named and g.data == DATA and _adversary(_here(g), _LAST)]
    if not ours:
        return None
    beside = {run.folder: run for g in groups for run in g.runs if run.folder.name == TRANSFER}
    blank = dict.fromkeys(HEADER, NONE)
    rows = [
        blank | {"method": f"{name}, published", "P, own classifier": f"{p} %", "A, last epoch": f"{a} %"}
        for name, (p, a) in PUBLISHED.items()
    ]
    rows += [blank | _row(group, beside) for group in ours]
    every = [results for group in ours for results in _here(group)]
    guessed = {_R2: ("r2", ANGLE, "strongest"), _READER: ("accuracy", ANGLE, _LAST)}
    guessed |= {name: ("accuracy", LABEL, probe) for name, probe in _P.items()}
    guessed |= {name: ("accuracy", ANGLE, probe) for name, probe in _A.items()}
    rows.append(blank | {"method": "chance"} | {name: chance(every, *what) for name, what in guessed.items()})
    cells = [tuple(row[name] for name in HEADER) for row in rows]
    return Comparison("MNIST-ROT, beside Akash et al. (2021)", HEADER, cells, f"{NOTE} {_aim(ours)}", "mnist_rot")


def _row(group: Group, beside: dict[Path, Run]) -> dict[str, str]:
    """The cells of one of our methods that are known."""
    runs, unseen = _here(group), _unseen(group, beside)
    fresh = _adversary(runs, _LAST)
    controls = [replace(r, value=r.control, low=None, high=None) for r in fresh if r.control is not None]
    strongest = [r for results in runs for r in select(results, "r2", ANGLE, "strongest")]
    return {
        "method": str(group.setting("method")),
        **{name: _accuracy(runs, probe) for name, probe in _P.items()},
        **{name: _named(_adversary(runs, probe)) for name, probe in _A.items()},
        _SHUFFLED: summary(_spread(controls), "accuracy"),
        _READER: summary(_spread(_by_strongest(runs)), "accuracy"),
        _MOST: summary(over_runs(runs, "accuracy_at_most", ANGLE, "any").get(None), "accuracy"),
        _R2: summary(_spread(strongest), "r2", places=3),
        _WHICH: _which(runs),
        **{name: summary(_at(unseen, *which), "accuracy", places=2) for name, which in _UNSEEN.items()},
        _FEATURES: str(group.setting("model", "backbone", "embedding_dim") or NONE),
        _STEPS: f"{_steps(group, 'recipes', 'init_from')} + {_steps(group)}",
        _FITTED: span([r.n_fit for r in fresh if r.n_fit is not None]),
        _N: span([r.n for r in fresh]),
        _SEEDS: str(len(runs)),
    }


def _aim(groups: Sequence[Group]) -> str:
    """Who reaches the aim, and what speaks against it."""
    reached = []
    for group in groups:
        runs = _here(group)
        accuracy = over_runs(runs, "accuracy", LABEL, "mav").get(None)
        around = [mean_bounds(spread(_adversary(runs, probe))) for probe in _A.values() if _adversary(runs, probe)]
        sharp = accuracy is not None and accuracy.mean >= AIM[0]
        if sharp and all(found is not None and found[0] <= AIM[1] <= found[1] for found in around):
            read = _spread(_by_strongest(runs))
            reader = summary(read, "accuracy") if read and read.runs else "nothing, having failed"
            reached.append(f"{group.name} ({len(runs)} seed{'s' * (len(runs) != 1)}; our strongest reader: {reader})")
    return (
        f"Aim: P ≥ {number(AIM[0], 'accuracy')} by MAV, in the mean, and intervals of A, at the last epoch and the "
        f"chosen one, that hold {number(AIM[1], 'accuracy', places=0)}: reached by {and_(reached) or 'none'}. Few "
        "seeds have wide intervals, and a wide interval holds 20 % easily: look at its width."
    )


def _here(group: Group) -> Runs:
    return [run.here for run in group.runs]


def _unseen(group: Group, beside: dict[Path, Run]) -> Runs:
    """What its networks know of digits at other angles, where that was looked at."""
    folders = [run.folder / TRANSFER for run in group.runs]
    return [beside[folder].here for folder in folders if folder in beside]


def _at(unseen: Runs, probe: str, magnitude: str) -> Spread | None:
    return over_runs(unseen, "accuracy", LABEL, probe, _MAGNITUDE).get(magnitude)


def _adversary(runs: Runs, probe: str) -> list[Result]:
    return [r for results in runs for r in select(results, "accuracy", ANGLE, probe)]


def _accuracy(runs: Runs, probe: str) -> str:
    return summary(over_runs(runs, "accuracy", LABEL, probe).get(None), "accuracy", places=2)


def _spread(results: Sequence[Result]) -> Spread | None:
    return spread(results) if results else None


def _by_strongest(runs: Runs) -> list[Result]:
    """How often the strongest honest reader of each run names the angle; its R² where it has failed."""
    found = []
    for results in runs:
        for best in select(results, "r2", ANGLE, "strongest"):
            names = [] if failed(best) else select(results, "accuracy", ANGLE, str(best.chosen.get("probe")))
            found += names or [replace(best, metric="accuracy", value=math.nan, status="failed")]
    return found


def _which(runs: Runs) -> str:
    """Which reader is the strongest, in how many runs."""
    counted = Counter(
        choice(r, results) for results in runs for r in select(results, "r2", ANGLE, "strongest") if not failed(r)
    )
    return ", ".join(f"{name} ({n})" for name, n in counted.most_common()) or NONE


def _named(results: Sequence[Result]) -> str:
    """A, and of several seeds the interval of its mean."""
    found = _spread(results)
    text = summary(found, "accuracy")
    around = mean_bounds(found) if found and found.deviation is not None else None
    return f"{text} {interval(*around, 'accuracy')}" if around else text


def _steps(group: Group, *recipe: str) -> str:
    """Training steps, of the job or of the network that it starts from; a recipe says only what differs."""
    if recipe and not group.setting(*recipe):
        return "0"
    keys = (("trainer", "max_epochs"), ("data", "epoch_batches"))
    sizes = [group.setting(*recipe, *key) or group.setting(*key) for key in keys]
    return f"{math.prod(sizes):,}" if all(isinstance(size, int) for size in sizes) else "unknown"
