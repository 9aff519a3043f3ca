"""Calls to a tracking server, made on a thread until they succeed."""

import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from cct.log import redact

TRANSIENT = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED", "UNAUTHENTICATED")
LONGEST_WAIT = 30.0  # seconds between two tries
UNANSWERED = (
    "MLflow does not answer ({}): what is logged is kept until it does, and what is left at the end is for cct track"
)
UNDELIVERED = "not delivered to MLflow: {}; the files are complete: run cct track when it answers again"


class Delivery:
    """Makes calls one after another on a thread of its own, each again and again until it succeeds."""

    def __init__(self) -> None:
        self.calls: deque[Callable[[], None]] = deque()
        self.changed = threading.Condition()
        self.closing, self.reason = False, ""
        self.thread = threading.Thread(target=self._run, name="MLflow", daemon=True)
        self.thread.start()

    def put(self, call: Callable[[], None]) -> None:
        """Have a call made after all that were put before it."""
        with self.changed:
            self.calls.append(call)
            self.changed.notify_all()

    def close(self, patience: float) -> None:
        """Wait until all is delivered, or the last try of what is not has failed, or `patience` seconds."""
        with self.changed:
            self.closing = True
            self.changed.notify_all()
        self.thread.join(patience)
        if self.calls and not self.reason:  # else it has been said
            warn(UNDELIVERED.format(f"no answer within {patience:.0f} s"))

    def _run(self) -> None:
        wait = 1.0
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.calls or self.closing)
                if not self.calls:
                    return
                call = self.calls[0]
            try:
                call()
            except Exception as error:  # whatever a tracker throws, it is not worth a run
                if not _transient(error):
                    warn(f"MLflow refused something, which is left out: {error_reason(error)}")
                    self._done()
                    continue
                with self.changed:
                    if not self.reason:
                        warn((UNDELIVERED if self.closing else UNANSWERED).format(error_reason(error)))
                    self.reason = error_reason(error)
                    self.changed.notify_all()
                    if self.closing:
                        return
                    self.changed.wait_for(lambda: self.closing, timeout=wait)
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                if self.reason:
                    print("MLflow answers again", file=sys.stderr)
                self.reason, wait = "", 1.0
                self._done()

    def _done(self) -> None:
        with self.changed:
            self.calls.popleft()
            self.changed.notify_all()


def warn(warning: str) -> None:
    """A warning, without anybody's password."""
    print(f"warning: {redact(warning)}", file=sys.stderr)


def _transient(error: Exception) -> bool:
    """Whether the same call may succeed later. What is wrong with the call itself will stay wrong."""
    if type(error).__module__.partition(".")[0] == "mlflow":
        return getattr(error, "error_code", "INTERNAL_ERROR") in TRANSIENT
    return not isinstance(error, FileNotFoundError | ValueError | TypeError | KeyError | AttributeError | ImportError)


def error_reason(error: Exception) -> str:
    """What went wrong, in a line."""
    where = re.search(r"host='([^']*)', port=(\d+)", str(error))
    why = re.search(r"\[Errno -?\d+\] ([\w ]+)|(timed out)", str(error))
    if where and why:
        return f"{where[1]}:{where[2]}: {why[1] or why[2]}"
    lines = [line for line in str(error).strip().splitlines() if not line.startswith("(raised as a result of")]
    return (lines[0] if lines else type(error).__name__)[:300]


def now_ms() -> int:
    """Milliseconds since 1970, as MLflow has time."""
    return time.time_ns() // 1_000_000
