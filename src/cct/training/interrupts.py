"""Turns Ctrl-C, SIGTERM and a closed terminal into requests, which a training handles between two steps."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

STOPPING = "stopping after this step"  # `cct ablate` reads it in the output of a training


class StopRequest:
    """Whether a signal asked for the end. It has no lock, for which a second signal could wait for ever."""

    def __init__(self) -> None:
        self._requested = False

    def set(self) -> None:
        self._requested = True

    def is_set(self) -> bool:
        return self._requested


@contextlib.contextmanager
def deferred_interrupts() -> Iterator[StopRequest]:
    """Note the first Ctrl-C, SIGTERM or SIGHUP. Another Ctrl-C or SIGTERM raises KeyboardInterrupt at once.

    An exception in the middle of a step would leave only a part of the variables updated.
    """
    stop_requested = StopRequest()
    if threading.current_thread() is not threading.main_thread():  # signals can be handled only there
        yield stop_requested
        return

    def ask(number: int, frame: Any) -> None:
        if not stop_requested.is_set():
            stop_requested.set()
            _tell(f"{STOPPING} (once more: at once, and back to the last checkpoint on disk)\n")
        elif number != signal.SIGHUP:  # shell and kernel each send one for the same closed terminal
            raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # nohup has a command ignore SIGHUP, and `&` in a script SIGINT.
    heeded = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, ask) for number in heeded}
    try:
        yield stop_requested
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(text: str) -> None:
    """Write to stdout from a signal handler, where `print` might be interrupting itself.

    The terminal may be closed, and a disk that takes the output full.
    """
    with contextlib.suppress(OSError):
        os.write(sys.__stdout__.fileno(), text.encode())
