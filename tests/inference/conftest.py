"""One model in all formats, for the tests of several files."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Path:
    """A folder with model.keras, model.onnx, model.tflite and model.savedmodel/. Do not change them."""
    from brightness import brightness_model
    from exports import export

    folder = tmp_path_factory.mktemp("exported")
    brightness_model(folder / "model.keras")
    for name in ("onnx", "litert", "saved_model"):
        export(folder / "model.keras", name)
    return folder
