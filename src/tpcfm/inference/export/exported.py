"""An exported network behind the same interface as the live one: `predict` with the graph in the place of the modules."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tpcfm.detectors.model import ClassLabel
from tpcfm.errors import CheckpointError
from tpcfm.files import read_json
from tpcfm.inference.export.formats import FORMATS, Run
from tpcfm.inference.model import Model
from tpcfm.prepare.packing import Batch
from tpcfm.tasks.answers import Answer, Predictor, Tensors
from tpcfm.tasks.traceable import input_of

RECORD = "export.json"


class ExportedModel(Model):
    """The folder that `tpcfm export` wrote, run on the CPU through its exported network.

    Raises:
        CheckpointError: no such folder.
        MachineError: the format needs a package that is not here.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder, "cpu")
        if not (self.folder / RECORD).is_file():
            raise CheckpointError(f"{folder}: holds no {RECORD}; `tpcfm export` writes such a folder")
        self.record: dict[str, Any] = read_json(self.folder / RECORD)
        form = FORMATS[self.record["format"]]
        form.check()
        self.run: Run = form.open(self.folder / form.file)

    @cached_property
    def predictor(self) -> Predictor:
        """The exported network, fed as the live one is."""
        collate = super().predictor.collate

        def answer(batch: Batch, tensors: Tensors) -> dict[str, Answer]:
            return self.answers(tensors)

        return Predictor(collate, answer)

    @torch.no_grad()
    def answers(self, tensors: Tensors) -> dict[str, Answer]:
        """Return what the exported network says about the points of a batch."""
        found = self.run({name: input_of(name, tensors) for name in self.record["inputs"]})
        outputs = dict(zip(self.record["outputs"], found, strict=True))
        return {label: self._answer(label, outputs) for label in self.labels}

    def _answer(self, label: str, outputs: dict[str, Any]) -> Answer:
        kind, values = self.detector.labels[label], outputs[label]
        numbers = kind.encode(values) if isinstance(kind, ClassLabel) else values
        return Answer(np.asarray(numbers, np.int64), np.asarray(outputs[f"{label}_score"], np.float32))
