"""AdamW over named parameter groups."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tpcfm.config.training import TrainConfig
from tpcfm.errors import ConfigError

GROUP_KEYS = frozenset({"name", "params", "lr_scale", "weight_decay"})


def make_optimizer(
    model: nn.Module, config: TrainConfig, groups: Iterable[Mapping[str, Any]] | None = None
) -> torch.optim.AdamW:
    """Return AdamW over the trainable parameters of a model.

    PyTorch's AdamW shrinks a weight by ``lr * weight_decay`` per step with the group's own ``lr``, so a group's
    ``lr_scale`` scales its decay too. Groups that should decay alike at every width (µP) give ``weight_decay =
    config.weight_decay / lr_scale``.

    Args:
        model: its parameters with ``requires_grad`` are trained.
        config: betas and the default weight decay.
        groups: mappings with ``params`` (required) and ``name``, ``lr_scale`` (1), ``weight_decay`` (the config's);
            None trains everything as one group, norms and biases decayed too (as both papers' code does).

    Raises:
        ConfigError: unknown group key; a trainable parameter in no group or in two; nothing to train.
    """
    names = {id(p): name for name, p in model.named_parameters() if p.requires_grad}
    if groups is None:
        groups = [{"name": "all", "params": [p for p in model.parameters() if p.requires_grad]}]
    resolved: list[dict[str, Any]] = []
    seen: set[int] = set()
    for number, group in enumerate(groups):
        if unknown := set(group) - GROUP_KEYS:
            raise ConfigError(
                f"parameter group {number}: unknown keys {sorted(unknown)}; allowed: {sorted(GROUP_KEYS)}"
            )
        params = [p for p in group["params"] if p.requires_grad]
        for p in params:
            if id(p) in seen or id(p) not in names:
                why = "is in two groups" if id(p) in seen else "is not a parameter of the model"
                raise ConfigError(f"parameter group {group.get('name', number)}: {names.get(id(p), 'a tensor')} {why}")
            seen.add(id(p))
        if params:
            resolved.append(
                {
                    "name": str(group.get("name", number)),
                    "params": params,
                    "lr_scale": float(group.get("lr_scale", 1.0)),
                    "weight_decay": float(group.get("weight_decay", config.weight_decay)),
                }
            )
    if missing := [name for key, name in names.items() if key not in seen]:
        raise ConfigError(f"parameter groups leave out {len(missing)} trainable parameters, first: {missing[:3]}")
    if not resolved:
        raise ConfigError("nothing to train: no parameter requires a gradient")
    on_cuda = all(p.is_cuda for group in resolved for p in group["params"])
    return torch.optim.AdamW(resolved, lr=config.learning_rate, betas=config.betas, fused=on_cuda or None)


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return two groups: matrices decayed; vectors and scalars (norm gains, biases) not."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"name": "decay", "params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"name": "no_decay", "params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def clip_gradients(parameters: list[nn.Parameter], config: TrainConfig) -> Tensor:
    """Clip by global norm or by value; return the norm before clipping (a tensor on the device, not read)."""
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(grads) if grads else torch.zeros(())
    if config.clip and config.clip_mode == "norm":
        torch.nn.utils.clip_grads_with_norm_(parameters, config.clip, norm)
    elif config.clip:
        torch.nn.utils.clip_grad_value_(parameters, config.clip)
    return norm
