"""Parameter counts of the baselines at the paper's sizes, beside those of arXiv 2508.14087, Table 2."""

from typing import Any

from torch import nn

from tpcfm.models.baselines.eggnet import EggNet
from tpcfm.models.baselines.exatrkx import ExaTrkx
from tpcfm.models.baselines.hept import Hept
from tpcfm.models.baselines.point_graph_net import PointGraphNet
from tpcfm.models.baselines.settings import GraphNetConfig, VoxelUNetConfig
from tpcfm.models.baselines.track_settings import EggNetConfig, ExaTrkxConfig, HeptConfig
from tpcfm.models.baselines.voxel_unet import VoxelUNet

CLASSES = 5


def parameter_table() -> list[dict[str, Any]]:
    """Return rows ``part``, ``ours``, ``published`` (None where the paper has none); published counts have two or three digits."""
    graph = {
        name: PointGraphNet(name, "pid", CLASSES, GraphNetConfig()) for name in ("sage", "graph_conv", "gcn", "gat")
    }
    found: list[tuple[str, nn.Module, float | None]] = [
        ("SAGE", graph["sage"], 0.91e6),
        ("GraphConv", graph["graph_conv"], 0.91e6),
        ("GCN (one matrix per layer)", graph["gcn"], None),
        ("GAT (one matrix per layer)", graph["gat"], None),
        ("voxel U-Net with queries, for OneFormer3D", VoxelUNet("pid", CLASSES, VoxelUNetConfig()), 44.95e6),
        ("EggNet", EggNet(EggNetConfig()), 0.16e6),
        ("Exa.TrkX (its widths are not published)", ExaTrkx(ExaTrkxConfig()), 3.86e6),
        ("HEPT", Hept(HeptConfig()), 0.31e6),
    ]
    return [
        {
            "part": name,
            "ours": sum(p.numel() for p in net.parameters()),
            "published": None if count is None else int(count),
        }
        for name, net, count in found
    ]
