from __future__ import annotations

import pytest

from invariantnets.report.papers.forgetting import compare, methods
from invariantnets.results.runs import read_sweep
from invariantnets.run import report_sweep


@pytest.fixture
def sweep(make_run, tmp_path):
    """Three methods on rotated MNIST: sound, forgetting, and with one seed or all whose probes failed."""

    def job(method: str, seed: int, **results):
        extra = (f"method={method.partition(' ')[0]}", *results.pop("extra", ()))
        make_run(f"s/{method}-{seed}", seed=seed, config={"method": method}, extra=extra, draw=False, **results)

    for seed in (1, 2):
        job("softmax", seed, r2=0.9, mav=0.95)
        job("noise σ=0.5", seed, r2=0.01 * seed, mav=0.993)
        job("leace", seed, r2=0.01, mav=0.994, failed=True)
        job("half", seed, r2=0.01, mav=0.994, failed=seed == 1)
    return tmp_path / "s"


def rows(groups) -> dict[str, dict[str, str]]:
    table = compare(groups)
    return {r[0]: dict(zip(table.header, r, strict=True)) for r in table.rows}


def test_groups_are_called_by_their_method(sweep):
    groups = read_sweep(sweep).groups
    assert sorted(methods(groups)) == sorted(g.name for g in groups) == ["half", "leace", "noise σ=0.5", "softmax"]


def test_methods_alike_are_told_apart_by_what_differs(make_run, tmp_path):
    for dim in (32, 64):
        extra = (f"model.backbone.embedding_dim={dim}",)
        make_run(f"s/{dim}", config={"method": "mu"}, extra=extra, draw=False)
    assert [g.name for g in read_sweep(tmp_path / "s").groups] == ["mu embedding_dim=32", "mu embedding_dim=64"]


def test_every_probe_has_its_column(sweep):
    found = rows(read_sweep(sweep).groups)
    softmax, noise = found["softmax"], found["noise σ=0.5"]
    assert (softmax["MAV"], softmax["softmax"]) == ("95.00 ± 0.00 %", "98.70 ± 0.00 %")
    assert softmax["R², linear"] == "0.700 ± 0.000" and softmax["R², MLP"] == "0.900 ± 0.000"
    assert softmax["R², linear per label (uses the answer)"] == "0.950 ± 0.000"
    assert noise["R², strongest honest probe"] == "0.015 ± 0.007"
    assert (noise["which is strongest (seeds)"], noise["n rows"], noise["seeds"]) == ("MLP (2)", "3,780", "2")
    assert "R², kNN" not in softmax and "rank 1" not in softmax  # nowhere measured
    assert (found["chance"]["MAV"], found["chance"]["R², linear"]) == ("10.0 %", "0.00")


def test_failed_probes_are_said_and_never_reach_the_aim(sweep):
    groups = read_sweep(sweep).groups
    found = rows(groups)
    assert found["leace"]["R², strongest honest probe"] == "failed (2 of 2)"
    assert found["half"]["R², strongest honest probe"] == "0.010 (1 of 2 failed)"
    assert (found["leace"]["which is strongest (seeds)"], found["half"]["which is strongest (seeds)"]) == (
        "–",
        "MLP (1)",
    )
    assert "R² of angle ≤ 0.02, in the mean, no probe failed: reached by noise σ=0.5." in compare(groups).note
    assert "Best MAV of Rudd et al. (2016): 97.18 %." in compare(groups).note


def test_the_aim_is_of_rudd2016s_data_alone(make_run, tmp_path):
    for method in ("softmax", "mu"):
        make_run(f"s/{method}", data="rotated_digits", config={"method": method}, draw=False)
    assert "Aim" not in compare(read_sweep(tmp_path / "s").groups).note


def test_people_and_their_nuisances(make_run, make_face_results, tmp_path):
    for method, rank1 in (("softmax", 0.6), ("adversary 1.0", 0.5)):
        found = make_face_results(rank1, {"yaw": 0.7, "light_azimuth": 0.3})
        make_run(f"s/{method}", data="faces", found=found, config={"method": method}, draw=False)
    table = compare(read_sweep(tmp_path / "s").groups)
    assert [r[1] for r in table.rows] == ["yaw on faces"] * 3 + ["light_azimuth on faces"] * 3
    assert "MAV" not in table.header and dict(zip(table.header, table.rows[0], strict=True))["rank 1"].startswith(
        "50.0"
    )


def test_one_method_is_no_comparison(make_run, tmp_path):
    make_run("s/0", config={"method": "mu"}, draw=False)
    make_run("s/1", draw=False, model="pair_lenet")
    assert compare(read_sweep(tmp_path / "s").groups) is None


def test_the_sweeps_report(sweep):
    report_sweep(sweep)
    assert "| noise σ=0.5 |" in (sweep / "forgetting.md").read_text(encoding="utf-8")
    html = (sweep / "report.html").read_text(encoding="utf-8")
    assert "What is forgotten, and what it costs" in html and "What forgetting the angle costs" in html
    assert (sweep / "figures" / "pareto_angle.svg").exists()
    assert not (sweep / "figures" / "trade_off_angle.svg").exists()


@pytest.fixture
def releases(make_run, tmp_path):
    """The features of one network as they are, erased by three, and rounded: two seeds each."""
    for seed in (1, 2):
        for name, r2 in (("none", 0.9), ("leace", 0.8), ("inlp_50", 0.7), ("quantise", 0.6)):
            make_run(f"r/{name}-{seed}", seed=seed, extra=(f"release={name}",), r2=r2, mav=r2, draw=False)
        extra = ("release=qleace", "release.erased=0.5")
        make_run(f"r/qleace-{seed}", seed=seed, extra=extra, r2=0.5, mav=0.5, draw=False)
    return tmp_path / "r"


def test_releases_are_compared_as_methods_are(releases):
    groups = read_sweep(releases).groups
    names = ["inlp 50", "leace", "none", "qleace erased=0.5", "quantise"]
    assert sorted(g.name for g in groups) == sorted(methods(groups)) == sorted(rows(groups))[1:] == names
    found = rows(groups)
    own = {name: found[name]["R², by the probe of its paper"] for name in (*names, "chance")}
    assert own["leace"] == f"{found['leace']['R², linear']} (linear, label-blind)"
    assert own["inlp 50"] == f"{found['inlp 50']['R², linear']} (linear, label-blind)"
    assert own["none"] == own["quantise"] == own["chance"] == "–"
    assert "what who published an erasure would have said of it" in compare(groups).note
    report_sweep(releases)
    assert (releases / "figures" / "pareto_angle.svg").is_file()


def test_one_release_of_all_is_no_method(make_run, tmp_path):
    for model in ("lenet", "mu_lenet"):
        for seed in (1, 2):
            make_run(f"o/{model}{seed}", model=model, seed=seed, extra=("release=leace",), draw=False)
    groups = read_sweep(tmp_path / "o").groups
    assert sorted(g.name for g in groups) == ["lenet", "mu_lenet"] and not methods(groups)
