"""experiment=new_classes and the data that it trains on: which classes, which network first, and which are new."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose
from hydra.utils import instantiate

from invariantnets.results.result import read_jsonl
from invariantnets.subjects import _classes
from programs import EXPERIMENTS, RIDGE, SMALL, run
from test_conf import composed, hydra, names, resolved

__all__ = ["hydra"]  # a fixture


def test_it_is_of_methods_that_there_are_and_of_classes_that_leave_the_new_ones_out() -> None:
    params = compose("train", overrides=["experiment=new_classes"], return_hydra_config=True).hydra.sweeper.params
    assert {name.strip() for name in params.method.split(",")} < set(names("method"))
    numbers = [int(word) for word in params["data.source.classes"].split(",")]
    new = composed("experiment=new_classes", "method=softmax", "hydra.sweep.dir=s").transfer.data.source
    assert numbers == sorted(numbers) and max(numbers) <= new.first
    assert all(60_000 % number == 0 for number in numbers)  # as many images of each number of classes


def test_every_number_of_classes_has_a_first_network_of_its_own() -> None:
    own = ("hydra.sweep.dir=s", "seed=3", "data.source.classes=30")
    cfg = resolved(composed("experiment=new_classes", "method=supcon_noise_centre_0.5", *own))
    assert cfg["recipes"]["init_from"]["folder"] == "s/initial_classes=30_seed=3"
    assert cfg["model"]["backbone"]["num_classes"] == cfg["data"]["num_classes"] == 30
    new = cfg["transfer"]["data"]
    assert new["num_classes"] == new["source"]["classes"] == 100
    assert new["source"]["images"] == cfg["data"]["source"]["images"]


def test_classes_are_chosen_out_of_those_of_the_source() -> None:
    small = ("data.source.classes=6", "data.source.images=120", "data.classes=[4,2]", "data.num_classes=2")
    images = instantiate(composed("data=rotated_glyphs", *small).data, _convert_="all")
    bank = images.bank("train")
    assert bank.image.shape == (28, 7, 1, 28, 28) and bank.label.tolist() == [1] * 14 + [0] * 14
    assert images.class_names() == (4, 2)


@pytest.mark.parametrize("word", ["data.source.classes=0", "data.source.images=0.5", "data.source.first=-1"])
def test_values_that_cannot_be_are_refused_by_their_key(word: str) -> None:
    from invariantnets.cli.ranges import check_values
    from invariantnets.errors import InvariantNetsError

    with pytest.raises(InvariantNetsError, match=word.partition("=")[0]):
        check_values(composed("data=rotated_glyphs", word))


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"source": {"first": 0, "classes": 3}}, True),
        ({"source": {"first": 1000, "classes": 3}}, False),
        ({"source": {"name": "MNIST"}}, False),
        ({"source": {"first": 0}, "classes": [1, 2]}, False),
        ({"table": "faces.csv"}, False),
    ],
)
def test_classes_are_the_same_where_they_are_kept_and_begin_alike(other: dict[str, object], same: bool) -> None:
    assert (_classes(other) == _classes({"source": {"first": 0, "classes": 10}, "classes": None})) == same


@pytest.mark.slow
def test_a_network_has_no_answers_of_its_own_for_new_classes(tmp_path: Path) -> None:
    """Trained on three classes, looked at on three others: the table has their MAV and no softmax."""
    small = ("data.source.classes=3", "data.source.images=120", "model.backbone.embedding_dim=32")
    new = ("transfer=new_glyphs", "transfer.data.source.classes=3", "transfer.data.source.images=150")
    few = [word for word in SMALL if not word.startswith("trainer.max_epochs")]
    words = ("data=rotated_glyphs", "model=lenet", *few, *RIDGE, "trainer.max_epochs=1", *small, *new)
    run("train.py", *words, "hydra.run.dir=run", cwd=tmp_path)
    own, other = (read_jsonl(tmp_path / "run" / place / "results.jsonl") for place in ("", "transfer"))
    assert "softmax" in {r.probe for r in own} and "softmax" not in {r.probe for r in other}
    (mav,) = (r for r in other if r.probe == "mav" and r.metric == "accuracy" and not r.where)
    assert (mav.sources, mav.n) == (30, 210)


@pytest.mark.slow
def test_the_whole_study_ends_with_its_table(tmp_path: Path) -> None:
    few = (*SMALL, *RIDGE, *EXPERIMENTS["new_classes"], "trainer.max_epochs=1", "hydra.sweep.dir=sweep")
    run("train.py", "experiment=new_classes", *few, "recipes.init_from.trainer.max_epochs=1", cwd=tmp_path)
    table = (tmp_path / "sweep" / "new_classes.md").read_text(encoding="utf-8")
    assert "| softmax | 4 | 21 |" in table and "| softmax | 6 | 14 |" in table
    assert len(list((tmp_path / "sweep").glob("initial_classes=*_seed=0/checkpoints/best.ckpt"))) == 2
