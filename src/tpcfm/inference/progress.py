"""What a person sees of many files on their way through a model: a bar on a terminal, log lines in a batch job."""

import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_log = logging.getLogger("tpcfm.predict")
EVERY = 10.0
"""Seconds between log lines where there is no terminal."""


class Progress:
    """Shows files and events done, events per second and the time left, which goes by the bytes of the files.

    Args:
        what: that is made, for the bar.
        files: to be worked through; finished ones may be among them.
        shown: false keeps quiet.
    """

    def __init__(self, what: str, files: Sequence[Path], shown: bool) -> None:
        self.sizes = {path: path.stat().st_size if path.is_file() else 0 for path in files}
        self.what, self.shown, self.files = what, shown, 0
        self.events, self.bytes, self.skipped = 0, 0, 0
        self._total = sum(self.sizes.values())
        self._begun = self._said = time.monotonic()
        self._now, self._share, self._here = Path(), 0.0, 0
        self._bar: Any = None
        if shown and sys.stderr.isatty():
            from tqdm import tqdm

            layout = "{desc}: {percentage:3.0f}%|{bar}| {postfix}"
            self._bar = tqdm(total=self._total, desc=what, dynamic_ncols=True, bar_format=layout)

    def begin(self, path: Path, events: int) -> None:
        """A file is opened; ``events`` of it are known, 0 if only reading it tells."""
        self._now, self._share, self._here = path, self.sizes[path] / events if events else 0.0, 0

    def event(self) -> None:
        """One more event of it is done."""
        self.events += 1
        self._here += 1
        if self.shown and (now := time.monotonic()) - self._said >= (0.2 if self._bar is not None else EVERY):
            self._say(now)

    def end(self, path: Path, skipped: bool = False) -> None:
        """A file is done, or was there already."""
        self.files += 1
        if skipped:
            self.skipped += self.sizes[path]
        self.bytes += self.sizes[path]
        self._here = 0

    def _say(self, now: float) -> None:
        self._said = now
        seconds, done = now - self._begun, self.bytes + self._here * self._share
        worked = done - self.skipped
        left = clock(seconds * (self._total - done) / worked) if worked > 0 else "?"
        text = f"{self.files}/{len(self.sizes)} files, {self.events} events, {self.events / seconds:.3g} events/s, {left} left"
        if self._bar is None:
            _log.info("%s: %s", self.what, text)
            return
        self._bar.n = min(done, self._total)
        self._bar.set_postfix_str(text)

    def close(self) -> str:
        """Leave the terminal line; return the sum of it in words."""
        if self._bar is not None:
            self._bar.close()
        seconds = time.monotonic() - self._begun
        return f"{self.events} events in {clock(seconds)} ({self.events / max(seconds, 1e-9):.3g} events/s)"


def clock(seconds: float) -> str:
    """Return seconds as ``h:mm:ss``."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
