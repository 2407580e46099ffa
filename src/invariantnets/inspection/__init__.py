"""A network with its pixels: what its layers do, and what its neurons see."""

from collections.abc import Callable

from invariantnets.inspection.correspondence import Correspondence
from invariantnets.inspection.firing import Firing
from invariantnets.inspection.inspection import Inspection, Specimen, under
from invariantnets.inspection.invariance import Invariance
from invariantnets.inspection.maximise import Maximise
from invariantnets.inspection.neurons import Neurons
from invariantnets.inspection.nuisance_neurons import NuisanceNeurons

__all__ = [
    "INSPECTIONS",
    "Correspondence",
    "Firing",
    "Inspection",
    "Invariance",
    "Maximise",
    "Neurons",
    "NuisanceNeurons",
    "Specimen",
    "under",
]

# Each with its defaults, by its name; each has a file here and one in conf/inspect.
_ALL: tuple[Callable[[], Inspection], ...] = (
    Firing,
    Invariance,
    Correspondence,
    Neurons,
    Maximise,
    NuisanceNeurons,
)
INSPECTIONS: dict[str, Callable[[], Inspection]] = {of().name: of for of in _ALL}
