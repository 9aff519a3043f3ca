"""Ctrl-C and SIGTERM as requests."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def deferred_interrupts(say: Callable[[str], None]) -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into a request, which training meets between two steps; the second is at once.

    An exception out of the middle of a step would leave a state that is neither the one before nor the one after it.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield asked
        return

    def ask(number: int, frame: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        say("stopping after this step (once more: at once, and back to the last state on disk)")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
