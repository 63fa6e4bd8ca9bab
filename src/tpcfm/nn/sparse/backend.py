"""The optional ``spconv`` backend of sparse convolution: its product over our pairs of voxels, used only after it agrees with ours.

Only the index-driven product of spconv 2 is taken (``functional.indice_conv``: weights as output, offset, input; index pairs as
2 x offset x pair); pairs, weights and their order stay ours, so a model is the same with and without it.
"""

import importlib
from functools import lru_cache

import torch
from torch import Tensor

from tpcfm import backends
from tpcfm.errors import MachineError
from tpcfm.nn.sparse.pairs import gather_product, neighbour_pairs

TOLERANCE = 1e-2  # the kernels may multiply in TF32; another order of weights or pairs is off by the size of the output


def sparse_backend(device: str) -> str:
    """Return the backend of sparse convolutions on a device type, "torch" or "spconv", after it has been compared with ours.

    Raises:
        MachineError: it gives other outputs or gradients.
    """
    name = backends.choose("sparse_convolution", device)
    if name == "spconv":
        _verify(device)
    return name


def spconv_product(
    x: Tensor, weight: Tensor, source: Tensor, target: Tensor, counts: tuple[int, ...], outputs: int
) -> Tensor:
    """Return the convolution by spconv: arguments and result of ``gather_product``."""
    functional = importlib.import_module("spconv.pytorch.functional")
    algorithm = importlib.import_module("spconv.pytorch").ConvAlgo.Native
    number = torch.tensor(counts, dtype=torch.int32, device=x.device)
    begin = number.cumsum(0) - number
    longest = max(max(counts), 1)
    slot = torch.arange(longest, device=x.device)
    place = (begin[:, None] + slot).clamp(max=max(len(source) - 1, 0))
    rows = torch.stack([source[place], target[place]]).int()
    rows = torch.where(slot < number[:, None], rows, -1).contiguous()
    kernels = weight.to(x.dtype).permute(2, 0, 1).contiguous()
    out: Tensor = functional.indice_conv(x.contiguous(), kernels, rows, number, outputs, algorithm)
    return out


@lru_cache
def _verify(device: str) -> None:
    """Compare output and both gradients on a small random grid."""
    generator = torch.Generator().manual_seed(0)
    cells = torch.randperm(6**3, generator=generator)[:90]
    xyz = torch.stack([cells // 36, cells // 6 % 6, cells % 6], dim=1).to(device)
    pairs = neighbour_pairs(xyz, torch.zeros(len(xyz), dtype=torch.long, device=device))
    arguments = (pairs.source, pairs.target, pairs.counts, pairs.outputs)
    found = []
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device, enabled=False):
        values = [torch.randn(shape, generator=generator) for shape in ((90, 8), (27, 8, 16), (90, 16))]
        x, weight, into = (v.to(device) for v in values)
        for product in (gather_product, spconv_product):
            a, w = x.clone().requires_grad_(), weight.clone().requires_grad_()
            out = product(a, w, *arguments)
            found.append([out.detach(), *torch.autograd.grad((out * into).sum(), (a, w))])
    for what, ours, theirs in zip(("output", "gradient of the input", "gradient of the weights"), *found, strict=True):
        off = float((ours - theirs).abs().max() / ours.abs().max()) if ours.shape == theirs.shape else float("inf")
        if not off < TOLERANCE:
            raise MachineError(
                f"backend 'spconv' on {device} does not reproduce the sparse convolution: {what} is off by {off:.2g} of its largest "
                f"value, allowed is {TOLERANCE:g}; forbid it with --backend -spconv, and report it"
            )
