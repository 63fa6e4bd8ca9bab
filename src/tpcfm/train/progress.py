"""What a person sees: a bar on a terminal, log lines in a batch job."""

import logging
import sys
import time
from typing import Any

_log = logging.getLogger("tpcfm.train")


class Progress:
    """Shows loss, learning rate, speed and time left."""

    def __init__(self, name: str, start: int, steps: int, *, shown: bool, every: float = 10.0) -> None:
        """``every``: seconds between log lines where there is no terminal."""
        self.name, self.start, self.steps, self.every = name, start, steps, every
        self._begun = time.monotonic()
        self._last = -every
        self._shown = shown
        self._bar: Any = None
        if shown and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=steps, initial=start, desc=name, unit="step", dynamic_ncols=True)

    def step(self, done: int) -> None:
        """Note that ``done`` steps are complete."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def values(self, done: int, row: dict[str, Any]) -> None:
        """Show a training row."""
        if self._bar is not None:
            self._bar.set_postfix(
                loss=f"{row['loss']:.4g}", lr=f"{row['lr']:.2e}", events_per_s=f"{row['events_per_s']:.3g}"
            )
        elif self._shown and (time.monotonic() - self._last >= self.every or done == self.steps):
            self._last = time.monotonic()
            left = (self.steps - done) * (time.monotonic() - self._begun) / max(done - self.start, 1)
            _log.info(
                "%s: step %d/%d loss %.5g lr %.2e %.3g events/s, %s left",
                *(self.name, done, self.steps, row["loss"], row["lr"], row["events_per_s"], clock(left)),
            )

    def note(self, text: str, *args: object) -> None:
        """Say something between the values."""
        if self._shown:
            _log.info("%s: " + text, self.name, *args)

    def close(self) -> None:
        """Leave the terminal line."""
        if self._bar is not None:
            self._bar.close()


def clock(seconds: float) -> str:
    """Return seconds as ``h:mm:ss``."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
