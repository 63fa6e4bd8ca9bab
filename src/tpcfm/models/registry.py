"""Every network that a model directory can hold: the value of ``architecture`` in its ``config.json``, and how it is built.

Reads no files: `tpcfm.inference.trained.load_model` builds the network of a folder and loads its weights.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from torch import nn

from tpcfm.config.text import explain
from tpcfm.errors import CheckpointError
from tpcfm.models.baselines.eggnet import EggNet
from tpcfm.models.baselines.exatrkx import ExaTrkx
from tpcfm.models.baselines.hept import Hept
from tpcfm.models.baselines.kalman import KalmanFilter
from tpcfm.models.baselines.point_graph_net import PointGraphNet
from tpcfm.models.baselines.settings import GraphNetConfig, VoxelUNetConfig
from tpcfm.models.baselines.sparse_unet import SparseUNet
from tpcfm.models.baselines.track_settings import EggNetConfig, ExaTrkxConfig, HeptConfig
from tpcfm.models.baselines.voxel_unet import VoxelUNet
from tpcfm.models.classical.edge_perceptron import EdgePerceptron, Positions
from tpcfm.models.classical.trees import TreeEnsemble
from tpcfm.models.fm4npp.adapters import make_adapter
from tpcfm.models.fm4npp.backbone import Fm4npp, slots_of
from tpcfm.models.fm4npp.settings import AdapterConfig, Fm4nppModel
from tpcfm.models.fm4npp.tuned import TunedAdapter
from tpcfm.models.heads.settings import EdgeHead
from tpcfm.models.polar_mae.autoencoder import make_masked_autoencoder
from tpcfm.models.polar_mae.segmentation import SegmentationModel
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.models.polar_mae.token_encoder import TokenEncoder
from tpcfm.models.tuning.settings import Tuning
from tpcfm.prepare.sequences.settings import TargetConfig

Config = Mapping[str, Any]


def _masked_autoencoder(config: Config) -> nn.Module:
    model = PolarMaeModel.model_validate(config["model"])
    return make_masked_autoencoder(config["architecture"], model, int(config["slots"]))


def _polar_mae_head(config: Config) -> nn.Module:
    model = PolarMaeModel.model_validate(config["model"])
    hidden, queries = int(config["head_hidden"]), int(config["queries"])
    more = {}
    if found := config.get("edge_head"):
        head = EdgeHead.model_validate(found["settings"])
        more = {"edge_head": head, "geometry": found["geometry"], "tokens": found["tokens"]}
    network = SegmentationModel(model, len(config["classes"]), head_hidden=hidden, queries=queries, **more)
    if mode := config.get("mode"):
        network.tune(mode, Tuning.model_validate(config["tuning"]))
    return network


def _sparse_unet(config: Config) -> nn.Module:
    sizes = {name: int(config[name]) for name in ("filters", "depth", "repetitions")}
    return SparseUNet(len(config["classes"]), **sizes)


def _fm4npp(config: Config) -> nn.Module:
    targets = TargetConfig.model_validate(config["targets"])
    return Fm4npp(Fm4nppModel.model_validate(config["model"]), slots_of(targets))


def _adapter(config: Config) -> nn.Module:
    block, geometry = AdapterConfig.model_validate(config["adapter"]), config.get("geometry", (0, 0))
    if block.mode == "frozen":
        return make_adapter(block, geometry)
    return TunedAdapter(block, Fm4npp(block.model, int(config["slots"])), geometry)


def _trees(config: Config) -> nn.Module:
    sizes = {name: int(config[name]) for name in ("nodes", "trees", "scores")}
    return TreeEnsemble(**sizes, classes=len(config["classes"]))


def _graph_net(config: Config) -> nn.Module:
    graph = GraphNetConfig.model_validate(config["baseline"]["graph"])
    return PointGraphNet(config["baseline"]["model"], config["label"], len(config["classes"]), graph)


def _voxel_unet(config: Config) -> nn.Module:
    voxel = VoxelUNetConfig.model_validate(config["baseline"]["voxel"])
    return VoxelUNet(config["label"], len(config["classes"]), voxel)


ARCHITECTURES: dict[str, Callable[[Config], nn.Module]] = {
    "polar_mae": _masked_autoencoder,
    "point_mae": _masked_autoencoder,
    "token_encoder": lambda config: TokenEncoder(PolarMaeModel.model_validate(config["model"])),
    "polar_mae_head": _polar_mae_head,
    "sparse_unet": _sparse_unet,
    "fm4npp": _fm4npp,
    "fm4npp_adapter": _adapter,
    **dict.fromkeys(("baseline_sage", "baseline_graph_conv", "baseline_gcn", "baseline_gat"), _graph_net),
    "baseline_voxel_unet": _voxel_unet,
    "baseline_eggnet": lambda config: EggNet(EggNetConfig.model_validate(config["baseline"]["eggnet"])),
    "baseline_exatrkx": lambda config: ExaTrkx(ExaTrkxConfig.model_validate(config["baseline"]["exatrkx"])),
    "baseline_hept": lambda config: Hept(HeptConfig.model_validate(config["baseline"]["hept"])),
    "baseline_kalman": lambda config: KalmanFilter(),
    "classical_trees": _trees,
    "classical_edges": lambda config: EdgePerceptron(len(config["features"]), config["finder"]["edges"]["hidden"]),
    "classical_dbscan": lambda config: Positions(),
}
"""Architecture and what builds its network, with weights drawn at random. Of an adapter on a frozen backbone this is the head alone."""


def build(config: Config) -> nn.Module:
    """Return the network that a ``config.json`` describes, with random weights; a second stage that joins pieces is its part ``join``.

    Raises:
        CheckpointError: an architecture that is not one of `ARCHITECTURES`, or a key that is missing or wrong.
    """
    kind = str(config.get("architecture"))
    if kind not in ARCHITECTURES:
        raise CheckpointError(f"architecture: {kind!r} in config.json; allowed: {', '.join(ARCHITECTURES)}")
    try:
        model = ARCHITECTURES[kind](config)
        if sizes := config.get("join"):
            model.add_module("join", TreeEnsemble(**sizes, classes=2))
        return model
    except KeyError as error:
        raise CheckpointError(f"config.json of a model of architecture {kind!r} lacks the key {error}") from error
    except (TypeError, ValueError) as error:
        why = explain(error) if isinstance(error, ValidationError) else error
        raise CheckpointError(f"config.json does not describe a model of architecture {kind!r}: {why}") from error
