"""The module of a small LeNet, as tests of training make it."""

from __future__ import annotations

from functools import partial

import torch

from invariantnets.backbones import lenet
from invariantnets.constraints import Softmax
from invariantnets.data import DataSpec
from invariantnets.module import InvariantNet
from invariantnets.nuisance import Nuisance

SGD = partial(torch.optim.SGD, lr=0.01, momentum=0.9, weight_decay=5e-4)
SPEC = DataSpec((1, 28, 28), 10, (Nuisance("angle"),))


def make(**changes: object) -> InvariantNet:
    torch.manual_seed(0)
    known = {"backbone": lenet(embedding_dim=20), "constraints": {"softmax": Softmax("ip2", 10)}, "optimizer": SGD}
    return InvariantNet(**{**known, **changes})
