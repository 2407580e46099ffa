"""Whether classes that were never trained on are invariant, too: against the number of those that were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from invariantnets.report.papers.comparison import Comparison
from invariantnets.results.format import and_, chance, count, span, summary
from invariantnets.results.runs import Group, Run
from invariantnets.results.select import LABEL, Runs, over_runs, select
from invariantnets.results.words import NONE, number

ANGLE, TRANSFER = "angle", "transfer"
BEFORE = "softmax"  # the method that forgets nothing
# The strongest reader of new classes finds no more than this, at an accuracy that is no worse than before.
AIM = 0.1
_MAV, _R2 = ("accuracy", LABEL, "mav"), ("r2", ANGLE, "strongest")
_SIDES = ("trained on", "new")
HEADER = (
    *("method", "classes trained on", "images of each to train on"),
    *(f"{what}, {side}" for side in _SIDES for what in ("MAV", "chance of MAV", "R²")),
    *("n rows", "fitted to rows", "seeds"),
)
NOTE = (
    "Mean ± s.d. over seeds (one seed: 95 % interval over images). R² of the angle by the strongest honest probe, 0 is "
    "chance; a probe that is no better than guessing where it is chosen has failed, says nothing of invariance and is "
    "in no mean. Trained on: test images of the classes that the network was trained on. New: {new}, none of them "
    "trained on, each enrolled by the mean activation of images of its own. As the images are as many in all, the more "
    "classes, the fewer of each. The MAV of classes trained on is of as many classes as there are, and falls with them "
    "by chance alone; that of new ones is of the same classes in every row. Seeds vary the network, and not which "
    "classes there are: their spread is that of training."
)


def swept(groups: Sequence[Group]) -> dict[str, dict[int, tuple[Runs, Runs]]]:
    """What was measured on both sides, of the networks of a sweep that were trained on some number of glyph classes.

    Args:
        groups: of a sweep; new classes are looked for in the folder ``transfer`` of each run.

    Returns:
        Method, or model → number of classes → the results of runs on the classes trained on and on new ones, each of
        one layer. A method with one number of classes in several settings is left out: these differ in something else.
    """
    return {
        method: {classes: (_here(group), [run.here for run in new]) for classes, (group, new) in of.items()}
        for method, of in _found(groups).items()
    }


def compare(groups: Sequence[Group]) -> Comparison | None:
    """Lay out what is told and what is read on both sides.

    Args:
        groups: of a sweep.

    Returns:
        A row for each method and number of classes; None where no network was looked at on new classes of glyphs.
    """
    found = _found(groups)
    if not found:
        return None
    rows = [_row(method, classes, *sides) for method, of in found.items() for classes, sides in sorted(of.items())]
    of_new = {_new_classes(run) for of in found.values() for group, _ in of.values() for run in group.runs}
    new = and_(sorted(f"{size} classes from number {first:,} on" for first, size in of_new))
    note = " ".join([NOTE.format(new=new), *_aims(swept(groups))])
    return Comparison("How many classes it takes to carry over to new ones", HEADER, rows, note, "new_classes")


def _found(groups: Sequence[Group]) -> dict[str, dict[int, tuple[Group, list[Run]]]]:
    beside = {run.folder: run for group in groups for run in group.runs if run.folder.name == TRANSFER}
    found: dict[str, list[tuple[int, Group, list[Run]]]] = {}
    for group in groups:
        new = [beside[place] for run in group.runs if (place := run.folder / TRANSFER) in beside and _are_new(run)]
        classes = group.setting("data", "source", "classes")
        if new and isinstance(classes, int):
            found.setdefault(str(group.setting("method") or group.model), []).append((classes, group, new))
    return {
        method: {classes: (group, new) for classes, group, new in of}
        for method, of in found.items()
        if len({classes for classes, _, _ in of}) == len(of)
    }


def _new_classes(run: Run) -> tuple[int, int]:
    """Where the other classes begin in the order of all, and how many they are; (-1, 0) where that is not said."""
    first, size = (run.setting(TRANSFER, "data", "source", key) for key in ("first", "classes"))
    return (first, size) if isinstance(first, int) and isinstance(size, int) else (-1, 0)


def _are_new(run: Run) -> bool:
    """Whether none of the other classes is among those trained on."""
    own, classes = (run.setting("data", "source", key) for key in ("first", "classes"))
    first, size = _new_classes(run)
    return isinstance(own, int) and size > 0 and (first >= own + classes or first + size <= own)


def _here(group: Group) -> Runs:
    return [run.here for run in group.runs]


def _row(method: str, classes: int, group: Group, new: Sequence[Run]) -> tuple[str, ...]:
    sides = (_here(group), [run.here for run in new])
    images = group.setting("data", "source", "images")
    cells = [
        cell
        for runs in sides
        for cell in (
            summary(over_runs(runs, *_MAV).get(None), "accuracy", places=2),
            chance(runs, *_MAV),
            summary(over_runs(runs, *_R2).get(None), "r2", places=3),
        )
    ]
    read = [r for runs in sides for results in runs for r in select(results, *_R2)]
    sizes = span([r.n for r in read]), span([r.n_fit for r in read if r.n_fit is not None])
    seeds = str(len(new)) if len(new) == len(group.runs) else f"{len(group.runs)}, of new ones {len(new)}"
    # Of each ten images of a class seven are to train on.
    each = count(sum(i % 10 < 7 for i in range(images // classes))) if isinstance(images, int) else NONE
    return (method, f"{classes:,}", each, *cells, *sizes, seeds)


def _aims(found: Mapping[str, Mapping[int, tuple[Runs, Runs]]]) -> Iterator[str]:
    """From how many classes on the aim is reached, by each method that forgets."""
    before = found.get(BEFORE, {})
    for method, of in found.items():
        common = sorted(set(of) & set(before))
        if method == BEFORE or not common:
            continue
        reached = [f"{classes:,}" for classes in common if _reaches(of[classes][1], before[classes][1])]
        yield (
            f"Aim of {method}: R² of new classes ≤ {number(AIM, 'r2')} and their MAV not below that of {BEFORE}, in "
            f"the mean: reached with {and_(reached) or 'none'} of {and_([f'{c:,}' for c in common])} classes."
        )


def _reaches(after: Runs, before: Runs) -> bool:
    left = over_runs(after, *_R2).get(None)
    told, then = (over_runs(runs, *_MAV).get(None) for runs in (after, before))
    if left is None or not left.runs or told is None or then is None:
        return False
    return left.mean <= AIM and told.mean >= then.mean
