"""How far each neuron follows each nuisance, from sums over pictures: no activations are held for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invariantnets.inspection.neuron_rows import Coded

__all__ = ["Followed", "Sums", "follow", "luck_of", "on_others", "shuffled"]


@dataclass
class Sums:
    """Sums over pictures, about a point near the mean of each neuron; for each nuisance, over the rows that know it.

    Attributes:
        origin: ``(D,)`` what is taken off the neurons first.
        count: of all pictures.
        total: ``(D,)`` Σ x of all of them.
        n: ``(T,)``.
        x: ``(D, T)`` Σ x.
        xx: ``(D, T)`` Σ x².
        xy: ``(D, C)`` Σ x y.
        null: ``(D, R·C)`` Σ x y, y shuffled, R times.
    """

    origin: np.ndarray
    count: int
    total: np.ndarray
    n: np.ndarray
    x: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    null: np.ndarray

    @classmethod
    def empty(cls, origin: np.ndarray, coded: Coded, nulls: int) -> Sums:
        """Of no picture yet."""
        d, t, c = len(origin), coded.known.shape[1], coded.y.shape[1]
        n = coded.known.sum(0).astype(np.float64)
        return cls(
            origin, 0, np.zeros(d), n, np.zeros((d, t)), np.zeros((d, t)), np.zeros((d, c)), np.zeros((d, nulls))
        )

    def add(self, x: np.ndarray, rows: slice, coded: Coded, null: np.ndarray) -> None:
        """Some pictures: neurons ``(b, D)``, their rows, and shuffled columns ``(N, R·C)`` of all rows."""
        x = x.astype(np.float64) - self.origin
        known = coded.known[rows].astype(np.float64)
        self.count += len(x)
        self.total += x.sum(0)
        self.x += x.T @ known
        self.xy += x.T @ coded.y[rows]
        if null.shape[1]:
            self.null += x.T @ null[rows]
        np.square(x, out=x)
        self.xx += x.T @ known

    @property
    def mean(self) -> np.ndarray:
        """``(D,)`` of the neurons, over all pictures."""
        return self.origin + self.total / max(self.count, 1)


def shuffled(coded: Coded, label: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Nuisances that say nothing of their pictures, but lie among people as the true ones do.

    Pictures of a person are alike, and often in their nuisances too: pictures shuffled one by one would follow nothing
    by less luck than pictures of people do. So the nuisances of the pictures of one person go, together, to those of
    others, as far as people have equally many.

    Args:
        coded: of all rows.
        label: ``(N,)`` who is on them.
        draws: R.
        rng: draws.

    Returns:
        ``(N, R·C)``, 0 where the nuisance is not known.
    """
    found = np.zeros((len(label), draws, coded.y.shape[1]))
    for rows, chosen in coded.alike():
        columns = np.concatenate([np.arange(coded.columns[t].start, coded.columns[t].stop) for t in chosen])
        for r in range(draws):
            to, of = (_people_together(label[rows], rng) for _ in range(2))
            found[np.ix_(rows[to], np.array([r]), columns)] = coded.y[np.ix_(rows[of], columns)][:, None]
    return found.reshape(len(label), -1)


def _people_together(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``(n,)`` rows, people in random order and the rows of each in random order."""
    people, code = np.unique(label, return_inverse=True)
    return np.lexsort((rng.random(len(label)), rng.permutation(len(people))[code]))


@dataclass(frozen=True)
class Followed:
    """What was found on the known rows.

    Attributes:
        share: ``(T, D)`` the share of a neuron's variance that a nuisance explains: of a number or of yes and no the
            squared correlation, of an angle and of categories that with the best combination of their columns (the
            correlation ratio). 0 for neurons that never vary.
        luck: ``(R, T)`` the largest of all D where the nuisance was shuffled.
        mean: ``(D, T)`` of the neurons, over the rows where the nuisance is known.
        live: ``(D,)`` neurons that vary over the pictures of some nuisance; the others are dead.
        slope: ``(D, C)`` of the line from the neuron to the column where a nuisance has one column; of those from
            the columns to the neuron where it has several.
    """

    share: np.ndarray
    luck: np.ndarray
    mean: np.ndarray
    live: np.ndarray
    slope: np.ndarray


def follow(sums: Sums, coded: Coded) -> Followed:
    """From the sums of the known rows."""
    d, draws = len(sums.origin), sums.null.shape[1] // max(coded.y.shape[1], 1)
    share, luck = np.zeros((len(coded.nuisances), d)), np.zeros((draws, len(coded.nuisances)))
    slope, alive = np.zeros(sums.xy.shape), np.zeros(d, bool)
    null = sums.null.reshape(d, draws, coded.y.shape[1])
    for t, columns in enumerate(coded.columns):
        y = coded.y[coded.known[:, t], columns]
        spread = sums.xx[:, t] - sums.x[:, t] ** 2 / sums.n[t]
        # Below the rounding of float32 numbers nothing varies.
        live = spread > 1e-9 * np.maximum(sums.xx[:, t] + sums.n[t] * sums.origin**2, 1e-30)
        alive |= live
        inverse = np.linalg.pinv(y.T @ y, rcond=1e-10)
        xy = sums.xy[:, columns]
        back = xy @ inverse
        over = np.where(live, spread, 1.0)
        share[t] = np.where(live, (back * xy).sum(1) / over, 0.0)
        slope[:, columns] = np.where(live[:, None], xy / over[:, None] if y.shape[1] == 1 else back, 0.0)
        for r in range(draws):
            by = null[:, r, columns]
            luck[r, t] = np.where(live, ((by @ inverse) * by).sum(1) / over, 0.0).max()
    return Followed(share, luck, sums.origin[:, None] + sums.x / sums.n, alive, slope)


def luck_of(found: Followed) -> np.ndarray:
    """``(T,)`` what the largest of so many neurons reaches without following anything: the most of all draws."""
    most: np.ndarray = found.luck.max(0)
    return most


def on_others(found: Followed, sums: Sums, coded: Coded) -> np.ndarray:
    """R² of the lines of the known rows on others, ``(T, D)``; at most 1, below 0 where the mean did better.

    Args:
        found: on the known rows.
        sums: of the others.
        coded: of the others, less the means of the known rows.
    """
    r2 = np.zeros(found.share.shape)
    for t, columns in enumerate(coded.columns):
        y = coded.y[coded.known[:, t], columns]
        shift = found.mean[:, t] - sums.origin
        xx = sums.xx[:, t] - 2 * shift * sums.x[:, t] + sums.n[t] * shift**2
        xy = sums.xy[:, columns] - shift[:, None] * y.sum(0)
        slope, yy = found.slope[:, columns], y.T @ y
        if y.shape[1] == 1:
            r2[t] = (2 * slope * xy - slope**2 * xx[:, None])[:, 0] / yy[0, 0]
        else:
            gained = 2 * (slope * xy).sum(1) - ((slope @ yy) * slope).sum(1)
            r2[t] = np.divide(gained, xx, out=np.zeros(len(xx)), where=xx > 0)
    return np.where(found.share > 0, r2, 0.0)
