"""A watch on a long run: the line or bar that says how far it is, and its time limit."""

from __future__ import annotations

import math
import time

from tqdm import tqdm

__all__ = ["Watch", "bar"]


SILENCE = 3.0
"""Seconds before a run says anything, so that short ones print nothing."""


PAUSE = 0.5
"""Seconds between two words."""


def bar(steps: int) -> tqdm:
    """A bar for so many steps, like the line of a :class:`Watch` silent at first and
    wiped at the end; told by its ``update``.
    """
    return tqdm(total=steps, delay=SILENCE, unit="step", leave=False)


class Watch:
    """Shows the clock that a run reached, from ``SILENCE`` seconds on, and says when
    its ``limit`` (seconds) is past.

    The line goes to standard error and is wiped at the end; ``TQDM_DISABLE=1`` silences it.
    """

    def __init__(self, until: float, limit: float | None) -> None:
        self.began = time.monotonic()
        self.limit = math.inf if limit is None else limit
        self.labour = math.inf
        self.earliest = math.inf
        self.until = until
        self.next_word = SILENCE
        self.line: tqdm | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.began

    def hasten(self, labour: float) -> None:
        """Allow so many more seconds of the processor: what comes out does not depend
        on who else uses the machine.
        """
        self.labour = time.thread_time() + labour
        self.earliest = self.elapsed + labour

    def out_of_time(self, clock: float) -> bool:
        """Whether the limit is past; a word on ``clock`` on the way, when one is due."""
        elapsed = self.elapsed
        if elapsed >= self.next_word:
            self.say(clock)
            self.next_word = elapsed + PAUSE
        if elapsed >= self.limit:
            return True
        # The processor's time cannot be over before the clock's, and asking for it is slow.
        return elapsed >= self.earliest and time.thread_time() >= self.labour

    def say(self, clock: float) -> None:
        """Write the line, or write it anew."""
        text = f"gradient flow: s = {clock:.4g} of {self.until:g}, {self.elapsed:.0f} s"
        if self.line is None:
            self.line = tqdm(total=0, bar_format="{desc}", leave=False)
        self.line.set_description_str(text)

    def close(self) -> None:
        """Wipe the line."""
        if self.line is not None:
            self.line.close()
