"""What parts say of who somebody is, what the global model says where they are silent, and what each weighs.

Zhang, Paluri, Taigman, Fergus, Bourdev: Beyond Frontal Faces (2015), section 4, equations 1 to 3.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invariantnets.protocols.parts import Instances

__all__ = ["Said", "Weights", "filled", "fit_weights", "hits", "part_probabilities", "say", "softmax", "swapped"]

WEIGHT_CS = tuple(10.0**k for k in range(-6, 2))
_TIE = 1e-9


@dataclass(frozen=True)
class Said:
    """What ``K + 1`` models say of ``J`` people in pictures, among ``P`` identities.

    Attributes:
        own: ``(J, P, K + 1)`` P̂, the softmax of each model: 0 where its part did not fire, and for people outside F.
            The first is the global model.
        active: ``(J, K + 1)`` whether the part fired, and has a model.
        trained: ``(J, P, K + 1)`` whether y ∈ F: the model was trained on that person.
    """

    own: np.ndarray
    active: np.ndarray
    trained: np.ndarray

    def whole(self, uniform: bool = False) -> np.ndarray:
        """``(J, P)`` P₀: of the global model; uniform where it is silent, or throughout."""
        people = self.own.shape[1]
        said = self.active[:, :1] & (not uniform)
        return np.where(said, self.own[:, :, 0], 1 / people)

    def filled(self, uniform: bool = False) -> np.ndarray:
        """``(J, P, K + 1)`` probabilities P of all parts, the first P₀, ``uniform`` or of the global model."""
        whole = self.whole(uniform)
        rest = filled(self.own[:, :, 1:], self.active[:, 1:], self.trained[:, :, 1:], whole)
        return np.concatenate([whole[:, :, None], rest], 2)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Of rows ``(M, F)``; each sums to 1."""
    e = np.exp(scores - scores.max(1, keepdims=True))
    normed: np.ndarray = e / e.sum(1, keepdims=True)
    return normed


def part_probabilities(
    x: np.ndarray, person: np.ndarray, new: np.ndarray, people: int, c: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """P̂(y|X) of one part (4.2.2): softmax of the scores of a linear SVM, one against the rest.

    Features are divided by their root mean square length in training, so that C means the same for every part.

    Args:
        x: ``(n, D)`` training features; n may be 0.
        person: ``(n,)`` whose they are, ``0 .. people - 1``.
        new: ``(M, D)``.
        people: P.
        c: penalty C of the SVM.
        seed: of the solver.

    Returns:
        ``(M, P)`` probabilities, 0 outside F, and ``(P,)`` F, who the model was trained on.
    """
    from sklearn.svm import LinearSVC  # here: to import it takes a second

    found, trained = np.zeros((len(new), people)), np.zeros(people, bool)
    known = np.unique(person)
    trained[known] = True
    if len(known) < 2 or not len(new):
        found[:, known] = 1.0  # of one person, certain
        return found, trained
    scale = float(np.sqrt(np.square(x, dtype=np.float64).sum(1).mean())) or 1.0
    with warnings.catch_warnings():  # one picture a person is what one-shot recognition means
        warnings.filterwarnings("ignore", "The number of unique classes")
        svm = LinearSVC(C=c, random_state=seed, max_iter=10_000).fit(x / scale, person)
    scores = svm.decision_function(new / scale)
    found[:, known] = softmax(np.stack([-scores, scores], 1) if scores.ndim == 1 else scores)
    return found, trained


def filled(own: np.ndarray, active: np.ndarray, trained: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Sparsity filling (equations 2 and 3): P₀ where a part is silent, else P(y∈F) P̂ + P(y∉F) P₀.

    Args:
        own: ``(J, P, K)`` P̂, 0 outside F.
        active: ``(J, K)`` whether the part fired.
        trained: ``(J, P, K)`` y ∈ F.
        whole: ``(J, P)`` P₀, which sums to 1.

    Returns:
        ``(J, P, K)``, each of which sums to 1 over people.
    """
    whole = whole[:, :, None]
    # Of those who are missing: exactly 0 if nobody is, so that P is P̂.
    outside = np.where(trained, 0.0, whole).sum(1, keepdims=True)
    mixed: np.ndarray = np.where(active[:, None], (1 - outside) * own + outside * whole, whole)
    return mixed


def say(x: np.ndarray, fit: Instances, on: Instances, people: np.ndarray, c: float, seed: int) -> Said:
    """What models of the parts of some say of others.

    Args:
        x: ``(N, D)`` features, which the rows of instances number.
        fit: whom models are trained on.
        on: whom they speak of.
        people: ``(P,)`` the identities, sorted.
        c: penalty of the SVMs.
        seed: of the solver.
    """
    parts = len(fit.parts)
    own = np.zeros((len(on), len(people), parts))
    trained = np.zeros((len(people), parts), bool)
    for k in range(parts):
        seen, there = fit.row[fit.active[:, k], k], on.active[:, k]
        person = np.searchsorted(people, fit.person[fit.active[:, k]])
        own[there, :, k], trained[:, k] = part_probabilities(x[seen], person, x[on.row[there, k]], len(people), c, seed)
    active = on.active & trained.any(0)
    return Said(own, active, np.broadcast_to(trained, own.shape))


def swapped(
    x: np.ndarray, found: Instances, half: np.ndarray, c: float, seed: int, fit: np.ndarray | None = None
) -> Said:
    """What models of each half say of the other (4.3): nobody is spoken of by a model that has seen the picture.

    Args:
        x: ``(N, D)`` features.
        found: ``J`` people in pictures, everybody in both halves.
        half: ``(J,)`` 0 or 1.
        c: penalty of the SVMs.
        seed: of the solver.
        fit: ``(J,)`` which of them models may be trained on; None: all.
    """
    people = np.unique(found.person)
    shape = (len(found), len(people), len(found.parts))
    both = Said(np.empty(shape), np.empty(shape[::2], bool), np.empty(shape, bool))
    for one in (0, 1):
        there = half == one
        seen = ~there if fit is None else ~there & fit
        said = say(x, found.where(seen), found.where(there), people, c, seed)
        both.own[there], both.active[there], both.trained[there] = said.own, said.active, said.trained
    return both


@dataclass(frozen=True)
class Weights:
    """How much each part weighs.

    Attributes:
        w: ``(k,)``, of any sign.
        c: penalty, chosen on half of validation.
        accuracy: of equation 1 there, with the weights of the other half.
        parts: ``(k,)`` their names.
    """

    w: np.ndarray
    c: float
    accuracy: float
    parts: Sequence[str] = ()


def fit_weights(
    p: np.ndarray, truth: np.ndarray, half: np.ndarray, seed: int, cs: Sequence[float] = WEIGHT_CS
) -> Weights:
    """Weights of the parts by a linear SVM over pairs of instance and identity (4.3).

    A pair has features P₀(y) … P_K(y), times the number of identities, so that C means the same for few and for many;
    its target is 1 for the person who it is, else -1. One positive is there for P - 1 negatives, and all count the
    same. C is the first whose weights, of half of the instances, name most of the other half rightly.

    Args:
        p: ``(J, P, k)`` probabilities that their own models have not been fitted to (`swapped`).
        truth: ``(J,)`` place of the right identity.
        half: ``(J,)`` 0 or 1.
        seed: of the solver.
        cs: penalties to choose from, ascending.
    """

    def fit(rows: np.ndarray, c: float) -> np.ndarray:
        from sklearn.svm import LinearSVC

        pairs = p[rows].reshape(-1, p.shape[2]) * p.shape[1]
        right = (np.arange(p.shape[1]) == truth[rows, None]).ravel()
        found: np.ndarray = LinearSVC(C=c, dual=False, random_state=seed).fit(pairs, right).coef_[0]
        return found

    first, second = half == 0, half == 1
    right = [hits(p[second] @ fit(first, c), truth[second]).mean() for c in cs]
    best = int(np.argmax(right))
    return Weights(fit(first | second, cs[best]), cs[best], float(right[best]))


def hits(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Whether the right identity has the highest score; of n that tie, 1 / n: what a guess among them would give.

    Args:
        scores: ``(J, P)``.
        truth: ``(J,)`` place of the right identity.

    Returns:
        ``(J,)`` from 0 to 1.
    """
    most = scores.max(1, keepdims=True)
    first = scores >= most - _TIE * np.abs(most)
    right: np.ndarray = first[np.arange(len(truth)), truth] / first.sum(1)
    return right
