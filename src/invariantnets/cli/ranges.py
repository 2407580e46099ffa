"""What the values of ``conf/`` may be: a wrong one is refused by its key, before anything is loaded."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from invariantnets.cli.values import (
    Columns,
    Device,
    Layers,
    Names,
    Number,
    OfEach,
    Part,
    Path,
    Shape,
    Switch,
    Word,
)
from invariantnets.errors import InvariantNetsError

__all__ = ["check_values"]


COUNT = Number(1, 1e9, whole=True)
FROM_0 = Number(0, 1e9, whole=True)
COUNT_OR_NULL = Number(1, 1e9, whole=True, null=True)
SEED = Number(0, 2**32 - 1, whole=True)
SHARE = Number(0, 1)
BELOW_1 = Number(0, 1, below=True)
POSITIVE = Number(0, above=True)
AT_LEAST_0 = Number(0)
# The end of a dotted key → what it may be; the longest end counts.
RANGES: dict[str, Number | Word | Switch | Names | Columns | OfEach | Layers | Part | Path | Device | Shape] = {
    **dict.fromkeys(("seed", "split_seed", "identity_seed", "sample_seed", "choice_seed", "draw_seed"), SEED),
    "device": Device(),
    **dict.fromkeys(("layers", "nuisance_neurons.silenced"), Layers()),
    **dict.fromkeys(("model.optimizer", "model.backbone", "model.constraints"), Part()),
    **dict.fromkeys(("ckpt_path", "sweep", "teacher", "init_from", "features_from"), Path()),
    **dict.fromkeys(("data.table", "data.root", "protocols.list", "protocols.lists", "images"), Path()),
    **dict.fromkeys(("invariance.transformations", "online_probes.layers"), Names(null=True)),
    "invariance.border": Word("repeat|black|mirror", "repeat, black or mirror"),
    "correspondence.landmarks": Path(),
    "correspondence.side": Number(0, 0.5, above=True),
    "decoder.side": Number(4, 128, whole=True),
    **dict.fromkeys(("decoder.width", "reader_epochs"), Number(1, 1e4, whole=True)),
    "lookup.least": Number(1, 1e5),
    "accelerator": Word("auto|cpu|gpu|mps|cuda", "auto, cpu, gpu or mps"),
    "precision": Word("(bf16|16|32|64)(-mixed|-true)?", "32-true, bf16-mixed, 16-mixed or 64-true"),
    "strategy": Word("auto|ddp.*|fsdp|deepspeed.*", "auto, ddp or ddp_spawn"),
    **dict.fromkeys(("frozen", "init_layers", "magnitudes", "members"), Names()),
    "protocols.halves": Names(("image", "album")),
    "protocols.shots": Number(1, 1e4, whole=True, many=True),
    "protocols.part_c": POSITIVE,
    "similarities": Names(("cosine", "inner_product", "chi2", "l1", "kernel")),
    "pairs": Word("same_image|same_class", "same_image or same_class"),
    "views": Number(1, 64, whole=True),
    "image_shape": Shape(),
    "batch_size": Number(1, 65536, whole=True),
    "shift": Number(0, 4096, whole=True),
    **dict.fromkeys((f"jitter.{of}" for of in ("scale", "angle", "shift", "blur")), AT_LEAST_0),
    "jitter.mirror": SHARE,
    **dict.fromkeys(("kinds", "units"), OfEach()),
    **dict.fromkeys(("label", "split", "name", "source"), Columns()),
    **dict.fromkeys(("nuisances", "ignore"), Columns(many=True)),
    "division": Word("identity|image", "identity (open set) or image (closed set)", null=True),
    "num_classes": FROM_0,
    "backbone.num_classes": COUNT_OR_NULL,
    "backbone.shift": Number(-1, 1),
    "data.classes": Number(0, 1e9, whole=True, null=True, many=True),
    **dict.fromkeys(("test_fraction", "label_noise", "lda_draws.shrinkage"), SHARE),
    **dict.fromkeys(("val_fraction", "momentum", "conv_momentum", "dropout"), BELOW_1),
    **dict.fromkeys(("images_per_identity", "min_images", "neighbours", "negatives", "seeds"), COUNT),
    **dict.fromkeys(("val_images", "test_identities", "test_images", "first_identity", "sheets"), FROM_0),
    **dict.fromkeys(("train_images", "probe_images", "center_crop", "image_size", "release.axes"), COUNT_OR_NULL),
    **dict.fromkeys(("source.classes", "source.images"), COUNT),
    "source.first": FROM_0,
    **dict.fromkeys(("source.size", "val_size", "lda_draws.fit", "lda_draws.test"), COUNT),
    **dict.fromkeys(("on_device", "cache", "evaluate", "save_features", "learned_noise", "conv2_relu"), Switch()),
    **dict.fromkeys(("save_predictions", "conditional", "beyond_chance", "fused", "enable_progress_bar"), Switch()),
    **dict.fromkeys(("one_each", "standardise", "by_value.magnitude"), Switch()),
    "max_epochs": Number(1, 1e6, whole=True),
    "deterministic": Word("True|False|warn", "true, false or warn"),
    "threads": Number(1, max(8, os.cpu_count() or 1), whole=True, null=True),
    "num_nodes": Number(1, 1024, whole=True),
    "devices": Number(1, max(8, os.cpu_count() or 1), whole=True),
    "gradient_clip_val": Number(0, above=True, null=True),
    "log_every_n_steps": FROM_0,
    **dict.fromkeys(("check_val_every_n_epoch", "every_n_epochs", "epoch_batches", "max_images"), COUNT),
    **dict.fromkeys(("patience", "ramp", "collapse_alarm.warm_up"), FROM_0),
    "num_sanity_val_steps": Number(-1, 1e9, whole=True),
    **dict.fromkeys(("tolerance", "smoothness"), AT_LEAST_0),
    **dict.fromkeys(("pose_knn.frontal", "pose_knn.profile", "correspondence.frontal"), AT_LEAST_0),
    **dict.fromkeys(("lr", "conv_lr", "lr_multiplier"), POSITIVE),
    **dict.fromkeys(("weight_decay", "conv_weight_decay", "bias_lr_multiplier"), AT_LEAST_0),
    **dict.fromkeys(("scheduler.gamma", "power"), AT_LEAST_0),
    "scheduler.warm_up": Number(0, 1, above=True, below=True),
    **dict.fromkeys(("weight", "variance", "covariance", "gamma", "epsilon", "embedding_noise"), AT_LEAST_0),
    **dict.fromkeys(("temperature", "timeout", "icl.rate"), POSITIVE),
    "icl.reach": Number(-50, 50),
    "icl.near": AT_LEAST_0,
    "moon.loss": Word("squared|cross_entropy", "squared or cross_entropy"),
    "moon.target_share": Number(0, 1, above=True, below=True, null=True),
    "embedding_norm": Number(0, above=True, null=True),
    "kept_dim": Number(1, 1e5, whole=True, null=True),
    **dict.fromkeys(("embedding_dim", "backbone.bottleneck", "hidden", "outputs"), Number(1, 1e5, whole=True)),
    **dict.fromkeys(("filters", "kernels", "mlp_widths", "widths"), Number(1, 1e5, whole=True, many=True)),
    "groups": Number(2, 1e5, whole=True),
    "release.groups": COUNT,
    **dict.fromkeys(("codes", "levels", "bins", "bootstrap"), Number(2, 1e6, whole=True)),
    "release.sigma": AT_LEAST_0,
    "release.rounds": Number(0, 1e5, whole=True),
    "release.erased": Number(0, 1, above=True),
    "release.features": Number(2, 1e5, whole=True),
    "release.supervised": Switch(),
    "release.width": Number(1, 1e5, whole=True),
    "release.steps": FROM_0,
    "release.batch": Number(2, 1e5, whole=True),
    **dict.fromkeys(("lda_draws.draws", "nuisance_neurons.draws"), Number(2, 1e6, whole=True)),
    "nuisance_neurons.shares": Number(0, 1, above=True, below=True, many=True),
    "nuisance_neurons.to": Word("mean|zero", "mean or zero"),
    "label_rows": Number(10, 1e9, whole=True, null=True, many=True),
    **dict.fromkeys(("probes.seeds", "quality.images", "known_rows"), COUNT),
    **dict.fromkeys(("top", "facets", "maximise.steps", "drawn", "correspondence.draws"), COUNT),
    **dict.fromkeys((*(f"{of}_rows" for of in ("kernel", "tree", "knn", "mlp")), "rows", "per_person"), COUNT),
    **dict.fromkeys(("rbf.landmarks", "quadratic.landmarks", "mlp_epochs", "epochs", "mlp_steps"), COUNT),
    "folds": Number(2, 1e4, whole=True),
    **dict.fromkeys(
        ("pairs_per_fold", "template_images", "enrolled", "impostors", "train_frames", "test_frames"), COUNT
    ),
    **dict.fromkeys(("data.frames", "data.pace"), COUNT),
    "max_frames": COUNT_OR_NULL,
    "shrinkage": Number(0, 1, many=True),
    **dict.fromkeys(("neurons.neurons", "maximise.neurons"), OfEach("the neurons of each layer, as in '{C1: [3, 7]}'")),
    "lda_draws.within": OfEach("a limit of each number, as in '{pitch: 8}'"),
    **dict.fromkeys(("lda_draws.rows", "pose_knn.rows"), Word("all|test", "all or test")),
    "attributes.groups": OfEach("the attributes of each group, as in '{face: [nose, chin]}'"),
    "attributes.penalties": Number(0, above=True, many=True),
    "pose_knn.neighbours": Number(1, 1e6, whole=True, many=True),
}


def check_values(cfg: DictConfig) -> None:
    """Refuse what is missing, and values that cannot be, by the key that the user would set.

    Raises:
        InvariantNetsError: the key, the value and what it may be.
    """
    for key, value in _leaves(OmegaConf.to_container(cfg, resolve=False)):
        if value == "???":
            raise InvariantNetsError(f"{key} is missing: give {key}=…; --help says what it is")
        if isinstance(value, str) and "${" in value:
            reference, value = value, OmegaConf.select(cfg, key)
            if re.fullmatch(r"\$\{[\w.]+\}", reference):  # stands for another key, and is checked there
                continue
        parts = key.split(".")
        ends = (".".join(parts[place:]) for place in range(len(parts)))
        rule = next((RANGES[end] for end in ends if end in RANGES), None)
        if rule is not None and not rule.fits(value):
            raise InvariantNetsError(f"{key}={_shown(value)}: give {rule}")
    if cfg.get("trainer"):
        _check_together(cfg)


def _check_together(cfg: DictConfig) -> None:
    """Values of train.py that are right by themselves, and cannot be beside each other."""
    every, epochs = cfg.trainer.check_val_every_n_epoch, cfg.trainer.max_epochs
    if every > epochs:
        raise InvariantNetsError(
            f"trainer.check_val_every_n_epoch={every}: never comes in trainer.max_epochs={epochs}, and what is best is "
            f"chosen by validation: give 1 to {epochs}"
        )
    if (views := cfg.data.get("views", cfg.views)) != cfg.views:
        raise InvariantNetsError(f"data.views={views}, but views={cfg.views}: give views={views} alone")
    for key in ("image_shape", "num_classes"):
        own, of_data = cfg.model.backbone.get(key), cfg.data.get(key)
        if own is not None and of_data is not None and own != of_data:
            raise InvariantNetsError(
                f"model.backbone.{key}={_shown(own)}, but data.{key}={_shown(of_data)}: give data.{key}= alone"
            )
    terms = [name for name, term in cfg.model.constraints.items() if term]
    known = ["val/loss", "val/accuracy", *(f"val/{name}" for name in terms), "step", "epoch"]
    for name, callback in cfg.callbacks.items():
        monitor = (callback or {}).get("monitor")
        if monitor is not None and monitor not in known and not monitor.startswith(("online/", "train/")):
            raise InvariantNetsError(f"callbacks.{name}.monitor={monitor}: give {', '.join(known)}")


def _shown(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, list | ListConfig):
        return f"[{','.join(map(_shown, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping, by its dotted key."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, node
