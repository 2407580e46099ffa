from __future__ import annotations

import numpy as np

from invariantnets.probes import mav
from invariantnets.statistics.moments import class_moments


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_equals_a_loop_over_rows_classes_and_values():
    rng = np.random.default_rng(0)
    x = np.maximum(rng.normal(size=(300, 7)), 0).astype(np.float32) + 0.01
    label, value = rng.integers(0, 3, 300), rng.integers(0, 2, 300)
    train = class_moments(x, np.eye(2)[value], label, 3)
    means, cells = mav.mean_activation_vectors(x, label, 3), mav.means_per_value(train, slice(0, 2))

    slow = np.stack([x[label == c].mean(0, dtype=np.float64) for c in range(3)])
    np.testing.assert_allclose(means, slow, rtol=1e-10)
    slow_cells = np.stack(
        [[x[(label == c) & (value == v)].mean(0, dtype=np.float64) for c in range(3)] for v in range(2)]
    )
    np.testing.assert_allclose(cells, slow_cells, rtol=1e-10)
    expected = [int(np.argmax([cosine(row, m) for m in slow])) for row in x]
    np.testing.assert_array_equal(mav.classify(x, means), expected)
    expected = [int(np.argmax([cosine(row, m) for m in slow_cells[v]])) for row, v in zip(x, value, strict=True)]
    np.testing.assert_array_equal(mav.classify_at(x, value, cells), expected)


def test_a_class_never_seen_at_a_value_is_never_chosen_there():
    x = np.eye(2, dtype=np.float32)[[0, 0, 1, 1]]
    train = class_moments(x, np.eye(2)[[0, 1, 1, 1]], np.array([0, 0, 1, 1]), 2)
    cells = mav.means_per_value(train, slice(0, 2))
    assert np.isnan(cells[0, 1]).all()
    np.testing.assert_array_equal(mav.classify_at(x, np.zeros(4, int), cells), 0)


def test_a_zero_mean_is_similar_to_nothing():
    means = np.array([[0.0, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(mav.classify(np.array([[2, 1]], np.float32), means), [1])
