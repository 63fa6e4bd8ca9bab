"""Read and check the configuration: a wrong key or value stops with its name, the value given and what is allowed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tpcfm.config.text import explain, merge, read_yaml
from tpcfm.config.workflow import WorkflowConfig
from tpcfm.errors import ConfigError


def validate(values: Mapping[str, Any]) -> WorkflowConfig:
    """Check a merged configuration.

    Raises:
        ConfigError: names every wrong key, the value given and what is allowed.
    """
    try:
        return WorkflowConfig.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(f"the configuration is not valid:\n{explain(error, WorkflowConfig)}") from error


def load(*paths: str | Path) -> WorkflowConfig:
    """Read ``config.yaml`` and overlays, the later over the earlier, and check the result."""
    values: dict[str, Any] = {}
    for path in paths:
        values = merge(values, read_yaml(path))
    return validate(values)
