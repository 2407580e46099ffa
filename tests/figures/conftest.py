from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from invariantnets.analysis.norm import describe_norm, describe_recognition
from invariantnets.features.table import FeatureTable
from invariantnets.figures import Drawn, Scene
from invariantnets.figures.style import styled
from invariantnets.nuisance import Nuisance
from invariantnets.protocols import run_protocols
from invariantnets.results.result import Result


@pytest.fixture
def drawn() -> Callable[..., list[Drawn]]:
    """What a figure makes of a scene, in the house style as the door draws it."""

    def of(draw: Callable[[Scene], Iterator[Drawn]], scene: Scene) -> list[Drawn]:
        with styled():
            return list(draw(scene))

    return of


@pytest.fixture
def run_scene() -> Callable[..., Scene]:
    """The scene of one run of one layer."""

    def make(results: list[Result], **more) -> Scene:
        return Scene({"": [results]}, {"": [results]}, layer=results[0].layer if results else "ip1", **more)

    return make


@pytest.fixture
def renamed() -> Callable[..., list[Result]]:
    """Results of ten classes as results of classes of these names; the last has the largest error."""

    def of(results: list[Result], names: list[str | int]) -> list[Result]:
        every = [r for r in results if not (r.target == "label" and r.where)]
        for r in results:
            if r.where == {"label": 0}:
                drop = np.linspace(0, 0.5, len(names))
                every += [replace(r, value=r.value - d, where={"label": n}) for n, d in zip(names, drop, strict=True)]
        return every

    return of


@pytest.fixture
def table() -> Callable[..., FeatureTable]:
    """Features of which two a class are high for it and one is always 0, with an angle or without."""

    def make(nuisances: bool = True, classes: int = 10, names: tuple[str, ...] = (), layer: str = "ip1"):
        rng = np.random.default_rng(0)
        n = 21 * classes
        label = np.arange(n) % classes
        features = np.maximum(rng.normal(size=(n, 2 * classes + 4)), 0)
        features[np.arange(n), 2 * label] += 9
        features[np.arange(n), 2 * label + 1] += 9
        features[:, -1] = 0
        angle = rng.choice([-45.0, 0.0, 45.0], n)
        split = np.repeat(["train", "val", "test"], n // 3)
        return FeatureTable(
            {layer: features.astype(np.float32)},
            label,
            split,
            np.arange(n),
            {"angle": angle} if nuisances else {},
            (Nuisance("angle", "continuous", "°"),) if nuisances else (),
            classes,
            classes=names,
        )

    return make


@pytest.fixture
def measured() -> Callable[..., list[Result]]:
    """What the protocols, and the length of the features, really give for 24 people."""

    def of(seed: int = 0, similarities: tuple[str, ...] = ("cosine",)) -> list[Result]:
        rng = np.random.default_rng(seed)
        label = np.repeat(np.arange(24), 5)
        x = np.maximum(rng.normal(size=(24, 12))[label] + rng.normal(size=(120, 12)), 0).astype(np.float32)
        columns = {"blur": rng.random(120), "place": label % 3.0}
        nuisances = (Nuisance("blur"), Nuisance("place", "categorical", "", ("a", "b", "c")))
        entropy = (5 - x.sum(1) / 4).astype(np.float32)
        table = FeatureTable(
            {"F7": x}, label, np.full(120, "test"), np.arange(120), columns, nuisances, 24, entropy=entropy
        )
        found = run_protocols(table, "F7", seed=seed, similarities=similarities)
        return found + describe_norm(table, "F7") + describe_recognition(table, "F7")

    return of
