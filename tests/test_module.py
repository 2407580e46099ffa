from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from invariantnets.backbones import LayeredBackbone, lenet
from invariantnets.constraints import Adversary, Centre, Hsic, MeanActivation, Pair, PairBatch, Softmax, SupCon
from invariantnets.data import Batch, DataSpec
from invariantnets.errors import InvariantNetsError
from invariantnets.module import InvariantNet, logs_step
from invariantnets.nuisance import Nuisance
from made_module import SPEC, make


def make_batch(views: int = 2) -> Batch:
    rng = torch.Generator().manual_seed(0)
    index = torch.arange(5 * views).view(5, views)
    image = torch.randint(256, (5, views, 1, 28, 28), dtype=torch.uint8, generator=rng)
    nuisance = {"angle": torch.randn(index.shape, generator=rng)}
    return Batch(image, torch.tensor([0, 1, 2, 3, 3]), index, index // views, nuisance)


def test_every_parameter_is_trained_once_and_biases_twice_as_fast() -> None:
    model = make(bias_lr_multiplier=2.0)
    optimizer = model.configure_optimizers()
    weights, biases = optimizer.param_groups
    assert (weights["lr"], biases["lr"]) == (0.01, 0.02)
    assert weights["momentum"] == biases["momentum"] == 0.9
    trained = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(trained) == sorted(id(p) for p in model.parameters())
    assert all(p.ndim == 1 for p in biases["params"]) and all(p.ndim > 1 for p in weights["params"])


def with_adversary(**changes: object) -> InvariantNet:
    """Softmax and an adversary of half the weight, told of the data."""
    torch.manual_seed(1)
    adversary = Adversary("ip1", 20, "angle", hidden=8, weight=0.5, **changes)
    model = make(constraints={"softmax": Softmax("ip2", 10), "adversary": adversary}, bias_lr_multiplier=2.0)
    model.connect(SPEC, 2)
    return model


def test_a_constraints_own_parameters_are_trained_at_their_own_rate() -> None:
    model = with_adversary(lr_multiplier=5.0)
    optimizer = model.configure_optimizers()
    weights, biases, own = optimizer.param_groups
    assert [group["lr"] for group in (weights, biases, own)] == [0.01, 0.02, 0.05]
    assert [id(p) for p in own["params"]] == [id(p) for p in model.constraints.parameters()]
    trained = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(trained) == sorted(id(p) for p in model.parameters())
    assert {"constraints.adversary.head.0.weight", "constraints.adversary.scale"} <= set(model.state_dict())


@pytest.mark.parametrize(("ramp", "step", "strength"), [(0, 0, 0.5), (10, 0, 0.0), (10, 4, 0.2), (10, 30, 0.5)])
def test_the_adversary_descends_and_the_network_ascends(ramp: int, step: int, strength: float) -> None:
    model, batch = with_adversary(ramp=ramp), make_batch()
    network, head = list(model.backbone.parameters()), list(model.constraints["adversary"].parameters())
    model.terms(model.layers(batch.image, ["ip1", "ip2"]), batch, step)["loss"].backward()
    layers = model.layers(batch.image, ["ip1", "ip2"])
    # By hand, without a reversal: what softmax wants, and what the adversary wants.
    softmax = torch.nn.functional.cross_entropy(layers["ip2"][:, 0], batch.label)
    first, _, second = model.constraints["adversary"].head
    hidden = (layers["ip1"].flatten(0, 1) @ first.weight.T + first.bias).relu()
    read = (hidden @ second.weight.T + second.bias).flatten()
    error = (read - batch.nuisance["angle"].flatten()).square().mean()
    for parameter, gradient in zip(head, torch.autograd.grad(error, head, retain_graph=True), strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    wanted = torch.autograd.grad(softmax, network, retain_graph=True)
    unwanted = torch.autograd.grad(error, network, allow_unused=True)
    for parameter, towards, away in zip(network, wanted, unwanted, strict=True):
        assert away is None or away.any()
        torch.testing.assert_close(parameter.grad, towards if away is None else towards - strength * away)


@pytest.mark.parametrize("nuisance", [Nuisance("angle"), Nuisance("light", "binary", categories=("dark", "bright"))])
def test_an_adversary_that_reads_nothing_is_no_more_pushed(nuisance: Nuisance) -> None:
    """Worse than chance is no merit: else a network gains without end by making its features grow."""
    for beyond in (False, True):
        outputs = len(nuisance.encode(torch.zeros(1).numpy())[0])
        torch.manual_seed(1)
        adversary = Adversary("ip1", 20, nuisance.name, outputs, hidden=8, beyond_chance=beyond)
        model, batch = make(constraints={"adversary": adversary}), make_batch()
        model.connect(DataSpec((1, 28, 28), 10, (nuisance,)), 2)
        batch.nuisance[nuisance.name] = (torch.arange(10.0) % 2).view(5, 2)
        assert adversary.nothing_read == pytest.approx(1.0 if outputs == 1 else 0.6931, abs=1e-4)
        learner = torch.optim.Adam(adversary.parameters(), lr=0.05)
        for _ in range(50):
            learner.zero_grad()
            model.terms(model.layers(batch.image, ["ip1"]), batch, 0)["loss"].backward()
            learner.step()
        for reads, pushed in ((True, True), (False, beyond)):
            if not reads:  # it says the opposite, and is sure of it
                with torch.no_grad():
                    adversary.head[-1].weight.mul_(-1e3)
            model.zero_grad()
            loss = model.terms(model.layers(batch.image, ["ip1"]), batch, 0)["loss"]
            assert (loss < adversary.nothing_read) == reads
            loss.backward()
            assert any(bool(p.grad.any()) for p in model.backbone.layers["ip1"].parameters()) == pushed
            assert adversary.head[-1].weight.grad.any()  # it learns, however it reads


def test_training_follows_the_ramp_and_validation_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = make(constraints={"centre": Centre("ip1", weight=2.0, ramp=8)}), make_batch()
    value = model.constraints["centre"](model.layers(batch.image, ["ip1"]), batch).item()
    for step, weight in ((0, 0.0), (2, 0.5), (8, 2.0)):
        model.trainer = SimpleNamespace(log_every_n_steps=0, global_step=step)
        assert model.training_step(batch, 0).item() == pytest.approx(weight * value)
    metrics = logged(model, monkeypatch)
    model.validation_step(batch, 0)
    assert metrics["val/centre"].item() == pytest.approx(2 * value)


def test_terms_are_computed_in_single_precision_whatever_the_networks() -> None:
    constraints = {"softmax": Softmax("ip2", 10), "supcon": SupCon("ip1"), "hsic": Hsic("ip1", "angle")}
    model, batch = make(constraints=constraints), make_batch()
    model.connect(SPEC, 2)
    layers = {name: x.bfloat16() for name, x in model.layers(batch.image, ["ip1", "ip2"]).items()}
    expected = model.terms({name: x.float() for name, x in layers.items()}, batch)
    with torch.autocast("cpu", torch.bfloat16):
        found = model.terms(layers, batch)
    assert all(torch.equal(found[name], value) and value.dtype == torch.float32 for name, value in expected.items())


def test_null_and_weightless_constraints_are_dropped() -> None:
    constraints = {"softmax": None, "pair": Pair({"ip1": 1.0}), "other": PairBatch({"ip1": 1.0}, weight=0)}
    model = make(constraints=constraints)
    assert [name for name, _ in model.named_constraints()] == ["pair"]
    assert not model.classifies and make().classifies
    for empty in ({}, {"softmax": None}, {"softmax": Softmax("ip2", 10, weight=0)}):
        with pytest.raises(InvariantNetsError, match="model.constraints is empty"):
            make(constraints=empty)


def test_constraints_on_unknown_layers_are_refused() -> None:
    with pytest.raises(InvariantNetsError, match="no layer 'ip3'; this network has input, conv1"):
        make(constraints={"pair": Pair({"ip3": 1.0})})


def test_constraints_that_need_more_views_are_refused() -> None:
    model = make(constraints={"softmax": Softmax("ip2", 10), "pair": Pair({"ip1": 1.0})})
    with pytest.raises(InvariantNetsError, match="constraint pair compares 2 views .* the data give 1: set views=2"):
        model.connect(SPEC, 1)
    model.connect(SPEC, 2)
    assert model.spec == SPEC


def test_a_nuisance_that_the_data_lack_is_refused() -> None:
    with pytest.raises(InvariantNetsError, match="Adversary: the data have no nuisance 'yaw' but angle"):
        make(constraints={"adversary": Adversary("ip1", 20, "yaw")}).connect(SPEC, 1)


def test_layers_keep_samples_and_views_apart() -> None:
    model, batch = make(), make_batch(3)
    found = model.layers(batch.image, ["conv1", "ip1"])
    assert found["conv1"].shape == (5, 3, 20, 24, 24) and found["ip1"].shape == (5, 3, 20)
    for b in range(5):
        for v in range(3):
            alone = model.backbone.features(batch.image[b, v][None], ["ip1"])["ip1"][0]
            torch.testing.assert_close(found["ip1"][b, v], alone)


def test_the_loss_is_the_weighted_sum_of_the_terms() -> None:
    constraints = {"softmax": Softmax("ip2", 10, 0.5), "pair": Pair({"ip1": 1.0, "conv2": 2.0}, 3.0)}
    model, batch = make(constraints=constraints), make_batch()
    layers = model.layers(batch.image, ["conv2", "ip1", "ip2"])
    terms = model.terms(layers, batch)
    assert list(terms) == ["softmax", "pair", "loss"]
    softmax, pair = (constraints[k](layers, batch) for k in ("softmax", "pair"))
    torch.testing.assert_close(terms["loss"], 0.5 * softmax + 3.0 * pair)
    torch.testing.assert_close(terms["pair"], 3.0 * pair)


def logged(model: InvariantNet, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """What the module has logged of the batches so far."""
    found: dict[str, Tensor] = {}

    def log_dict(metrics: dict[str, Metric], **kwargs: object) -> None:
        found.update({name: metric.compute() for name, metric in metrics.items()})

    monkeypatch.setattr(model, "log_dict", log_dict)
    return found


@pytest.mark.parametrize("embedding", ["ip1", "conv1", "input"])
def test_validation_returns_the_embedding_and_logs_every_term(monkeypatch: pytest.MonkeyPatch, embedding: str) -> None:
    model, batch = make(backbone=lenet(embedding_dim=20, embedding=embedding)).eval(), make_batch(7)
    metrics = logged(model, monkeypatch)
    found = model.validation_step(batch, 0)["embedding"]
    assert torch.equal(found, model.layers(batch.image, [embedding])[embedding].flatten(2))
    assert set(metrics) == {"val/softmax", "val/loss", "val/accuracy"}
    correct = model.layers(batch.image, ["ip2"])["ip2"].argmax(-1) == batch.label[:, None]
    assert metrics["val/accuracy"] == correct.float().mean()


def test_validation_averages_over_images_and_keeps_what_is_not_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    model, value = make(), {}
    metrics = logged(model, monkeypatch)
    monkeypatch.setattr(model, "terms", lambda layers, batch: {"softmax": value["now"], "loss": 2 * value["now"]})
    for now, images in ((1.0, 5), (4.0, 1)):
        value["now"] = torch.tensor(now)
        model.validation_step(Batch(*(x[:images] for x in vars(make_batch()).values() if torch.is_tensor(x))), 0)
    assert metrics["val/softmax"].item() == 1.5 and metrics["val/loss"].item() == 3.0
    value["now"] = torch.tensor(torch.nan)
    model.validation_step(make_batch(), 0)
    assert metrics["val/loss"].isnan()


def test_a_validation_leaves_nothing_in_the_weights() -> None:
    """Checkpoints hold what is trained: the metrics of a validation are no part of them."""
    model = make()
    model.log_dict = lambda metrics, **kwargs: None
    before = list(model.state_dict())
    model.validation_step(make_batch(), 0)
    assert list(model.state_dict()) == before == [f"backbone.{name}" for name in model.backbone.state_dict()]


def test_a_network_that_does_not_classify_logs_no_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    term = MeanActivation("ip1", 20, 10)
    term.targets.zero_()
    model = make(constraints={"softmax": None, "mean_activation": term}).eval()
    metrics = logged(model, monkeypatch)
    model.validation_step(make_batch(), 0)
    assert set(metrics) == {"val/mean_activation", "val/loss"}


def test_only_the_layers_that_are_needed_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(constraints={"pair": Pair({"conv1": 1.0})})

    def refuse(*args: object) -> None:
        raise AssertionError("computed in vain")

    monkeypatch.setattr(model.backbone.layers["pool1"], "forward", refuse)
    model.trainer = SimpleNamespace(log_every_n_steps=50, global_step=0)  # not attached to a whole trainer
    loss = model.training_step(make_batch(), 0)
    assert loss.requires_grad and loss.isfinite()


@pytest.mark.parametrize(("every", "steps"), [(1, [1, 2, 3, 4, 5, 6]), (3, [3, 6]), (50, []), (0, [])])
def test_steps_that_are_logged(every: int, steps: list[int]) -> None:
    trainer = SimpleNamespace(log_every_n_steps=every)
    assert [step for step in range(1, 7) if logs_step(trainer, step)] == steps


def test_checkpoints_carry_the_configuration() -> None:
    model, checkpoint = make(), {}
    model.config = {"model": {"a": 1}}
    model.trainer = SimpleNamespace(logger=None)
    model.on_save_checkpoint(checkpoint)
    assert checkpoint["invariantnets"]["config"] == {"model": {"a": 1}}
    assert checkpoint["invariantnets"]["wandb_id"] is None


def test_named_layers_are_copied_and_the_others_said_to_be_new() -> None:
    trained, model = make(), make(backbone=lenet(embedding_dim=8), init_from="a.ckpt", init_layers=["conv1", "conv2"])
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter += 1
    before = {name: p.clone() for name, p in model.backbone.layers["ip1"].named_parameters()}
    assert model.start_from(trained.backbone) == ["ip1", "ip2"]
    for name in ("conv1", "conv2"):
        copied = zip(model.backbone.layers[name].parameters(), trained.backbone.layers[name].parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in copied)
    assert all(torch.equal(p, before[name]) for name, p in model.backbone.layers["ip1"].named_parameters())


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["conv1", "ip1"], r"init_from=a.ckpt: its ip1 has .*\(20, 800\).*, this network's .*\(8, 800\)"),
        (["ip3"], "no layer 'ip3'"),
    ],
)
def test_layers_that_cannot_be_copied(layers: list[str], message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        make(backbone=lenet(embedding_dim=8), init_from="a.ckpt", init_layers=layers).start_from(make().backbone)


def test_frozen_layers_stay_as_they_were_copied() -> None:
    model = make(init_from="a.ckpt", init_layers=["conv1"], frozen=["conv1"])
    model.start_from(make().backbone)
    optimizer = model.configure_optimizers()
    before = {name: p.detach().clone() for name, p in model.backbone.named_parameters()}
    batch = make_batch()
    model.terms(model.layers(batch.image, ["ip2"]), batch)["loss"].backward()
    optimizer.step()
    moved = {name.split(".")[1] for name, p in model.backbone.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"conv2", "ip1", "ip2"}


def test_batch_norm_of_frozen_layers_keeps_its_statistics() -> None:
    layers = {name: nn.Sequential(nn.Linear(n, 10), nn.BatchNorm1d(10)) for name, n in (("a", 784), ("b", 10))}
    backbone = LayeredBackbone({"flat": nn.Flatten(), **layers}, embedding="b", classifier="b")
    constraints = {"softmax": Softmax("b", 10)}
    frozen = {"init_from": "a.ckpt", "init_layers": ["a"], "frozen": ["a"]}
    model = InvariantNet(backbone, constraints, torch.optim.SGD, **frozen)
    model.train()
    model._trainer = SimpleNamespace(current_epoch=0, global_rank=0)
    model.on_train_epoch_start()
    batch = make_batch()
    model.layers(batch.image.float(), ["b"])
    moved = {name for name, layer in layers.items() if layer[1].num_batches_tracked}
    assert moved == {"b"}


@pytest.mark.parametrize("given", [{"init_layers": ["conv1"]}, {"init_from": "a.ckpt"}])
def test_random_layers_are_not_frozen(given: dict[str, object]) -> None:
    with pytest.raises(InvariantNetsError, match="frozen: conv1 would stay random"):
        make(frozen=["conv1"], **given)
