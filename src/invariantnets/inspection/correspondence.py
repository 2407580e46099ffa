"""Whether hiding a part of the face changes a layer alike in all pictures (Zhong and Deng 2018, equation 1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from invariantnets.analysis.analysis import measured
from invariantnets.errors import InvariantNetsError
from invariantnets.inspection.inspection import Specimen, chosen_layers
from invariantnets.inspection.looking import Shown, batches, looking, show_at
from invariantnets.inspection.places import RIGHT_AND_LEFT, free_places, hide, parts_of, read_parts, squares
from invariantnets.inspection.sign_pairs import Sums, compared, intervals, signs
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result

__all__ = ["MIXED", "ONE_PLACE", "RANDOM", "Correspondence"]

STREAM = 117
LEAST = 5  # pictures, fewer of which say nothing
REACH = 1.5  # sides that random places may be from the outermost parts
BYTES = 1 << 28  # of signs that are held at once
SHEET = 4  # pictures of the figure
RANDOM, ONE_PLACE, MIXED = "random places", "one place", "parts paired at random"
# In the order of the table.
SHOWN_METRICS = (
    "sign_disagreement",
    "sign_disagreement_below_random",
    "sign_disagreement_below_one_place",
    "sign_opposition",
    "sign_opposition_below_random",
    "sign_opposition_below_one_place",
    "unchanged",
)
_MISSING = (
    "parts are missing: these data know no landmarks; give inspect.correspondence.landmarks=<.npz with name and points "
    "(68 or 5), or .csv with name, left_eye_x, left_eye_y, …>"
)
Stamps = dict[str, list[np.ndarray]]
Planes = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Correspondence:
    """Δ: share of a layer's numbers whose change has another sign in one picture than in another, a part being hidden.

    The paper prints a sum over pairs of Hamming distances; its values are below 1, so that it is divided by pairs and
    numbers here. The sign of 0 is a third one, as the formula has it. Beside it: the same for squares of equal area
    that touch no part, in every picture elsewhere (the paper's control) and in all pictures at one place, which is what
    a network has that knows nothing of faces while faces are aligned.

    Args:
        layers: which; None: all.
        rows: pictures, at most: one of each person of an open set, else one of each image.
        side: of the square that is hidden, as a part of the picture's shorter side.
        draws: of random places, whose pairs are averaged.
        nuisance: by which pictures are frontal, where the data have it.
        frontal: its size at most, in its unit.
        landmarks: file of parts' places, see `read_parts`; None: the data's own.
    """

    layers: Sequence[str] | None = None
    rows: int = 60
    side: float = 0.18
    draws: int = 3
    nuisance: str = "yaw"
    frontal: float = 30.0
    landmarks: str | None = None
    name: ClassVar[str] = "correspondence"
    title: ClassVar[str] = "Whether hiding a part of the face changes a layer alike in all pictures"

    def __call__(self, specimen: Specimen) -> list[Result]:
        """As `Inspection`."""
        layers = chosen_layers(specimen, self.name, self.layers)
        shown, names, middle, notes = self._faces(specimen)
        high, wide = shown.bank.stored.shape[-2:]
        side = max(2, round(self.side * min(high, wide)))
        notes.append(f"squares of {side} × {side} of {wide} × {high} pixels in the picture's mean colour")
        at = squares(middle, side, high, wide)
        rng = numpy_rng(specimen.material.seed, STREAM, 1)
        stamps: Stamps = {name: [at[:, i]] for i, name in enumerate(names)}
        free = free_places(at, side, high, wide, REACH * side, self.draws, rng)
        for name, places in zip((RANDOM, ONE_PLACE), free, strict=True):
            if places is not None:
                stamps[name] = list(places)
            else:
                notes.append(f"{name}: left out, since no place in every picture touches no part; make side= smaller")
        if not stamps:
            raise InvariantNetsError(f"inspect.{self.name}.side={self.side}: no square has room; make it smaller")
        self._keep_sheet(specimen, shown, stamps, side)
        kind = rng.permutation(len(shown)) % len(names) if len(names) > 1 else None
        results: list[Result] = []
        with looking(specimen) as device, torch.inference_mode():
            for group in _groups(specimen, layers, shown, device):
                found: dict[str, Planes] = {layer: {} for layer in group}
                mixed: dict[str, torch.Tensor] = {}
                for name, corners in stamps.items():
                    specimen.material.progress(f"{self.title}: {len(shown)} pictures, {name}")
                    planes: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {layer: [] for layer in group}
                    for corner in corners:
                        for layer, sign in _signs(specimen, group, shown, corner, side, device).items():
                            planes[layer].append((compared(sign), (sign == 0).double().mean(1).numpy()))
                            if kind is not None and name in names:
                                rows = torch.from_numpy(kind == names.index(name))
                                mixed.setdefault(layer, torch.zeros_like(sign))[rows] = sign[rows]
                    for layer, every in planes.items():
                        pairs, zero = (np.mean([draw[i] for draw in every], axis=0) for i in (0, 1))
                        found[layer][name] = pairs, zero
                for layer, sign in mixed.items():
                    found[layer][MIXED] = compared(sign, kind), (sign == 0).double().mean(1).numpy()
                for layer, of in found.items():
                    results += self._results(specimen, layer, of, names, shown, notes)
        return results

    def _faces(self, specimen: Specimen) -> tuple[Shown, list[str], np.ndarray, list[str]]:
        """Pictures, names of the parts, their middles ``(m, P, 2)``, and what is said of them."""
        images, bank = specimen.images, specimen.images.bank("test")
        rng = numpy_rng(specimen.material.seed, STREAM)
        variant = torch.from_numpy(rng.integers(0, bank.variants, len(bank)))
        able, notes = np.ones(len(bank), bool), []
        if self.nuisance in bank.nuisance:
            values = bank.nuisance[self.nuisance].cpu()[torch.arange(len(bank)), variant].numpy()
            able = np.abs(values) <= self.frontal
            notes.append(f"pictures with a {self.nuisance} of at most {self.frontal:g} to either side")
        else:
            notes.append(f"these data have no {self.nuisance}: all pictures count as frontal")
        named: tuple[list[str], np.ndarray] | None = None
        if bank.variants == 1 and self.landmarks is not None:
            named = read_parts(self.landmarks, images, "test")
            able &= np.isfinite(named[1]).all((1, 2))
        elif self.landmarks is not None:
            raise InvariantNetsError(
                f"inspect.{self.name}.landmarks: these data show each image in {bank.variants} variants; landmarks are "
                "of single pictures"
            )
        chosen = rng.permutation(np.flatnonzero(able))
        if images.identities("test") is not None:
            chosen = chosen[np.sort(np.unique(bank.label.cpu().numpy()[chosen], return_index=True)[1])]
            notes.append("one picture of each person")
        image = torch.from_numpy(np.sort(chosen[: self.rows]).astype(np.int64))
        if len(image) < LEAST:
            raise InvariantNetsError(
                f"inspect.{self.name}: {len(image)} pictures are left of {len(bank)}, and {LEAST} are needed: raise "
                f"inspect.{self.name}.rows or frontal, or give landmarks of more images"
            )
        shown = show_at(bank, image, variant[image])
        if named is None and bank.variants == 1 and (points := images.landmarks("test", image)) is not None:
            named = parts_of(points)
        elif named is not None:
            named = named[0], named[1][image.numpy()]
        names, middle = named or ([], np.empty((len(image), 0, 2)))
        return shown, names, middle, [*notes, RIGHT_AND_LEFT if names else _MISSING]

    def _keep_sheet(self, specimen: Specimen, shown: Shown, stamps: Stamps, side: int) -> None:
        """The first pictures, whole and with each part hidden, for the figure."""
        whole = shown.pixels(slice(0, SHEET))
        sheet = [whole, *(hide(whole, corners[0][:SHEET], side) for corners in stamps.values())]
        pictures = torch.stack(sheet, 1).permute(0, 1, 3, 4, 2).numpy()
        specimen.material.keep(self.name, {"pictures": pictures, "names": np.array(["whole", *stamps])})

    def _results(
        self, specimen: Specimen, layer: str, found: Planes, parts: Sequence[str], shown: Shown, notes: Sequence[str]
    ) -> Iterator[Result]:
        """A row for each thing that is hidden."""
        ratios: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}
        for name, (planes, zero) in found.items():
            ratios[name, "sign_disagreement"] = planes[Sums.DIFFER], planes[Sums.PAIRS]
            ratios[name, "sign_opposition"] = planes[Sums.OPPOSITE], planes[Sums.BOTH]
            ratios[name, "unchanged"] = np.diag(zero), np.eye(len(zero))
        place = {key: i for i, key in enumerate(ratios)}
        less = {
            (part, f"{metric}_{below}"): (place[control, metric], place[part, metric])
            for metric in ("sign_disagreement", "sign_opposition")
            for control, below in ((RANDOM, "below_random"), (ONE_PLACE, "below_one_place"))
            for part in parts
            if control in found
        }
        values = dict(
            zip([*ratios, *less], intervals([*ratios.values()], shown.image.numpy(), [*less.values()]), strict=True)
        )
        fields: dict[str, Any] = {"target": layer, "probe": self.name, "title": self.title, "note": "; ".join(notes)}
        for name, (planes, _) in found.items():
            total = planes.sum((1, 2))
            with np.errstate(invalid="ignore"):
                chances = {
                    "sign_disagreement": total[Sums.CHANCE_DIFFER] / total[Sums.PAIRS],
                    "sign_opposition": total[Sums.CHANCE_OPPOSITE] / total[Sums.CHANCE_BOTH],
                }
            for metric in SHOWN_METRICS:
                value, low, high = values.get((name, metric), (np.nan,) * 3)
                if not np.isfinite(value):
                    continue
                ends = {"low": low, "high": high} if np.isfinite(low) else {}
                chance = chances.get(metric, 0.0 if "below" in metric else None)
                yield measured(
                    specimen.material, metric, value, **fields, **ends, chance=chance, where={"hidden": name},
                    n=len(shown), sources=len(shown),
                )  # fmt: skip


def _groups(specimen: Specimen, layers: Sequence[str], shown: Shown, device: torch.device) -> Iterator[list[str]]:
    """Layers whose signs of all pictures, twice, are in memory together."""
    found = specimen.network.features(shown.pixels(slice(0, 1)).to(device), layers)
    group: list[str] = []
    held = 0
    for layer, x in found.items():
        more = 2 * x.numel() * len(shown)
        if group and held + more > BYTES:
            yield group
            group, held = [], 0
        group, held = [*group, layer], held + more
    yield group


def _signs(
    specimen: Specimen, layers: Sequence[str], shown: Shown, corner: np.ndarray, side: int, device: torch.device
) -> Mapping[str, torch.Tensor]:
    """Layer → ``(m, D)`` signs of the change that hiding a square of each picture makes."""
    found: dict[str, torch.Tensor] = {}
    for rows, pictures in batches(shown, device, 16):
        before = specimen.network.features(pictures, layers)
        after = specimen.network.features(hide(pictures, corner[rows], side), layers)
        for layer in layers:
            sign = signs(before[layer], after[layer])
            if layer not in found:
                found[layer] = torch.empty(len(shown), sign.shape[1], dtype=torch.int8)
            found[layer][rows] = sign
    return found
