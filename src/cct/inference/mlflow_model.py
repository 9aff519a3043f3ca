"""The model as MLflow keeps it: the `.keras` file itself, loadable as Keras model and as a function of raw images.

`mlflow.pyfunc.load_model` needs nothing but the logged folder. `mlflow.keras.load_model` needs the layers registered
first (`import cct.models.build`), because Keras looks up classes of other packages only where they are registered.
"""

import json
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FOLDER = "classifier"  # of the files that are the model's own, in MLflow's folder "data"


def save_model(
    path: str,
    mlflow_model: Any,
    *,
    model_file: Path,
    classes: list[str],
    image_shape: list[int],
    backend: str,
    validate_serving_input: bool = False,
) -> None:
    """Write an MLflow model folder; `mlflow.models.Model.log` calls this.

    Args:
        path: the folder to make.
        mlflow_model: the `mlflow.models.Model` that describes it.
        model_file: a `.keras` file, copied byte for byte.
        classes: names in the order of the logits.
        image_shape: height, width, channels.
        backend: Keras's.
        validate_serving_input: `Model.log`'s own, which passes it on: whether it loads the model to try the example.
            That takes the time of importing Keras; the tests do it.
    """
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    mlflow_model.add_flavor(
        "keras",
        data=f"data/{FOLDER}",
        keras_version=version("keras"),
        keras_backend=backend,
        save_exported_model=False,
    )
    packages = ["keras", "mlflow", "numpy", "pandas", "pydantic", "ruamel.yaml", "tensorflow"]
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, FOLDER)
        own.mkdir()
        shutil.copyfile(model_file, own / "model.keras")
        (own / "classes.json").write_text(json.dumps(classes), encoding="utf-8")
        mlflow.pyfunc.save_model(
            path,
            mlflow_model=mlflow_model,
            loader_module="cct.inference.mlflow_model",
            data_path=str(own),
            code_paths=[os.fspath(Path(__file__).parents[1])],
            signature=ModelSignature(
                inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, *image_shape), "images")]),
                outputs=Schema([ColSpec("string", "label"), *(ColSpec("double", f"p_{name}") for name in classes)]),
            ),
            # A ramp, so that a image is in no run that was trained on somebody's private ones.
            input_example={"images": _ramp(image_shape)},
            pip_requirements=[f"{package}=={version(package)}" for package in packages],
        )


def _ramp(image_shape: list[int]) -> np.ndarray:
    height, width, channels = image_shape
    row = np.linspace(0, 255, width).astype(np.uint8)
    return np.broadcast_to(row[None, None, :, None], (1, height, width, channels)).copy()


class Classifier:
    """What `mlflow.pyfunc.load_model` wraps."""

    def __init__(self, folder: Path) -> None:
        from cct.models.saving import load_model

        self.network = load_model(folder / "model.keras")
        self.classes = json.loads((folder / "classes.json").read_text(encoding="utf-8"))

    def predict(self, images_nhwc: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Label and probabilities of each image.

        Args:
            images_nhwc: raw pixels 0..255, (n, height, width, channels), or a mapping whose one value that is.
            params: none are known.

        Returns:
            A row each, with the columns `label` and `p_<class>`.
        """
        import keras

        from cct.models.saving import predict_logits

        if isinstance(images_nhwc, dict):
            (images_nhwc,) = images_nhwc.values()
        logits = predict_logits(self.network, np.asarray(images_nhwc, np.uint8), batch_size=256)
        probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
        table = pd.DataFrame(probabilities.astype(float), columns=[f"p_{name}" for name in self.classes])
        table.insert(0, "label", [self.classes[k] for k in logits.argmax(axis=1)])
        return table


def _load_pyfunc(path: str) -> Classifier:
    return Classifier(Path(path))
