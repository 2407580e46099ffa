"""After a sweep over the parts of a data set: one table of all parts for each seed, and people recognised by them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.files import slug

if TYPE_CHECKING:
    from invariantnets.features.table import FeatureTable

__all__ = ["PeopleByParts", "of_all_parts"]

log = logging.getLogger(__name__)
PEOPLE, SCORES = "people", "scores"  # folders of the two reports, in that of the sweep


@dataclass(frozen=True)
class PeopleByParts:
    """Called at the end of a sweep over ``data.part``, whose jobs saved their features (`invariantnets.sweep`).

    For each seed the test rows of all its jobs become one table, a row a picture and part; half of the people lend the
    weights of the parts, the others are recognised (`invariantnets.protocols.run_piper`). The report of the sweep has
    what every part knows. Beside it there are two more: ``people/``, how people are recognised, and ``scores/``, what
    the scores of them still know. A part whose job failed is left out.

    Attributes:
        sets: further sums, name → patterns of parts: ``{both: [global, "poselet *"]}``.
        nuisances: what is read from the scores.
    """

    sets: Mapping[str, Sequence[str]]
    nuisances: Sequence[str]

    def __call__(self, folder: Path, jobs: Sequence[Path]) -> None:
        """Write both into the folder of a sweep, and print the paths of their reports.

        Raises:
            InvariantNetsError: a job without features, a part that two jobs looked at, or what the protocol raises.
        """
        from invariantnets.evaluation import evaluate, subject_of
        from invariantnets.features.io import load_table, save_table
        from invariantnets.protocols import run_piper
        from invariantnets.results.runs import read_run
        from invariantnets.run import report_sweep

        tables: dict[int, dict[str, FeatureTable]] = {}
        for run in map(read_run, (job for job in jobs if (job / "results.jsonl").is_file())):
            of_seed, part = tables.setdefault(run.setting("seed"), {}), run.setting("data", "part")
            if part in of_seed:
                raise InvariantNetsError(f"{run.folder}: a second job of seed {run.setting('seed')} looked at {part!r}")
            of_seed[part] = load_table(run.folder / "features" / slug(run.layer))
        for seed, of_part in sorted(tables.items()):
            table = of_all_parts(of_part, seed)
            save_table(table, folder / PEOPLE / str(seed) / "features")
            sets = {
                name: [p for p in of_part if any(fnmatchcase(p, s) for s in some)] for name, some in self.sets.items()
            }
            log.info("seed %s: people by %d parts", seed, len(of_part))
            subject = replace(subject_of(table), model="all parts", data="people")
            evaluate(subject, [], protocols=partial(run_piper, sets=sets), seed=seed).save(folder / PEOPLE / str(seed))
            for name, known in scores_of(table, self.nuisances, seed):
                log.info("seed %s: what %s know of %s", seed, name, ", ".join(self.nuisances))
                subject = replace(subject_of(known), model=name, data="people")
                evaluate(subject, protocols=None, seed=seed).save(folder / SCORES / f"{seed} {name}")
        for name in (PEOPLE, SCORES):
            report_sweep(folder / name)


def of_all_parts(tables: Mapping[str, FeatureTable], seed: int) -> FeatureTable:
    """Test rows of several parts' tables as one, for `run_piper`.

    A row's name is that of the picture: ``<person>/<album>/<picture>``. Half of the people, drawn, are ``val``.

    Args:
        tables: part → a table of one layer, whose features are as many for every part.
        seed: of the draw.

    Raises:
        InvariantNetsError: a table without names.
    """
    from invariantnets.features.table import FeatureTable
    from invariantnets.randomness import numpy_rng

    some = {part: table.part("test") for part, table in tables.items() if (table.split == "test").any()}
    first = next(iter(some.values()))
    layer = next(iter(first.features))
    nameless = [part for part, table in some.items() if table.name is None]
    if nameless:
        raise InvariantNetsError(
            f"part {nameless[0]!r}: its rows have no names, by which parts of a picture are joined"
        )

    def joined(of: Any) -> np.ndarray:
        return np.concatenate([np.asarray(of(table)) for table in some.values()])

    name = joined(lambda table: table.name)
    album = np.array([one.rpartition("/")[0] for one in name])
    person = np.array([one.rpartition("/")[0] for one in album])  # tables may number people each in its own way
    everybody = numpy_rng(seed, 10, 8).permutation(np.unique(person))
    lend = np.isin(person, everybody[: len(everybody) // 2])
    columns: dict[str, Any] = {n.name: joined(lambda table, n=n: table.nuisance[n.name]) for n in first.nuisances}
    return FeatureTable.from_arrays(
        {layer: joined(lambda table: table.features[layer])},
        label=person,
        source=name,
        split=np.where(lend, "val", "test"),
        part=np.repeat(list(some), [len(table) for table in some.values()]),
        album=album,
        kinds={n.name: n.kind for n in first.nuisances},
        units={n.name: n.unit for n in first.nuisances},
        **columns,
    )


def scores_of(table: FeatureTable, nuisances: Sequence[str], seed: int) -> Iterator[tuple[str, FeatureTable]]:
    """Features of the global model, and scores of people by it and by parts, as tables for probes of nuisances.

    Args:
        table: of `of_all_parts`.
        nuisances: its columns that are read.
        seed: of the models, and of the people that probes are fitted to and tested on.
    """
    from invariantnets.features.table import FeatureTable
    from invariantnets.protocols.part_vectors import part_vectors

    source, row = np.unique(table.source, return_index=True)
    for name, x, there in part_vectors(table, next(iter(table.features)), seed):
        if name.startswith("scores") or name == "features of global":
            own = row[np.searchsorted(source, there.picture)]
            read = [n for n in table.nuisances if n.name in nuisances]
            known = FeatureTable.from_arrays(
                x.astype(np.float32),
                label=there.person,
                division="identity",
                seed=seed,
                kinds={n.name: n.kind for n in read},
                units={n.name: n.unit for n in read},
                **{n.name: table.nuisance[n.name][own] for n in read},
            )
            yield name, known
