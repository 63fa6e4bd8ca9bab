"""Which detector the events of a plan come from."""

from tpcfm.detectors.model import Detector
from tpcfm.detectors.registry import load_detector
from tpcfm.events.schema import DETECTOR_OF_LAYOUT
from tpcfm.plan.table import Plan


def detector_of_dataset(plan: Plan, name: str) -> Detector:
    """Return the detector of a dataset of the plan."""
    return load_detector(DETECTOR_OF_LAYOUT[plan.datasets[name].layout])
