"""Tiny untrained networks of every architecture, made once for all tests of this room."""

import pytest
import torch

from model_zoo import toy_models
from tpcfm.workspace import Workspace


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[str, torch.nn.Module]]:
    """The workspace and the networks by name (see `model_zoo.configs`)."""
    return toy_models(tmp_path_factory.mktemp("zoo"))


@pytest.fixture
def space(zoo: tuple[Workspace, dict[str, torch.nn.Module]]) -> Workspace:
    """The workspace alone."""
    return zoo[0]
