"""The CPU and CUDA locks differ by the GPU cell alone, and no package has two versions anywhere in envs/."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CELL = {"torch", "triton", "setuptools", "mamba-ssm", "causal-conv1d", "pytorch3d"}
"""What may differ in version: torch with what it requires (triton exactly, setuptools < 82), and the GPU kernels."""


def lock_tool():
    spec = importlib.util.spec_from_file_location("lock", ROOT / "tools" / "lock.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pins(name: str) -> dict[str, str]:
    return lock_tool().pins(ROOT / "envs" / f"{name}.txt")


def test_cuda_lock_holds_every_cpu_pin_but_the_cell() -> None:
    cpu, cuda = pins("cpu"), pins("cuda")
    assert {n for n in cpu if cuda.get(n) != cpu[n]} == {"torch", "setuptools"}
    assert set(cuda) >= CELL


def test_cuda_cell_is_the_published_combination() -> None:
    cuda = pins("cuda")
    found = {n: cuda[n] for n in ("torch", "mamba-ssm", "causal-conv1d", "pytorch3d")}
    assert found == {
        "torch": "2.11.0",
        "mamba-ssm": "2.3.2.post1",
        "causal-conv1d": "1.6.2.post1",
        "pytorch3d": "0.7.9",
    }


@pytest.mark.parametrize("other", ["image", "workflow", "test"])
@pytest.mark.parametrize("lock", ["cpu", "cuda"])
def test_locks_that_meet_agree(lock: str, other: str) -> None:
    ours, theirs = pins(lock), pins(other)
    shared = set(ours) & set(theirs)
    assert shared
    assert {n: (ours[n], theirs[n]) for n in shared if ours[n] != theirs[n]} == {}


def test_derived_lock_is_what_the_tool_writes() -> None:
    assert lock_tool().derived(ROOT / "envs" / "cuda.in") == pins("cuda")


def test_derived_lock_refuses_ranges(tmp_path: Path) -> None:
    (tmp_path / "cpu.txt").write_text("numpy==2.4.0\n")
    (tmp_path / "x.in").write_text("# derived from cpu\ntorch>=2\n")
    with pytest.raises(SystemExit, match=r"torch>=2.*exact pins"):
        lock_tool().derived(tmp_path / "x.in")


def test_cpu_lock_holds_torch_as_released_and_nothing_for_a_gpu() -> None:
    cpu = pins("cpu")
    assert cpu["torch"] == "2.13.0"
    assert not [name for name in cpu if name.startswith(("nvidia-", "cuda-", "triton"))]
