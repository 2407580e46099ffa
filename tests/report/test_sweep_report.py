from __future__ import annotations

import json
import re
from functools import partial

import pytest

from invariantnets.errors import InvariantNetsError
from invariantnets.report import render_run, render_sweep
from invariantnets.report.render import comparisons
from invariantnets.results.runs import read_sweep


@pytest.fixture
def make_job(make_run):
    """A run without figures of its own, which no sweep reads."""
    return partial(make_run, draw=False)


def text_of(folder) -> str:
    return render_sweep(folder).read_text(encoding="utf-8")


def test_runs_that_differ_in_seed_are_one_group(make_job, tmp_path):
    for i, (seed, dim) in enumerate([(1, 32), (2, 32), (1, 128), (3, 32)]):
        make_job(f"s/{i}", seed=seed, extra=(f"model.backbone.embedding_dim={dim}", f"hydra.job.num={i}"))
    groups = {g.name: [r.provenance["seed"] for r in g.runs] for g in read_sweep(tmp_path / "s").groups}
    assert groups == {"lenet embedding_dim=32": [1, 2, 3], "lenet embedding_dim=128": [1]}


def test_a_job_that_began_when_a_killed_sweep_went_on_is_of_the_same_group(make_job, tmp_path):
    make_job("s/0", seed=1)
    make_job("s/1", seed=2, extra=("ckpt_path=last",))
    assert [(g.name, len(g.runs)) for g in read_sweep(tmp_path / "s").groups] == [("lenet", 2)]


def test_names_alike_are_told_apart_by_the_whole_key(make_job, tmp_path):
    make_job("s/0", extra=("a.x=1",))
    make_job("s/1", extra=("b.x=1",))
    assert [g.name for g in read_sweep(tmp_path / "s").groups] == ["lenet a.x=1", "lenet b.x=1"]


def test_checkpoints_looked_at_later_are_named_after_their_runs(make_job, tmp_path):
    make_job("s/0", extra=("ckpt_path=/a/run/init_from/checkpoints/best.ckpt",))
    make_job("s/1", extra=("ckpt_path='/a/seed=1/checkpoints/best.ckpt'",))
    make_job("s/2", extra=("ckpt_path=last",))
    assert [g.name for g in read_sweep(tmp_path / "s").groups] == [
        "lenet init_from",
        "lenet seed=1",
        "lenet",
    ]


def trained(seed: int, folder: str, **changed: object) -> dict[str, object]:
    """The configuration of an evaluation: that of a network of a recipe, trained in a folder of its own."""
    return {
        "seed": seed,
        "model": {"seed": seed, "init_from": f"{folder}/first/checkpoints/best.ckpt", **changed},
        "trainer": {"default_root_dir": f"{folder}/run"},
        "recipes": {"init_from": {"folder": f"{folder}/first", "trainer": {"max_epochs": 3}}},
    }


@pytest.mark.parametrize(
    ("changed", "groups"),
    [
        ({}, [[1, 2, 3]]),
        ({"optimizer": {"lr": 0.1}}, [[1, 2], [3]]),
        ({"init_from": "/a/1/other/checkpoints/best.ckpt"}, [[1, 2], [3]]),
    ],
)
def test_checkpoints_of_several_seeds_are_one_network(make_job, tmp_path, changed, groups):
    """Read by one seed, as evaluate.py does; the last was trained as the others were, or was not."""
    for seed, change in ((1, {}), (2, {}), (3, changed)):
        extra = (f"ckpt_path=/a/{seed}/run/checkpoints/best.ckpt", "release=codes")
        make_job(f"s/{seed}", seed=0, extra=extra, config=trained(seed, f"/a/{seed}", **change))
    found = [[run.seeds[1] for run in group.runs] for group in read_sweep(tmp_path / "s").groups]
    assert found == groups


def test_the_best_and_the_last_of_one_training_are_two_networks(make_job, tmp_path):
    for i, (seed, name) in enumerate([(1, "best"), (2, "last"), (1, "last"), (1, "best")]):
        extra = (f"ckpt_path=/a/{seed}/run/checkpoints/{name}.ckpt",)
        make_job(f"s/{i}", seed=0, extra=extra, config=trained(seed, f"/a/{seed}"))
    sweep = read_sweep(tmp_path / "s")
    assert [[run.folder.name for run in group.runs] for group in sweep.groups] == [["0"], ["1", "2"]]
    assert "repeats seed 0" in sweep.missing["3"]


def test_table_has_mean_and_deviation_over_seeds(make_job, tmp_path, plain):
    make_job("s/0", seed=1, r2=0.80, mav=0.94)
    make_job("s/1", seed=2, r2=0.90, mav=0.96)
    make_job("s/2", model="pair_lenet", r2=0.5)
    html = plain(text_of(tmp_path / "s"))
    assert "95.0 ± 1.4 %" in html
    assert "0.85 ± 0.07" in html
    assert "95.0 % [94.0, 96.0]" in html
    assert "least readable from pair_lenet (R² 0.500, n = 1 seed, fitted to 9,000 rows)" in html
    assert "and most from lenet (R² 0.850 ± 0.071, n = 2 seeds, fitted to 9,000 rows)" in html


def test_a_failed_probe_is_named_not_averaged(make_job, tmp_path, plain):
    make_job("s/0", seed=1, r2=0.8)
    make_job("s/1", seed=2, failed=True)
    make_job("s/2", model="mu_lenet", failed=True)
    html = plain(text_of(tmp_path / "s"))
    assert "0.80 (1 of 2 failed)" in html
    assert "No probe of the angle succeeded for mu_lenet; this is not evidence of invariance" in html


def test_one_bad_run_loses_no_other(make_job, tmp_path):
    render_run(make_job("s/0"))
    (make_job("s/1", seed=2) / "results.jsonl").write_text('{"metric": ')
    (make_job("s/2", seed=3) / "provenance.json").unlink()
    make_job("s/3", seed=1)
    (tmp_path / "s" / "10" / ".hydra").mkdir(parents=True)
    (tmp_path / "s" / "10" / "teacher" / "checkpoints").mkdir(parents=True)
    (tmp_path / "s" / "0" / "teacher" / "checkpoints").mkdir(parents=True)
    (tmp_path / "s" / "initial" / "checkpoints").mkdir(parents=True)
    (tmp_path / "s" / "initial" / "training.lock").touch()  # a network that jobs start from is no job
    sweep = read_sweep(tmp_path / "s")
    assert list(sweep.missing) == ["1", "2", "3", "10"]
    assert "repeats seed 1" in sweep.missing["3"]
    html = text_of(tmp_path / "s")
    assert all(f'<dt class="mono">{name}</dt>' in html for name in sweep.missing)
    assert 'href="0/report.html"' in html


def test_links_are_relative_and_nothing_else_is_loaded(make_job, tmp_path):
    render_run(make_job("s/model=lenet,x <b>#1"))
    html = text_of(tmp_path / "s")
    links = re.findall(r'(?:src|href)="([^"]*)"', html)
    pages = [link for link in links if not link.startswith("data:image/")]
    assert pages == ["model%3Dlenet%2Cx%20%3Cb%3E%231/report.html"]


def test_every_run_missing_is_still_a_report(tmp_path):
    (tmp_path / "s" / "0" / ".hydra").mkdir(parents=True)
    assert "the job failed or was not evaluated" in text_of(tmp_path / "s")


def test_a_sweep_names_its_data(make_job, tmp_path):
    make_job("s/0")
    assert "<h1>Sweep of 1 group on rotated_mnist</h1>" in text_of(tmp_path / "s")
    make_job("s/1", data="digits")
    assert "<h1>Sweep of 2 groups on rotated_mnist and digits</h1>" in text_of(tmp_path / "s")


def test_empty_folder_is_refused(tmp_path):
    with pytest.raises(InvariantNetsError, match="no run below"):
        render_sweep(tmp_path)


def test_figures_are_listed_and_bytes_repeat(make_job, tmp_path):
    make_job("s/0")
    make_job("s/1", model="pair_lenet", r2=0.4)
    first = render_sweep(tmp_path / "s").read_bytes()
    listed = json.loads((tmp_path / "s" / "figures" / "figures.json").read_text(encoding="utf-8"))
    assert [e["file"] for e in listed] == [
        "trade_off_angle.svg",
        "prediction_angle_ridge.svg",
        "prediction_angle_ridge_per_label-1e76f3f0.svg",
        "class_error.svg",
    ]
    assert render_sweep(tmp_path / "s").read_bytes() == first


def test_rudd2016_is_shown_when_its_three_networks_are_there(make_job, tmp_path):
    make_job("s/0")
    make_job("s/1", model="mu_lenet")
    assert comparisons(read_sweep(tmp_path / "s")) == []
    make_job("s/2", model="pair_lenet")
    assert [c.file for c in comparisons(read_sweep(tmp_path / "s"))] == ["rudd2016"]
    assert "<h2>Beside Rudd et al. (2016)</h2>" in text_of(tmp_path / "s")
    make_job("s/3", model="pair_lenet", extra=("model.backbone.embedding_dim=32",))
    assert comparisons(read_sweep(tmp_path / "s")) == []


def test_a_blank_within_a_value_is_a_blank_in_the_name(make_job, tmp_path):
    """Hydra writes it with a backslash."""
    for k in range(2):
        make_job(f"s/{k}", extra=(f"data.part=poselet\\ {k}",))
    names = [group.name for group in read_sweep(tmp_path / "s").groups]
    assert names == ["lenet part=poselet 0", "lenet part=poselet 1"]
