"""What layers do with a change of the picture: against closed forms, published definitions and what is known."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as tv

from invariantnets.analysis import Material
from invariantnets.backbones import LayeredBackbone, deepface, lenet
from invariantnets.data import BankedImages, RotatedImages, SyntheticFaces
from invariantnets.data.sources import digits
from invariantnets.errors import InvariantNetsError
from invariantnets.inspection import Invariance
from invariantnets.inspection.derivatives import derivatives
from invariantnets.inspection.invariance_results import Apart
from invariantnets.inspection.normalised_variance import NormalisedVariance
from invariantnets.inspection.transforming import BORDERS, TRANSFORMATIONS, flow, moving
from invariantnets.randomness import numpy_rng, torch_rng
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import Resampling
from invariantnets.subjects import from_backbone

CPU = torch.device("cpu")


def noise(*shape: int, low: int = 0, high: int = 256) -> Tensor:
    return torch.randint(low, high, shape, dtype=torch.uint8, generator=torch_rng(7, *shape))


def applied(name: str, pictures: Tensor, amount: float, border: str = "repeat") -> Tensor:
    return TRANSFORMATIONS[name].apply(pictures, amount, border)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_no_change_is_exactly_none(name: str, border: str) -> None:
    for shape in ((2, 3, 33, 20), (2, 1, 28, 28)):
        pictures = noise(*shape)
        assert torch.equal(applied(name, pictures, TRANSFORMATIONS[name].base, border), pictures)
        assert not torch.equal(applied(name, pictures, TRANSFORMATIONS[name].stated, border), pictures)


def test_whole_pixels_and_quarter_turns_are_exact() -> None:
    x = noise(2, 3, 20, 20)
    down = applied("vertical_translation", x, 10.0)  # 2 pixels
    assert torch.equal(down[..., 2:, :], x[..., :-2, :])
    assert torch.equal(down[..., :2, :], x[..., :1, :].expand(-1, -1, 2, -1))
    left = applied("horizontal_translation", x, -5.0, "black")
    assert torch.equal(left[..., :-1], x[..., 1:]) and not left[..., -1].any()
    assert torch.equal(applied("rotation", x, 90.0), x.rot90(1, (2, 3)))  # anticlockwise
    assert torch.equal(applied("vertical_translation", x, 10.0, "mirror")[..., :2, :], x[..., :2, :].flip(2))


def test_as_torchvision_does() -> None:
    x = noise(2, 3, 40, 40)

    def apart(a: Tensor, b: Tensor) -> int:
        return int((a.int() - b.int()).abs().max())

    assert apart(applied("brightness", x, 1.0), tv.adjust_brightness(x, 2.0)) <= 1
    assert apart(applied("contrast", x, 0.5), tv.adjust_contrast(x, 0.5)) <= 1
    assert apart(applied("gaussian_blur", x, 4.0, "mirror"), tv.gaussian_blur(x, [11, 11], [1.6, 1.6])) <= 1
    bilinear = tv.InterpolationMode.BILINEAR
    turned = tv.rotate(x, 20.0, interpolation=bilinear)
    assert apart(applied("rotation", x, 20.0)[..., 10:30, 10:30], turned[..., 10:30, 10:30]) <= 1
    grown = tv.affine(x, 0.0, [0, 0], 1.25, [0.0, 0.0], interpolation=bilinear)
    assert apart(applied("scale", x, 1.25), grown) <= 1


@pytest.mark.parametrize("name", ["vertical_translation", "horizontal_translation", "rotation", "scale"])
def test_the_beginning_is_that_of_the_transformation(name: str) -> None:
    """Central differences of the transformed bytes, whose rounding is small beside a smooth picture's change."""
    row, column = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="ij")
    x = (128 + 110 * torch.sin(row / 9) * torch.cos(column / 7)).round().to(torch.uint8)[None, None]
    h, one = (2.0 if "translation" in name else 5.0), 1.0 if name == "scale" else 0.0
    per = 0.01 if name == "scale" else 1.0
    after, before = (applied(name, x, one + sign * h * per).float() for sign in (1, -1))
    speed = moving(x.float(), flow(name, 64, 48, CPU))
    inside = (..., slice(4, -4), slice(4, -4))
    slow = ((after - before) / (2 * h))[inside]
    assert float((slow - speed[inside]).norm() / slow.norm()) < 0.06


def slowly(values: np.ndarray) -> np.ndarray:
    """Of ``(amounts, n, D)`` as in facundoq/tmeasures, `NormalizedVarianceInvariance`: standard deviations with n - 1
    over amounts, their mean over samples; over samples, their mean over amounts; 0 / 0 is 1, x / 0 infinite."""
    amounts, n, width = values.shape
    found = np.empty(width)
    for d in range(width):
        over_amounts = np.mean([np.std(values[:, i, d], ddof=1) for i in range(n)])
        over_samples = np.mean([np.std(values[t, :, d], ddof=1) for t in range(amounts)])
        if over_samples > 0:
            found[d] = over_amounts / over_samples
        else:
            found[d] = 1.0 if over_amounts == 0 else np.inf
    return found


def test_normalised_variance_is_the_published_one() -> None:
    rng = numpy_rng(3)
    values = (40 + rng.normal(size=(5, 37, 9))).astype(np.float32)
    values[:, :, 1] = 0.1  # dead, at a number that bytes do not hold
    values[:, :, 2] = np.arange(5)[:, None]  # changes with the transformation alone
    values[:, :, 3] = values[0, :, 3]  # invariant
    group = rng.integers(0, 4, 37)
    streamed = NormalisedVariance(5, 9, groups=4)
    for rows in np.array_split(rng.permutation(37), 5):
        streamed.add(values[:, rows], group[rows])
    expected = slowly(values.astype(np.float64))
    assert expected[1] == 1 and np.isinf(expected[2]) and expected[3] == 0
    np.testing.assert_allclose(streamed.quotient(), expected, rtol=1e-5)
    for g in range(4):
        np.testing.assert_allclose(streamed.quotient(g), slowly(values[:, group != g].astype(np.float64)), rtol=1e-5)
    spread = streamed.spread()
    finite = np.isfinite(expected)
    assert spread.value == pytest.approx(expected[finite].mean(), rel=1e-5)
    assert spread.moved == pytest.approx(np.delete(expected, [1, 2]).mean(), rel=1e-5)
    assert (spread.infinite, spread.still) == (1, 1)
    assert spread.low < spread.value < spread.high


def test_the_scatter_of_a_mean_over_pairs() -> None:
    """Leaving a picture out takes all its pairs."""
    x = numpy_rng(5).gamma(1.0, size=(60, 6))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    gap = np.where(np.eye(60, dtype=bool), np.nan, 1 - unit @ unit.T)
    yard = Apart(np.nanmean(gap, 1), gap[0], 6, 0.0).yardstick
    left = np.array([np.nanmean(np.delete(np.delete(gap, i, 0), i, 1)) for i in range(60)])
    jackknife = np.sqrt(59 / 60 * ((left - left.mean()) ** 2).sum())
    sums = np.stack([yard, np.ones(60)], 1)
    value, low, high = Resampling(np.arange(60)).interval(sums, lambda s: s[:, :1] / s[:, 1:], [Number("any", (1,))])
    assert value[0] == pytest.approx(np.nanmean(gap))
    assert (high - low)[0] / 4 == pytest.approx(jackknife, rel=0.15)


@pytest.mark.parametrize(
    "make",
    [
        partial(lenet, (1, 28, 28), 3, 12),
        partial(deepface, (1, 28, 28), 3, filters=(8, 8, 8, 8, 8), kernels=(3, 3, 3, 2, 2), bottleneck=8),
    ],
    ids=["lenet", "deepface"],
)
def test_derivatives_forwards_are_those_of_finite_differences(make: Callable[[], LayeredBackbone]) -> None:
    torch.manual_seed(1)
    network = make().double().eval()
    pictures = noise(3, 1, 28, 28).double()
    change = moving(pictures, flow("rotation", 28, 28, CPU))
    found, missing = derivatives(network, pictures, change, network.layer_names)
    assert not missing and list(found) == network.layer_names
    h = 1e-6
    with torch.no_grad():
        after, before = (network.features(pictures + s * change, network.layer_names) for s in (h, -h))
    for name, (value, speed) in found.items():
        slow = (after[name] - before[name]) / (2 * h)
        assert value.shape == speed.shape and float(slow.norm()) > 0
        assert float((slow - speed).norm() / slow.norm()) < 1e-5


class Swallow(torch.autograd.Function):
    """An operator whose author wrote no derivative forwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.tanh()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        raise NotImplementedError


@torch.library.custom_op("invariantnets_tests::opaque", mutates_args=())
def opaque(x: Tensor) -> Tensor:
    """Another, which loses the derivative without a word."""
    return x.tanh()


@pytest.mark.parametrize("operator", [Swallow.apply, opaque])
def test_without_a_derivative_forwards_it_is_taken_by_differences(operator: Any) -> None:
    class Last(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = operator(x)
            return out

    network = lenet((1, 20, 20), 3, 12).eval().requires_grad_(False)
    network.layers["ip2"] = nn.Sequential(network.layers["ip2"], Last())
    pictures = noise(3, 1, 20, 20).float()
    change = moving(pictures, flow("scale", 20, 20, CPU))
    found, missing = derivatives(network, pictures, change, ["conv1", "ip2"])
    assert "ip2" in missing and float(found["ip2"][1].norm()) > 0
    linear = found["conv1"][1]
    with torch.no_grad():
        exact = network.features(pictures + change, ["conv1"])["conv1"] - network.features(pictures, ["conv1"])["conv1"]
    torch.testing.assert_close(linear, exact, atol=1e-3, rtol=1e-3)


class Known:
    """No module; layers of which it is known what they do."""

    layer_names, embedding, classifier = ("pixels", "centred", "wild", "constant"), "pixels", None

    def features(self, image: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        x = image.flatten(1).double()
        mix = torch.randn(x.shape[1], 400, generator=torch_rng(1), dtype=torch.float64)
        found = {
            "pixels": x,
            "centred": x - x.mean(1, keepdim=True),
            "wild": torch.sin(50 * x @ mix),
            "constant": torch.ones(len(x), 3, dtype=torch.float64),
        }
        return {name: found[name].float() for name in self.layer_names if name in names}


def faint_digits() -> BankedImages:
    """No byte leaves 0–255 when the contrast is doubled, and none is 0."""
    images = RotatedImages(digits, 3, [1, 28, 28], [0.0], classes=[0, 1, 2])
    images.setup()
    bank = images.bank("test")
    stored = (bank.image.float() / 4 + 60).to(torch.uint8)
    images._banks["test"] = type(bank)(stored, bank.label, bank.nuisance, bank.first_source)
    return images


def look(
    network: Any, images: BankedImages, layer: str, **options: Any
) -> tuple[dict[tuple[str, str, str], Result], dict[str, np.ndarray]]:
    subject = from_backbone(network, images)
    kept: dict[str, Any] = {}
    assert subject.specimen is not None
    specimen = subject.specimen(Material(subject.table(layer), layer, keep=kept.__setitem__))
    results = Invariance(**options)(specimen)
    found: dict[tuple[str, str, str], Result] = {}
    for r in results:
        found[r.metric, r.target, str(r.where.get("layer", ""))] = r
    return found, kept["invariance"]


def test_what_is_known_is_found() -> None:
    found, arrays = look(Known(), faint_digits(), "pixels", rows=40, transformations=["contrast", "rotation"])

    def relative(change: str, layer: str) -> Result:
        return found["relative_distance", change, layer]

    assert relative("half the contrast", "centred").value < 0.01 < relative("half the contrast", "pixels").value
    assert relative("turned by 20°", "centred").value > 0.1
    for change in ("half the contrast", "turned by 20°"):
        r = relative(change, "wild")
        assert r.low is not None and r.low < 1 < (r.high or 0) and r.chance == 1
        assert np.isnan(relative(change, "constant").value)
    assert found["distance_between", "wild", ""].value == pytest.approx(1, abs=0.05)
    assert found["unchanging", "constant", ""].value == 1 and found["unchanging", "wild", ""].value == 0
    assert found["normalised_variance", "turned by 20°", "constant"].value == 1  # by definition
    assert found["normalised_variance", "half the contrast", "wild"].value == pytest.approx(1, abs=0.1)
    error = found["invariance_error", "turning, by 1°", "pixels"]
    assert 0 < error.value < 1 and "central differences" in error.note
    assert "data=synthetic_faces" in relative("turned by 20°", "pixels").note
    base = arrays["strength"] == np.array([[1.0], [0.0]])
    assert (arrays["distance"].transpose(0, 2, 1)[base][:, :3] == 0).all()


def test_a_convolution_moves_along_and_what_follows_it_less() -> None:
    torch.manual_seed(0)
    images = RotatedImages(digits, 3, [1, 28, 28], [0.0], classes=[0, 1, 2])
    wanted = ["horizontal_translation", "rotation"]
    found, _ = look(lenet(num_classes=3, embedding_dim=20), images, "ip1", rows=20, transformations=wanted)

    def share(layer: str, movement: str = "moving right, by 1 % of the width") -> float:
        """Of the layer's change, what is left when the map is moved along."""
        left, change = (found[f"{of}_error", movement, layer].value for of in ("equivariance", "invariance"))
        return left / change

    assert share("input") < 1e-4 and share("input", "turning, by 1°") < 1e-4
    assert share("conv1") < 0.05 < share("pool1") < 1  # digits are black at their sides
    assert share("conv1") < 0.05 < share("conv1", "turning, by 1°")  # no filter turns
    assert ("equivariance_error", "turning, by 1°", "ip1") not in found


@pytest.fixture(scope="module")
def faces() -> SyntheticFaces:
    images = SyntheticFaces(4, [3, 32, 32], 2, 1, test_identities=8, test_images=2)
    images.setup()
    return images


def test_faces_are_drawn_anew(faces: SyntheticFaces) -> None:
    row, stored = torch.tensor([5, 0, 9]), faces.bank("test").image[:, 0]
    assert torch.equal(faces.redrawn("test", row, {}), stored[row])
    yaw = faces.nuisance["test"]["yaw"][row]
    alike = torch.cat([faces.redrawn("test", row[i : i + 1], {"yaw": float(yaw[i])}) for i in range(3)])
    assert torch.equal(alike, stored[row])
    assert not torch.equal(faces.redrawn("test", row, {"yaw": 60.0}), stored[row])
    with pytest.raises(InvariantNetsError, match="'age' is no nuisance"):
        faces.redrawn("test", row, {"age": 3.0})


def test_exact_nuisances_of_rendered_faces(faces: SyntheticFaces) -> None:
    network = lenet((3, 32, 32), 4, 16)
    wanted = ["yaw", "hat", "noise"]
    found, arrays = look(network, faces, "ip1", rows=12, transformations=wanted, layers=["input", "ip1"])
    assert list(arrays["change"]) == ["yaw", "hat", "noise"] and arrays["drawn"].all()
    assert list(arrays["strength"][0]) == [-90, -45, 0, 45, 90]
    assert (arrays["distance"][0, :, 2] == 0).all() and (arrays["distance"][0, :, [0, 1, 3, 4]] > 0).all()
    assert arrays["distance"][1, 0, 1] > 0 and arrays["distance"][2, 0, 2] > 0
    r = found["relative_distance", "yaw from 0 to 45°", "ip1"]
    assert r.n == 12 and r.sources <= 8 and "people" in r.note and 0 < r.value < 3
    assert not any(metric == "invariance_error" for metric, _, _ in found)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"transformations": ["shear"]}, "there is no 'shear'; choose from vertical_translation"),
        ({"transformations": ["yaw"]}, "drawn anew of data=synthetic_faces alone"),
        ({"border": "grey"}, "border=grey: choose from repeat, black, mirror"),
        ({"rows": 1}, "give data with 3 images of 2 classes"),
    ],
)
def test_what_cannot_be_is_said(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvariantNetsError, match=said):
        look(Known(), faint_digits(), "pixels", **options)
