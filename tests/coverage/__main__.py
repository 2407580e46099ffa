"""``python tests/coverage``: the table of docs/lab/intervals_truth.md."""

from __future__ import annotations

import argparse
from functools import partial

from people import recognition
from populations import UNSEEN, accuracies, areas, classes, numbers
from trials import Held, count

NAMES = {"r2": "R²", "rmse": "RMSE", "mae": "MAE", "auc": "AUC", "eer": "EER", "rank1": "rank 1"}
PARTS = {
    "numbers": (numbers, "sources"),
    "rare": (partial(numbers, r2=(0.3, 0.9), errors=(UNSEEN,)), "sources"),
    "accuracies": (accuracies, "sources"),
    "areas": (areas, "positive sources, beside 60 negative"),
    "classes": (classes, "sources"),
    "people": (recognition, "people"),
}


def main() -> None:
    """Count, and print a table of each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[*PARTS], nargs="*", default=[*PARTS])
    given = parser.parse_args()
    for part in given.only:
        cases, columns = PARTS[part]
        held = [h for case in cases() for h in count(case, given.trials, given.seed)]
        print(table(held, columns), flush=True)


def table(held: list[Held], columns: str) -> str:
    """A row of each metric and population, a column of each number of sources: coverage old → new (widths)."""
    sizes = sorted({h.case.sources for h in held})
    cells = {(h.metric, h.case.about, h.case.sources): h for h in held}
    lines = [f"| metric | population | truth | {' | '.join(map(str, sizes))} |", "|---" * (3 + len(sizes)) + "|"]
    for metric, about in dict.fromkeys((h.metric, h.case.about) for h in held):
        row = [cells[metric, about, n] for n in sizes]
        truth = " to ".join(dict.fromkeys(f"{h.case.truth[metric]:.3f}" for h in (row[0], row[-1])))
        lines.append(
            f"| {NAMES.get(metric, metric.replace('_', ' '))} | {about} | {truth} | {' | '.join(map(cell, row))} |"
        )
    return f"Columns: {columns}.\n\n" + "\n".join(lines) + "\n"


def cell(h: Held) -> str:
    """``86 → 95 (0.21 → 0.30)``; below 93 marked."""
    mark = "**" if h.new < 0.93 else ""
    return f"{100 * h.old:.0f} → {mark}{100 * h.new:.0f}{mark} ({h.old_width:.2g} → {h.new_width:.2g})"


if __name__ == "__main__":
    main()
