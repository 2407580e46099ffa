"""experiment=strangers: which jobs, from which network, and with which terms."""

from __future__ import annotations

import pytest
import torch
from hydra import compose
from hydra.utils import instantiate

from invariantnets.cli.ranges import check_values
from invariantnets.data import Batch
from invariantnets.release import Lda
from test_conf import composed, hydra, names, resolved

__all__ = ["hydra"]  # a fixture
FOUR = ["yaw", "pitch", "light_azimuth", "light_elevation"]
LAYERS = ["C1", "C3", "L4", "L5", "L6", "F7", "F8"]


def methods() -> list[str]:
    params = compose("train", overrides=["experiment=strangers"], return_hydra_config=True).hydra.sweeper.params
    assert len(set(params.seed.split(","))) == 5
    return [name.strip() for name in params.method.split(",")]


def test_every_method_starts_from_the_same_network_and_has_the_same_budget() -> None:
    found = {}
    for name in methods():
        assert name in names("method")
        cfg = composed("experiment=strangers", f"method={name}", "hydra.sweep.dir=s", "seed=3", "data.num_classes=200")
        check_values(cfg)
        own = resolved(cfg)
        first = own["recipes"]["init_from"]
        assert first["folder"] == "s/initial_people=200_width=256_seed=3"
        assert first["trainer"]["max_epochs"] * first["data"]["epoch_batches"] == 2000
        merged = {**own["model"]["constraints"], **first["model"]["constraints"]}
        assert [term for term, of in merged.items() if of] == ["softmax"]
        start = {**own["model"]["backbone"], **first["model"]["backbone"]}
        assert (start["embedding_norm"], start["embedding_noise"], start["bottleneck"]) == (None, 0.0, 256)
        assert own["model"]["init_layers"] == LAYERS and own["trainer"]["max_epochs"] == 1
        found[name] = (own["method"], own["data"], own["model"]["optimizer"], own["model"]["scheduler"])
    assert len({of[0] for of in found.values()}) == len(found)
    assert all(of[1:] == found["softmax"][1:] for of in found.values())
    assert found["softmax"][1]["epoch_batches"] == 3600 and found["softmax"][2]["lr"] == 3e-4


@pytest.mark.parametrize("name", ["supcon", "supcon_noise_centre_0.5_released", "hsic_faces", "adversary_faces"])
def test_its_terms_are_of_the_layers_of_deepface(name: str) -> None:
    few = ("data.num_classes=6", "data.test_identities=2")
    small = ("data.image_shape=[3,40,40]", "model.backbone.bottleneck=8")
    cfg = composed("experiment=strangers", f"method={name}", "hydra.sweep.dir=s", *few, *small)
    module, data = (instantiate(cfg[part], _convert_="all") for part in ("model", "data"))
    module.connect(data.spec, cfg.views)
    terms = dict(module.named_constraints())
    told = {term.nuisance for term in terms.values() if hasattr(term, "nuisance")}
    assert told == (set(FOUR) if name.endswith("_faces") else set())
    image = torch.zeros(4, 2, 3, 40, 40)
    nuisance = {n: torch.randn(4, 2) for n in FOUR}
    batch = Batch(image, torch.arange(4), *[torch.zeros(4, 2)] * 2, nuisance)
    for term in terms.values():
        assert term(module.layers(image, list(term.layers)), batch).isfinite()
    sigma = cfg.release.sigma if cfg.get("release") else None
    assert sigma == (cfg.model.backbone.embedding_noise if name.endswith("_released") else None)


def test_axes_are_of_the_network_of_the_same_method() -> None:
    for name in ("softmax", "supcon_noise_centre_0.5"):
        own, axes = (
            composed("experiment=strangers", f"method={m}", "hydra.sweep.dir=s") for m in (name, f"{name}_lda")
        )
        assert resolved(axes.model) == resolved(own.model) and axes.method == f"32 axes and noise of {own.method}"
        assert isinstance(instantiate(axes.release), Lda) and own.get("release") is None


def test_frames_are_of_the_same_strangers_in_other_pictures() -> None:
    cfg = composed("experiment=strangers", "method=softmax", "hydra.sweep.dir=s", "data.num_classes=20")
    small = {"test_identities": 3, "test_images": 5}
    own, frames = (instantiate({**resolved(part), **small}, _convert_="all") for part in (cfg.data, cfg.transfer.data))
    assert cfg.transfer.data.test_identities == cfg.data.test_identities == 500
    assert own.identities("test") == frames.identities("test") and len(frames.identities("train")) == 20
    assert "video_frame" not in {n.name for n in frames.spec.nuisances}, "all of them are"
    assert bool((frames.nuisance["test"]["video_frame"] == 1).all())
    assert not torch.equal(own.nuisance["test"]["yaw"], frames.nuisance["test"]["yaw"])
