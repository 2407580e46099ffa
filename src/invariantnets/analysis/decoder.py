"""An attack by way of the picture: it is drawn from the features, and the nuisance is read from what was drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import unprobable
from invariantnets.features.table import FeatureTable
from invariantnets.probes.ridge import Ridge
from invariantnets.probes.scorer import Scorer
from invariantnets.probes.stack import honest, with_stack
from invariantnets.probes.suite import known_together, probable, readings
from invariantnets.probes.task import Task, prepare, refuse_collapsed, too_few
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import Resampling

__all__ = ["Decoder"]

STREAM = 152  # of who is drawn; 153 of the decoder, 154 of its reader, 155 of what is shown
MOST = 2**25  # numbers in the pixels that are read, 128 MB
SHOWN = 6  # sources in the figure, two rows of each
METRICS = ("r2", "auc", "accuracy", "mae")
READ, BACK = "What is read from the pictures that were drawn", "How much of the picture comes back"
_BOUND = (
    "what is drawn is a function of the features: nothing read from it can lie above an upper bound for these, and "
    "where nothing is read, it is this attack that found nothing"
)


class _Rows(NamedTuple):
    """Rows of the table: those that the decoder is trained on, those that its reader is, and test."""

    drawn_by: np.ndarray
    read_by: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Decoder:
    """A network that rebuilds the picture from the features, and readers of what it draws.

    Readers are fitted to pictures that were drawn of known rows, of other sources than the decoder was trained on:
    those look as pictures of test do. The same readers are fitted to the pictures themselves, to see what they can.

    Args:
        rows: known rows that the decoder is trained on, and as many others that its readers are fitted to, at most.
        epochs: of the decoder.
        reader_epochs: of the convolutional reader; the other one is linear.
        width: of the two hidden layers of the decoder.
        side: pixels of the longer side, to which larger pictures are shrunk.
    """

    rows: int = 20_000
    epochs: int = 20
    reader_epochs: int = 6
    width: int = 256
    side: int = 28
    name: ClassVar[str] = "decoder"
    title: ClassVar[str] = "Pictures drawn from the features"

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        table, layer = material.table, material.layer
        if material.pictures is None:
            raise InvariantNetsError(f"{self.title}: needs the pictures of the rows; of a table say images=<folder>")
        closed = probable(table, layer)
        cannot = unprobable(table)
        able = tuple(n for n in table.nuisances if n.name not in cannot)
        if not able:
            why = "; ".join(f"{name}: {reason}" for name, reason in cannot.items()) or "there is none in the table"
            raise InvariantNetsError(f"{self.title}: no nuisance can be read ({why})")
        rows = self._rows(material, closed)
        from invariantnets.analysis.decoding import drawing, shrunk  # here: it loads torch, which tables do without

        def pictures(of: np.ndarray) -> np.ndarray:
            assert material.pictures is not None
            parts = [shrunk(material.pictures(some), self.side) for some in np.array_split(of, len(of) // 1024 + 1)]
            return np.concatenate(parts)

        material.progress(f"{self.title}: training on {len(rows.drawn_by):,} rows")
        seen = pictures(rows.drawn_by)
        shape, flat = seen.shape[1:], seen.reshape(len(seen), -1)
        if not np.ptp(flat, 0).any():
            raise InvariantNetsError(f"{self.title}: all pictures are alike: there is nothing to draw")
        rows = self._fewer(rows, flat.shape[1], material, closed)
        x = table.features[layer]
        if not np.ptp(x[rows.drawn_by], 0).any():
            raise InvariantNetsError(f"{self.title}: all features of layer {layer!r} are constant on known rows")
        draw = drawing(x[rows.drawn_by], flat, self.epochs, self.width, material.seed, STREAM + 1)
        both = np.concatenate([rows.read_by, rows.test])
        order = np.argsort(both)
        true, drawn = pictures(both[order]).reshape(len(both), -1), draw(x[both[order]])
        read = replace(table, nuisances=able).rows(both[order])
        label = table.label[rows.drawn_by] if closed and table.labelled else None
        results = self._share(material, read, closed, true, drawn, flat, label)
        self._show(material, read, true, drawn, shape)
        said = [
            f"the decoder was trained on {len(rows.drawn_by):,} known rows, its readers on what it draws of "
            f"{len(rows.read_by):,} others",
            _BOUND,
            *(f"{name!r} is not read: {why}" for name, why in cannot.items()),
        ]
        for kind, pixels in (("from drawn pictures", drawn), ("from the pictures themselves", true)):
            material.progress(f"{self.title}: reading {kind}")
            scaled = pixels.astype(np.float32) / (255 if pixels.dtype == np.uint8 else 1)
            results += self._read(material, replace(read, features={layer: scaled}), closed, shape, kind, said)
        note = "; ".join(said)
        return [replace(r, note="; ".join(filter(None, (r.note, note)))) for r in results]

    def _rows(self, material: Material, closed: bool) -> _Rows:
        """Known rows in two parts that share no source (open sets: no person), and the rows of test."""
        table, rng = material.table, numpy_rng(material.seed, STREAM, 0)
        known = np.flatnonzero(table.split != "test")
        who = (table.source if closed else table.label)[known]
        sources, index = np.unique(who, return_inverse=True)
        half = rng.permutation(len(sources))[index] < len(sources) // 2
        parts = [np.sort(rng.permutation(known[side])[: self.rows]) for side in (half, ~half)]
        if why := too_few(table.rows(np.concatenate([parts[1], np.flatnonzero(table.split == "test")])), closed):
            raise InvariantNetsError(f"{self.title}: half of the known rows train the decoder, and of the others {why}")
        if not len(parts[0]):
            raise InvariantNetsError(f"{self.title}: there are no two known sources: one half trains the decoder")
        return _Rows(parts[0], parts[1], np.flatnonzero(table.split == "test"))

    def _fewer(self, rows: _Rows, pixels: int, material: Material, closed: bool) -> _Rows:
        """With fewer sources of test, and rows to read by, where all are more than there is room for."""
        table, room = material.table, max(MOST // pixels, 64)
        read_by = rows.read_by
        if len(read_by) > room // 2:
            read_by = np.sort(numpy_rng(material.seed, STREAM, 1).permutation(read_by)[: room // 2])
        left = room - len(read_by)
        if len(rows.test) <= left:
            return rows._replace(read_by=read_by)
        _, index = np.unique(table.source[rows.test], return_inverse=True)
        place = numpy_rng(material.seed, STREAM, 2).permutation(index.max() + 1)[index]
        last = np.sort(place)[left - 1]
        return rows._replace(read_by=read_by, test=rows.test[place <= last])

    def _share(
        self,
        material: Material,
        read: FeatureTable,
        closed: bool,
        true: np.ndarray,
        drawn: np.ndarray,
        trained_on: np.ndarray,
        label: np.ndarray | None,
    ) -> list[Result]:
        """How much of the variance of the pixels of test is drawn; beside it by the mean picture of the true class."""
        test = read.split == "test"
        mean = (trained_on.mean(0, dtype=np.float64) / 255).astype(np.float32)
        rebuilt, pixels, classes = drawn[test], true[test], read.label[test]
        guesses: dict[str, Callable[[slice], np.ndarray]] = {"drawn from the features": lambda at: rebuilt[at]}
        if label is not None:
            of = (trained_on[label == c] for c in range(read.num_classes))
            of_class = np.stack([some.mean(0) / 255 if len(some) else mean for some in of])
            guesses["mean picture of the true class"] = lambda at: of_class[classes[at]]
        group = Resampling((read.source if closed else read.label)[test])
        results = []
        for kind, guess in guesses.items():
            sums = np.empty((len(pixels), 3))
            for start in range(0, len(pixels), 1024):
                at = slice(start, start + 1024)
                here = pixels[at].astype(np.float32) / 255
                squares = (((here - other) ** 2).sum(1) for other in (guess(at), mean))
                sums[at] = np.stack([*squares, np.ones(len(here))], 1)
            value, low, high = (float(v[0]) for v in group.interval(sums, _explained, [Number("below_one", (2,))]))
            ends = {"low": low, "high": high} if np.isfinite(low) and np.isfinite(high) else {}
            fields = {"probe": f"{self.name}/{kind}", "n": len(pixels), "sources": group.sources, "title": BACK, **ends}
            fit = {"target": "picture", "chance": 0.0, "n_fit": len(trained_on)}
            results.append(measured(material, "variance_share", value, **fields, **fit))
        return results

    def _read(
        self, material: Material, table: FeatureTable, closed: bool, shape: tuple[int, ...], kind: str, said: list[str]
    ) -> list[Result]:
        """What the best of the readers, chosen out of fold, reads from pixels."""
        from invariantnets.analysis.decoding import PictureReader

        results: list[Result] = []
        for part, _ in known_together(table, ()):
            if not part.nuisances:
                continue
            if why := too_few(part, closed):
                said += [f"{n.name!r} is not read: where it is known, {why}" for n in part.nuisances]
                continue
            task = prepare(part, material.layer, material.seed, closed)
            refuse_collapsed(task, material.layer)
            channels, high, wide = shape
            found = readings(task, [Ridge(), PictureReader((channels, high, wide), self.reader_epochs)])
            test = task.parts["test"]
            scorer = Scorer(test if closed else replace(test, source=test.label), material.layer, material.seed)
            for target in task.every:
                every = with_stack(task, target, found[target.nuisance.name])
                results += self._best(task, scorer, every, kind)
        return results

    def _best(self, task: Task, scorer: Scorer, every: list[Any], kind: str) -> list[Result]:
        sound = honest(task, every)
        probe, reading = sound[0] if sound else max(every, key=lambda f: task.validation_r2(f[1].held_out, f[1].target))
        results = []
        for r in scorer.nuisance(task, reading, probe):
            if r.metric not in METRICS or r.where:
                continue
            of: dict[str, Any] = {"title": READ, "about": "analysis", "chosen": {"probe": probe.name, **r.chosen}}
            nothing = f"{r.target!r}, {kind}: no reader found anything on rows that it was not fitted to"
            results.append(replace(r, probe=f"{self.name}/{kind}", note=r.note if sound else nothing, **of))
            if r.metric == "r2":
                value = r.control if r.control is not None else np.nan
                shuffled: dict[str, Any] = {"value": value, "low": None, "high": None}
                results.append(replace(results[-1], probe=f"{self.name}/shuffled, {kind}", control=None, **shuffled))
        return results

    def _show(
        self, material: Material, read: FeatureTable, true: np.ndarray, drawn: np.ndarray, shape: tuple[int, ...]
    ) -> None:
        """Keep some pictures of test before and after: of some sources two rows, at either end of the nuisance."""
        nuisance = sorted(read.nuisances, key=lambda n: n.kind != "continuous")[0]
        test = np.flatnonzero((read.split == "test") & np.isfinite(read.nuisance[nuisance.name]))
        value, source = read.nuisance[nuisance.name][test], read.source[test]
        rng = numpy_rng(material.seed, STREAM + 3)
        chosen: list[int] = []
        for one in rng.permutation(np.unique(source)):
            here = np.flatnonzero(source == one)
            ends = here[[value[here].argmin(), value[here].argmax()]]
            chosen += dict.fromkeys(ends.tolist())
            if len(chosen) >= 2 * SHOWN:
                break
        rows, names = test[chosen[: 2 * SHOWN]], nuisance.categories
        at = read.nuisance[nuisance.name][rows]

        def bytes_of(pixels: np.ndarray) -> np.ndarray:
            pictures = pixels.reshape(-1, *shape).transpose(0, 2, 3, 1)
            return pictures[..., 0] if shape[0] == 1 else pictures

        after = (drawn[rows].clip(0, 1) * 255).round().astype(np.uint8)
        material.keep(
            self.name,
            {
                "before": bytes_of(true[rows]),
                "after": bytes_of(after),
                "value": np.array([names[int(v)] if names else f"{v:.3g}" for v in at], str),
                "shown": np.array([nuisance.name]),
            },
        )


def _explained(sums: np.ndarray) -> np.ndarray:
    found: np.ndarray = 1 - sums[:, :1] / sums[:, 1:2]
    return found
