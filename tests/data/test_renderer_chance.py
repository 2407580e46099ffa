"""Draws are pure functions of (seed, identity, sample), with the declared distributions and correlations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from invariantnets.data import renderer
from invariantnets.data.renderer import chance, person
from invariantnets.errors import InvariantNetsError

MANY = 20_000


def splitmix(state: int, count: int) -> list[int]:
    """The published reference (Steele, Lea and Flood 2014), on Python's integers."""
    mask, out = (1 << 64) - 1, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        out.append(z ^ (z >> 31))
    return out


def test_the_hash_is_splitmix64() -> None:
    ours = chance._mix(torch.arange(1, 6) * chance.GOLDEN)
    assert [int(v) % (1 << 64) for v in ours] == splitmix(0, 5)


def test_numbers_do_not_depend_on_the_batch() -> None:
    numbers = torch.tensor([3, 99, 12345678901, 0])
    whole = renderer.identity(7, numbers)
    assert torch.equal(whole[[2, 0]], renderer.identity(7, numbers[[2, 0]]))
    assert not torch.equal(whole, renderer.identity(8, numbers))
    samples = torch.tensor([0, 1, 2, 3])
    drawn = renderer.nuisances({}, 7, numbers, samples, whole)
    part = renderer.nuisances({}, 7, numbers[1:3], samples[1:3], whole[1:3])
    assert all(torch.equal(drawn[name][1:3], part[name]) for name in drawn)


def test_codes_are_independent_standard_normal() -> None:
    codes = renderer.identity(0, torch.arange(MANY)).double().numpy()
    assert stats.kstest(codes.ravel()[:: codes.shape[1] + 1], "norm").pvalue > 1e-3
    correlation = np.corrcoef(np.concatenate([codes[:-1], codes[1:]], 1).T) - np.eye(2 * codes.shape[1])
    assert np.abs(correlation).max() < 5.5 / MANY**0.5, "between numbers, and between neighbouring identities"


def test_named_numbers_stay_standard_normal_and_correlate_as_declared() -> None:
    z = person.named(renderer.identity(0, torch.arange(MANY)))
    for name, share in renderer.MASCULINE.items():
        assert abs(float(z[name].std()) - 1) < 0.03
        assert abs(float(torch.corrcoef(torch.stack([z[name], z["masculinity"]]))[0, 1]) - share) < 0.03


@pytest.fixture(scope="module")
def drawn() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    numbers, samples = torch.arange(MANY), torch.arange(MANY) % 3
    codes = renderer.identity(2, numbers)
    return codes, renderer.nuisances({}, 2, numbers, samples, codes)


def test_every_nuisance_is_declared_and_within_its_range(drawn: tuple[torch.Tensor, dict[str, torch.Tensor]]) -> None:
    _, values = drawn
    declared = {nuisance.name: nuisance for nuisance in renderer.NUISANCES}
    assert set(values) == set(declared) | {"scene"} and set(renderer.RANGES) == set(declared)
    for name, nuisance in declared.items():
        spread = renderer.RANGES[name]
        if nuisance.kind == "binary":
            assert isinstance(spread, float) and set(values[name].unique().tolist()) == {0.0, 1.0}
        else:
            assert not isinstance(spread, float | int)
            assert values[name].min() >= min(0, spread[0]) and values[name].max() <= spread[-1]
    for name in ("glasses", "hat", "scarf", "video_frame"):
        assert abs(float(values[name].mean()) - renderer.RANGES[name]) < 0.015
    assert not values["dark_glasses"][values["glasses"] == 0].any()
    assert all(not values[name][values["video_frame"] == 0].any() for name in ("blur", "noise", "compression"))
    yaw = values["yaw"].numpy()
    assert stats.kstest(yaw, stats.triang(0.5, loc=-90, scale=180).cdf).pvalue > 1e-3


def test_nuisances_correlate_with_identity_only_where_declared(
    drawn: tuple[torch.Tensor, dict[str, torch.Tensor]],
) -> None:
    codes, values = drawn
    declared = {(name, person.CODE.index(habit)) for name, (habit, _) in renderer.HABITS.items()}
    declared.add(("dark_glasses", person.CODE.index("glasses_habit")))
    for name, value in values.items():
        found = np.corrcoef(np.concatenate([value[:, None].numpy(), codes.numpy()], 1).T)[0, 1:]
        for i, correlation in enumerate(found):
            assert (abs(correlation) > 0.15) if (name, i) in declared else (abs(correlation) < 5 / MANY**0.5), (name, i)


def test_nuisances_are_independent_of_each_other(drawn: tuple[torch.Tensor, dict[str, torch.Tensor]]) -> None:
    _, values = drawn
    free = [n for n in values if n not in ("dark_glasses", "video_frame", "blur", "noise", "compression")]
    correlation = np.corrcoef(np.stack([values[name].numpy() for name in free])) - np.eye(len(free))
    assert np.abs(correlation).max() < 5 / MANY**0.5


def test_ranges_can_be_replaced() -> None:
    numbers = torch.arange(500)
    codes = renderer.identity(0, numbers)
    values = renderer.nuisances({"yaw": [10, 20], "pitch": 5, "hat": 1, "glasses": 0.0}, 0, numbers, numbers, codes)
    assert values["yaw"].min() >= 10 and values["yaw"].max() <= 20 and values["yaw"].std() > 2
    assert (values["pitch"] == 5).all() and (values["hat"] == 1).all() and not values["glasses"].any()


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"jaw": [0, 1]}, "'jaw' is no nuisance"),
        ({"hat": 1.5}, "hat needs one probability"),
        ({"hat": [0, 1]}, "hat needs one probability"),
        ({"yaw": [20, -20]}, "yaw needs finite numbers in ascending order"),
        ({"yaw": [0, float("nan")]}, "yaw needs finite numbers"),
        ({"yaw": [0, 1, 2, 3]}, "yaw needs a value"),
    ],
)
def test_bad_ranges_are_refused(ranges: dict[str, list[float]], message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        renderer.check_ranges(ranges)
