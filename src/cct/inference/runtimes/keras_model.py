"""`.keras` files, computed by Keras."""

import threading
from pathlib import Path

import numpy as np

from cct.evaluation.softmax import softmax
from cct.models.metadata import model_metadata
from cct.runtime.backend import import_keras

BATCH = 256  # inputs that the model takes at a time


class KerasModel:
    """A trained model, in Keras.

    Attributes:
        model: the Keras model, from arrays to logits.
        lock: whoever computes with `model` holds it.
    """

    title = "Keras"
    facts = None

    def __init__(self, path: Path) -> None:
        """Load a `.keras` file.

        Raises:
            CCTError: the file is no model that the pipeline trained, or no backend of Keras is installed.
        """
        self.metadata = model_metadata(path)
        import_keras(str(self.metadata.trained_on[-1].get("backend")))
        from cct.models.saving import load_model

        self.model = load_model(path)
        # JAX gives the weights away while it predicts, and puts them back after it.
        self.lock = threading.Lock()
        self.input_shape, self.outputs = self.model.input_shape[1:], self.model.output_shape[-1]

    def probabilities(self, arrays: np.ndarray) -> np.ndarray:
        """As `Runtime.probabilities`."""
        from cct.models.saving import predict_logits

        with self.lock:
            logits_nk = predict_logits(self.model, arrays, batch_size=BATCH)
        return softmax(logits_nk / self.metadata.temperature)
