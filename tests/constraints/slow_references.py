"""The constraints once more, in NumPy and loops, as their papers write them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from invariantnets.data import Batch
from invariantnets.nuisance import Nuisance

Reference = Callable[[Mapping[str, Tensor], Batch], float]
Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # of rows, strata and groups, between groups


def rows_of(layers: Mapping[str, Tensor], batch: Batch, layer: str = "ip1") -> tuple[np.ndarray, np.ndarray]:
    """``(N, D)`` features and ``(N,)`` classes of all views."""
    samples = zip(layers[layer].detach(), batch.label, strict=True)
    views = [(view.numpy().ravel(), int(y)) for sample, y in samples for view in sample]
    return np.array([x for x, _ in views], np.float64), np.array([y for _, y in views])


def half_mean_square(a: np.ndarray, b: np.ndarray) -> float:
    return float(0.5 * ((a - b) ** 2).mean())


def slow_softmax(layers: Mapping[str, Tensor], batch: Batch) -> float:
    """Of the first view, as in training."""
    samples = zip(layers["ip2"].detach(), batch.label, strict=True)
    return float(np.mean([-F.log_softmax(scores[0], 0)[y] for scores, y in samples]))


def slow_pair(layers: Mapping[str, Tensor], batch: Batch) -> float:
    def term(x: np.ndarray) -> float:
        views = itertools.combinations(range(x.shape[1]), 2)
        return float(np.mean([half_mean_square(s[i], s[j]) for i, j in views for s in x]))

    return 2.0 * term(layers["conv"].detach().numpy()) + 0.5 * term(layers["ip1"].detach().numpy())


def slow_pair_batch(layers: Mapping[str, Tensor], batch: Batch) -> float:
    def term(layer: str) -> float:
        rows = zip(*rows_of(layers, batch, layer), strict=True)
        pairs = [half_mean_square(a, b) for (a, y), (b, z) in itertools.combinations(rows, 2) if y == z]
        return float(np.mean(pairs)) if pairs else 0.0

    return 2.0 * term("conv") + 0.5 * term("ip1")


def slow_mean_activation(targets: Tensor) -> Reference:
    def reference(layers: Mapping[str, Tensor], batch: Batch) -> float:
        x, label = rows_of(layers, batch)
        return float(np.mean([0.5 * np.sum((v - targets.numpy()[y]) ** 2) for v, y in zip(x, label, strict=True)]))

    return reference


def slow_supcon(layers: Mapping[str, Tensor], batch: Batch) -> float:
    """Khosla et al. (2020), equation 2, with temperature 0.1."""
    x, label = rows_of(layers, batch)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    anchors = []
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i]
        positives = [p for p in others if label[p] == label[i]]
        total = sum(np.exp(x[i] @ x[a] / 0.1) for a in others)
        if positives:
            anchors.append(-np.mean([np.log(np.exp(x[i] @ x[p] / 0.1) / total) for p in positives]))
    return float(np.mean(anchors))


def slow_siamese(alpha: Tensor, bias: float) -> Reference:
    """DeepFace (Taigman et al. 2014), section 4.2, on rows of length one; the two kinds of pairs count half each."""
    weights = alpha.detach().double().numpy()

    def reference(layers: Mapping[str, Tensor], batch: Batch) -> float:
        x, label = rows_of(layers, batch)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        losses: dict[bool, list[float]] = {True: [], False: []}
        for i in range(len(x)):
            for j in range(i):
                same = bool(label[i] == label[j])
                chance = 1 / (1 + np.exp(sum(weights * np.abs(x[i] - x[j])) - bias))
                losses[same].append(-np.log(chance if same else 1 - chance))
        return float(np.mean([np.mean(kind) for kind in losses.values() if kind]))

    return reference


def slow_centre(layers: Mapping[str, Tensor], batch: Batch) -> float:
    x, label = rows_of(layers, batch)
    within = sum(np.sum((v - x[label == y].mean(0)) ** 2) for v, y in zip(x, label, strict=True))
    between = sum((label == y).sum() * np.sum((x[label == y].mean(0) - x.mean(0)) ** 2) for y in set(label))
    return float(within / (within + between))


def slow_vicreg(layers: Mapping[str, Tensor], batch: Batch) -> float:
    """Bardes et al. (2022), equations 1 to 4."""
    terms = []
    for z in layers["ip1"].detach().double().numpy().swapaxes(0, 1):
        c = np.cov(z, rowvar=False)
        width = len(c)
        variance = np.mean([max(0.0, 1 - np.sqrt(np.var(column, ddof=1) + 1e-4)) for column in z.T])
        others = sum(c[i, j] ** 2 for i in range(width) for j in range(width) if i != j) / width
        terms.append(variance + 0.04 * others)
    return float(np.mean(terms))


def encoded(nuisance: Nuisance, batch: Batch) -> np.ndarray:
    return nuisance.encode(batch.nuisance[nuisance.name].numpy().ravel())


def gaussian(x: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Kernel of median width over the pairs within a stratum; of an even number the lower of the two in the middle."""
    distance = np.array([[np.sum((a - b) ** 2) for b in x] for a in x])
    pairs = [distance[i, j] for i, j in itertools.combinations(range(len(x)), 2) if strata[i] == strata[j]]
    nonzero = sorted(d for d in pairs if d > 0)
    return np.exp(-distance / (2 * nonzero[(len(nonzero) - 1) // 2]))


def unit_variance(x: np.ndarray, strata: np.ndarray) -> np.ndarray:
    centred = np.array([v - x[strata == s].mean(0) for v, s in zip(x, strata, strict=True)])
    return centred / np.sqrt((centred**2).sum(1).mean())


def slow_hsic(nuisance: Nuisance, kernel: str, conditional: bool) -> Reference:
    """Gretton et al. (2005), definition 2, in each class by its share of the rows."""

    def reference(layers: Mapping[str, Tensor], batch: Batch) -> float:
        x, label = rows_of(layers, batch)
        strata = label if conditional else np.zeros_like(label)
        y = encoded(nuisance, batch)
        if kernel == "rbf":
            k, g = gaussian(x, strata), gaussian(y, strata)
        else:
            k, g = (z @ z.T for z in (unit_variance(x, strata), unit_variance(y, strata)))
        value = 0.0
        for stratum in set(strata):
            (members,) = np.nonzero(strata == stratum)
            n = len(members)
            h = np.eye(n) - np.ones((n, n)) / n
            block = np.ix_(members, members)
            value += n / len(x) * np.trace(k[block] @ h @ g[block] @ h) / (n - 1) ** 2
        return value

    return reference


def groups_of(nuisance: Nuisance, batch: Batch, strata: np.ndarray) -> np.ndarray:
    """Categories, or the quarter of the stratum in which the first of equal values lies when sorted."""
    values = batch.nuisance[nuisance.name].double().numpy().ravel()
    if nuisance.categories:
        return values.astype(int)
    values = values % 360 if nuisance.kind == "circular" else values
    ordered = {s: sorted(values[strata == s]) for s in set(strata)}
    return np.array([4 * ordered[s].index(v) // len(ordered[s]) for v, s in zip(values, strata, strict=True)])


def slow_between_groups(nuisance: Nuisance, conditional: bool, term: Distance, freedom: int) -> Reference:
    """Average of a distance over pairs of groups, each as often as it has pairs of rows (less ``freedom``)."""

    def reference(layers: Mapping[str, Tensor], batch: Batch) -> float:
        x, label = rows_of(layers, batch)
        strata = label if conditional else np.zeros_like(label)
        group = groups_of(nuisance, batch, strata)
        cells = sorted(set(zip(strata, group, strict=True)))
        distance = term(x, strata, group)
        value = total = 0.0
        for (i, a), (j, b) in itertools.combinations(enumerate(cells), 2):
            if a[0] == b[0]:
                sizes = [np.sum((strata == s) & (group == g)) - freedom for s, g in (a, b)]
                value += sizes[0] * sizes[1] * distance[i, j]
                total += sizes[0] * sizes[1]
        return float(value / total)

    return reference


def slow_mmd(nuisance: Nuisance, conditional: bool) -> Reference:
    """Gretton et al. (2012), equation 5, squared."""

    def term(x: np.ndarray, strata: np.ndarray, group: np.ndarray) -> np.ndarray:
        k = gaussian(x, strata)
        cells = [np.nonzero((strata == s) & (group == g))[0] for s, g in sorted(set(zip(strata, group, strict=True)))]
        mean = np.array([[np.mean(k[np.ix_(a, b)]) for b in cells] for a in cells])
        return np.diag(mean)[:, None] + np.diag(mean) - 2 * mean

    return slow_between_groups(nuisance, conditional, term, 0)


def slow_coral(nuisance: Nuisance, conditional: bool) -> Reference:
    """Sun and Saenko (2016), equation 1, over the pooled covariance instead of 4D²."""

    def term(x: np.ndarray, strata: np.ndarray, group: np.ndarray) -> np.ndarray:
        cells = [x[(strata == s) & (group == g)] for s, g in sorted(set(zip(strata, group, strict=True)))]
        covariances = [np.cov(c, rowvar=False) if len(c) > 1 else np.zeros((x.shape[1],) * 2) for c in cells]
        freedom = [len(c) - 1 for c in cells]
        pooled = sum(f * c for f, c in zip(freedom, covariances, strict=True)) / sum(freedom)
        return np.array([[np.sum((a - b) ** 2) / np.sum(pooled**2) for b in covariances] for a in covariances])

    return slow_between_groups(nuisance, conditional, term, 1)


def slow_icl(nuisance: Nuisance, conditional: bool) -> Reference:
    """Akash et al. (2021), as their code has it: a = 1, b = 0.5; numbers are alike up to 5."""

    def alike(a: float, b: float) -> bool:
        turn = abs(a - b) % 360 if nuisance.kind == "circular" else abs(a - b)
        return min(turn, 360 - turn) <= 5 if nuisance.kind == "circular" else turn <= 5

    def cost(x: np.ndarray, y: np.ndarray, same: bool) -> float:
        distance = np.sqrt(np.sum((x - y) ** 2))
        return float(np.exp(1 - 0.5 * distance) if same else distance**2)

    def reference(layers: Mapping[str, Tensor], batch: Batch) -> float:
        x, label = rows_of(layers, batch)
        strata = label if conditional else np.zeros_like(label)
        values = batch.nuisance[nuisance.name].double().numpy().ravel()
        total, count = 0.0, 0
        for stratum in set(strata):
            (members,) = np.nonzero(strata == stratum)
            if nuisance.categories:
                groups = [members[values[members] == value] for value in set(values[members])]
                count += len(groups) * (len(groups) - 1)
                for a, b in itertools.product(range(len(groups)), repeat=2):
                    pairs = [cost(x[i], x[j], a == b) for i, j in itertools.product(groups[a], groups[b])]
                    total += (len(groups) - 1 if a == b else 1) * float(np.mean(pairs))
            else:
                count += len(members) ** 2
                total += sum(
                    cost(x[i], x[j], alike(values[i], values[j])) for i, j in itertools.product(members, repeat=2)
                )
        return total / max(count, 1)

    return reference


def slow_adversary(nuisance: Nuisance, head: nn.Sequential, mean: float, scale: float) -> Reference:
    """A head of one hidden layer, written out."""

    def reference(layers: Mapping[str, Tensor], batch: Batch) -> float:
        x, _ = rows_of(layers, batch)
        w1, b1, w2, b2 = (p.detach().double().numpy() for p in head.parameters())
        y = encoded(nuisance, batch)
        losses = []
        for row, target in zip(x, y, strict=True):
            read = w2 @ np.maximum(w1 @ row + b1, 0) + b2
            if nuisance.categories:
                losses.append(-np.log((np.exp(read) / np.exp(read).sum())[target.argmax()]))
            else:
                losses.append(np.sum((read - (target - mean) / scale) ** 2))
        return float(np.mean(losses))

    return reference


def slow_keep(nuisance: Nuisance, head: nn.Linear, mean: float, scale: float) -> Reference:
    """A line, written out."""

    def reference(layers: Mapping[str, Tensor], batch: Batch) -> float:
        x, _ = rows_of(layers, batch)
        w, b = (p.detach().double().numpy() for p in head.parameters())
        losses = []
        for row, target in zip(x, encoded(nuisance, batch), strict=True):
            read = [sum(w[k, j] * row[j] for j in range(len(row))) + b[k] for k in range(len(b))]
            if nuisance.categories:
                losses.append(np.log(np.exp(read).sum()) - read[target.argmax()])
            else:
                losses.append(sum((r - (t - mean) / scale) ** 2 for r, t in zip(read, target, strict=True)))
        return float(np.mean(losses))

    return reference


def slow_moon(head: nn.Linear, loss: str, share: Sequence[float], target: float | None) -> Reference:
    """MOON's weighted Euclidean loss, or AFFACT's cross-entropy, attribute by attribute and image by image."""

    def reference(layers: Mapping[str, Tensor], batch: Batch) -> float:
        x, _ = rows_of(layers, batch)
        w, b = (p.detach().double().numpy() for p in head.parameters())
        losses = []
        for k, (name, having) in enumerate(zip(("hat", "glasses"), share, strict=True)):
            without, p_yes, p_no = 1 - having, 1.0, 1.0
            if target is not None and target <= having:
                p_yes = without * target / (having * (1 - target))
            elif target is not None:
                p_no = having * (1 - target) / (without * target)
            for row, yes in zip(x, batch.nuisance[name].numpy().ravel(), strict=True):
                said = w[k] @ row + b[k]
                probability = 1 / (1 + np.exp(-said))
                entropy = -np.log(probability if yes else 1 - probability)
                value = (said - (1 if yes else -1)) ** 2 if loss == "squared" else entropy
                losses.append((p_yes if yes else p_no) * value)
        return float(np.mean(losses))

    return reference


def slow_bottleneck(sigma: float, conditional: bool) -> Reference:
    """Σ ½ ln(Var / σ²) of noisy features, the part of the variance that the noise has no less than all of it."""

    def reference(layers: Mapping[str, Tensor], batch: Batch) -> float:
        x, label = rows_of(layers, batch)
        strata = label if conditional else np.zeros_like(label)
        within = sum(((x[strata == s] - x[strata == s].mean(0)) ** 2).sum(0) for s in set(strata))
        variance = within / (len(x) - len(set(strata)))
        return float(sum(max(0.0, 0.5 * np.log(v / sigma**2)) for v in variance))

    return reference
