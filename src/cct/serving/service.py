"""What the routes of the server do with a model."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
from starlette.requests import Request

from cct.data.images.decoding import ImageError
from cct.errors import CCTError
from cct.inference.classifier import Predictions
from cct.inference.rows import prediction_rows
from cct.serving.batching import Batcher
from cct.serving.bodies import SentImage, read_images
from cct.serving.decoding import Decoder
from cct.serving.explaining import Explainer, as_json
from cct.serving.limits import Limits
from cct.serving.metrics import Metrics
from cct.serving.models import ServedModel
from cct.serving.refusals import Refusal, busy

MOST = 128  # images of a batch


class Service:
    """A model behind a server.

    Attributes:
        name: of the model, as its user gave it.
        model: what answers.
        explainer: makes heat maps.
        limits: what a request may cost.
        metrics: what was counted.
    """

    def __init__(self, name: str, model: ServedModel, limits: Limits, *, unsure: float) -> None:
        """
        Raises:
            CCTError: the model is not for images.
        """
        self.classifier = model.classifier
        if not hasattr(self.classifier.reader, "options"):
            raise CCTError(f"the model is for {self.classifier.metadata.task}, not for images")
        self.name, self.model, self.limits, self.unsure = name, model, limits, unsure
        self.metrics, self.explainer = Metrics(), Explainer(model.explains)

    def warm_up(self) -> None:
        """Compute a batch of each size, so that no request waits for a compiler."""
        size = 1
        while size <= (MOST if self.model.compiles else 1):
            self.classifier.predict_arrays(np.zeros((size, *self.classifier.reader.shape), np.uint8))
            size *= 2

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The threads that decode and predict; in the loop that serves."""
        self._decoder = Decoder(self.classifier.reader, pixels=self.limits.pixels)
        self._batcher = Batcher(
            self._probabilities,
            most=MOST,
            queue=self.limits.queue,
            pad=self.model.compiles,
            observe=self.metrics.batches.observe,
        )
        try:
            yield
        finally:
            self._batcher.close()
            self._decoder.close()
            self.explainer.close()

    def _probabilities(self, arrays: np.ndarray) -> np.ndarray:
        return self.classifier.predict_arrays(arrays).probabilities

    async def predict(self, request: Request, *, top: int, coverage: float | None) -> list[dict[str, Any]]:
        """A row for each image of a request: its prediction, or its error.

        Raises:
            Refusal: the request cannot be answered, or none of its images can be used.
        """
        with self._admitted():
            images = await read_images(request, self.limits)
            async with self._in_time():
                inputs = await self._decoder.decode(images)
                probabilities_nk = await self._batcher.predict(np.stack(self._usable(images, inputs)))
        predictions = Predictions(self.classifier.classes, probabilities_nk, self.classifier.metadata.set_thresholds)
        rows = prediction_rows(predictions, top=top, unsure=self.unsure, coverage=coverage)
        return [
            {"file": image.name} | ({"error": str(one)} if isinstance(one, ImageError) else next(rows))
            for image, one in zip(images, inputs, strict=True)
        ]

    async def explain(self, request: Request) -> dict[str, Any]:
        """What the model looked at in the one image of a request: its prediction, its input, and heat maps.

        Raises:
            Refusal: the request cannot be answered, or there is no Keras model.
        """
        with self._admitted():
            images = await read_images(request, self.limits)
            if len(images) > 1:
                raise Refusal(400, f"the request has {len(images)} images, and /explain takes one")
            try:
                classifier = await self.explainer.loaded()
                async with self._in_time():
                    (pixels_hwc,) = self._usable(images, await self._decoder.decode(images))
                    found = await self.explainer.explain(classifier, pixels_hwc)
            except CCTError as error:  # the model has no attention, or Keras is not installed
                raise Refusal(409, f"there is no heat map: {error}") from error
        (row,) = prediction_rows(found.predictions, top=len(self.classifier.classes), unsure=self.unsure)
        return {"file": images[0].name, **row, **as_json(found)}

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """A limit for the time of an answer.

        Raises:
            Refusal: it took longer.
        """
        try:
            async with asyncio.timeout(self.limits.answer_seconds):
                yield
        except TimeoutError as error:
            raise Refusal(504, f"the model did not answer within {self.limits.answer_seconds} seconds") from error

    def _usable(self, images: list[SentImage], inputs: list[np.ndarray | ImageError]) -> list[np.ndarray]:
        good = [one for one in inputs if not isinstance(one, ImageError)]
        self.metrics.images["predicted"] += len(good)
        self.metrics.images["refused"] += len(inputs) - len(good)
        if not good:
            first = f"{images[0].name}: {inputs[0]}"
            several = f"none of the {len(inputs)} images can be used; the first: {first}"
            raise Refusal(422, first if len(inputs) == 1 else several)
        return good

    @contextlib.contextmanager
    def _admitted(self) -> Iterator[None]:
        """Count a request while it is answered.

        Raises:
            Refusal: as many as may be are answered now.
        """
        if self.metrics.active >= self.limits.requests:
            raise busy(f"{self.limits.requests:,} requests are being answered, and no more may be: ask again later")
        self.metrics.active += 1
        try:
            yield
        finally:
            self.metrics.active -= 1

    def metrics_text(self) -> str:
        """The metrics in Prometheus's text format."""
        return self.metrics.text(queue=self._batcher.waiting)

    def describe(self) -> dict[str, Any]:
        """The model for other programs: classes, input, calibration, provenance, runtime, limits."""
        facts = self.classifier.metadata
        return {
            "model": self.name,
            "runtime": self.model.runtime,
            "file": self.model.file,
            "explains": self.explainer.available,
            "task": facts.task,
            "classes": facts.classes,
            "input": facts.input,
            "temperature": facts.temperature,
            "data": facts.data,
            "trained_on": facts.trained_on,
            "limits": self.limits._asdict(),
            "unsure": self.unsure,
        }
