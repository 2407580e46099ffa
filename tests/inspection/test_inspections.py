"""Every inspection: by its name and by the command line, on a network of ours, which is as it was afterwards.

A new one is a row in `ROWS`: what it must find in a small LeNet on the digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from invariantnets import FeatureTable
from invariantnets.backbones import LayeredBackbone, lenet
from invariantnets.data import RotatedImages
from invariantnets.data.sources import digits
from invariantnets.errors import InvariantNetsError
from invariantnets.evaluation import Evaluation, evaluate, subject_of
from invariantnets.inspection import INSPECTIONS, Inspection
from invariantnets.randomness import numpy_rng
from invariantnets.subjects import from_backbone
from programs import LINEAR, ROOT, run

# Name of an inspection → what of its results must be true: metric, target, `where`, least and greatest value.
ROWS: list[tuple[str, str, str, dict[str, Any], float, float]] = [
    ("firing", "neurons", "ip1", {}, 40, 40),
    ("firing", "sparsity", "input", {}, 0.3, 0.9),
    ("neurons", "neurons", "conv1", {}, 20, 20),
    ("neurons", "similarity", "ip1", {}, 0.1, 0.9),
    ("neurons", "fires_for", "pool2", {}, 0.5, 1),
    ("maximise", "activation_reached", "ip1", {}, 0.4, 100),
    ("invariance", "relative_distance", "turned by 20°", {"layer": "ip1"}, 0.02, 2),
    ("invariance", "normalised_variance", "turned by 20°", {"layer": "ip1"}, 0.05, 2),
    ("invariance", "invariance_error", "turning, by 1°", {"layer": "ip1"}, 0.001, 1),
    ("invariance", "distance_between", "ip1", {}, 0.001, 2),
    ("correspondence", "sign_disagreement", "ip1", {"hidden": "random places"}, 0.3, 0.6),
    ("nuisance_neurons", "r2", "angle", {"layer": "ip1"}, 0.3, 1.0),
    ("nuisance_neurons", "neurons", "|angle|", {"layer": "conv2"}, 50, 50),
    ("nuisance_neurons", "accuracy", "angle", {"layer": "pool2", "silenced": 0}, 0.7, 1.0),
]
# What is asked for less, so that it is soon over.
SMALLER: dict[str, dict[str, Any]] = {
    "firing": {"rows": 60},
    "neurons": {"rows": 60, "top": 6, "sheets": 1},
    "maximise": {"rows": 100, "drawn": 1, "steps": 10},
    "invariance": {"rows": 20, "transformations": ["rotation"]},
    "correspondence": {"rows": 12, "draws": 1},
    "nuisance_neurons": {"rows": 100, "known_rows": 200, "draws": 2, "shares": [0.1]},
}


def small(name: str) -> Inspection:
    return type(INSPECTIONS[name]())(**SMALLER.get(name, {}))


@pytest.fixture(scope="module")
def images() -> RotatedImages:
    return RotatedImages(digits, 3, [1, 28, 28], [-40.0, 0.0, 40.0], classes=[0, 1, 2])


@pytest.fixture(scope="module")
def network() -> LayeredBackbone:
    torch.manual_seed(0)
    return lenet(num_classes=3, embedding_dim=40).train()


def state(network: nn.Module) -> tuple[Mapping[str, Tensor], list[Any]]:
    """All that an inspection could leave behind."""
    held = [
        (
            m.training,
            len(m._forward_hooks),
            len(m._forward_pre_hooks),
            len(m._backward_hooks),
            len(m._backward_pre_hooks),
        )
        for m in network.modules()
    ]
    asked = [(p.requires_grad, p.grad is None) for p in network.parameters()]
    return {name: value.clone() for name, value in network.state_dict().items()}, [*held, *asked]


def same(one: tuple[Mapping[str, Tensor], list[Any]], other: tuple[Mapping[str, Tensor], list[Any]]) -> bool:
    return all(torch.equal(value, other[0][name]) for name, value in one[0].items()) and one[1] == other[1]


@pytest.fixture(scope="module")
def found(network: LayeredBackbone, images: RotatedImages) -> Evaluation:
    before = state(network)
    looks = [small(name) for name in INSPECTIONS]
    evaluation = evaluate(from_backbone(network, images), [], inspections=looks, protocols=None)
    assert same(before, state(network))
    return evaluation


def test_every_inspection_has_a_row_a_file_and_a_page() -> None:
    assert {row[0] for row in ROWS} == set(INSPECTIONS)
    assert {path.stem for path in (ROOT / "conf" / "inspect").glob("*.yaml")} == set(INSPECTIONS)
    assert {path.stem for path in (ROOT / "docs" / "inspections").glob("*.md")} == set(INSPECTIONS)


@pytest.mark.parametrize(("name", "metric", "target", "where", "least", "most"), ROWS)
def test_it_finds_what_is_there(
    found: Evaluation, name: str, metric: str, target: str, where: dict[str, Any], least: float, most: float
) -> None:
    of = [r for r in found.results if (r.metric, r.target) == (metric, target) and where.items() <= r.where.items()]
    of = [r for r in of if r.probe.split("/")[0] == name]
    assert of and of[0].about == "analysis" and least <= of[0].value <= most and of[0].n > 0 and of[0].title


def test_nothing_dies_and_the_report_shows_all(found: Evaluation, tmp_path: Path) -> None:
    assert not found.failed
    page = found.save(tmp_path).read_text(encoding="utf-8")
    assert all(look().title in page for look in INSPECTIONS.values())


@pytest.mark.parametrize("name", INSPECTIONS)
def test_a_network_that_fails_is_as_it_was(
    name: str, network: LayeredBackbone, images: RotatedImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its third picture or so: whatever was hooked or changed by then is undone."""
    before, calls = state(network), 0
    features = network.features

    def failing(*args: Any) -> dict[str, Tensor]:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise RuntimeError("out of memory")
        return features(*args)

    subject = from_backbone(network, images)
    table = subject.table("ip1")
    monkeypatch.setattr(network, "features", failing)
    assert subject.specimen is not None
    from invariantnets.analysis import Material

    look = small(name)
    with pytest.raises(RuntimeError, match="out of memory"):
        for _ in range(4):  # what looks at few pictures at a time asks more than once
            look(subject.specimen(Material(table, "ip1")))
    assert same(before, state(network))


@pytest.mark.parametrize("name", INSPECTIONS)
def test_an_unknown_layer_is_named(name: str, network: LayeredBackbone, images: RotatedImages) -> None:
    look = type(INSPECTIONS[name]())(**{**SMALLER.get(name, {}), "layers": ["fc7"]})
    lost: list[Any] = []
    evaluate(from_backbone(network, images), [], inspections=[look], protocols=None, lost=lost.append)
    assert f"inspect.{name}.layers: there is no layer 'fc7'" in str(lost[0])


def test_a_table_has_no_network() -> None:
    table = FeatureTable.from_arrays(numpy_rng(0).normal(size=(60, 3)), label=[0, 1] * 30)
    with pytest.raises(InvariantNetsError, match=r"give ckpt_path= or backbone="):
        evaluate(subject_of(table), [], inspections=[INSPECTIONS["firing"]()], protocols=None)


def test_by_the_command_line(tmp_path: Path) -> None:
    words = ["backbone=torchvision", "data=rotated_digits", "inspect=[firing]", "inspect.firing.rows=20"]
    few = ["data.classes=[0,1]", "data.num_classes=2", "probe_images=40", "backbone.image_size=32", "beside=[]"]
    run("evaluate.py", *words, *few, *LINEAR, "protocols=none", "hydra.run.dir=run", cwd=tmp_path)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "How many neurons fire" in page
