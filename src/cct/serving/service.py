"""The work of the server's routes with a model."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from starlette.requests import Request

from cct.errors import CCTError
from cct.inference.rows import prediction_rows
from cct.serving.batching import Batcher
from cct.serving.bodies import Sent, read_inputs
from cct.serving.explaining import Explainer
from cct.serving.kinds import KINDS
from cct.serving.limits import Limits
from cct.serving.metrics import Metrics
from cct.serving.models import ServedModel
from cct.serving.refusals import Refusal, busy
from cct.serving.threads import Threads
from cct.tracking.model_files import SCHEMES

MOST = 128  # inputs of a batch


class Service:
    """A model behind a server.

    Attributes:
        name: of the model, as its user gave it.
        model: computes the answers.
        explainer: makes heat maps.
        kind: of its inputs.
        limits: of requests.
        metrics: counts of requests and inputs.
    """

    def __init__(self, name: str, model: ServedModel, limits: Limits, *, unsure: float) -> None:
        self.classifier = model.classifier
        self.kind = KINDS[self.classifier.metadata.task]
        self.name, self.model, self.limits, self.unsure = name, model, limits, unsure
        self.metrics, self.explainer = Metrics(), Explainer(model.explains)

    def warm_up(self) -> None:
        """Compute a batch of each size up to `MOST`.

        A request with more inputs, which `--limit inputs` may allow, waits for the compiler.
        """
        size = 1
        while size <= (MOST if self.model.compiles else 1):
            self.classifier.predict_arrays(self.classifier.reader.random(size))
            size *= 2

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The threads that decode and predict; in the loop that serves."""
        self._decoder = self.kind.decoder(self.classifier.reader, self.limits)
        self._parser = Threads(1, name="parse")  # one at a time: JSON takes many times its memory
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
            self._parser.close()
            self.explainer.close()

    def _probabilities(self, arrays: np.ndarray) -> np.ndarray:
        return self.classifier.predict_arrays(arrays).probabilities

    async def predict(self, request: Request, *, top: int, coverage: float | None) -> list[dict[str, Any]]:
        """A row for each input of a request: its prediction, or its error.

        Raises:
            Refusal: the request cannot be answered, or none of its inputs can be used.
        """
        with self._admitted():
            inputs = await self._read(request)
            async with self._in_time():
                arrays = await self._decoder.decode(inputs)
                usable = np.stack(self._usable(inputs, arrays))
                predictions = self.classifier.as_predictions(usable, await self._batcher.predict(usable))
        rows = prediction_rows(predictions, top=top, unsure=self.unsure, coverage=coverage)
        answers = [
            {"input": sent.name} | ({"error": str(one)} if isinstance(one, CCTError) else next(rows))
            for sent, one in zip(inputs, arrays, strict=True)
        ]
        self._count(arrays)
        return answers

    async def explain(self, request: Request) -> dict[str, Any]:
        """Explain the one input of a request: its prediction, and the share of each part.

        Raises:
            Refusal: the request cannot be answered, or nothing shows what the model looked at.
        """
        with self._admitted():
            inputs = await self._read(request)
            if len(inputs) > 1:
                raise Refusal(400, f"the request has {len(inputs)} {self.kind.one}s, and /explain takes one")
            async with self._in_time():
                classifier = await self.explainer.loaded()
                arrays = await self._decoder.decode(inputs)
                (array,) = self._usable(inputs, arrays)
                shown = inputs[0].content if self.kind.shown else array
                predictions, as_json = await self.explainer.explain(classifier, array, shown)
        (row,) = prediction_rows(predictions, top=len(self.classifier.classes), unsure=self.unsure)
        self._count(arrays)
        return {"input": inputs[0].name, **row, **as_json}

    async def _read(self, request: Request) -> list[Sent]:
        return await read_inputs(request, self.kind.readers, self.limits, parse=self._parse, one=self.kind.one)

    async def _parse(self, read: Callable[[bytes, Limits], list[Sent]], body: bytes, limits: Limits) -> list[Sent]:
        async with self._in_time():
            return await self._parser.run(read, body, limits)

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

    def _usable(self, inputs: list[Sent], arrays: list[np.ndarray | CCTError]) -> list[np.ndarray]:
        good = [one for one in arrays if not isinstance(one, CCTError)]
        if not good:
            self._count(arrays)
            first = f"{inputs[0].name}: {arrays[0]}"
            several = f"none of the {len(arrays)} {self.kind.one}s can be used; the first: {first}"
            raise Refusal(422, first if len(arrays) == 1 else several)
        return good

    def _count(self, arrays: list[np.ndarray | CCTError]) -> None:
        """Count the inputs of a request that has its answer, which a full queue or a timeout may prevent."""
        refused = sum(isinstance(one, CCTError) for one in arrays)
        self.metrics.inputs["refused"] += refused
        self.metrics.inputs["predicted"] += len(arrays) - refused

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
            # Not a path: the folders of this machine are nobody else's business.
            "model": self.name if self.name.startswith(SCHEMES) else Path(self.name).name,
            "runtime": self.model.runtime,
            "file": self.model.file,
            "explains": self.explainer.available,
            "task": facts.task,
            "classes": facts.classes,
            "input": _without_vocabulary(facts.input),
            "temperature": facts.temperature,
            "data": facts.data,
            "trained_on": facts.trained_on,
            "limits": self.limits._asdict(),
            "unsure": self.unsure,
        }


def _without_vocabulary(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts with the size of the vocabulary, whose words are those of the training texts and may be private."""
    known = {name: value for name, value in facts.items() if name != "vocabulary"}
    return known | ({"vocabulary_size": len(facts["vocabulary"])} if "vocabulary" in facts else {})
