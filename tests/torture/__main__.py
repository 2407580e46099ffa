"""``make torture``: all trials, two side by side, and a table of how many held."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from session import all_trials, slug, table, together


def main() -> int:
    """Parse the command line, run, report; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn: moments, places")
    parser.add_argument("--jobs", type=int, default=2, help="trials side by side, a core each")
    parser.add_argument("--only", default="", help="trials whose kind or name holds this text")
    parser.add_argument("--folder", type=Path, help="where trials that failed, and torture.md, are kept")
    given = parser.parse_args()
    session = given.folder or Path(tempfile.mkdtemp(prefix="torture-"))
    session.mkdir(parents=True, exist_ok=True)
    trials = all_trials()
    chosen = [i for i, trial in enumerate(trials) if given.only in f"{trial.kind}: {trial.name}"]
    print(f"{len(chosen)} trials, seed {given.seed}, in {session}", flush=True)
    start, outcomes = time.monotonic(), []
    for outcome in together(chosen, session, given.seed, given.jobs):
        outcomes.append(outcome)
        if outcome.broken:
            seen, kept = " ".join(outcome.broken.split()), session / slug(outcome.kind, outcome.name)
            print(f"\r{outcome.kind}: {outcome.name}: {seen[:400]} ({kept})", flush=True)
        if sys.stderr.isatty():
            print(f"\r{len(outcomes)} of {len(chosen)}", end="", file=sys.stderr, flush=True)
    order = {(trial.kind, trial.name): place for place, trial in enumerate(trials)}
    outcomes.sort(key=lambda outcome: order[outcome.kind, outcome.name])
    text = table(outcomes)
    (session / "torture.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\n{(time.monotonic() - start) / 60:.1f} min; {session / 'torture.md'}")
    return int(any(outcome.broken for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
