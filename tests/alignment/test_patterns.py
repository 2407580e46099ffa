from __future__ import annotations

import numpy as np
import pytest

from invariantnets.alignment.patterns import AROUND, NUMBER, histograms


def slow(grey: np.ndarray, cells: int) -> np.ndarray:
    """Pixel by pixel, patterns by the changes along their ring."""
    height, width = grey.shape[0] - 2, grey.shape[1] - 2
    rows, columns = (np.linspace(0, side, cells + 1).astype(int) for side in (height, width))
    found = np.zeros((cells, cells, 59))
    for y in range(height):
        for x in range(width):
            ring = [grey[y + 1 + dy, x + 1 + dx] >= grey[y + 1, x + 1] for dy, dx in AROUND]
            pattern = sum(1 << bit for bit, up in enumerate(ring) if up)
            i, j = np.searchsorted(rows, y, "right") - 1, np.searchsorted(columns, x, "right") - 1
            found[i, j, NUMBER[pattern]] += 1
    return np.sqrt(found / found.sum(2, keepdims=True)).ravel()


def test_fifty_eight_patterns_change_at_most_twice() -> None:
    even = [sum(format(p, "08b")[i] != format(p, "08b")[i - 1] for i in range(8)) <= 2 for p in range(256)]
    assert sum(even) == 58
    assert sorted(NUMBER[even]) == list(range(58)) and (NUMBER[~np.array(even)] == 58).all()


@pytest.mark.parametrize("cells", [1, 3])
def test_it_is_what_each_pixel_gives(cells: int) -> None:
    grey = np.random.default_rng(0).integers(0, 9, (3, 17, 20)).astype(np.float32)
    np.testing.assert_allclose(histograms(grey, cells), [slow(one, cells) for one in grey], atol=1e-6)


def test_light_changes_nothing() -> None:
    grey = np.random.default_rng(1).uniform(0, 255, (2, 30, 30))
    assert np.array_equal(histograms(grey, 4), histograms(0.3 * grey + 20, 4))
