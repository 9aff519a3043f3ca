"""Which file answers: ONNX Runtime is faster than Keras, and only Keras explains."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cct.errors import CCTError
from cct.files import sha256_of_file
from cct.inference.classifier import Classifier
from cct.inference.runtimes.onnx_model import onnx_beside

KERAS = ".keras"


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
    """Open a model: the ONNX file beside a `.keras` file where that was made of it, else the file itself.

    Raises:
        CCTError: it is no model of this project.
    """
    chosen = onnx_beside(path) or path
    classifier = Classifier(chosen)
    runtime = classifier.runtime.title
    if chosen.suffix.lower() == KERAS:
        return ServedModel(classifier, runtime, chosen.name, lambda: classifier, compiles=True)
    explains = functools.partial(_same_model, path, classifier) if path.suffix.lower() == KERAS else None
    return ServedModel(classifier, runtime, chosen.name, explains, compiles=False)


def _same_model(path: Path, answers: Classifier) -> Classifier:
    """The Keras model of the exported file that answers.

    Raises:
        CCTError: a training or somebody else replaced it.
    """
    explains = Classifier(path)
    if sha256_of_file(path) != answers.runtime.facts.model_sha256:
        raise CCTError(f"{path} was replaced after the server had started: restart the server")
    return explains
