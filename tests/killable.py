"""Commands that are stopped or killed at a given moment."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from clones import Clone
from patience import HUNG_S


class Killable:
    """A command in a session of its own, so that a kill takes all of its processes at once, as a crash does."""

    def __init__(self, clone: Clone, log: Path, *words: str, **variables: str) -> None:
        self.clone, self.log = clone, log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                words or ["dvc", "repro"], cwd=clone.path, env=clone.environment | variables, stdout=file,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def said(self, pattern: str) -> Callable[[], bool]:
        return lambda: re.search(pattern, self.log.read_text(errors="replace")) is not None

    def exists(self, pattern: str) -> Callable[[], bool]:
        return lambda: any(self.clone.path.glob(pattern))

    def stop_when(self, condition: Callable[[], bool], *, every: float = 0.01) -> None:
        """Stop everything when the condition is true, and still true once nothing moves any more.

        Args:
            every: seconds from one look to the next. What is true for a shorter time may be missed.
        """
        end = time.monotonic() + HUNG_S
        while True:
            assert self.process.poll() is None, f"ended first:\n{self.log.read_text()}"
            assert time.monotonic() < end, f"never true:\n{self.log.read_text()}"
            if condition():
                os.killpg(self.process.pid, signal.SIGSTOP)
                if condition():
                    break
                os.killpg(self.process.pid, signal.SIGCONT)
            time.sleep(every)

    def resume(self) -> None:
        """Let everything that is stopped run again."""
        os.killpg(self.process.pid, signal.SIGCONT)

    def kill_when(self, condition: Callable[[], bool], number: int = signal.SIGKILL, *, every: float = 0.01) -> None:
        """Kill when the condition is true. `every` as in `stop_when`."""
        self.stop_when(condition, every=every)
        os.killpg(self.process.pid, number)
        self.resume()
        self.process.wait()
