"""A copy of the workflow in a temporary folder, and the tiny scale run once for all tests of this folder."""

from pathlib import Path

import pytest

from workflow_checkout import Checkout, copy_checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh copy without results."""
    return copy_checkout(tmp_path)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy in which the whole tiny scale has been run."""
    copy = copy_checkout(tmp_path_factory.mktemp("tiny"))
    result = copy.snakemake("--", "all")
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-8000:]
    return copy
