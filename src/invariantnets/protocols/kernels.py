"""Sums of kernels over several networks (DeepFace 2014, section 5.3): pairs are compared with pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from invariantnets.protocols.verification import Learner, Scorer


def cpd_kernel(x: np.ndarray) -> np.ndarray:
    """K(x, y) = -‖x - y‖² of every two rows: conditionally positive definite, and not positive definite.

    An SVM may be given it, since its coefficients sum to 0: what is added to all of K changes nothing. Kernel ridge and
    Gaussian processes may not.

    Args:
        x: ``(P, D)``, e.g. the elements of χ² of each pair.

    Returns:
        ``(P, P)`` of the precision of ``x``, 0 on the diagonal and nowhere above it.
    """
    x = x - x.mean(0)  # a distance does not change, and products of smaller numbers are more exact
    square = np.einsum("pd,pd->p", x, x)
    kernel: np.ndarray = 2 * (x @ x.T)
    kernel -= square[:, None]
    kernel -= square
    np.minimum(kernel, 0, out=kernel)
    np.fill_diagonal(kernel, 0)
    return kernel


def by_kernels(kernels: Sequence[np.ndarray], same: np.ndarray) -> Learner:
    """For `cross_validate`: a support vector machine (C = 1) on the sum of kernels.

    Each kernel is divided by its mean over different training pairs before, so that the sum is of equals: as they come,
    the one of the longest elements would be all that counts. The paper says nothing of that.

    Scores above 0 are of one person. A threshold that is best on the training pairs is worse: a sum of several kernels
    tells nearly all of these apart, and where between them matters little there and much elsewhere.

    Args:
        kernels: ``(P, P)`` each, of all pairs, none of them above 0.
        same: ``(P,)`` whether the two of a pair show one person.
    """
    from sklearn.svm import SVC  # here: most tables are compared without it

    def learn(train: np.ndarray) -> Scorer:
        inside = np.zeros(len(same), kernels[0].dtype)
        inside[train] = 1
        total = np.zeros_like(kernels[0])
        for kernel in kernels:
            mean = -float(inside @ (kernel @ inside)) / (len(train) * (len(train) - 1))
            total += kernel / (mean or 1.0)
        svm = SVC(kernel="precomputed", C=1.0).fit(total[np.ix_(train, train)], same[train])
        weight = np.zeros(len(same))
        weight[train[svm.support_]] = svm.dual_coef_[0]
        scores = total @ weight.astype(total.dtype) + svm.intercept_[0]
        return lambda which: scores[which]

    return learn
