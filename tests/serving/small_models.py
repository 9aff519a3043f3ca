"""A model with attention, for images of the model of `brightness`."""

import shutil
from pathlib import Path

from brightness import FACTS

from cct.cli import main
from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.build import build_model
from cct.models.saving import save_model


def attention_model(path: Path) -> Path:
    """Images (8, 6, 3), two classes, random weights, and 4 x 3 tokens in two layers."""
    params = ModelParams(name="cct_2_3x2", embed_dim=16, num_conv_layers=1)
    model = build_model(resolve_architecture(params), image_shape=(8, 6, 3), classes=2)
    save_model(model, path, facts=FACTS)
    return path


def exported(model: Path) -> Path:
    """The ONNX file beside a `.keras` file, which `cct export` makes."""
    assert main(["export", "--model", str(model), "--format", "onnx"]) == 0
    return model.with_suffix(".onnx")


def copied(model: Path, folder: Path) -> Path:
    """A model's file in another folder."""
    return Path(shutil.copyfile(model, folder / model.name))
