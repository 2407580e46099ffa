"""What the values of ``conf/`` may be: a wrong one is refused by its key, before anything is loaded."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from invariantnets.errors import InvariantNetsError

__all__ = ["check_values"]


@dataclass(frozen=True)
class Number:
    """One number, or each of a list of them.

    Attributes:
        low, high: the least and the greatest.
        whole: no fractions.
        above: ``low`` itself is too little.
        below: ``high`` itself is too much.
        null: may be left out.
        many: a list that is not empty.
    """

    low: float
    high: float = math.inf
    whole: bool = False
    above: bool = False
    below: bool = False
    null: bool = False
    many: bool = False

    def fits(self, value: Any) -> bool:
        """Whether a value is such a number, or list of numbers."""
        if value is None:
            return self.null
        if self.many:
            return isinstance(value, list) and len(value) > 0 and all(map(self._fits, value))
        return self._fits(value)

    def _fits(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        if not math.isfinite(value) or (self.above and value == self.low) or (self.below and value == self.high):
            return False
        return self.low <= value <= self.high

    def __str__(self) -> str:
        what = "whole number" if self.whole else "number"
        what = f"a list of {what}s" if self.many else f"a {what}"
        least, most = (f"{end:,.0f}" if self.whole else f"{end:g}" for end in (self.low, self.high))
        if self.high < math.inf and not self.above and not self.below:
            ends = f"from {least} to {most}"
        else:
            ends = f"above {least}" if self.above else f"of at least {least}"
            ends += f" and below {most}" if self.below else ""
        return f"{what} {ends}" + (", or null" if self.null else "")


@dataclass(frozen=True)
class Word:
    """Text of a certain form, and how to say it."""

    form: str
    said: str
    null: bool = False

    def fits(self, value: Any) -> bool:
        """Whether a value is such a word, or none where it may be left out."""
        return (
            (value is None and self.null)
            or isinstance(value, str | int)
            and re.fullmatch(self.form, str(value)) is not None
        )

    def __str__(self) -> str:
        return self.said


@dataclass(frozen=True)
class Columns:
    """A column of a table, or several."""

    many: bool = False

    def fits(self, value: Any) -> bool:
        """Whether a value can name them."""
        every = value if self.many and isinstance(value, list) else [value]
        return all(name is None or (isinstance(name, str | int) and not isinstance(name, bool)) for name in every)

    def __str__(self) -> str:
        return "names of columns, as in [yaw,light]" if self.many else "the name of a column"


@dataclass(frozen=True)
class OfEach:
    """Something for each of some names, and how to say it."""

    said: str = "one for each nuisance, as in '{yaw: circular}' or '{yaw: deg}'"

    def fits(self, value: Any) -> bool:
        """Only null: what is given by name has keys of its own."""
        return value is None

    def __str__(self) -> str:
        return self.said


class Switch:
    """``true`` or ``false``."""

    def fits(self, value: Any) -> bool:
        """Whether a value is one of the two."""
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "true or false"


class Path:
    """A file or folder."""

    def fits(self, value: Any) -> bool:
        """Whether a value can be one; null: none is given."""
        return value is None or (isinstance(value, str) and bool(value.strip()))

    def __str__(self) -> str:
        return "a path (in quotes if it is a number)"


class Part:
    """What a run cannot be without."""

    def fits(self, value: Any) -> bool:
        """Whether there is one."""
        return value is not None

    def __str__(self) -> str:
        return "one; it cannot be null"


class Layers:
    """One layer, several, or all."""

    def fits(self, value: Any) -> bool:
        """Whether a value can name them."""
        if isinstance(value, list):
            return len(value) > 0 and len(set(map(str, value))) == len(value) and Names().fits(value)
        return value is None or (isinstance(value, str) and bool(value))

    def __str__(self) -> str:
        return "the name of a layer, a list of different ones, all, or null for the embedding"


class Device:
    """Where tensors lie: there must be one on this machine."""

    def fits(self, value: Any) -> bool:
        """Whether a value names one. Loads torch for those that torch must know of."""
        if not isinstance(value, str) or not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
            return False
        if value in ("auto", "cpu"):
            return True
        import torch

        if value == "mps":
            return torch.backends.mps.is_available()
        return int(value.partition(":")[2] or 0) < torch.cuda.device_count()

    def __str__(self) -> str:
        return "auto, cpu, or a device of this machine (cuda, cuda:0, mps)"


@dataclass(frozen=True)
class Names:
    """A list of names, perhaps of some that there are: then of one at least."""

    of: tuple[str, ...] = ()

    def fits(self, value: Any) -> bool:
        """Whether a value is such a list."""
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            return False
        return not self.of or (len(value) > 0 and set(value) <= set(self.of))

    def __str__(self) -> str:
        return f"a list of some of {', '.join(self.of)}" if self.of else "a list of names, as in [name]"


class Shape:
    """Channels, height and width."""

    def fits(self, value: Any) -> bool:
        """Whether a value is such a shape."""
        sides = Number(1, 4096, whole=True, many=True)
        return isinstance(value, list) and len(value) == 3 and value[0] in (1, 3) and sides.fits(value)

    def __str__(self) -> str:
        return "[channels, height, width] with 1 or 3 channels and sides from 1 to 4,096"


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
    **dict.fromkeys(("seed", "split_seed", "identity_seed", "sample_seed", "choice_seed"), SEED),
    "device": Device(),
    "layers": Layers(),
    **dict.fromkeys(("model.optimizer", "model.backbone", "model.constraints"), Part()),
    **dict.fromkeys(("ckpt_path", "sweep", "teacher", "init_from", "features_from"), Path()),
    **dict.fromkeys(("data.table", "data.root", "protocols.list", "protocols.lists", "images"), Path()),
    "correspondence.landmarks": Path(),
    "correspondence.side": Number(0, 0.5, above=True),
    "accelerator": Word("auto|cpu|gpu|mps|cuda", "auto, cpu, gpu or mps"),
    "precision": Word("(bf16|16|32|64)(-mixed|-true)?", "32-true, bf16-mixed, 16-mixed or 64-true"),
    "strategy": Word("auto|ddp.*|fsdp|deepspeed.*", "auto, ddp or ddp_spawn"),
    **dict.fromkeys(("frozen", "init_layers"), Names()),
    "similarities": Names(("cosine", "inner_product", "chi2")),
    "pairs": Word("same_image|same_class", "same_image or same_class"),
    "views": Number(1, 64, whole=True),
    "image_shape": Shape(),
    "batch_size": Number(1, 65536, whole=True),
    "shift": Number(0, 4096, whole=True),
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
    **dict.fromkeys(("val_images", "test_identities", "test_images", "first_identity"), FROM_0),
    **dict.fromkeys(("train_images", "probe_images", "center_crop", "image_size"), COUNT_OR_NULL),
    **dict.fromkeys(("source.size", "val_size", "lda_draws.fit", "lda_draws.test"), COUNT),
    **dict.fromkeys(("on_device", "cache", "evaluate", "save_features", "learned_noise", "conv2_relu"), Switch()),
    **dict.fromkeys(("save_predictions", "conditional", "beyond_chance", "fused", "enable_progress_bar"), Switch()),
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
    **dict.fromkeys(("tolerance", "pose_knn.frontal", "pose_knn.profile", "correspondence.frontal"), AT_LEAST_0),
    **dict.fromkeys(("lr", "conv_lr", "lr_multiplier"), POSITIVE),
    **dict.fromkeys(("weight_decay", "conv_weight_decay", "bias_lr_multiplier"), AT_LEAST_0),
    **dict.fromkeys(("scheduler.gamma", "power"), AT_LEAST_0),
    "scheduler.warm_up": Number(0, 1, above=True, below=True),
    **dict.fromkeys(("weight", "variance", "covariance", "gamma", "epsilon", "embedding_noise"), AT_LEAST_0),
    **dict.fromkeys(("temperature", "timeout"), POSITIVE),
    "embedding_norm": Number(0, above=True, null=True),
    **dict.fromkeys(("embedding_dim", "backbone.bottleneck", "hidden", "outputs"), Number(1, 1e5, whole=True)),
    **dict.fromkeys(("filters", "kernels", "mlp_widths", "widths"), Number(1, 1e5, whole=True, many=True)),
    "groups": Number(2, 1e5, whole=True),
    **dict.fromkeys(("levels", "bins", "bootstrap"), Number(2, 1e6, whole=True)),
    "label_rows": Number(10, 1e9, whole=True, null=True, many=True),
    **dict.fromkeys(("probes.seeds", "quality.images", "correspondence.draws"), COUNT),
    **dict.fromkeys((*(f"{of}_rows" for of in ("kernel", "tree", "knn", "mlp")), "rows", "per_person"), COUNT),
    **dict.fromkeys(("rbf.landmarks", "quadratic.landmarks", "mlp_epochs", "epochs", "mlp_steps"), COUNT),
    "folds": Number(2, 1e4, whole=True),
    **dict.fromkeys(("pairs_per_fold", "template_images", "enrolled", "impostors"), COUNT),
    "shrinkage": Number(0, 1, many=True),
    "lda_draws.draws": Number(2, 1e6, whole=True),
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
