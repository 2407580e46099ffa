"""The yaw neuron is found where there is one, luck is known, and silencing takes what it should."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from invariantnets.analysis import Material
from invariantnets.backbones import LayeredBackbone
from invariantnets.data import Bank
from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.inspection import NuisanceNeurons, Specimen, layers_seen
from invariantnets.inspection.neuron_lines import fitted
from invariantnets.inspection.neuron_losses import TITLE, sizes_of
from invariantnets.inspection.neuron_rows import Coded, Seen, code
from invariantnets.inspection.neuron_sums import Sums, follow, luck_of, on_others, shuffled
from invariantnets.nuisance import Nuisance
from invariantnets.probes.linear import path_of
from invariantnets.randomness import numpy_rng
from invariantnets.results.arrays import Arrays
from invariantnets.results.result import Result
from invariantnets.statistics.moments import moments

YAW = Nuisance("yaw", "continuous", "°")
SIZES = {"train": 300, "val": 60, "test": 240}
PEOPLE = {"train": (0, 30), "val": (0, 30), "test": (30, 60)}


class Pictures:
    """Twelve pixels a picture: one is yaw; two of much noise differ by yaw; the others say who it is, and noise."""

    spec = SimpleNamespace(nuisances=(YAW, Nuisance("same", "continuous")), image_shape=(1, 1, 12))

    def __init__(self, **sizes: int) -> None:
        rng = numpy_rng(3)
        face = rng.integers(40, 210, (60, 9))
        self.banks = {}
        for number, (split, n) in enumerate({**SIZES, **sizes}.items()):
            who = np.arange(n) % 30 + PEOPLE[split][0]
            yaw = rng.integers(-40, 41, n).astype(float)
            noise = rng.integers(50, 200, n)
            pixels = np.clip(face[who] + rng.normal(0, 8, (n, 9)), 0, 255)
            both = np.stack([128 + yaw, noise + yaw // 4, noise - yaw // 4], 1)
            stored = torch.from_numpy(np.concatenate([both, pixels], 1)).to(torch.uint8).view(n, 1, 1, 1, 12)
            values = {"yaw": torch.from_numpy(yaw[:, None]).float(), "same": torch.ones(n, 1)}
            self.banks[split] = Bank(stored, torch.from_numpy(who), values, first_source=1000 * number)

    def bank(self, split: str) -> Bank:
        return self.banks[split]


class Columns(nn.Module):
    """Some of the pixels."""

    def __init__(self, *columns: int) -> None:
        super().__init__()
        self.columns = list(columns)
        self.none = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, self.columns]


def network(*columns: int) -> LayeredBackbone:
    layers = {"before": nn.Flatten(), "code": Columns(*columns), "scores": nn.Linear(len(columns), 2)}
    return LayeredBackbone(layers, embedding="code", classifier="scores")


def specimen(
    backbone: Any, images: Any = None, keep: Callable[[str, Arrays], object] = lambda name, arrays: None
) -> Specimen:
    images = images or Pictures()
    rows = [(split, who) for split, (a, b) in PEOPLE.items() for who in range(a, b)]
    split, label = zip(*rows, strict=True)
    x = np.zeros((len(rows), 1), np.float32)
    table = FeatureTable.from_arrays({"code": x}, label=label, split=split)
    return Specimen(Material(table, "code", keep=keep), backbone, images, ["input", "before", "code"])


def named(results: list[Result], metric: str, tail: str, **where: Any) -> Result:
    found = [
        r
        for r in results
        if r.metric == metric and r.probe.partition("/")[2] == tail and where.items() <= r.where.items()
        if r.target == "yaw"
    ]
    assert len(found) == 1
    return found[0]


def test_a_yaw_neuron_is_found_and_silencing_it_takes_yaw_alone() -> None:
    kept: dict[str, Arrays] = {}
    net = network(3, 4, 0, 5, 6, 7, 8, 9, 10, 11)
    found = NuisanceNeurons(shares=[0.1, 0.5])(specimen(net, keep=kept.__setitem__))
    best = named(found, "r2", "the best", layer="code")
    assert best.value > 0.999 and best.n == 240 and best.sources == 30 and best.n_fit == 360 and best.chance == 0
    assert named(found, "neuron_number", "the best", layer="code").value == 2
    assert named(found, "neuron_number", "the best", layer="before").value == 0
    assert named(found, "neuron_share", "above luck", layer="code").value <= 0.3
    assert 0.01 < named(found, "r2_by_luck", "", layer="code").value < 0.1
    assert named(found, "readable_share", "best 1", layer="code").value == pytest.approx(1, abs=0.01)
    assert named(found, "r2", "read anew, its neurons", layer="code", silenced=0).value > 0.999
    gone = named(found, "r2", "read anew, its neurons", layer="code", silenced=1)
    assert gone.value < 0.05 and gone.where["of"] == 10
    assert named(found, "r2", "read as before, its neurons", layer="code", silenced=1).value < 0.05
    assert named(found, "sd_over_draws", "read anew", layer="code", silenced=5).value > 0.3  # half of the draws hit it
    whole, less = (named(found, "auc", "its neurons", layer="code", silenced=k).value for k in (0, 1))
    assert less > whole > 0.8
    # The layer before is silenced by a hook, with what is arithmetic here.
    assert named(found, "auc", "its neurons", layer="before", silenced=1).value == pytest.approx(less, abs=1e-6)
    assert named(found, "r2", "read anew, its neurons", layer="before", silenced=1).value < 0.05
    arrays = kept["nuisance_neurons"]
    assert arrays["layers"].tolist() == ["before", "code"] and arrays["nuisances"].tolist() == ["yaw", "|yaw|"]
    assert arrays["r2_1"].shape == (2, 10) and arrays["r2_1"][0].argmax() == 2
    assert arrays["r2_1"][0, 2] == pytest.approx(best.value, abs=1e-5)
    assert all("same is left out" in r.note for r in found if "layer" in r.where and r.title != TITLE)


def test_what_no_neuron_follows_may_be_read_from_two() -> None:
    found = NuisanceNeurons(layers=["code"])(specimen(network(3, 1, 4, 2, 5, 6, 7, 8)))
    best = named(found, "r2", "the best", layer="code")
    assert best.value < 0.15
    assert named(found, "r2", "all neurons", layer="code").value > 0.95
    share = named(found, "readable_share", "best 1", layer="code")
    assert share.value < 0.15 and share.low is not None and share.low < share.value


def test_other_silence_is_told_apart() -> None:
    """Zero moves what the old reader is given; the mean does not."""
    at = specimen(network(0, 3, 4, 5, 6, 7, 8, 9))
    mean, zero = (NuisanceNeurons(layers=["code"], shares=[0.1], to=to)(at) for to in ("mean", "zero"))
    before = [named(r, "r2", "read as before, its neurons", silenced=1).value for r in (mean, zero)]
    anew = [named(r, "r2", "read anew, its neurons", silenced=1).value for r in (mean, zero)]
    assert before[0] == pytest.approx(0, abs=0.05) and before[1] < -1
    assert anew[0] == pytest.approx(anew[1], abs=1e-6)
    assert "say 0" in named(zero, "r2", "read anew, its neurons", silenced=1).note


def test_wide_layers_are_read_through_a_projection_and_mapped_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Arrays] = {}
    at = specimen(network(3, 1, 4, 2, 5, 0), keep=kept.__setitem__)
    whole = NuisanceNeurons(silenced=["code"])(at)
    full = kept.pop("nuisance_neurons")
    monkeypatch.setattr(layers_seen, "WIDEST", 8)
    narrow = NuisanceNeurons(silenced=["code"])(at)
    assert all(np.array_equal(full[name], kept["nuisance_neurons"][name]) for name in full)
    for metric, tail in (("r2", "the best"), ("neuron_number", "the best")):
        one, other = (named(r, metric, tail, layer="before") for r in (whole, narrow))
        assert one.value == other.value and one.low == other.low
    read = named(narrow, "r2", "all neurons", layer="before")
    assert "projection to 8" in read.note and read.value < named(whole, "r2", "all neurons", layer="before").value


class Foreign:
    """No module: it has no gradients, and nothing to take hold of."""

    layer_names, embedding, classifier = ("input", "before", "code"), "code", None

    def features(self, image: Tensor, names: list[str]) -> dict[str, Tensor]:
        x = image.flatten(1).float()
        return {name: x[:, :6] if name == "code" else x for name in names}


def test_what_is_no_module_is_silenced_at_its_embedding_only() -> None:
    found = NuisanceNeurons(shares=[0.2])(specimen(Foreign()))
    silenced = {r.where["layer"] for r in found if r.title == TITLE}
    assert silenced == {"code"}
    assert all("before is not silenced: it is not what one module gives" in r.note for r in found)


@pytest.mark.parametrize(
    ("asked", "images", "said"),
    [
        ({"nuisances": ["hat"]}, {}, r"nuisances: 'hat' cannot be looked for; there are yaw, \|yaw\|"),
        ({"layers": ["code"], "silenced": ["before"]}, {}, r"silenced: 'before' is none of the layers"),
        ({"draws": 1}, {}, "draws=1"),
        ({}, {"train": 0}, r"there are none: divide the data \(data.test_fraction below 1\)"),
        ({}, {"test": 10}, "no neuron can be looked for: yaw is left out: too few"),
        ({}, {"train": 3, "val": 0}, "neurons are chosen on 3 people"),
    ],
)
def test_what_cannot_be_is_one_line(asked: dict[str, Any], images: dict[str, int], said: str) -> None:
    with pytest.raises(InvariantNetsError, match=said):
        NuisanceNeurons(**asked)(specimen(network(0, 1, 2), Pictures(**images)))


def seen(label: np.ndarray, nuisance: Mapping[str, np.ndarray]) -> Seen:
    return Seen([], label, label, dict(nuisance), np.arange(len(label)) % 5 == 0)


def coded() -> tuple[Coded, Coded]:
    rng = numpy_rng(5)
    nuisances = [
        YAW,
        Nuisance("pose", "categorical", "", ("a", "b", "c")),
        Nuisance("turn", "circular", "°"),
        Nuisance("hat", "binary", "", ("no", "yes")),
    ]
    made = []
    for n in (200, 90):
        values = {"yaw": rng.normal(3, 9, n), "pose": rng.integers(0, 3, n).astype(float)}
        values |= {"turn": rng.uniform(0, 360, n), "hat": (rng.random(n) < 0.3).astype(float)}
        values["yaw"][rng.permutation(n)[:40]] = np.nan
        made.append(seen(np.arange(n) % 10, values))
    fit, test, cannot = code(nuisances, *made)
    assert not cannot and [n.name for n in fit.nuisances] == ["yaw", "|yaw|", "pose", "turn", "hat"]
    return fit, test


def test_sums_give_what_lines_through_all_rows_give() -> None:
    fit, test = coded()
    rng = numpy_rng(6)
    mixed = rng.normal(size=(fit.y.shape[1], 7))
    x, z = (c.y / c.y.std(0) @ mixed + rng.normal(size=(len(c.y), 7)) + 50 for c in (fit, test))
    x[:, 6] = z[:, 6] = 4.0
    null = shuffled(fit, np.arange(200), 2, rng)
    of = [Sums.empty(x[0], fit, null.shape[1]), Sums.empty(x.mean(0), test, 0)]
    for rows in (slice(0, 120), slice(120, 200)):
        of[0].add(x[rows], rows, fit, null)
    of[1].add(z, slice(0, 90), test, np.zeros((0, 0)))
    found = follow(of[0], fit)
    r2 = on_others(found, of[1], test)
    assert np.allclose(of[0].mean, x.mean(0)) and found.live.tolist() == [True] * 6 + [False]
    assert not found.share[:, 6].any() and not r2[:, 6].any()
    for t, columns in enumerate(fit.columns):
        known, others = fit.known[:, t], test.known[:, t]
        y, w = fit.y[known, columns], test.y[others, columns]
        for d in range(6):
            a, b = x[known, d], z[others, d]
            if y.shape[1] == 1:
                slope, cut = np.polyfit(a, y[:, 0], 1)
                share = np.corrcoef(a, y[:, 0])[0, 1] ** 2
                error, deviation = w[:, 0] - (slope * b + cut), w[:, 0]
            else:
                best = np.linalg.lstsq(y, a - a.mean(), rcond=None)[0]
                share = ((y @ best) ** 2).sum() / ((a - a.mean()) ** 2).sum()
                error, deviation = b - a.mean() - w @ best, b - a.mean()
            assert found.share[t, d] == pytest.approx(share, abs=1e-9)
            assert r2[t, d] == pytest.approx(1 - (error**2).sum() / (deviation**2).sum(), abs=1e-9)


def test_a_correlation_ratio_is_the_variance_between_categories() -> None:
    pose = np.arange(90) % 3.0
    x = np.array([5.0, -2.0, 4.0])[pose.astype(int)][:, None] + numpy_rng(1).normal(size=(90, 1))
    of = seen(np.arange(90), {"pose": pose})
    fit, _, _ = code([Nuisance("pose", "categorical", "", ("a", "b", "c"))], of, of)
    sums = Sums.empty(x[0], fit, 0)
    sums.add(x, slice(0, 90), fit, np.zeros((90, 0)))
    means = np.array([x[pose == c].mean() for c in range(3)])
    ratio = ((means[pose.astype(int)] - x.mean()) ** 2).sum() / ((x - x.mean()) ** 2).sum()
    assert follow(sums, fit).share[0, 0] == pytest.approx(ratio)


def test_luck_is_that_of_people() -> None:
    """Neurons that follow people follow what never varies within people, by luck, far more than single rows would."""
    rng = numpy_rng(2)
    who = np.repeat(np.arange(20), 30)
    fixed = rng.normal(size=20)[who]
    of = seen(who, {"age": fixed, "yaw": rng.normal(size=600)})
    fit, _, _ = code([Nuisance("age"), YAW], of, of)
    fit = fit.of([[n.name for n in fit.nuisances].index(name) for name in ("age", "yaw")])
    null = shuffled(fit, who, 20, rng).reshape(600, 20, 2)
    by_person = null[:, :, 0].reshape(20, 30, 20)
    assert (by_person == by_person[:, :1]).all() and np.unique(by_person[:, 0], axis=1).shape[1] > 15
    assert np.allclose(np.sort(null[:, 3, 1]), np.sort(fit.y[:, 1]))
    x = rng.normal(size=(20, 50))[who] + 0.1 * rng.normal(size=(600, 50))
    sums = Sums.empty(x[0], fit, 40)
    sums.add(x, slice(0, 600), fit, null.reshape(600, 40))
    found = follow(sums, fit)
    age, yaw = luck_of(found)
    assert age > 0.3 and yaw < 0.05
    assert (found.share[0] > age).mean() < 0.05 and (found.share[1] > yaw).mean() < 0.05


def test_a_line_at_one_penalty_is_that_of_the_path() -> None:
    rng = numpy_rng(4)
    x, y = rng.normal(size=(80, 6)), rng.normal(size=(80, 2))
    x[:, 5] = 1.0
    y[:, 0] += 3 * x[:, 2]
    of = moments(x, y)
    model = fitted(of, [0.1, np.inf])
    assert np.allclose(model.coef[:, 0], path_of(of, [0.1])[0][:, 0]) and not model.coef[:, 1].any()
    assert np.allclose(model.predict(x)[:, 1], y[:, 1].mean())


def test_sizes_are_each_once() -> None:
    assert sizes_of([0.01, 0.05, 0.1, 0.25], 16) == [1, 2, 4]
    assert sizes_of([0.9], 2) == [1] and sizes_of([0.5], 1) == []


def test_fewer_pictures_keep_their_people() -> None:
    bank = Pictures().bank("test")
    from invariantnets.inspection.looking import show_at

    shown = show_at(bank, torch.arange(240), torch.zeros(240, dtype=torch.int64))
    whole = replace(seen(shown.label, shown.nuisance), parts=[shown])
    less, at = whole.fewer(60)
    assert len(less) == len(at) == 60 and at[0] == 0 and at[-1] == 239
    assert np.array_equal(less.label, shown.label[at]) and np.array_equal(less.parts[0].label, less.label)
    assert np.array_equal(less.nuisance["yaw"], shown.nuisance["yaw"][at])
    assert len(whole.fewer(1000)[1]) == 240
