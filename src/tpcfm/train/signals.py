"""Being asked to stop: signals and time limits set a flag, and the loop saves at the next step."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_log = logging.getLogger("tpcfm.train")
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGURG)
"""SIGURG is what the Slurm profile asks for: Slurm signals every process of a job, and this one ends nobody who does not listen. SIGTERM
ends the process that mounts a container image, which takes the image away below a trainer that is about to save."""


class StopRequest:
    """Why training should stop, if it should."""

    def __init__(self, max_seconds: float | None = None) -> None:
        """``max_seconds`` from now; the end of the Slurm job, where Slurm tells it, limits too (less a tenth, at most
        10 min)."""
        self.signal: str | None = None
        self._deadlines: list[tuple[float, str]] = []
        if max_seconds is not None:
            self._deadlines.append((time.monotonic() + max_seconds, f"time limit of {max_seconds:g} s"))
        if end := os.environ.get("SLURM_JOB_END_TIME", ""):
            left = float(end) - time.time()
            margin = min(600.0, 0.1 * max(left, 0.0))
            self._deadlines.append((time.monotonic() + left - margin, f"end of the Slurm job in {left:.0f} s"))

    def reason(self, needed: float) -> str | None:
        """Return why to stop now, or None. ``needed``: seconds that one more step and a save may take."""
        if self.signal:
            return self.signal
        now = time.monotonic()
        return next((why for deadline, why in self._deadlines if now + needed > deadline), None)

    @contextmanager
    def listening(self) -> Iterator["StopRequest"]:
        """Catch SIGTERM, SIGUSR1, SIGURG and one SIGINT (in the main thread only, where Python delivers signals), then put
        the handlers back. A second SIGINT (Ctrl-C) interrupts at once; one that is ignored, as in background jobs, stays ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return

        def note(number: int, frame: FrameType | None) -> None:
            self.signal = f"signal {signal.Signals(number).name}"
            again = ""
            if number == signal.SIGINT:
                signal.signal(signal.SIGINT, before[signal.SIGINT])
                again = " (again: stop at once, without saving)"
            _log.warning("%s received: saving at the next step%s", self.signal, again)

        caught = [s for s in (*_SIGNALS, signal.SIGINT) if s != signal.SIGINT or signal.getsignal(s) != signal.SIG_IGN]
        before = {s: signal.signal(s, note) for s in caught}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
