"""One measured number, with everything a reader needs to judge it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from invariantnets.errors import InvariantNetsError
from invariantnets.sizes import bytes_in_words

__all__ = ["About", "Result", "read_jsonl", "to_jsonl"]

MOST_BYTES = 1 << 28  # of what a run left; ours are of some kilobytes
# Of which more is better, and of which there is a shuffled control.
_SCORES = ("r2", "auc", "accuracy", "balanced_accuracy", "v_information", "conditional_v_information")
About = Literal["class", "nuisance", "identity", "features", "norm", "map", "analysis"]


@dataclass(frozen=True)
class Result:
    """A number that can be judged.

    Attributes:
        metric: ``accuracy``, ``r2``, ``rmse``, ``mae``, ``predicted_mean``, ``singular_value``, …
        value: the number, in the unit of the metric (accuracy and R² as fractions).
        layer: the layer of the features.
        target: what was predicted: ``label``, a nuisance's name, or ``features`` for a property
            of the representation itself.
        probe: how: ``softmax``, ``mav``, ``ridge``, ``ridge/per_label``, ``knn``, ``mlp``, …
        split: the rows it was measured on.
        n: number of those rows.
        sources: number of independent images among them (what the interval resamples).
        seed: seed of the probe or protocol.
        low, high: 95 % interval over sources; None where none is defined.
        chance: what knowing nothing about the image gives.
        control: the same probe trained and tested on a shuffled target.
        n_fit: rows the probe was fitted on.
        where: the subset it speaks of, e.g. ``{"label": 3}`` or ``{"angle": -45.0}``; empty for all.
        status: ``failed`` if the probe was no better than the mean on rows held out (R² <= 0): it says
            nothing about invariance.
        uses_answer: the probe was told the true label or nuisance at test time.
        note: anything else a reader must know (projection, subset).
        about: what it speaks of: the class, a nuisance, who somebody is, the features themselves, their length, a
            map of them, or what an analysis found that was asked for. Only what is about a nuisance is ever called
            left or forgotten.
        validation: R² out of fold on the rows of train and val (accuracy for the class), by which the probe was chosen
            or failed.
        chosen: what was chosen by it: ``{"k": 8, "space": "whitened"}``; by ``strongest`` ``{"probe": "mlp"}``.
        title: what the probe calls itself in reports; empty for those that `words.probe_name` knows.
        fixed: the nuisance never varies within a class, so that classes are what its interval resamples.
        draws: the value in each of `statistics.resampling.common_draws` of the sources, of some headlines alone: what
            runs on the same sources differ by is measured in pairs. NaN where a draw has none.
        subject: empty for what is evaluated; else what is set beside it: ``random weights``, ``pixels``.
    """

    metric: str
    value: float
    layer: str
    target: str
    probe: str
    split: str
    n: int
    sources: int
    seed: int
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    control: float | None = None
    n_fit: int | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    status: Literal["ok", "failed"] = "ok"
    uses_answer: bool = False
    note: str = ""
    about: About = "nuisance"
    validation: float | None = None
    chosen: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    fixed: bool = False
    subject: str = ""
    draws: Sequence[float] = field(default_factory=list, repr=False, compare=False)

    @property
    def selectivity(self) -> float | None:
        """The value less that of the shuffled control, in the unit of the metric (Hewitt & Liang 2019, section 2.2).

        None without a control, and of errors, which are no scores. A control below chance counts as chance: that a
        reader does worse than the mean where there is nothing adds nothing to what it reads.
        """
        if self.control is None or self.metric not in _SCORES:
            return None
        return self.value - max(self.control, self.chance or 0.0)


def to_jsonl(results: Iterable[Result]) -> str:
    """One JSON object a line; a non-finite number becomes null, since JSON has none."""
    rows = ({k: _plain(v) for k, v in asdict(r).items() if k != "draws" or v} for r in results)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [None if not math.isfinite(v) else round(v, 6) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_jsonl(path: str | Path) -> list[Result]:
    """The results of one run.

    Raises:
        InvariantNetsError: the file is missing or a line is not a result.
    """
    path = Path(path)
    if not path.is_file():
        raise InvariantNetsError(f"{path}: no results there; run evaluate.py ckpt_path=… first")
    check_own(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InvariantNetsError(f"{path}: is damaged (no UTF-8 text); run evaluate.py again") from None
    results = []
    for number, line in enumerate(lines, 1):
        try:
            row = _upgraded(json.loads(line))
            row["draws"] = [math.nan if v is None else v for v in row.get("draws", [])]
            results.append(_checked(Result(**{**row, "value": math.nan if row["value"] is None else row["value"]})))
        except (AttributeError, TypeError, KeyError, ValueError, RecursionError) as error:
            raise InvariantNetsError(f"{path}, line {number}: not a result ({error}); run evaluate.py again") from None
    return results


def check_own(path: Path) -> None:
    """Refuse what a run would not have left: a link to a file elsewhere, or more than anybody reads.

    Raises:
        InvariantNetsError: which of the two.
    """
    if path.resolve().parent != path.parent.resolve():
        raise InvariantNetsError(f"{path}: is a link to a file elsewhere, which is not read; copy it here")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise InvariantNetsError(f"{path}: is of {bytes_in_words(size)}; {bytes_in_words(MOST_BYTES)} are read at most")


_TYPES = {
    **dict.fromkeys(("metric", "layer", "target", "probe", "split", "note", "title", "subject"), str),
    **dict.fromkeys(("n", "sources", "seed"), int),
    **dict.fromkeys(("low", "high", "chance", "control", "validation"), int | float | None),
    **dict.fromkeys(("where", "chosen"), Mapping),
    "draws": list,
    **dict.fromkeys(("uses_answer", "fixed"), bool),
    **{"value": int | float, "n_fit": int | None},
}


def _checked(result: Result) -> Result:
    """A result whose fields are what they should be.

    Raises:
        TypeError: one is not.
    """
    for name, kind in _TYPES.items():
        if not isinstance(value := getattr(result, name), kind):
            raise TypeError(f"{name} is {str(value)[:40]!r}")
    numbers = [x for x in vars(result).values() if isinstance(x, int) and not -(1 << 63) <= x < 1 << 63]
    inside = [value for part in (result.where, result.chosen) for value in part.values()]
    plain = all(isinstance(value, str | int | float | None) for value in inside)
    plain = plain and all(isinstance(value, int | float) for value in result.draws)
    if numbers or not plain or result.status not in ("ok", "failed"):
        raise TypeError("a value is none that is measured")
    return result


# Of files that did not say what a result is about: target → about.
_ABOUT = {"label": "class", "identity": "identity", "features": "features", "norm": "norm"}


def _upgraded(row: dict[str, Any]) -> dict[str, Any]:
    """A row as it is written now. Before there were fields for it, the note of ``strongest`` named its choice."""
    if "about" in row:
        return row
    choice, _, rest = row.get("note", "").partition(", chosen by validation R² ")
    found: dict[str, Any] = {"about": _ABOUT.get(row["target"], "nuisance")}
    if row["probe"] == "strongest" and rest:
        found |= {"chosen": {"probe": choice}, "validation": float(rest.split()[0])}
    return {**row, **found}
