"""Images are decoded in threads, large ones one at a time. A request that is given up leaves nothing to decode."""

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest
from bad_requests import image
from patience import HUNG_S

from cct.data.images.decoding import image_pixels
from cct.serving.bodies import Sent
from cct.serving.images import LARGE_PIXELS, ImageDecoder
from cct.serving.limits import parse_limits
from cct.tasks.image_classification.inference import ImageReader

FACTS = {"shape": [8, 6, 3], "resize": "crop", "background": "white"}


class WatchedReader(ImageReader):
    """Notes what it reads, and in which threads. It reads one large image for each `go`."""

    def __init__(self) -> None:
        super().__init__(FACTS, Path("model.keras"))
        self.read: list[int] = []
        self.threads: set[threading.Thread] = set()
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)

    def arrays(self, inputs):
        (content,) = inputs
        pixels = image_pixels(content) if isinstance(content, bytes) else content.size
        self.read.append(pixels)
        self.threads.add(threading.current_thread())
        if pixels > LARGE_PIXELS:
            self.begun.release()
            self.go.acquire()
        return super().arrays(inputs)


def run(test, *settings: str):
    """Run a test with a decoder and its reader, in a loop of its own. The result is the test's."""

    async def main():
        reader = WatchedReader()
        decoder = ImageDecoder(reader, parse_limits([*settings]))
        try:
            return await asyncio.wait_for(test(decoder, reader), HUNG_S)
        finally:
            for _ in range(100):
                reader.go.release()
            await asyncio.to_thread(decoder.close)

    return asyncio.run(main())


def sent(*contents: bytes | np.ndarray) -> list[Sent]:
    return [Sent(f"image {place}", content) for place, content in enumerate(contents)]


def test_a_request_that_is_given_up_leaves_nothing_to_decode():
    """As a timeout does. Its one image that a thread decodes holds up large images alone."""
    large, larger, other = (image(mode="L", size=size) for size in ((3000, 3000), (3000, 3001), (300, 300)))

    async def test(decoder, reader):
        late = asyncio.create_task(decoder.decode(sent(*[large] * 20)))
        assert await asyncio.to_thread(reader.begun.acquire, timeout=HUNG_S)
        late.cancel()
        await asyncio.wait([late])
        waits = asyncio.create_task(decoder.decode(sent(larger)))
        (found,) = await decoder.decode(sent(other))
        assert found.shape == (8, 6, 3) and reader.read == [9_000_000, 90_000] and not waits.done()
        for _ in range(2):
            reader.go.release()
        (found,) = await waits
        assert found.shape == (8, 6, 3) and reader.read == [9_000_000, 90_000, 9_003_000]

    run(test)


FILE = image("BMP", size=(80, 80))  # more than half of the bytes that the loop decodes
FLAT = image(size=(200, 200))  # more than half of the pixels, in a few bytes
PIXELS = np.zeros((200, 200, 3), np.uint8)


@pytest.mark.parametrize(
    ("contents", "in_loop"),
    [([FILE], True), ([FLAT], True), ([PIXELS], True), ([FILE] * 2, False), ([FLAT] * 2, False), ([PIXELS] * 2, False)],
    ids=["a file", "a flat file", "an array", "files", "flat files", "arrays"],
)
def test_the_event_loop_decodes_what_is_small_in_all(contents, in_loop):
    async def test(decoder, reader):
        arrays = await decoder.decode(sent(*contents))
        assert [array.shape for array in arrays] == [(8, 6, 3)] * len(contents)
        assert (threading.current_thread() in reader.threads) == in_loop
        assert not in_loop or len(reader.threads) == 1

    run(test)


def test_a_bad_image_among_many_has_its_error_in_its_place():
    """Whether the header or the rest of the file is bad."""
    cut = image("JPEG", size=(400, 400))[:-300]

    async def test(decoder, reader):
        return await decoder.decode(sent(image(size=(400, 400)), b"text", cut, image(size=(1100, 1000)), PIXELS))

    good, text, damaged, large, raw = run(test, "pixels=1000000")
    assert good.shape == raw.shape == (8, 6, 3)
    assert str(text).startswith("not an image") and str(damaged).startswith("damaged: ")
    assert str(large) == "1,100,000 pixels, more than 1,000,000"


def test_the_limit_of_pixels_counts_no_channels():
    async def test(decoder, reader):
        shapes = [(8, 8), (8, 8, 1), (8, 8, 3), (8, 9, 3)]
        return await decoder.decode(sent(image(size=(8, 8)), *(np.zeros(shape, np.uint8) for shape in shapes)))

    *good, refused = run(test, "pixels=64")
    assert [array.shape for array in good] == [(8, 6, 3)] * 4
    assert str(refused) == "72 pixels, more than 64"
