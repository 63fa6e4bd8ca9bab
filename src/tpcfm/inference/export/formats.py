"""The formats of exported networks: how a traced graph is written, and how it is run again."""

import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor
from torch.export import ExportedProgram

from tpcfm.errors import CheckpointError, MachineError
from tpcfm.tasks.traceable import Traceable

Run = Callable[[Mapping[str, Tensor]], list[npt.NDArray[Any]]]
"""From the inputs by name to the outputs in their order."""


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        file: name of the network in the folder.
        write: the graph of a network to a file.
        open: a file to what runs it on the CPU.
        needs: packages it needs beside torch.
    """

    file: str
    write: Callable[[ExportedProgram, Traceable, Path], None]
    open: Callable[[Path], Run]
    needs: tuple[str, ...] = ()

    def check(self) -> None:
        """Make sure that its packages are here.

        Raises:
            MachineError: they are not.
        """
        if missing := [name for name in self.needs if importlib.util.find_spec(name) is None]:
            raise MachineError(f"not installed here: {', '.join(missing)}; pip install 'tpcfm[onnx]'")


def _write_program(program: ExportedProgram, network: Traceable, path: Path) -> None:
    program.graph_module.graph.eliminate_dead_code()  # an operation without results cannot be read again
    torch.export.save(program, path)


def _open_program(path: Path) -> Run:
    module = torch.export.load(path).module()
    return lambda inputs: _arrays(module(*inputs.values()))


def _write_compiled(program: ExportedProgram, network: Traceable, path: Path) -> None:
    try:
        torch._inductor.aoti_compile_and_package(program, package_path=str(path))
    except Exception as error:  # compilers fail in many ways
        raise MachineError(f"{path}: not compiled ({_first_line(error)}); needed is a C++ compiler (g++)") from error


def _open_compiled(path: Path) -> Run:
    module = torch._inductor.aoti_load_package(str(path))
    return lambda inputs: _arrays(module(*inputs.values()))


def _write_onnx(program: ExportedProgram, network: Traceable, path: Path) -> None:
    names: dict[str, Any] = {"input_names": list(network.inputs), "output_names": list(network.outputs)}
    try:
        made = torch.onnx.export(program, (), dynamo=True, verbose=False, external_data=False, **names)
    except Exception as error:  # the converter raises errors of many classes
        raise CheckpointError(
            f"{path.name}: ONNX has no form of {_operator(error)}; other formats: {_others('onnx')}"
        ) from error
    assert made is not None
    made.save(path)


def _open_onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    used = {given.name for given in session.get_inputs()}
    return lambda inputs: list(session.run(None, {k: v.numpy() for k, v in inputs.items() if k in used}))


def _arrays(found: Sequence[Tensor]) -> list[npt.NDArray[Any]]:
    return [tensor.detach().cpu().numpy() for tensor in found]


def _operator(error: BaseException) -> str:
    """Return the operator that a chain of errors names, or what the first of them says."""
    found: BaseException | None = error
    while found is not None:
        if named := re.search(r"torch\.ops\.(\w+\.\w+(?:\.\w+)?)", str(found)):
            return named[1]
        found = found.__cause__
    return f"the network ({_first_line(error)})"


def _others(form: str) -> str:
    return ", ".join(name for name in FORMATS if name != form)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


FORMATS = {
    "torch-export": Format("network.pt2", _write_program, _open_program),
    "aot-inductor": Format("network.aot.pt2", _write_compiled, _open_compiled),
    "onnx": Format("network.onnx", _write_onnx, _open_onnx, ("onnx", "onnxscript", "onnxruntime")),
}
