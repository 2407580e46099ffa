"""Images with labels and nuisances."""

from invariantnets.data.align import Align
from invariantnets.data.banked import Bank, BankedImages
from invariantnets.data.batch import Batch, DataSpec
from invariantnets.data.bootstrap import SelectedFaces
from invariantnets.data.celeba import CelebA
from invariantnets.data.faces_table import FacesTable
from invariantnets.data.jitter import Jitter
from invariantnets.data.lfw import Lfw
from invariantnets.data.people_parts import PeopleParts
from invariantnets.data.synthetic_faces import SyntheticFaces
from invariantnets.data.synthetic_people import SyntheticPeople
from invariantnets.data.synthetic_videos import SyntheticVideos
from invariantnets.data.varied import RotatedImages, VariedImages
from invariantnets.data.youtube_faces import YouTubeFaces

__all__ = [
    "Align",
    "Bank",
    "BankedImages",
    "Batch",
    "CelebA",
    "DataSpec",
    "FacesTable",
    "Jitter",
    "Lfw",
    "PeopleParts",
    "RotatedImages",
    "SelectedFaces",
    "SyntheticFaces",
    "SyntheticPeople",
    "SyntheticVideos",
    "VariedImages",
    "YouTubeFaces",
]
