"""What must be said of readers: which one was chosen, what it was fitted to, and who reads more on test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from invariantnets.results.format import and_, bounded, count
from invariantnets.results.result import Result
from invariantnets.results.select import Runs, astray, failed, reads_more, resampled, select
from invariantnets.results.words import metric_name, probe_name

__all__ = ["choice", "drawn", "more_in_runs", "more_on_test", "said_of_more", "sized", "strays"]

# Where more is better, and where strongest has a number.
_COMPARED = ("r2", "auc")
# Of a reader that is worse than guessing on test.
CARRIES_NOT = "does not carry over to the test rows"


def choice(strongest: Result, results: Sequence[Result]) -> str:
    """The name of the probe that is the strongest, as it calls itself."""
    probe = str(strongest.chosen.get("probe", "strongest"))
    return probe_name(probe, next((r.title for r in results if r.probe == probe), ""))


def sized(r: Result, results: Sequence[Result]) -> str:
    """Rows, and what is independent among them: people, where these are told and no classes are."""
    return f"n = {count(r.n)} rows of {count(r.sources)} {drawn(r, results)}"


def drawn(r: Result, results: Sequence[Result]) -> str:
    """What intervals resample."""
    over = resampled(results)
    return "classes" if r.fixed and over == "images" else over


def more_on_test(results: Sequence[Result], target: str) -> dict[str, list[Result]]:
    """Honest probe → its R² and AUC whose intervals on test lie wholly above those of the strongest (`reads_more`).

    Args:
        results: of one layer.
        target: a nuisance.
    """
    found: dict[str, list[Result]] = {}
    for metric in _COMPARED:
        for r in reads_more(results, target, metric):
            found.setdefault(probe_name(r.probe, r.title), []).append(r)
    return found


def said_of_more(results: Sequence[Result], target: str) -> str:
    """What validation chose for a nuisance, and who reads more of it on test; empty where nobody does."""
    more = more_on_test(results, target)
    if not more:
        return ""
    strongest = next(iter(select(results, "r2", target, "strongest")))
    chose = "let no probe pass" if failed(strongest) else f"chose {choice(strongest, results)}"
    parts = [f"{name} reads more: {_numbers(rows)}" for name, rows in more.items()]
    return f"Of the {target}, validation {chose}; on test {and_(parts)}."


def _numbers(rows: Sequence[Result]) -> str:
    return ", ".join(f"{metric_name(r.metric)} {bounded(r)}" for r in rows)


def more_in_runs(runs: Runs, target: str) -> str:
    """Who reads more on test than what validation chose, in how many of several runs; empty where nobody does."""
    counted = Counter(name for results in runs for name in more_on_test(results, target))
    of = f" of {len(runs)} runs" if len(runs) > 1 else ""
    return and_([f"{name} ({n}{of})" if of else name for name, n in counted.most_common()])


def strays(runs: Runs, target: str) -> list[float]:
    """The R² of the runs whose strongest honest probe of a nuisance does not carry over to the test rows (`STRAY`)."""
    return [r.value for results in runs for r in select(results, "r2", target, "strongest") if astray(r)]
