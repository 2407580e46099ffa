"""What the words of reports mean: each is explained once, where it first appears."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["TERMS", "Glossary"]

# Term → (how it appears in text, what it means), for somebody who has not read the papers.
TERMS = {
    "Nuisance": (
        r"[Nn]uisances?",
        "What varies between images and does not matter: an angle, the light, a smile. Invariant features forget it.",
    ),
    "R²": (
        r"R²",
        "How much of the variation is read: 1 is a perfect reading, 0 no better than always saying the mean.",
    ),
    "Honest probe": (
        r"honest (?:probe|one|row)s?",
        "A model that learns to read something from the features, is chosen without a look at the test rows, and is "
        "told nothing of the answer when it is tested.",
    ),
    "At most": (
        r"at most",
        "What no reader exceeds on these test rows, however it is trained: arithmetic, where few different codes are "
        "released, or noise is added. So many codes explain something by luck alone; adjusted is without that.",
    ),
    "Out of fold": (
        r"out of fold|[Cc]ross-validation|[Vv]alidation (?:chose|did|let)",
        "How it is chosen what is read with (validation): the rows of train and val are divided, each part is read by "
        "what was fitted to the others, and the best of these readings wins. The winner is then fitted to all of them.",
    ),
    "Does not carry over": (
        r"not carry over",
        "Sound where it was chosen, and worse than guessing on the test rows: R² below −0.02. It shows that this "
        "reader is of no use there, and not that there is nothing to read.",
    ),
    "Uses the answer": (
        r"uses the answer|told part of the answer",
        "The probe is told the true class or nuisance of the test image. A program in use could not be: for "
        "comparison only.",
    ),
    "Chance": (r"chance|guessing", "What can be reached without looking at the image."),
    "Shuffled control": (
        r"shuffled control",
        "The same probe, trained and tested on values that were shuffled: what it finds where there is nothing. What "
        "is constant within each class is shuffled by class: what it finds where there is nothing but identity.",
    ),
    "Selectivity": (
        r"selectivity",
        "The value less its shuffled control: what the probe owes to the features and not to its own size. A "
        "control below chance counts as chance.",
    ),
    "Failed": (
        r"failed|No probe|no probe",
        "A probe that is no better than guessing on rows that it was not fitted to, before the test. It shows nothing.",
    ),
    "95 % interval": (
        r"95 % interval|\[[−\d.,]+, [−\d.,]+\]",
        "In brackets: where the number would lie, 19 times in 20, with other test images or people.",
    ),
    "s.d.": (r"s\.d\.|\d ± \d", "Standard deviation: how far repetitions with other seeds lie apart. Written after ±."),
    "RMSE": (r"RMSE", "Root of the mean squared error: the typical error, in the unit of what is read."),
    "MAE": (r"MAE", "Mean absolute error, in the unit of what is read."),
    "AUC": (
        r"AUC",
        "Area under the ROC: how often a picture that shows it is scored above one that does not. 1 is perfect, 0.5 "
        "chance, however rare it is. Of several classes: each against the rest, averaged.",
    ),
    "Balanced accuracy": (
        r"balanced accuracy",
        "The share of each class that is named rightly, averaged over classes, be they rare or not; chance is one over "
        "their number. The class that is named is that whose prediction exceeds its share of the training rows most: "
        "a threshold of a half would never name what is rare.",
    ),
    "False negatives, false positives": (
        r"false (?:negatives|positives)",
        "The share of the rows that show it and are told not to, and of those that do not and are told to. Yes is said "
        "where the prediction exceeds the share of yes in the training rows.",
    ),
    "Class-only floor": (
        r"class-only floor",
        "What knowing the class tells of it, and nothing else of the image: the mean of that class in training, pulled "
        "towards that of all as far as that reads better out of fold.",
    ),
    "MAV": (
        r"MAVs?",
        "Mean activation vector: the mean of a class's features. An image gets the class whose MAV is nearest.",
    ),
    "Softmax": (r"[Ss]oftmax", "The classifier that the network itself was trained with."),
    "Label-blind": (r"label-blind", "One model for all classes, which is not told the class."),
    "Squares and products": (
        r"squares and products",
        "Ridge regression on the features, their squares and their products: what depends on two features at once.",
    ),
    "Kernel ridge": (
        r"[Kk]ernel ridge|R², kernel",
        "Reads a weighted mean of the training images, the more alike the heavier (RBF: by distance), with weights "
        "that are fitted.",
    ),
    "Boosted trees": (
        r"boosted trees|R², trees",
        "Many small decision trees, each fitted to what those before it left.",
    ),
    "Stack": (
        r"[Ss]tack(?: of all honest readers)?",
        "A weighted sum of what all honest probes say, no weight below 0, the weights fitted out of fold.",
    ),
    "V-information": (
        r"V-information",
        "How many bits about the nuisance of an average row the reader can use: how much less surprised it is than "
        "somebody who knows only how often each value is (Xu et al. 2020).",
    ),
    "Description length": (
        r"description length",
        "Bits a row that it takes to tell the values of the known rows to somebody who has their features and learns "
        "as they come in (Voita and Titov 2020). Far below chance: learnt from few rows.",
    ),
    "Label efficiency": (
        r"labelled rows",
        "How much is read with so many images whose nuisance is known. Who has more reads more: what can be read with "
        "all is no upper end.",
    ),
    "Heading for": (
        r"heading for",
        "What the R² would be with ten times as many labelled rows, by a law fitted to the last sizes: no measurement.",
    ),
    "kNN": (r"kNN", "Reads the mean of the k most similar training images."),
    "MLP": (r"MLP", "A small neural network, trained on the features."),
    "Verification": (r"verification", "Telling whether two images show one person."),
    "Identification": (
        r"(?:closed|open)-set identification|[Rr]ank 10?|closed set|open set",
        "Finding the person of an image, here called a probe, too, in a gallery of known people: closed-set if all are "
        "known, open-set if strangers come, too. Rank 1: found first; rank 10: among the first ten.",
    ),
    "FAR": (r"FAR|false alarms?", "False alarm rate: the share of strangers, or of pairs of two people, let in."),
    "DIR": (
        r"DIR",
        "Detection and identification rate: the share of known people who are found first and are let in, at a "
        "threshold that lets in the given share of strangers (FAR).",
    ),
    "TAR": (r"TAR", "True accept rate: the share of pairs of one person who are let in at a given FAR."),
    "CMC": (r"CMC|[Cc]umulative match", "Cumulative match curve: how often the right person is among the first k."),
    "ROC": (r"ROC", "True accepts against false ones at every threshold; an area of 1 is perfect, 0.5 is chance."),
    "EER": (r"EER|equal error rate", "Equal error rate: the error where as many are wrongly let in as kept out."),
    "BLUFR": (r"BLUFR", "A protocol on Labeled Faces in the Wild: ten trials, strict rates of false alarms."),
    "Ideal rank": (r"ideal rank", "Classes less one: so many directions suffice to tell the classes apart."),
    "Effective rank": (r"effective rank", "How many directions the features fill, weighted by how much is in each."),
    "Scatter within / between": (
        r"scatter within / between",
        "How far the images of a class lie from its mean, over how far the means lie apart. 0: nothing but the class "
        "is left.",
    ),
    "Sparsity": (r"sparsity", "Share of the features that are exactly 0."),
    "Dead features": (r"dead features", "Features that are the same for every image."),
}


class Glossary:
    """Explains each term in the part of a report that uses it first."""

    def __init__(self) -> None:
        self._left = {term: (re.compile(rf"(?<!\w)(?:{how})(?!\w)"), text) for term, (how, text) in TERMS.items()}

    def new(self, texts: Iterable[str]) -> list[tuple[str, str]]:
        """Terms that these texts use and none before did, in the order of `TERMS`.

        Args:
            texts: everything that a part of the report says.

        Returns:
            Term and meaning.
        """
        said = "\n".join(texts)
        found = [(term, text) for term, (used, text) in self._left.items() if used.search(said)]
        for term, _ in found:
            del self._left[term]
        return found
