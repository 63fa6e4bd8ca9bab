"""One pretraining step of PoLAr-MAE: packed with visible tokens only, against padded with all tokens through the encoder.

The padded formulation is the published one: every group holds 32 slots, every event as many tokens as the longest of the
batch, masked tokens stay in the encoder and are kept from the others by the attention mask. Same weights; in evaluation
mode both give the same losses, which is checked first. Processor time on one core, both in one run.
"""

import time
from itertools import product
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tpcfm.losses.chamfer import chamfer
from tpcfm.losses.energy import squared_error_sum
from tpcfm.models.polar_mae.autoencoder import PolarMAE
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.models.polar_mae.tokens import Tokens
from tpcfm.nn.norms import PackedBatchNorm
from tpcfm.nn.packed import Packing
from tpcfm.nn.pointnet import MiniPointNet
from tpcfm.nn.positional import sinusoid
from tpcfm.nn.transformer import Transformer
from tpcfm.prepare.groups.grouping import group
from tpcfm.prepare.groups.settings import TokenizerConfig

SIZES = {
    "29.6 M": PolarMaeModel(attention_dropout=0.0),
    "width 48": PolarMaeModel(width=48, depth=3, heads=3, decoder_depth=1, attention_dropout=0.0),
}
BATCHES = {"equal": (9, 9, 9, 9), "as in data": (3, 6, 10, 17)}  # tracks per event
SLOTS = 32


def made_event(tracks: int, seed: int) -> np.ndarray:
    """Return lattice points of straight tracks and of one shower for every three of them."""
    rng = np.random.default_rng(seed)
    parts = []
    for number in range(tracks):
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        start = rng.uniform(150, 618, 3)
        along = np.arange(0, rng.uniform(60, 260), 0.8)[:, None] * direction
        parts.append(start + along + rng.normal(0, 0.6, along.shape))
        if number % 3 == 0:
            depth = rng.gamma(3, 12, (200, 1))
            parts.append(start + depth * direction + rng.normal(0, 0.12, (200, 3)) * depth)
    return np.unique(np.clip(np.rint(np.concatenate(parts)).astype(np.int32), 0, 767), axis=0)


def made_tokens(batch: tuple[int, ...]) -> tuple[Tokens, Tensor]:
    """Return the tokens of a batch of events and a mask of 60 % of them."""
    rng = np.random.default_rng(0)
    points, valid, centre, lengths, masked = [], [], [], [], []
    for seed, tracks in enumerate(batch):
        xyz = made_event(tracks, seed)
        groups = group(xyz, TokenizerConfig())
        sizes = np.diff(groups.offset)
        slot = np.arange(SLOTS) < sizes[:, None]
        member = np.zeros(slot.shape, np.int64)
        member[slot] = groups.member
        middle = xyz[groups.centre]
        local = np.concatenate([(xyz[member] - middle[:, None]) / 5, rng.uniform(-0.7, 0.7, (*slot.shape, 1))], axis=2)
        points.append(np.where(slot[..., None], local, 0).astype(np.float32))
        valid.append(slot)
        centre.append(((middle - 384) / 665).astype(np.float32))
        lengths.append(len(middle))
        hidden = np.zeros(len(middle), bool)
        hidden[rng.permutation(len(middle))[: int(0.6 * len(middle))]] = True
        masked.append(hidden)
    joined = [torch.from_numpy(np.concatenate(parts)) for parts in (centre, points, valid)]
    return Tokens(Packing(tuple(lengths), torch.device("cpu")), *joined), torch.from_numpy(np.concatenate(masked))


def losses(model: PolarMAE, tokens: Tokens, masked: Tensor) -> Tensor:
    """Return the loss by this package."""
    out = model(tokens, masked)
    points, valid = tokens.points[masked], tokens.valid[masked]
    assert out.energy is not None
    return (
        chamfer(out.points, points, valid).mean() + squared_error_sum(out.energy, points[..., 3], valid) / valid.sum()
    )


class Padded:
    """The same network on padded tensors ``(B, L, ...)``."""

    def __init__(self, model: PolarMAE, tokens: Tokens, masked: Tensor) -> None:
        self.model = model
        lengths = tokens.packing.lengths
        self.present = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
        self.masked = self._pad(masked)
        self.valid = self._pad(tokens.valid)
        self.points, self.centre = self._pad(tokens.points), self._pad(tokens.centre)

    def _pad(self, packed: Tensor) -> Tensor:
        out = packed.new_zeros(*self.present.shape, *packed.shape[1:])
        out[self.present] = packed
        return out

    @staticmethod
    def norm(layer: PackedBatchNorm, x: Tensor, valid: Tensor) -> Tensor:
        """Masked batch norm: statistics over valid slots, computed for all."""
        if layer.training:
            weight = valid.unsqueeze(-1).to(x.dtype)
            count = weight.sum()
            mean = (x * weight).sum((0, 1, 2)) / count
            variance = ((x - mean).square() * weight).sum((0, 1, 2)) / count
        else:
            mean, variance = layer.running_mean, layer.running_var
        out = (x - mean) * (variance + layer.eps).rsqrt() * layer.weight + layer.bias
        return torch.where(valid.unsqueeze(-1), out, layer.bias)

    def embed(self, net: MiniPointNet, points: Tensor) -> Tensor:
        """Mini-PointNet on all slots of all tokens."""
        hide = ~self.valid.unsqueeze(-1)
        x = net.conv2(F.relu(self.norm(net.norm1, net.conv1(points), self.valid)))
        if net.order is not None:
            x = x + F.relu(net.order(sinusoid(torch.arange(SLOTS), x.shape[-1])))
        pooled = x.masked_fill(hide, -1e9).amax(2, keepdim=True)
        x = torch.cat([pooled.expand_as(x), x], dim=-1)
        x = net.conv4(F.relu(self.norm(net.norm2, net.conv3(x), self.valid)))
        return x.masked_fill(hide, -1e9).amax(2)

    @staticmethod
    def run(stack: Transformer, x: Tensor, position: Tensor, seen: Tensor) -> Tensor:
        """Transformer over all positions; only keys that are ``seen`` are attended to."""
        mask = torch.where(seen, 0.0, -1e9)[:, None, None, :].expand(-1, 1, seen.shape[1], -1)
        for block in stack.blocks:
            x = x + position
            heads = block.attention.heads
            query, key, value = block.attention.qkv(block.norm1(x)).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            x = x + block.attention.proj(mixed.transpose(1, 2).flatten(2))
            x = x + block.mlp(block.norm2(x))
        return stack.norm(x)

    def losses(self) -> Tensor:
        """Return the loss."""
        model = self.model
        position = model.encoder.position(self.centre)
        visible = self.present & ~self.masked
        embedded = self.embed(model.encoder.embedding, self.points)
        encoded = self.run(model.encoder.transformer, embedded, position, visible)
        full = torch.where(visible.unsqueeze(-1), encoded, model.mask_token)
        decoded = self.run(model.decoder, full, position, self.present)
        hidden = self.masked & self.present
        where = self.embed(model.position_embedding, self.points[..., :3])
        energy = model.energy_head(torch.cat([where, decoded], dim=-1))[hidden]
        points, valid = self.points[hidden], self.valid[hidden]
        error = squared_error_sum(energy, points[..., 3], valid) / valid.sum()
        predicted = model.points_head(decoded).unflatten(-1, (SLOTS, 4))[hidden]
        return chamfer(predicted, points, valid).mean() + error


def seconds(work: Any, calls: int = 3) -> float:
    """Return the best processor time of a forward and backward pass."""
    times = []
    for _ in range(calls):
        start = time.process_time()
        work().backward()
        times.append(time.process_time() - start)
    return min(times)


def rows() -> list[dict[str, Any]]:
    """Return the rows of the benchmark table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    found = []
    for (size, config), (kind, batch) in product(SIZES.items(), BATCHES.items()):
        tokens, masked = made_tokens(batch)
        model = PolarMAE(config, SLOTS)
        padded = Padded(model, tokens, masked)
        model.eval()
        with torch.no_grad():
            torch.testing.assert_close(losses(model, tokens, masked), padded.losses(), rtol=1e-4, atol=1e-5)
        model.train()
        fast, slow = seconds(lambda: losses(model, tokens, masked)), seconds(padded.losses)  # noqa: B023
        found.append(
            {
                "what": f"PoLAr-MAE step, {size}, event sizes {kind}",
                "size": f"{tokens.packing.total} tokens",
                "against": "padded, all tokens encoded",
                "ratio": slow / fast,
                "memory_mib": float("nan"),
            }
        )
    return found


if __name__ == "__main__":
    for row in rows():
        print(f"{row['what']:52}{row['size']:>14}  {row['against']:32}{row['ratio']:8.2f}")
