"""The ledger: every printed number, with ours at the scale at hand, the difference, and whether it is reproduced.

Reproduced: the interval of the printed number (95 % of its printed error, at least half a unit of its last digit) meets ours (95 %
over seeds; of one seed over test events), and the case is the paper's own: scale ``paper``, the same size, start and number of labels.
Anything else is another scale, whatever it gives. Parameter counts need no training: they are computed.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tpcfm.plan.table import Plan
from tpcfm.report.published.ours import COMPUTED, Ours, Results, find
from tpcfm.report.published.printed import NAMES, OTHERS, Number, numbers
from tpcfm.scaling.cost import Costs
from tpcfm.scaling.devices import Assumptions, device

PAPER_SCALE = "paper"
REPRODUCED, DIFFERS, ELSEWHERE, NOT_RUN = "reproduced", "differs", "another scale", "not run here"
STATES = (REPRODUCED, DIFFERS, ELSEWHERE, NOT_RUN)
COLUMNS = (
    *("paper", "place", "row", "column", "metric", "class", "unit", "data"),
    *("published", "published_low", "published_high", *OTHERS),
    *("ours", "low", "high", "difference", "status", "cost_gpu_hours"),
    *("scale", "system", "point", "n_labels", "seeds", "runs", "note"),
)


def judge(number: Number, ours: Ours | None) -> str:
    """Return one of `STATES`."""
    if ours is None:
        return NOT_RUN
    if ours.scale not in (PAPER_SCALE, COMPUTED) or not ours.exact:
        return ELSEWHERE
    low, high = (ours.value if np.isnan(end) else end for end in (ours.low, ours.high))
    slack = 1e-9 * max(1.0, abs(number.printed.value))  # the ends of printed intervals are no exact binary fractions
    meets = low <= number.printed.high + slack and high >= number.printed.low - slack
    return REPRODUCED if meets else DIFFERS


class HoursOfThePaper:
    """GPU-hours of the runs behind a printed number, with the pretraining they need, by the plan of the papers' scale."""

    def __init__(self, paper: Plan, gpu: str = "h100") -> None:
        self.plan, self.results, self.costs = paper, Results(paper), Costs(paper)
        self.device, self.assumed = device(gpu), Assumptions()
        self._hours: dict[str, float] = {}

    def __call__(self, number: Number) -> float:
        """Return hours; NaN where the plan has no such runs."""
        for rule in number.rules:
            if runs := set(self.results.runs(number, rule)):
                base = (set(self.results.runs(number, other)) for other in rule.against)
                runs |= next(filter(None, base), set())
                runs |= {str(self.plan.runs[run].pretrained) for run in runs} & set(self.plan.runs)
                return sum(map(self._of, runs))
        return float("nan")

    def _of(self, run: str) -> float:
        if run not in self._hours:
            found = self.costs.estimate(run)
            self._hours[run] = self.costs.time(run, found, self.device, self.assumed) / 3600 if found else float("nan")
        return self._hours[run]


def make_ledger(results: Results, paper: Plan | None = None) -> pd.DataFrame:
    """Return the ledger, one row per printed number (`COLUMNS`).

    Args:
        results: what stands beside the printed numbers.
        paper: the plan of the papers' scale, for what a number that was not run would cost.
    """
    hours = HoursOfThePaper(paper) if paper else None
    return pd.DataFrame([_row(number, results, hours) for number in numbers()], columns=list(COLUMNS))


def _row(number: Number, results: Results, hours: HoursOfThePaper | None) -> Mapping[str, Any]:
    ours, printed = find(number, results), number.printed
    status = judge(number, ours)
    row = {
        **{name: getattr(number, name) for name in ("paper", "place", "row", "column", "metric", "data", "note")},
        "class": number.of_class,
        "unit": NAMES[printed.unit],
        "published": printed.value,
        "published_low": printed.low,
        "published_high": printed.high,
        **{name: number.others[name].value if name in number.others else np.nan for name in OTHERS},
        "status": status,
        "cost_gpu_hours": hours(number) if hours and status == NOT_RUN else np.nan,
    }
    if ours is None:
        numbers_ = dict.fromkeys(("ours", "low", "high", "difference"), np.nan)
        return row | numbers_ | dict.fromkeys(("scale", "system", "point", "runs"), "") | {"n_labels": -1, "seeds": 0}
    own = {name: getattr(ours, name) for name in ("low", "high", "scale", "system", "point", "n_labels", "seeds")}
    return row | own | {"ours": ours.value, "difference": ours.value - printed.value, "runs": " ".join(ours.runs)}


def summary(ledger: pd.DataFrame) -> str:
    """Return how many numbers have which status, in words."""
    found = Counter(ledger["status"])
    return ", ".join(f"{found[state]} {state}" for state in STATES if found[state])
