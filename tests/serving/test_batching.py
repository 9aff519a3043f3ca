"""Concurrent requests are one call of the model."""

import asyncio
import threading

import numpy as np
import pytest
from patience import HUNG_S

from cct.serving.batching import Batcher, padded_size
from cct.serving.refusals import Refusal


class Model:
    """Answers with its inputs, one batch for each `go`."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, arrays: np.ndarray) -> np.ndarray:
        self.sizes.append(len(arrays))
        self.begun.release()
        self.go.acquire()
        if (arrays == 13).any():
            raise ValueError("13")
        return arrays * 2


def run(test, **options):
    """Run a test with a model and a batcher in a loop of its own."""

    async def main() -> None:
        model = Model()
        batcher = Batcher(model, **({"most": 4, "queue": 100, "pad": False} | options))
        try:
            await asyncio.wait_for(test(model, batcher), HUNG_S)
        finally:
            for _ in range(100):
                model.go.release()
            await asyncio.to_thread(batcher.close)

    asyncio.run(main())


async def submit(batcher: Batcher, *values: int) -> asyncio.Task:
    task = asyncio.create_task(batcher.predict(np.array(values)[:, None]))
    await asyncio.sleep(0)  # it runs until it waits
    return task


def test_what_comes_during_a_batch_is_the_next_one():
    async def test(model, batcher):
        first = await submit(batcher, 1)
        await asyncio.to_thread(model.begun.acquire)
        later = [await submit(batcher, 2, 3), await submit(batcher, 4), await submit(batcher, 5, 6)]
        assert batcher.waiting == 5
        for _ in range(3):
            model.go.release()
        answers = [(await task)[:, 0].tolist() for task in [first, *later]]
        assert answers == [[2], [4, 6], [8], [10, 12]] and model.sizes == [1, 3, 2] and batcher.waiting == 0

    run(test)


def test_a_request_larger_than_a_batch_is_one_by_itself():
    async def test(model, batcher):
        first = await submit(batcher, 1)
        await asyncio.to_thread(model.begun.acquire)
        large = await submit(batcher, *range(9))
        for _ in range(2):
            model.go.release()
        await first
        assert (await large)[:, 0].tolist() == [2 * value for value in range(9)] and model.sizes == [1, 9]

    run(test)


def test_what_was_given_up_is_not_computed():
    async def test(model, batcher):
        first = await submit(batcher, 1)
        await asyncio.to_thread(model.begun.acquire)
        second, third = await submit(batcher, 2, 2), await submit(batcher, 3)
        second.cancel()
        await asyncio.wait([second])
        for _ in range(2):
            model.go.release()
        assert (await first)[0, 0] == 2 and (await third)[0, 0] == 6 and model.sizes == [1, 1]

    run(test)


def test_a_full_queue_refuses_and_an_empty_one_takes_a_large_request():
    async def test(model, batcher):
        first = await submit(batcher, 1, 1, 1, 1)
        await asyncio.to_thread(model.begun.acquire)
        waits = await submit(batcher, 2)
        with pytest.raises(Refusal, match="1 inputs wait already, and 2 may") as caught:
            await batcher.predict(np.zeros((2, 1)))
        assert caught.value.status == 503 and caught.value.headers == {"Retry-After": "1"}
        for _ in range(2):
            model.go.release()
        await asyncio.gather(first, waits)

    run(test, queue=2)


def test_a_failure_of_the_model_is_of_its_batch_alone():
    async def test(model, batcher):
        for _ in range(2):
            model.go.release()
        with pytest.raises(ValueError, match="13"):
            await batcher.predict(np.array([[13]]))
        assert (await batcher.predict(np.array([[1]]))).tolist() == [[2]]

    run(test)


def test_padding_keeps_the_answers_and_few_sizes():
    async def test(model, batcher):
        for _ in range(3):
            model.go.release()
        for size in (1, 3, 9):
            assert (await batcher.predict(np.arange(size)[:, None]))[:, 0].tolist() == [2 * n for n in range(size)]
        assert model.sizes == [1, 4, 16]

    run(test, pad=True)
    assert [padded_size(size) for size in (1, 2, 3, 4, 5, 128)] == [1, 2, 4, 4, 8, 128]
