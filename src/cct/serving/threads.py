"""Threads whose calls wait in the event loop, where a cancelled call leaves nothing behind."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class Threads:
    """A few threads. The queue of their pool stays empty, because a call is submitted when a thread is free."""

    def __init__(self, count: int, *, name: str) -> None:
        """
        Args:
            count: calls that run at a time.
            name: the start of the threads' names.
        """
        self._free = asyncio.Semaphore(count)
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(self, function: Callable[..., Result], *args: Any) -> Result:
        """The result of a function, computed in a thread."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        future = self._pool.submit(function, *args)
        # Nothing stops a thread, so a cancelled call occupies its thread until the function ends.
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._free.release))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)
