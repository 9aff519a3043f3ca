"""Calls the model in one thread, with all inputs that wait as one batch."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cct.serving.refusals import busy


class Job(NamedTuple):
    """Inputs of one request, and where their answer goes."""

    arrays: np.ndarray
    future: asyncio.Future[np.ndarray]


class Batcher:
    """Puts the inputs of concurrent requests together.

    It never waits. The inputs that arrive during one batch are the next batch.

    Attributes:
        waiting: inputs that wait for the model.
    """

    def __init__(
        self,
        model: Callable[[np.ndarray], np.ndarray],
        *,
        most: int,
        queue: int,
        pad: bool,
        observe: Callable[[int], None] = lambda size: None,
    ) -> None:
        """Start the thread. It ends with `close`.

        Args:
            model: from inputs (n, ...) to probabilities (n, classes).
            most: inputs of a batch. A request with more is a batch by itself.
            queue: inputs that may wait.
            pad: fill batches to a power of two. A model that is compiled for each size is then compiled a few times.
            observe: is told the size of each batch, in the thread of the event loop.
        """
        self._model, self._most, self._queue, self._pad, self._observe = model, most, queue, pad, observe
        self._loop = asyncio.get_running_loop()
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self.waiting = 0
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    async def predict(self, arrays: np.ndarray) -> np.ndarray:
        """The probabilities (n, classes) of inputs (n, ...).

        A cancelled call, such as one that took too long, is not computed if it still waits.

        Raises:
            Refusal: the queue is full.
        """
        future = self._loop.create_future()
        with self._changed:
            if self.waiting and self.waiting + len(arrays) > self._queue:
                raise busy(f"{self.waiting:,} inputs wait already, and {self._queue:,} may: ask again later")
            self.waiting += len(arrays)
            self._jobs.append(Job(arrays, future))
            self._changed.notify()
        return await future

    def close(self) -> None:
        """End the thread after the batch that it computes."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while jobs := self._next():
            try:
                answers_nk = self._model(self._batch(jobs))
            except Exception as error:
                self._loop.call_soon_threadsafe(_fail, jobs, error)
            else:
                self._loop.call_soon_threadsafe(self._deliver, jobs, answers_nk)

    def _next(self) -> list[Job]:
        """The jobs of the next batch; none after `close`."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if self._closed:
                    return []
                jobs, size = [], 0
                while self._jobs and (not jobs or size + len(self._jobs[0].arrays) <= self._most):
                    job = self._jobs.popleft()
                    self.waiting -= len(job.arrays)
                    if not job.future.cancelled():
                        jobs.append(job)
                        size += len(job.arrays)
                if jobs:
                    return jobs

    def _batch(self, jobs: list[Job]) -> np.ndarray:
        parts = [job.arrays for job in jobs]
        size = sum(map(len, parts))
        missing = padded_size(size) - size if self._pad else 0
        if missing:
            parts.append(np.repeat(parts[0][:1], missing, axis=0))  # which every model can compute
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _deliver(self, jobs: list[Job], answers_nk: np.ndarray) -> None:
        start = 0
        for job in jobs:
            end = start + len(job.arrays)
            if not job.future.done():
                job.future.set_result(answers_nk[start:end])
            start = end
        self._observe(start)


def padded_size(size: int) -> int:
    """The next power of two."""
    return 1 << (size - 1).bit_length()


def _fail(jobs: list[Job], error: Exception) -> None:
    for job in jobs:
        if not job.future.done():
            job.future.set_exception(error)
