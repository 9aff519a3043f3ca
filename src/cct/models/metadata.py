"""What a `.keras` file says of its model, in metadata that Keras ignores. Reading it needs no Keras."""

import json
import zipfile
from pathlib import Path
from typing import Any

from pydantic import Field

from cct.errors import CCTError
from cct.params import ParamsError, Section, parse

KEY = "cct"  # in the file's metadata.json
ABSENT = "dvc repro makes it, and make demo makes reports/demo/model.keras"
EXPORTED = (".onnx", ".tflite")  # what `cct export` writes, besides folders
LARGEST = 1 << 26  # bytes of a JSON file in a model's file


class ModelMetadata(Section):
    """The metadata of a model that the pipeline trained."""

    task: str = Field(description="a task of the pipeline, such as image_classification")
    data: dict[str, str] = Field(description="name and digest of the data set that trained it")
    classes: list[str] = Field(min_length=1, description="names in the order of the outputs")
    input: dict[str, Any] = Field(description="how raw inputs become the model's; each task has its own facts")
    temperature: float = Field(gt=0, description="divides the logits, so that probabilities are calibrated")
    set_thresholds: list[float] = Field(
        min_length=99, max_length=99, description="lowest probability in a prediction set, for each percent of coverage"
    )
    trained_on: list[dict[str, Any]] = Field(
        min_length=1, description="platform fingerprints of the machines that trained it"
    )


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata in a file; empty if it has none, as an imported checkpoint.

    Raises:
        CCTError: the file is no `.keras` file.
    """
    try:
        found = read_json(path, "metadata.json").get(KEY)
        return found if isinstance(found, dict) else {}
    except FileNotFoundError as error:
        raise CCTError(f"{path} is not there: {ABSENT}") from error
    except Exception as error:  # any error that a crafted or damaged file causes
        if path.suffix.lower() in EXPORTED or (path / "saved_model.pb").exists():
            raise CCTError(
                f"{path} is an exported file, which has no layers: give the .keras file that it was made of"
            ) from error
        raise CCTError(f"{path} is not a model of this project: {error}") from error


def read_json(path: Path, name: str) -> Any:
    """The value of a JSON file in a `.keras` file. A damaged or crafted file may raise anything.

    Raises:
        ValueError: it unpacks to more than `LARGEST` bytes.
    """
    with zipfile.ZipFile(path) as file:
        if (size := file.getinfo(name).file_size) > LARGEST:
            raise ValueError(f"its {name} has {size:,} bytes")
        return json.loads(file.read(name))


def model_metadata(path: Path) -> ModelMetadata:
    """The metadata of a model that the pipeline trained.

    Raises:
        CCTError: the file is no `.keras` file, or says nothing of its classes and inputs.
    """
    content = read_metadata(path)
    if not content:
        raise CCTError(
            f"{path} does not say what its outputs mean, as an imported checkpoint: fine-tune it with train.init_from, "
            "and use the models/model.keras of that training"
        )
    try:
        return parse(ModelMetadata, content, where=path)
    except ParamsError as error:
        raise CCTError(f"{path} was made by another version of this project, so train it again: {error}") from error
