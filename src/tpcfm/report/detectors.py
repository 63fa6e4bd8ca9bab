"""Which detector the events of a plan come from."""

from tpcfm.detectors.model import Detector
from tpcfm.plan.table import Plan


def detector_of_dataset(plan: Plan, name: str) -> Detector:
    """Return the detector of a dataset of the plan."""
    return plan.datasets[name].load_detector()
