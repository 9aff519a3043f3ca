"""Explanations: the parts of an input that the model looked at.

They need the Keras model, which an exported file does not have.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from cct.errors import CCTError
from cct.evaluation.softmax import MetricsError
from cct.inference.classifier import Classifier, Explanations
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

    async def explain(self, classifier: Classifier, array: np.ndarray) -> Explanations:
        """Explain one of the model's inputs.

        Raises:
            Refusal: the model has no attention.
            MetricsError: its outputs are not finite. This is a failure of the server, as in /predict.
        """
        try:
            return await asyncio.wrap_future(self._pool.submit(classifier.explain_arrays, array[None]))
        except MetricsError:
            raise
        except CCTError as error:
            raise _unexplained(error) from error

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(cancel_futures=True)


def _unexplained(error: CCTError) -> Refusal:
    return Refusal(409, f"nothing shows what the model looked at: {error}")
