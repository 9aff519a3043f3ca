"""Explanations: the parts of an input that the model looked at.

They need the Keras model, which an exported file does not have.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from cct.errors import CCTError
from cct.evaluation.softmax import MetricsError
from cct.inference.classifier import Classifier, Predictions
from cct.serving.refusals import Refusal


class Explainer:
    """A thread that explains, with a Keras model that is loaded when somebody first wants it."""

    def __init__(self, load: Callable[[], Classifier] | None) -> None:
        """
        Args:
            load: returns a classifier with its Keras model; None where there is none.
        """
        self._load, self._loaded = load, None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="explain")

    @property
    def available(self) -> bool:
        """Whether there is a Keras model."""
        return self._load is not None

    def prepare(self) -> Future[Classifier] | None:
        """Begin to load the model, if there is one and nobody has begun, or it could not be loaded before."""
        failed = self._loaded is not None and self._loaded.done() and self._loaded.exception()
        if self._load is not None and (self._loaded is None or failed):
            self._loaded = self._pool.submit(self._load)
        return self._loaded

    async def loaded(self) -> Classifier:
        """The classifier, once it is loaded. The first time that takes as long as Keras takes to start.

        Raises:
            Refusal: there is no Keras model, or it cannot be loaded.
        """
        loading = self.prepare()
        if loading is None:
            raise Refusal(409, "what the model looked at needs its .keras file, and the server has an exported file")
        try:
            return await asyncio.shield(asyncio.wrap_future(loading))
        except CCTError as error:
            raise _unexplained(error) from error

    async def explain(
        self, classifier: Classifier, array: np.ndarray, shown: Any
    ) -> tuple[Predictions, dict[str, Any]]:
        """Explain one of the model's inputs: its prediction, and the shares of its parts as JSON.

        Args:
            classifier: with its Keras model.
            array: the input.
            shown: what the explanation shows of it, the array or a text.

        Raises:
            Refusal: the model has no attention.
            MetricsError: its outputs are not finite. This is a failure of the server, as in /predict.
        """
        try:
            return await asyncio.wrap_future(self._pool.submit(_explain, classifier, array, shown))
        except MetricsError:
            raise
        except CCTError as error:
            raise _unexplained(error) from error

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(cancel_futures=True)


def _explain(classifier: Classifier, array: np.ndarray, shown: Any) -> tuple[Predictions, dict[str, Any]]:
    """As `Explainer.explain`. The JSON too is made here: a PNG, or the words of a long text, take a while."""
    found = classifier.explain_arrays(array[None])
    return found.predictions, classifier.task.explaining.as_json(classifier.reader, shown, found.attention)


def _unexplained(error: CCTError) -> Refusal:
    return Refusal(409, f"nothing shows what the model looked at: {error}")
