"""The CPU and CUDA locks differ by the GPU cell alone, and no package has two versions anywhere in envs/."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CELL = {"torch", "triton", "setuptools", "mamba-ssm", "causal-conv1d", "pytorch3d"}
"""What may differ in version: torch with what it requires (triton exactly, setuptools < 82), and the GPU kernels."""


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / "envs" / f"{name}.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def lock_tool():
    spec = importlib.util.spec_from_file_location("lock", ROOT / "tools" / "lock.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    tool = lock_tool()
    source = ROOT / "envs" / "cuda.in"
    assert re.match(r"# derived from cpu", source.read_text())
    assert pins("cpu") | tool.exact(tool.requirements(source)) == pins("cuda")


def test_derived_lock_refuses_ranges(tmp_path: Path) -> None:
    tool = lock_tool()
    (tmp_path / "x.in").write_text("# derived from cpu\ntorch>=2\n")
    with pytest.raises(SystemExit, match=r"torch>=2.*exact pins"):
        tool.exact(tool.requirements(tmp_path / "x.in"))
