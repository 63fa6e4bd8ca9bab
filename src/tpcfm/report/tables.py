"""Tables of the page: numbers with intervals, units in the head, the published value beside ours."""

import html
import math
from collections.abc import Sequence
from typing import Any

from tpcfm.report.draw.style import Item, Sheet


def number(value: Any, digits: int = 3) -> str:
    """Write a number for people; a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ")
    if isinstance(value, float):
        if value and (abs(value) >= 1e5 or abs(value) < 10**-digits):
            mantissa, exponent = f"{value:.2e}".split("e")
            return f"{mantissa} × 10<sup>{int(exponent)}</sup>"
        return f"{value:.{digits}f}" if abs(value) < 100 else f"{value:,.0f}".replace(",", " ")
    return html.escape(str(value))


def with_interval(value: float, low: float, high: float, digits: int = 3) -> str:
    """Write a value with its 95 % interval, if there is one."""
    if any(math.isnan(v) for v in (low, high)):
        return number(value, digits)
    return f'{number(value, digits)} <span class="interval">[{number(low, digits)}, {number(high, digits)}]</span>'


def share_with_interval(value: float, low: float, high: float) -> str:
    """Write a score between 0 and 1, or a difference of two, with its 95 % interval: three digits, never a power of ten."""
    return with_interval(round(float(value), 3), round(float(low), 3), round(float(high), 3))


def table(
    sheet: Sheet,
    name: str,
    title: str,
    head: Sequence[str],
    rows: Sequence[Sequence[Any]],
    caption: str = "",
    wide: bool = False,
) -> Item:
    """Return a table of a sheet; `Markup` cells pass as they are, numbers are written for people."""
    body = []
    for row in rows:
        cells = []
        for cell in row:
            text = cell.text if isinstance(cell, Markup) else number(cell)
            kind = "number" if isinstance(cell, int | float | Markup) else "text"
            cells.append(f'<td class="{kind}">{text}</td>')
        body.append(f"<tr>{''.join(cells)}</tr>")
    heads = "".join(f"<th>{html.escape(h)}</th>" for h in head)
    text = f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
    return sheet.item(name, title, text, caption, wide or len(head) > 4)


class Markup:
    """A cell that is already HTML."""

    def __init__(self, text: str) -> None:
        self.text = text
