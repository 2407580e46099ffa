"""Made-up results of every analysis and inspection, and what they keep for their figures."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np

from invariantnets.analysis import ANALYSES, Decoder, Groups, IdentityTests, Material, PerClass, Quality, Thresholds
from invariantnets.analysis.analysis import measured as measured_by
from invariantnets.features.table import FeatureTable
from invariantnets.randomness import numpy_rng
from invariantnets.results.arrays import Arrays
from invariantnets.results.result import Result


@cache
def asked_for() -> tuple[list[Result], dict[str, Arrays]]:
    """What every analysis finds in eight images of each of 24 people (20 of the last), and keeps for its figures."""
    rng = numpy_rng(0)
    who = np.repeat(np.arange(24), np.where(np.arange(24) == 23, 20, 8))
    yaw = 30 * rng.normal(size=len(who))
    x = rng.normal(size=(24, 8))[who] + 0.5 * rng.normal(size=(len(who), 8)) + yaw[:, None] / 30
    split = np.where(who < 4, "train", np.where(who < 8, "val", "test"))
    people = FeatureTable.from_arrays({"F7": x}, label=who, split=split, team=who % 2, yaw=yaw)
    kept: dict[str, Arrays] = {}
    shades = (200 * rng.random((len(who), 4, 4))).astype(np.uint8)
    material = Material(people, "F7", pictures=lambda rows: shades[rows], keep=kept.__setitem__)
    # With less asked of a small table.
    smaller = {
        "thresholds": Thresholds([0.1]),
        "groups": Groups(by="team", fmr=[0.1], draws=40),
        "identity_tests": IdentityTests(nuisance="yaw", magnitude=False, least=2),
        "quality": Quality(images=2),
        "per_class": PerClass(least=8, draws=40),
        "decoder": Decoder(epochs=1, reader_epochs=1),
    }
    of_people = {name: of for name, of in ANALYSES.items() if name != "by_value"}  # which knows its classes
    found = [r for name, of in of_people.items() for r in smaller.get(name, of())(material)]
    return found + followed(material) + occluded(material, kept), kept


def followed(material: Material) -> list[Result]:
    """What the inspection ``nuisance_neurons`` finds and keeps, of two layers, the first with more than are shown."""
    rng = numpy_rng(1)
    share = [rng.random((2, width)) ** 4 for width in (300, 5)]
    share[1][:, 0] = 0.0  # it never varies
    arrays = {f"{name}_{i}": x for i, x in enumerate(share) for name in ("known", "r2")}
    material.keep(
        "nuisance_neurons", {"layers": np.array(["C1", "F7"]), "nuisances": np.array(["yaw", "hat"]), **arrays}
    )
    found = []
    kinds = [("auc", "its neurons"), ("auc", "at random"), ("sd_over_draws", "AUC"), ("sd_over_draws", "read anew")]
    kinds += [
        ("r2", f"{reader}, {kind}")
        for reader in ("read as before", "read anew")
        for kind in ("its neurons", "at random")
    ]
    for layer, target, size in itertools.product(("C1", "F7"), ("yaw", "hat"), (0, 3, 9)):
        where = {"layer": layer, "silenced": size, "of": 40}
        for i, (metric, kind) in enumerate(kinds):
            if size or "its" in kind:
                of = {
                    "target": target,
                    "probe": f"nuisance_neurons/{kind}",
                    "n": 60,
                    "where": where,
                    "title": "Silenced",
                }
                found.append(measured_by(material, metric, 0.9 - size * 0.3 * i / 9, **of))
    return found


def occluded(material: Material, kept: dict[str, Arrays]) -> list[Result]:
    """What the inspection ``correspondence`` finds and keeps."""
    kept["correspondence"] = {"pictures": np.zeros((2, 2, 4, 4, 3), np.uint8), "names": np.array(["whole", "nose"])}
    return [
        measured_by(
            material, metric, 0.3, target=layer, probe="correspondence", n=9, low=0.2, high=0.4, where={"hidden": part}
        )
        for layer in ("C1", "F7")
        for part in ("nose", "random places")
        for metric in ("sign_disagreement", "sign_opposition")
    ]


def of_parts() -> list[Result]:
    """What ``protocols=piper`` finds of two parts, by image and by album."""
    found = []
    for way, lost in (("image", 0.0), ("album", 0.2)):
        fixed = {"layer": "F7", "target": "identity", "n": 60, "sources": 6, "seed": 0, "about": "identity"}
        for i, of in enumerate(("global", "part nose", "part ear", "parts", "unfilled", "filled")):
            ends = {"low": 0.1, "high": 0.9, "chance": 0.1, "split": "test"}
            found.append(Result("accuracy", 0.4 + 0.1 * i - lost, probe=f"piper/{way}/{of}", **ends, **fixed))
        for part, weight in (("global", -0.2), ("nose", 0.5), ("ear", 0.3)):
            where = {"part": part}
            found.append(Result("part_weight", weight, probe=f"piper/{way}/filled", split="val", where=where, **fixed))
    return found


def looked_into() -> tuple[list[Result], dict[str, Arrays]]:
    """What inspections find, in part, and keep for their figures."""
    alike = Result("similarity", 0.3, "F7", "F7", "neurons", "test", 60, 60, 0, chance=0.2, about="analysis")
    grey, colour = np.zeros((3, 5, 4, 1), np.uint8), np.ones((2, 6, 6, 3), np.uint8)
    neurons = {
        "count": np.array([60, 3]),
        "layers": np.array(["conv1", "F7"]),
        "sheets": np.array([["conv1", "conv1, neuron 2"], ["F7", "F7, neuron 1"]]),
        **{f"S_{i}": np.array([[1, 0.2, np.nan], [0.2, 1, np.nan], [np.nan] * 3]) for i in range(2)},
        **{"0_patch": grey, "0_projection": grey, "0_cell": np.array([[0, 0], [0, 1], [1, 0]])},
        **{"1_patch": colour, "1_projection": colour, "1_cell": np.array([[0, 0], [0, 1]])},
    }
    maximise = {"titles": np.array(["F7, neuron 1, facet 1"]), "0_tiles": np.zeros((6, 5, 4, 1), np.uint8)}
    return [alike], {"neurons": neurons, "maximise": maximise, "invariance": changed()}


def changed() -> Arrays:
    """What the inspection ``invariance`` keeps: a change of the pixels, a nuisance, and one of two values."""
    three, curve_of = np.array([-1.0, 0.0, 1.0]), np.ones((3, 2, 3)) * np.array([0.4, 0.0, 0.5])
    return {
        "change": np.array(["rotation", "yaw", "hat"]),
        "axis": np.array(["turned (°)", "yaw (°)", "hat"]),
        "said": np.array(["turned by 1°", "yaw from 0 to 1°", "hat"]),
        "drawn": np.array([False, True, True]),
        "binary": np.array([False, False, True]),
        "stated": np.array([1.0, 1.0, 1.0]),
        "strength": np.stack([three, three, np.array([0, 1, np.nan])]),
        **{part: curve_of for part in ("relative", "low", "high")},
        "variance": np.ones((3, 2)),
        "layer": np.array(["conv1", "F7"]),
        "local": np.array(["turning, by 1°"]),
        "speed": np.ones((1, 2)),
        "others": np.array(["different people"]),
        "n": np.array([60]),
    }
