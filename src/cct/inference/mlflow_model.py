"""Stores a `.keras` file as an MLflow model. It loads as a Keras model and as a function of raw inputs.

`mlflow.pyfunc.load_model` needs only the logged folder. `mlflow.keras.load_model` needs
`import cct.models.build` first, because Keras finds the layers of other packages only after they are registered.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from cct.errors import CCTError
from cct.inference.batches import as_batch
from cct.inference.classifier import Classifier, log_warnings
from cct.tasks.inference import INFERENCE_TASKS
from cct.tasks.inputs import Input
from cct.tasks.lookup import task_of

FOLDER = "classifier"  # folder of the model's own files, in MLflow's folder "data"
# Packages that the model's code imports, besides the backend.
PACKAGES = ("filelock", "keras", "mlflow", "numpy", "pandas", "pillow", "pydantic", "pyyaml")


def save_model(
    path: str,
    mlflow_model: Any,
    *,
    model_file: Path,
    meta: Mapping[str, Any],
    backend: str,
    validate_serving_input: bool = False,
) -> None:
    """Write an MLflow model folder. `mlflow.models.Model.log` calls this function.

    Args:
        path: the folder to make.
        mlflow_model: the `mlflow.models.Model` that describes it.
        model_file: a `.keras` file, copied byte for byte.
        meta: the content of the data's meta.json.
        backend: the backend that trained the model. The model's requirements name it.
        validate_serving_input: unused; `Model.log` passes it on. It says whether `Model.log` loads the model to try the
            example. That takes the time of importing Keras; the tests do it.

    Raises:
        CCTError: a package that the model requires is not installed here.
    """
    import mlflow.pyfunc

    mlflow_model.add_flavor(
        "keras",
        data=f"data/{FOLDER}",
        keras_version=version("keras"),
        keras_backend=backend,
        save_exported_model=False,
    )
    classes, model_input = meta["classes"], task_of(meta, INFERENCE_TASKS).describe_input(meta)
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, FOLDER)
        own.mkdir()
        shutil.copyfile(model_file, own / "model.keras")
        mlflow.pyfunc.save_model(
            path,
            mlflow_model=mlflow_model,
            loader_module="cct.inference.mlflow_model",
            data_path=str(own),
            code_paths=[os.fspath(Path(__file__).parents[1])],
            signature=_signature(model_input, classes),
            input_example={model_input.name: model_input.example},
            pip_requirements=requirements(backend),
        )


def _signature(model_input: Input, classes: Sequence[str]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    return ModelSignature(
        # MLflow silently casts inputs to the type of the signature: 0.5 becomes 0. It casts nothing to `object`, so
        # `Classifier.predict` can check.
        inputs=Schema([TensorSpec(np.dtype(object), (-1,), model_input.name)]),
        outputs=Schema([ColSpec("string", "label"), *(ColSpec("double", f"p_{name}") for name in classes)]),
    )


def requirements(backend: str) -> list[str]:
    """The packages that loading a model needs, each with the version that is installed here.

    Raises:
        CCTError: a package is not installed.
    """
    pinned = []
    for package in (*PACKAGES, backend):
        try:
            pinned.append(f"{package}=={version(package)}")
        except PackageNotFoundError as error:
            raise CCTError(f"the logged model would need {package}, which is not installed here") from error
    return pinned


class InputRefused(MlflowException):
    """A refusal whose message does not change. MLflow's server would put all inputs in front of it."""

    @property
    def message(self) -> str:
        return self._message

    @message.setter
    def message(self, text: str) -> None:
        self._message = getattr(self, "_message", text)


class TableClassifier:
    """The object that `mlflow.pyfunc.load_model` wraps: a classifier whose predictions are a table."""

    def __init__(self, folder: Path) -> None:
        self.classifier = Classifier(folder / "model.keras")

    def predict(self, inputs: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Label and probabilities of each input.

        Args:
            inputs: a batch, or a mapping with a batch as its only value. Images: raw pixels 0..255, (n, height, width,
                channels). Texts: a list of them.
            params: unused.

        Returns:
            One row per input, with the columns `label` and `p_<class>`.

        Raises:
            InputRefused: the inputs are not a batch for this model. A server answers with 400 and the message.
        """
        if isinstance(inputs, dict):
            (inputs,) = inputs.values()
        try:
            batch = self._batch(inputs)
        except CCTError as error:
            raise InputRefused.invalid_parameter_value(str(error)) from None
        predictions = self.classifier.predict_arrays(batch)
        log_warnings(predictions.warnings)
        table = pd.DataFrame(predictions.probabilities, columns=[f"p_{name}" for name in predictions.classes])
        table.insert(0, "label", predictions.labels)
        return table

    def _batch(self, inputs: Any) -> np.ndarray:
        """The model's inputs of a request."""
        if self.classifier.task.from_request is not None:
            return self.classifier.task.from_request(self.classifier.reader, inputs)
        (model_input,) = self.classifier.model.inputs
        return as_batch(inputs, dtype=model_input.dtype, shape=model_input.shape[1:])


def _load_pyfunc(path: str) -> TableClassifier:
    return TableClassifier(Path(path))
