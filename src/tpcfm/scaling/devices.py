"""What a named device can do at most (vendors' data sheets), and the shares of it that the cost plan counts on."""

from dataclasses import dataclass

from tpcfm.errors import ConfigError
from tpcfm.plan.work import Estimate

GIGA, TERA = 1e9, 1e12
CPU_SHARES = {"dense": 0.4, "sparse": 0.2}
"""Shares of the peak on a CPU core."""


@dataclass(frozen=True)
class Device:
    """One GPU, or one CPU core.

    Attributes:
        name: as given on the command line.
        half: dense bfloat16 operations per second with float32 sums.
        single: float32 operations per second without TensorFloat-32, as PyTorch does by default.
        bandwidth: bytes per second to and from the memory of the device.
        memory: bytes of that memory; infinite for a CPU core, which shares the machine's.
        link: bytes per second from the host to the device.
        gpu: a GPU, not a CPU core.
    """

    name: str
    half: float
    single: float
    bandwidth: float
    memory: float
    link: float
    gpu: bool = True

    def peak(self, precision: str) -> float:
        """Return the operations per second at a precision of the configuration ("float32", "bfloat16")."""
        return self.half if precision == "bfloat16" else self.single


def _gpu(name: str, half: float, single: float, bandwidth: float, memory: float, link: float = 25) -> Device:
    return Device(name, half * TERA, single * TERA, bandwidth * GIGA, memory * GIGA, link * GIGA)


# Dense rates, largest memory of each model. The host link is what PCIe 4 (5 for Hopper) carries in practice. The CPU core has two
# 8-wide fused multiply-adds at 3 GHz and a bandwidth that includes its caches; it has no faster half precision.
DEVICES = {
    device.name: device
    for device in (
        _gpu("a30", 165, 10.3, 933, 24),
        _gpu("a100-40gb", 312, 19.5, 1555, 40),
        _gpu("a100", 312, 19.5, 2039, 80),
        _gpu("h100-pcie", 756, 51, 2000, 80, 50),
        _gpu("h100", 989, 67, 3350, 80, 50),
        _gpu("h200", 989, 67, 4800, 141, 50),
        _gpu("l40s", 362, 91.6, 864, 48),
        _gpu("rtx4090", 165, 82.6, 1008, 24),
        Device("cpu", 100 * GIGA, 100 * GIGA, 32 * GIGA, float("inf"), float("inf"), gpu=False),
    )
}


def device(name: str) -> Device:
    """Return a device by name.

    Raises:
        ConfigError: no such device.
    """
    if name not in DEVICES:
        raise ConfigError(f"--gpu {name!r}: known are {', '.join(DEVICES)}; take the nearest and give --utilisation")
    return DEVICES[name]


def nearest(model: str) -> Device:
    """Return the device whose name a site's GPU model begins with or holds (``nvidia_h100_80gb``); an A100 for all others."""
    known = sorted(DEVICES, key=len, reverse=True)
    return DEVICES[next((name for name in known if name != "cpu" and name in model.lower().replace("_", "-")), "a100")]


@dataclass(frozen=True)
class Assumptions:
    """What the plan counts on. None of it was measured on a GPU; each may be given on the command line.

    Attributes:
        utilisation: share of the peak over a whole training, in place of all shares and of the memory traffic.
        products: share of the peak that large matrix products reach, where memory traffic is counted beside them.
        traffic: share of the bandwidth that everything else reaches.
        dense: share of the peak of transformers and adapters, where traffic is not counted.
        sparse: the same of graph networks and sparse convolutions.
        startup: seconds of every training job before its first step.
    """

    utilisation: float | None = None
    products: float = 0.5
    traffic: float = 0.8
    dense: float = 0.2
    sparse: float = 0.02
    startup: float = 8.0

    def lines(self) -> list[str]:
        """Say what is assumed."""
        rest = f"{self.dense:.0%} for transformers and adapters, {self.sparse:.0%} for graph networks and sparse convolutions"
        if self.utilisation is not None:
            return [f"{self.utilisation:.1%} of the peak everywhere (given); {self.startup:g} s of start per job"]
        return [
            f"backbones whose traffic is known: matrix products at {self.products:.0%} of the peak, then element-wise operations at "
            f"{self.traffic:.0%} of the bandwidth, unfused (no kernels of mamba_ssm)",
            f"other networks: {rest} of the peak; {self.startup:g} s of start per job",
            "assumptions, not measured on a GPU: give --utilisation from a first run",
        ]


def seconds(estimate: Estimate, device: Device, assumed: Assumptions) -> float:
    """Return the time that work takes on one device, or that its loader takes if that is longer."""
    total = 0.0
    for work in estimate.work:
        share = assumed.utilisation
        if share is None:
            share = getattr(assumed, work.kind) if device.gpu else CPU_SHARES.get(work.kind, assumed.products)
            total += work.moved / (device.bandwidth * assumed.traffic)
        total += work.flops / (device.peak(work.precision) * share) + work.loaded / device.link + work.seconds
    return max(total, estimate.loader)
