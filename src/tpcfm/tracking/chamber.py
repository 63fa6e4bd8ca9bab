"""What the classical tracker needs of a detector: layers around an axis along which the field points."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import Detector
from tpcfm.errors import ConfigError


class Chamber(NamedTuple):
    """Layers in cm.

    Attributes:
        radii: (L,) of the layers, ascending.
        half_length: largest |z|.
        unit: cm per unit of the coordinates.
    """

    radii: npt.NDArray[np.float64]
    half_length: float
    unit: float = 1.0


def chamber_of(detector: Detector) -> Chamber:
    """Return the chamber of a detector.

    Raises:
        ConfigError: names what the tracker needs and the detector does not have.
    """
    lacking = {
        "a cylindrical volume": not detector.cylindrical,
        "layers": detector.layers is None,
        "a magnetic field (`field_tesla`)": not detector.field_tesla,
        "coordinates of a known unit": detector.coordinates.cm is None,
    }
    if any(lacking.values()):
        missing = ", ".join(name for name, absent in lacking.items() if absent)
        raise ConfigError(f"kalman: the tracker follows helices from layer to layer; {detector.name} lacks {missing}")
    assert detector.layers is not None
    cm = float(detector.coordinates.cm or 1.0)
    return Chamber(np.array(detector.layers.radii) * cm, max(map(abs, detector.volume.z)) * cm, cm)
