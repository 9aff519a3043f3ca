"""Which file answers: ONNX Runtime is faster than Keras, and only Keras explains."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cct.inference.classifier import Classifier


class ServedModel(NamedTuple):
    """A model to serve.

    Attributes:
        classifier: answers.
        runtime: the name of what computes it, for people.
        file: the name of its file.
        explains: loads the classifier that explains; None where there is only an exported file.
        compiles: whether it is compiled for each size of a batch.
    """

    classifier: Classifier
    runtime: str
    file: str
    explains: Callable[[], Classifier] | None
    compiles: bool


def open_model_to_serve(path: Path) -> ServedModel:
    """Open a model.

    Raises:
        CCTError: it is no model of this project.
    """
    classifier = Classifier(path)
    return ServedModel(classifier, "Keras", path.name, lambda: classifier, compiles=True)
