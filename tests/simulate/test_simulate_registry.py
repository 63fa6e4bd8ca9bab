"""Every simulation that a detector names exists, and writes files that the detector's reader takes."""

import pytest

from tpcfm.detectors.registry import built_in, load_detector
from tpcfm.simulate.collider import apparatus as collider
from tpcfm.simulate.lartpc import apparatus as lartpc
from tpcfm.simulate.registry import SIMULATIONS


def test_detectors_name_simulations_that_exist() -> None:
    named = {load_detector(name).simulation for name in built_in()} - {None}
    assert named == set(SIMULATIONS)


@pytest.mark.parametrize("name", SIMULATIONS)
def test_a_file_is_written_under_the_name_of_its_number(name: str, tmp_path) -> None:
    simulation = SIMULATIONS[name]
    options = {"source": "gun", "labelled": True, "particles": False} if name == "collider" else {"revision": "v2"}
    path = tmp_path / simulation.file_name(3)
    simulation.write(path, events=2, seed=1, index=3, **options)
    assert path.stat().st_size > 0


def test_the_apparatus_is_that_of_the_detector() -> None:
    argon, tracker = load_detector("pilarnet"), load_detector("sphenix")
    assert argon.volume.x == (0, lartpc.EDGE)
    assert argon.coordinates.voxel_cm == lartpc.PITCH_CM
    assert argon.main_signal.threshold == lartpc.ENERGY_THRESHOLD_MEV
    assert argon.labels["semantic"].removed == [lartpc.LOW_ENERGY]
    assert tracker.volume.z == (-collider.HALF_LENGTH_CM, collider.HALF_LENGTH_CM)
    assert tracker.field_tesla * 0.003 == pytest.approx(collider.PT_PER_RADIUS)
    assert tracker.layers.radii == collider.LAYER_RADII_CM.tolist()
