"""Recorded losses of the PoLAr-MAE networks on a fixed synthetic batch: a change of the numerics is seen and explained.

To record anew after an intended change: run this file with ``-s`` after emptying ``RECORDED``; it prints what it finds.
"""

import numpy as np
import pytest
import torch

from event_tables import PILARNET
from tpcfm.losses.focal import inverse_frequency
from tpcfm.models.baselines.sparse_unet import SparseUNet
from tpcfm.models.polar_mae.autoencoder import make_masked_autoencoder
from tpcfm.models.polar_mae.segmentation import SegmentationModel
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.nn.drop_path import drop_path_factors
from tpcfm.systems.polar_mae.batches import draw_mask, nearest_tokens
from tpcfm.systems.polar_mae.class_head import PointwiseObjective
from tpcfm.systems.polar_mae.objective import MaskedObjective
from tpcfm.train import StepInfo

MODEL = PolarMaeModel(width=24, depth=3, heads=2, decoder_depth=1, embed_hidden=8, attention_dropout=0.0)
INFO = StepInfo(step=0, epoch=0, seed=0, training=True)
RECORDED: dict[str, list[float]] = {
    "polar_mae": [2.8471022, 1.6604905, 1.1241734],
    "point_mae": [2.5843978, 1.4373677, 0.888161],
    "polar_mae released": [0.7776981, 0.6129748, 0.5247615],
    "segmentation": [9.9137363, 9.0114508, 8.5586357],
    "sparse_unet": [1.4117411, 1.401075, 1.390826],
}


def batch() -> dict[str, np.ndarray]:
    """Three events of distinct lattice points; every eighth point is a token of its own and the next few points."""
    rng = np.random.default_rng(7)
    tokens = (7, 12, 4)
    parts: dict[str, list[np.ndarray]] = {"xyz": [], "centre": [], "member": [], "masked": []}
    start = 0
    for count in tokens:
        xyz = np.unique(rng.integers(300, 330, (8 * count, 3)), axis=0)
        rows = np.arange(count) * (len(xyz) // count)
        member = rows[:, None] + np.arange(5) + start
        member[rng.random(member.shape) < 0.3] = -1
        member.sort(axis=1)
        member = member[:, ::-1].copy()
        member[:, 0] = rows + start
        parts["xyz"].append(xyz)
        parts["centre"].append(xyz[rows])
        parts["member"].append(member)
        parts["masked"].append(draw_mask(rng, xyz[rows].astype(np.float32), 0.6, "random"))
        start += len(xyz)
    sizes = [len(xyz) for xyz in parts["xyz"]]
    joined = {name: np.concatenate(values) for name, values in parts.items()}
    xyz, centre, member = joined["xyz"].astype(np.float32), joined["centre"].astype(np.float32), joined["member"]
    energy = rng.uniform(-0.7, 0.8, len(xyz)).astype(np.float32)
    valid = member >= 0
    points = np.concatenate([(xyz[member] - centre[:, None]) / 30, energy[member][..., None]], axis=2)
    offsets, token_offsets = np.cumsum([0, *sizes]), np.cumsum([0, *tokens])
    generators = [np.random.default_rng(seed) for seed in range(3)]
    factors = drop_path_factors(generators, 3, 0.2)
    assert factors is not None
    return {
        "semantic": rng.integers(4, size=len(xyz)),
        "token_offsets": token_offsets,
        "token_centre": (centre - 384) / 665,
        "token_points": np.where(valid[..., None], points, 0).astype(np.float32),
        "token_valid": valid,
        "masked": joined["masked"],
        "encoder_factors": factors,
        "point_xyz": (xyz - 384) / 665,
        "point_event": np.repeat(np.arange(3), sizes),
        "voxel": joined["xyz"],
        "voxel_event": np.repeat(np.arange(3), sizes),
        "voxel_features": energy[:, None],
        **nearest_tokens(xyz, offsets, centre, token_offsets, PILARNET.half_diagonal),
    }


def descend(name: str) -> list[float]:
    """Loss before and after two AdamW steps."""
    torch.set_num_threads(1)
    torch.manual_seed(11)
    objective: MaskedObjective | PointwiseObjective
    model: torch.nn.Module
    if name in ("polar_mae", "point_mae", "polar_mae released"):
        preset = "released" if name.endswith("released") else "paper"
        kind = name.split()[0]
        model = make_masked_autoencoder(kind, MODEL.model_copy(update={"preset": preset}), slots=5)
        objective = MaskedObjective(energy=kind == "polar_mae")
    elif name == "segmentation":
        model = SegmentationModel(MODEL, head_hidden=16, head_dropout=0.0)
        objective = PointwiseObjective(inverse_frequency([40, 30, 3, 7]), 2.0, "semantic")
    else:
        model = SparseUNet(filters=4, depth=3, repetitions=1)
        objective = PointwiseObjective([1.0] * 4, 0.0, "semantic")
    arrays = batch()
    tensors = {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in arrays.items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    counts, losses = objective.counts(arrays, INFO), []
    for _ in range(3):
        optimizer.zero_grad()
        sums = objective.sums(model, tensors, INFO)
        loss = sum(sums[key] / counts[key] for key in sums)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", ["polar_mae", "point_mae", "polar_mae released", "segmentation", "sparse_unet"])
def test_losses_are_the_recorded_ones(name: str) -> None:
    losses = descend(name)
    print(f'    "{name}": {[round(value, 7) for value in losses]},')
    assert losses == pytest.approx(RECORDED[name], rel=2e-4)
    assert losses[2] < losses[0]
