"""Known answers that a backend of the Mamba-2 mixer must reproduce before it is used, once per process.

A wrong backend would load every weight, run, and quietly give a worse model; a published PyTorch fallback without B and C
maps did. The numbers below were computed in float64 by the row-by-row recurrence, outside this code.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from tpcfm import backends
from tpcfm.errors import MachineError
from tpcfm.nn.segments import segments

Mixer = Callable[[int, int, int, int], Any]  # from width, state, expansion, head size to a module with ``run``
LENGTHS = (7, 4)
WIDTH, STATE, EXPAND, HEAD = 8, 3, 2, 8
ANSWERS: dict[str, tuple[float, ...]] = {
    "output at the end of the first event": (
        -1.51633309,
        1.89220822,
        -0.286252765,
        -1.6195135,
        1.82905979,
        -0.122914872,
        -1.71196664,
        1.75379609,
    ),
    "output at the start of the second event": (
        -1.18250586,
        -0.853398958,
        1.99548451,
        -1.04757161,
        -0.997529975,
        1.99785468,
        -0.905698505,
        -1.13505359,
    ),
    "gradient at the first row": (
        0.683026637,
        -0.716403661,
        -0.498417302,
        0.844840311,
        0.280711257,
        -0.917176511,
        -0.0443649693,
        0.928608876,
    ),
    "gradient at the last row of the first event": (
        0.0505241786,
        0.242542583,
        -0.113024731,
        -0.213417355,
        0.168020034,
        0.170120442,
        -0.211858198,
        -0.115526917,
    ),
    "gradient of A_log": (-1.85298876, -0.48202703),
    "gradient of dt_bias": (0.721853592, -0.194734518),
}
TOLERANCE = {"torch": 1e-4, "numba": 1e-4, "mamba_ssm": 3e-2}  # the fused kernels multiply in TF32


def scan_backend(mixer: Mixer, device: str, operator: str = "mamba_scan") -> str:
    """Return the backend of the Mamba-2 scan on a device type, after it has reproduced the known answers.

    Args:
        mixer: the class ``Mamba2``.
        device: "cpu" or "cuda".
        operator: which use of the scan, a key of :data:`tpcfm.backends.PREFERENCE`.

    Raises:
        MachineError: it did not.
    """
    name = backends.choose(operator, device)
    _verified(mixer, name, backends.choose("short_convolution", device), device)
    return name


@lru_cache
def _verified(mixer: Mixer, name: str, convolution: str, device: str) -> None:
    with torch.autocast(device, enabled=False):
        found = answers(mixer, name, device)
    for key, expected in ANSWERS.items():
        difference = (found[key].double().cpu() - torch.tensor(expected, dtype=torch.float64)).abs().max().item()
        if not difference < TOLERANCE[name]:
            raise MachineError(
                f"backend {name!r} (convolution {convolution!r}) on {device} does not reproduce the known answers of the Mamba-2 "
                f"mixer: {key} is off by {difference:.2g}, allowed is {TOLERANCE[name]:g}; "
                f"forbid it with --backend -{name}, and report it"
            )


def answers(mixer: Mixer, name: str, device: str, kind: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Return what a backend computes for the fixed weights and inputs: some outputs and some gradients."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        made = mixer(WIDTH, STATE, EXPAND, HEAD).to(device, kind)
        with torch.no_grad():
            for i, parameter in enumerate(made.parameters()):
                parameter.copy_(_waves(parameter.shape, i, device, kind))
        offsets = torch.tensor([0, LENGTHS[0], sum(LENGTHS)], device=device)
        where = segments(offsets, sum(LENGTHS), 4)
        u = torch.zeros(where.n_filled, WIDTH, device=device, dtype=kind)
        u[: where.n_rows] = _waves((where.n_rows, WIDTH), 99, device, kind)
        u.requires_grad_()
        y = made.run(u, where, name)[: where.n_rows]
        names, values = zip(*made.named_parameters(), strict=True)
        loss = (y * _waves(y.shape, 77, device, kind)).sum()
        grads = torch.autograd.grad(loss, (u, *values), allow_unused=True, materialize_grads=True)
    by_name = dict(zip(names, grads[1:], strict=True))
    return {
        "output at the end of the first event": y[LENGTHS[0] - 1].detach(),
        "output at the start of the second event": y[LENGTHS[0]].detach(),
        "gradient at the first row": grads[0][0],
        "gradient at the last row of the first event": grads[0][LENGTHS[0] - 1],
        "gradient of A_log": by_name["A_log"],
        "gradient of dt_bias": by_name["dt_bias"],
    }


def _waves(shape: tuple[int, ...] | torch.Size, phase: int, device: str, kind: torch.dtype) -> Tensor:
    count = torch.arange(torch.Size(shape).numel(), device=device, dtype=torch.float64)
    return (0.8 * torch.sin(1.7 * count + phase)).to(kind).view(shape)
