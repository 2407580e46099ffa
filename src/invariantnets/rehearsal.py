"""What an evaluation would refuse of a network that is not trained yet: known from who is on which image."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from invariantnets.data import BankedImages
from invariantnets.errors import InvariantNetsError
from invariantnets.features.extract import choose
from invariantnets.features.table import FeatureTable
from invariantnets.measuring import Protocols, usable
from invariantnets.nuisance import SPLITS
from invariantnets.probes.suite import probable
from invariantnets.protocols import NOT_MEASURED, wants_names

__all__ = ["refuse_known", "refuse_untrainable", "rehearse"]


def refuse_untrainable(data: BankedImages) -> None:
    """See that there is somebody to validate on.

    Raises:
        InvariantNetsError: there is nobody.
    """
    trained, validated = (data.listed(split) for split in ("train", "val"))
    if trained is not None and validated is not None and len(trained) and not len(validated):
        raise InvariantNetsError(
            f"none of the {len(np.unique(trained))} people trained on has two pictures, so that none is left to "
            "validate on: add a second picture of some of them (data.val_images=…, data.val_fraction=…)"
        )


def rehearse(
    data: BankedImages, protocols: Protocols | None, seed: int, probe_images: int | None = None, name: str = "data"
) -> None:
    """Go through an evaluation with features of which nothing is known but whom they are of.

    Args:
        data: what will be looked at; where who is on it is not known yet, nothing is said.
        protocols: of recognition.
        seed: of the evaluation.
        probe_images: training images that probes are fitted to.
        name: of the data, for messages.

    Raises:
        InvariantNetsError: what would be refused or left out when all is trained.
    """
    people = [data.listed(split) for split in SPLITS]
    if any(who is None for who in people):
        return
    known = [np.asarray(who) for who in people]
    if not len(known[-1]):
        raise InvariantNetsError(
            f"these {name} have no test images to probe the network on: raise data.test_fraction (or "
            "data.test_identities and data.test_images), or say evaluate=false"
        )
    names = [data.names(split) if data.checksum else None for split in SPLITS]  # before it is set up, nobody knows
    if protocols is not None and wants_names(protocols) and not data.checksum:
        protocols = None
    label = np.unique(np.concatenate(known), return_inverse=True)[1]
    table = FeatureTable(
        features={name: np.zeros((len(label), 1), np.float32)},
        label=label,
        split=np.repeat(SPLITS, [len(who) for who in known]),
        source=np.arange(len(label)),
        nuisance={},
        nuisances=(),
        num_classes=int(label.max()) + 1,
        name=None if any(each is None for each in names) else np.concatenate([np.asarray(each) for each in names]),
    )
    if probe_images is not None:
        fitted = choose(np.asarray(known[0]), np.asarray(known[2]), probe_images).numpy()
        table = table.rows(np.concatenate([fitted, np.arange(len(known[0]), len(label))]))
    _, unused = usable(protocols, table, name, seed)
    if unused:
        raise InvariantNetsError(unused[0].removeprefix(NOT_MEASURED))
    if set(SPLITS) <= set(table.split):
        probable(table, name)


def refuse_known(identities: Collection[str], data: BankedImages, name: str) -> None:
    """See that nobody is tested on whom a network was trained on.

    Raises:
        InvariantNetsError: naming one of them.
    """
    if known := sorted(set(identities) & set(data.identities("test") or ())):
        raise InvariantNetsError(
            f"data={name}: the network was trained on {len(known)} of the people to test it on ({known[0]}, …); "
            "take them out, or evaluate on its own data"
        )
