"""Taking rows of a table by number, and summing into rows: each is the gradient of the other, and neither scatters.

On the CPU, the gradient of indexing adds row after row; with the numbers sorted once, the sums are bags of rows
(``embedding_bag``), some ten times faster.
"""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class RowNumbers:
    """Row numbers used several times, with the order that groups them.

    Args:
        numbers: (E,) int64.
        count: rows of the table.
    """

    def __init__(self, numbers: Tensor, count: int) -> None:
        self.numbers, self.count = numbers, count

    @cached_property
    def groups(self) -> tuple[Tensor, Tensor]:
        """The entries in the order of their rows (E,), and where each row's begin (count + 1,)."""
        order = torch.argsort(self.numbers, stable=True)
        return order, F.pad(torch.bincount(self.numbers, minlength=self.count).cumsum(0), (1, 0))

    def take(self, table: Tensor) -> Tensor:
        """Return the rows (E, D) of a table (count, D)."""
        out: Tensor = _Take.apply(table, self)
        return out

    def sum(self, values: Tensor) -> Tensor:
        """Return the sums (count, D) of the values (E, D) that belong to each row."""
        out: Tensor = _Sum.apply(values, self)
        return out


def _sum(values: Tensor, rows: RowNumbers) -> Tensor:
    if not len(rows.numbers):
        return values.new_zeros(rows.count, values.shape[1])
    order, bounds = rows.groups
    return F.embedding_bag(order, values.contiguous(), bounds, mode="sum", include_last_offset=True)


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: RowNumbers) -> Tensor:
        ctx.rows = rows
        return table.index_select(0, rows.numbers)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _sum(gradients[0], ctx.rows), None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: RowNumbers) -> Tensor:
        ctx.rows = rows
        return _sum(values, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0].index_select(0, ctx.rows.numbers), None
