"""CelebA (Liu et al. 2015): 10,177 people, and 40 attributes of each image as nuisances."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from invariantnets.data.banked import Stream
from invariantnets.data.batch import DataSpec
from invariantnets.data.faces import FaceFiles, Faces
from invariantnets.division import held_out
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance
from invariantnets.randomness import numpy_rng

if TYPE_CHECKING:
    from typing_extensions import Unpack

ATTRIBUTES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache",
    "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks",
    "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick",
    "Wearing_Necklace", "Wearing_Necktie", "Young",
)  # fmt: skip


class CelebA(FaceFiles):
    """Through torchvision's ``CelebA``, in its layout: ``<root>/celeba/list_attr_celeba.txt``, ….

    The official partition is by person. Its ``train`` people are trained on, less some images of each
    for ``val``; ``test`` is the people of one of the other two partitions, and the third is left out.

    Args:
        root: torchvision's root, the folder that holds ``celeba``.
        image_shape: ``(C, H, W)`` that images are brought to.
        cache_dir: folder of the decoded images.
        num_classes: number of people trained on: 8,192 in the official partition.
        attributes: which of ``ATTRIBUTES`` are nuisances; None is all 40.
        test_partition: ``test`` to report, ``valid`` to choose a model.
        center_crop: side in pixels of the central square that is kept, of 178×218.
        val_fraction: of each training person's images.
        split_seed: of that choice.
        **stream: how training batches are made, see :class:`~invariantnets.data.BankedImages`.

    Raises:
        InvariantNetsError: files that are missing or are not the official ones; an unknown attribute; see
            also :class:`FaceFiles`.
    """

    def __init__(
        self,
        root: str,
        image_shape: Sequence[int],
        cache_dir: str,
        num_classes: int = 8192,
        attributes: Sequence[str] | None = None,
        test_partition: Literal["test", "valid"] = "test",
        center_crop: int | None = None,
        val_fraction: float = 0.1,
        split_seed: int = 0,
        **stream: Unpack[Stream],
    ):
        names = ATTRIBUTES if attributes is None else tuple(attributes)
        for name in names:
            if name not in ATTRIBUTES:
                raise InvariantNetsError(f"data.attributes: {name!r} is none of {', '.join(ATTRIBUTES)}")
        if test_partition not in ("test", "valid"):
            raise InvariantNetsError(f"data.test_partition={test_partition}: choose test or valid")
        channels, height, width = image_shape
        nuisances = tuple(Nuisance(name, "binary", categories=("no", "yes")) for name in names)
        spec = DataSpec((channels, height, width), num_classes, nuisances)
        folder = Path(root) / "celeba" / "img_align_celeba"
        super().__init__(spec, str(folder), cache_dir, center_crop=center_crop, **stream)
        self.torchvision_root, self.test_partition = root, test_partition
        self.val_fraction, self.split_seed = val_fraction, split_seed

    def list_faces(self) -> Faces:
        """The official lists, read and checked by torchvision."""
        from torchvision import datasets

        folder = Path(self.torchvision_root) / datasets.CelebA.base_folder
        try:
            data = datasets.CelebA(self.torchvision_root, split="all", target_type=["attr", "identity"])
            partition = pd.read_csv(folder / "list_eval_partition.txt", sep=" ", header=None, index_col=0)[1]
            split = partition.loc[data.filename].to_numpy()
        except (OSError, RuntimeError, ValueError, LookupError) as error:
            raise InvariantNetsError(
                f"CelebA: no usable files in {folder.absolute()} ({' '.join(str(error).split())}). Either name the "
                "folder that holds celeba/, with paths.data_dir=… or INVARIANTNETS_DATA, or let torchvision fetch them "
                "with torchvision.datasets.CelebA(root, download=True), which needs gdown and a network"
            ) from None
        person = np.array([f"{number:05d}" for number in data.identity[:, 0].tolist()])
        train = np.flatnonzero(split == 0)
        named = np.full(len(split), "", dtype="U5")
        val = held_out(person[train], self.val_fraction, numpy_rng(self.split_seed, 1))
        named[train] = np.where(val, "val", "train")
        named[split == {"valid": 1, "test": 2}[self.test_partition]] = "test"
        column = {name: number for number, name in enumerate(data.attr_names)}
        nuisance = {n.name: data.attr[:, column[n.name]].numpy().astype(np.float64) for n in self.spec.nuisances}
        return Faces(np.array(data.filename), person, named, nuisance).rows(np.flatnonzero(named != ""))
