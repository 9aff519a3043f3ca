"""Calls to a tracking server, repeated on a thread until they succeed."""

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable

from cct.errors import CCTError

log = logging.getLogger(__name__)

TRANSIENT = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED", "UNAUTHENTICATED")
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # MLflow's error codes for a missing thing
LONGEST_WAIT = 30.0  # seconds between two tries
UNANSWERED = "MLflow does not answer (%s): what is logged waits for it; cct track delivers what is left at the end"
UNDELIVERED = "not delivered to MLflow: %s; the files are complete: run cct track when it answers again"


class Delivery:
    """Makes calls one after another on its own thread, and repeats each call until it succeeds.

    Attributes:
        calls: the calls that are not delivered yet, the next one first.
        reason: the reason of the last failure; empty if the last try succeeded.
    """

    def __init__(self) -> None:
        self.calls: deque[Callable[[], None]] = deque()
        self.changed = threading.Condition()
        self.closing, self.reason = False, ""
        self.thread = threading.Thread(target=self._run, name="MLflow", daemon=True)
        self.thread.start()

    def put(self, call: Callable[[], None]) -> None:
        """Add a call. It is made after all earlier calls."""
        with self.changed:
            self.calls.append(call)
            self.changed.notify_all()

    def close(self, patience: float) -> None:
        """Wait until all calls are delivered or a last try has failed, for `patience` seconds at most."""
        with self.changed:
            self.closing = True
            self.changed.notify_all()
        self.thread.join(patience)
        if self.calls and not self.reason:  # else a warning is logged already
            log.warning(UNDELIVERED, f"no answer within {patience:.0f} s")

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
            except Exception as error:  # an error of tracking must not end a run
                if not _transient(error):
                    log.warning("MLflow refused something, which is left out: %s", error_reason(error))
                    self._done()
                    continue
                if not self._wait_after(error, wait):
                    return
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                if self.reason:
                    log.info("MLflow answers again")
                self.reason, wait = "", 1.0
                self._done()

    def _wait_after(self, error: Exception, seconds: float) -> bool:
        """Wait until the next try. Returns False if there is none, because the delivery is closing."""
        with self.changed:
            if not self.reason:
                log.warning(UNDELIVERED if self.closing else UNANSWERED, error_reason(error))
            self.reason = error_reason(error)
            self.changed.notify_all()
            if not self.closing:
                self.changed.wait_for(lambda: self.closing, timeout=seconds)
                return True
        return False

    def _done(self) -> None:
        with self.changed:
            self.calls.popleft()
            self.changed.notify_all()


def _transient(error: Exception) -> bool:
    """Whether the same call may succeed later. An error in the call itself is permanent."""
    if isinstance(error, CCTError):
        return False
    if type(error).__module__.partition(".")[0] == "mlflow":
        return getattr(error, "error_code", "INTERNAL_ERROR") in TRANSIENT
    return not isinstance(error, FileNotFoundError | ValueError | TypeError | KeyError | AttributeError | ImportError)


def error_reason(error: Exception) -> str:
    """The reason of an error, in one line."""
    where = re.search(r"host='([^']*)', port=(\d+)", str(error))
    why = re.search(r"\[Errno -?\d+\] ([\w ]+)|(timed out)", str(error))
    if where and why:
        return f"{where[1]}:{where[2]}: {why[1] or why[2]}"
    lines = [line for line in str(error).strip().splitlines() if not line.startswith("(raised as a result of")]
    return (lines[0] if lines else type(error).__name__)[:300]


def now_ms() -> int:
    """Milliseconds since 1970, MLflow's unit of time."""
    return time.time_ns() // 1_000_000
