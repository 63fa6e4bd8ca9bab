"""Parameter counts of PoLAr-MAE beside the published ones."""

import torch
from torch import nn

from tpcfm.models.polar_mae.autoencoder import PolarMAE
from tpcfm.models.polar_mae.point_mae import PointMAE
from tpcfm.models.polar_mae.segmentation import SegmentationModel
from tpcfm.models.polar_mae.settings import PolarMaeModel


def count(module: nn.Module) -> int:
    """Return the number of parameters (buffers not counted)."""
    return sum(p.numel() for p in module.parameters())


def parameter_table() -> list[dict[str, str | int]]:
    """Return, part by part, the parameters at the paper's width (``ours``) and the ``published`` ones."""
    config = PolarMaeModel()
    with torch.device("meta"):
        polar, point = PolarMAE(config), PointMAE(config)
        segmentation = SegmentationModel(config)
    rows = [
        ("transformer block", count(polar.encoder.transformer.blocks[0]), 1_774_464),
        ("encoder, 12 blocks", count(polar.encoder.transformer), 21_293_568),
        ("decoder, 4 blocks and final norm", count(polar.decoder), 7_098_624),
        ("mini-PointNet", count(polar.encoder.embedding), 493_952),
        ("positional MLP", count(polar.encoder.position), 50_048),
        ("points head", count(polar.points_head), 49_280),
        ("mask token", polar.mask_token.numel(), 384),
        ("Point-MAE, total", count(point), 28_985_856),
        ("energy task", count(polar) - count(point), 584_224),
        ("PoLAr-MAE, total", count(polar), 29_570_080),
        ("segmentation: encoder", count(segmentation.encoder), 21_837_568),
        ("segmentation: upsampler", count(segmentation.upsampler), 297_600),
        ("segmentation: head", count(segmentation.head), 723_460),
        ("segmentation, total", count(segmentation), 22_858_628),
    ]
    return [{"part": part, "ours": ours, "published": published} for part, ours, published in rows]
