"""DVC's queue of experiments, run in the foreground. Ctrl-C ends these experiments and no others.

The workers are DVC's own processes. If the process that started them is killed, they continue. The next process waits
for their experiments.
"""

import contextlib
import io
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cct.dvc import child_environment
from cct.errors import CCTError
from cct.training.interrupts import STOPPING

# Seconds between two looks at the queue, and between two looks at the workers. The workers take a second to answer.
LOOK, LOOK_AFTER_WORKERS = 1.0, 30.0
PATIENCE = 60.0  # seconds for an interrupted experiment to write its checkpoint
REPEAT = 5.0  # seconds between two interrupts of an experiment that does not answer
LOG = ".dvc/tmp/exps/run/{0}/{0}.out"


class Queue:
    """The queue of the repository in the current folder. It is a context manager."""

    def __init__(self) -> None:
        # DVC's code runs in this process, so this process has the environment of a DVC child process meanwhile.
        self.before = dict(os.environ)
        os.environ.update(child_environment())
        with _explained():
            from dvc.repo import Repo

            self.repository = Repo(".")

    def __enter__(self) -> "Queue":
        return self

    def __exit__(self, *error: Any) -> None:
        self.repository.close()
        os.environ.clear()
        os.environ.update(self.before)

    @property
    def _queue(self) -> Any:
        return self.repository.experiments.celery_queue

    def waiting(self) -> dict[str, str]:
        """Tasks that no worker has taken: identifier by name."""
        return {entry.name or entry.stash_rev[:7]: entry.stash_rev for entry in self._queue.iter_queued()}

    def running(self) -> dict[str, str]:
        """Unfinished tasks that a worker has taken, even if it died: identifier by name."""
        return {entry.name or entry.stash_rev[:7]: entry.stash_rev for entry in self._queue.iter_active()}

    def log(self, name: str) -> Path | None:
        """The file with the output of a failed task, or None."""
        found = [LOG.format(done.entry.stash_rev) for done in self._queue.iter_failed() if done.entry.name == name]
        return next((Path(path) for path in reversed(found) if Path(path).is_file()), None)

    def work(
        self,
        experiments: Mapping[str, Sequence[str]],
        *,
        jobs: int,
        queued: Callable[[], None],
        ended: Callable[[str], None],
    ) -> None:
        """Run experiments in their order, `jobs` at a time, and wait for them.

        Args:
            experiments: parameters, each as `train.epochs=3`, by name. A queued task of that name is waited for; a
                failed task of that name is removed.
            jobs: number of workers.
            queued: called when all experiments are in the queue, before a worker starts.
            ended: called with the name of each experiment that has ended, successful or not.

        Raises:
            CCTError, KeyboardInterrupt: DVC refused an experiment, `queued` or `ended` raised an error, or Ctrl-C.
                Running tasks were interrupted, and waiting tasks were removed from the queue.
        """
        pending, asked, silent = set(experiments), -math.inf, False
        try:
            self._put(experiments)
            queued()
            while pending:
                waiting, running = self.waiting(), self.running()  # in this order, so that a starting task is in one
                for name in sorted(pending - waiting.keys() - running.keys()):
                    pending.remove(name)
                    ended(name)
                if pending and time.monotonic() - asked > LOOK_AFTER_WORKERS:
                    workers = self._queue.worker_status()
                    if len(workers) < jobs and pending & waiting.keys():
                        _dvc("queue", "start", "--jobs", str(jobs))
                    lost = {name: task for name, task in running.items() if not workers and not self._alive(task)}
                    if silent and pending & lost.keys():  # twice: a task that is being set up has no process yet
                        self._end([lost[name] for name in pending & lost.keys()])
                    asked, silent = time.monotonic(), bool(lost)
                time.sleep(LOOK)
        except BaseException:
            self._stop(pending)
            raise

    def _put(self, experiments: Mapping[str, Sequence[str]]) -> None:
        here = self.waiting() | self.running()
        self._remove([done.entry.stash_rev for done in self._queue.iter_failed() if done.entry.name in experiments])
        for name, settings in experiments.items():
            if name not in here:
                # DVC stashes the work tree at its start, and restores it at its end.
                with _uninterrupted(), _explained():
                    self.repository.experiments.run(queue=True, name=name, params=list(settings))

    def _stop(self, names: set[str]) -> None:
        print("\nstopping: running trainings write a checkpoint first", flush=True)
        # Waiting tasks are removed first: a worker that is told to end first takes another task, and forgets it.
        self._remove([task for name, task in self.waiting().items() if name in names])
        until, again = time.monotonic() + PATIENCE, -math.inf
        while (left := [task for name, task in self.running().items() if name in names]) and time.monotonic() < until:
            if time.monotonic() > again:  # a process that was starting may have missed the first interrupt
                with contextlib.suppress(CCTError):  # a task has just ended
                    self._end([task for task in left if not self._is_stopping(task)])
                again = time.monotonic() + REPEAT
            time.sleep(LOOK)
        self._remove([done.entry.stash_rev for done in self._queue.iter_failed() if done.entry.name in names])

    def _is_stopping(self, task: str) -> bool:
        """Whether a training writes its last checkpoint. A second interrupt would end it at once."""
        log = Path(LOG.format(task))
        return log.is_file() and STOPPING in log.read_text(encoding="utf-8", errors="replace")

    def _alive(self, task: str) -> bool:
        process = self._queue.proc.get(task)
        if process is None or process.returncode is not None:
            return False
        try:
            os.kill(process.pid, 0)
        except OSError:
            return False
        return True

    def _end(self, tasks: Sequence[str]) -> None:
        """Interrupt tasks. Tasks without a process are marked as failed."""
        with _uninterrupted(), _explained():
            if tasks:
                self._queue.kill(tasks)

    def _remove(self, tasks: Sequence[str]) -> None:
        with _uninterrupted(), _explained():
            if tasks:
                self._queue.remove(tasks)


def _dvc(*words: str) -> None:
    binary = Path(sys.executable).with_name("dvc")
    # A file, not a pipe: the workers keep it open. Its own session: this process decides what Ctrl-C ends.
    with _uninterrupted(), tempfile.TemporaryFile("w+") as said:
        done = subprocess.run([binary, *words], stdout=said, stderr=said, start_new_session=True, check=False)
        if done.returncode:
            said.seek(0)
            raise CCTError(f"dvc {' '.join(words[:2])} failed: {said.read().strip()}")


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Hide DVC's output, and turn its errors into errors of the user."""
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except (DvcException, SCMError) as error:
        raise CCTError(f"DVC's queue: {error}") from error


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM until the block has ended."""
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt
