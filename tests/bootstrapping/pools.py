from __future__ import annotations

import numpy as np

from invariantnets.bootstrapping import Pool

WIDTH = 24


def make_pool(identities: int = 60, width: int = WIDTH, seed: int = 0) -> Pool:
    """Rectified unit features; an identity has 5 to 20 images, and its noise is wider in some directions."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(5, 21, identities))])
    owner = np.repeat(np.arange(identities), np.diff(offsets))
    means = rng.normal(size=(identities, 8)) @ rng.normal(size=(8, width)) / 3
    noise = rng.normal(size=(len(owner), width)) * np.linspace(0.3, 1.2, width)
    x = np.maximum(means[owner] + noise, 0) + 0.01
    return Pool((x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), offsets)
