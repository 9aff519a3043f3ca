"""Every named model exports, and answers as in Keras. `models/networks.py` has random weights for them."""

import os
import sys
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from clones import ROOT
from exports import export

import cct
from cct.inference.exporters.comparison import batch_sizes
from cct.inference.exporters.registry import EXPORTERS
from cct.models.architectures import ModelParams, resolve_architecture, resolve_text_architecture
from cct.models.build_text import build_text_model
from cct.models.names import CUSTOM, MODEL_NAMES, MODELS, TEXTS, task_of_model
from cct.models.saving import load_model, predict_logits, save_model
from cct.words import FIRST_WORD

sys.path.append(str(ROOT / "tests/models"))
from networks import FLIP, NORMALIZED, built, randomized_norms

FACTS = {
    "task": "image_classification",
    "data": {"name": "random", "digest": "d" * 64},
    "classes": [f"class {k}" for k in range(10)],
    "input": {"shape": [32, 32, 3], "resize": "crop", "background": "white"},
    "temperature": 0.5,
    "set_thresholds": [1 - percent / 100 for percent in range(1, 100)],
    "trained_on": [{"backend": "tensorflow"}],
}
VOCABULARY = [f"word{k}" for k in range(30)]
TEXT_FACTS = FACTS | {
    "task": "text_classification",
    "input": {"tokens": "words", "max_length": 16, "truncation": "end", "vocabulary": VOCABULARY},
}
# Each operator of the family is in one of these. An encoder layer is the same graph for any width and number of heads.
REPRESENTATIVES = {
    "cct": {"name": "cct_2_3x2"},
    "strided": {"name": "cct_2_7x1"},
    "patches": {"name": "cvt_2_8"},
    "class token": {"name": "vit_lite_2_8"},
    "pre-norm": {"name": "vit"},
    "folded attention": {"name": "keras_example"},
    "batch norm": {"name": "cct_2_3x2", **NORMALIZED},
    "flip invariance": {"name": "cct_2_3x2", **FLIP},
    "sinusoidal": {"name": "cct_2_3x1", "positional_embedding": "sinusoidal", "pooling": "mean"},
    "biases": {"name": "cct_2_3x1", "positional_embedding": "none", "conv_bias": True, "qkv_bias": True},
}
TEXT_REPRESENTATIVES = {
    "word convolution": {"name": "text_cct_2_2"},
    "word patches": {"name": "text_cvt_2_2"},
    "class token of texts": {"name": "text_vit_lite_2_4"},
    "words as tokens": {"name": "text_transformer_2"},
    "learnable": {"name": "text_cct_2_1", "positional_embedding": "learnable", "pooling": "mean"},
    "biases of texts": {"name": "text_cct_2_4", "positional_embedding": "none", "conv_bias": True, "qkv_bias": True},
}
NAMES = [name for name in MODEL_NAMES if name not in CUSTOM]


def saved(folder: Path, **params) -> Path:
    """A `.keras` file with random weights. Two models of one name have equal ones."""
    keras.utils.set_random_seed(0)
    texts = task_of_model(params["name"]) == TEXTS
    model, facts = (text_network(**params), TEXT_FACTS) if texts else (built(**params), FACTS)
    save_model(randomized_norms(model), folder / "model.keras", facts=facts)
    return folder / "model.keras"


def text_network(**params) -> keras.Model:
    architecture = resolve_text_architecture(ModelParams(**params))
    return build_text_model(architecture, length=16, vocabulary_size=len(VOCABULARY) + FIRST_WORD, classes=10)


def require_same_answers(keras_file: Path, path: Path) -> None:
    model = cct.load(path)
    sizes = batch_sizes(model.reader.shape)
    inputs = model.reader.random(max(sizes))
    logits = predict_logits(load_model(keras_file), inputs, batch_size=64)
    exp = np.exp(2 * (logits - logits.max(axis=1, keepdims=True)).astype(np.float64))
    for size in sizes:
        found = model.runtime.in_batches(inputs[:size], size=size)
        np.testing.assert_allclose(found, (exp / exp.sum(axis=1, keepdims=True))[:size], atol=1e-5)


# ONNX is written operator by operator, the other formats by TensorFlow's own writers: make test-exports has all.
EVERYWHERE = {"cct", "word convolution"}


@pytest.mark.parametrize(
    ("kind", "format_name"),
    [
        (kind, name) if name == "onnx" or kind in EVERYWHERE else pytest.param(kind, name, marks=pytest.mark.exports)
        for kind in REPRESENTATIVES | TEXT_REPRESENTATIVES
        for name in EXPORTERS
    ],
)
def test_each_kind_of_model_exports_to_each_format(kind, format_name, tmp_path):
    keras_file = saved(tmp_path, num_layers=1, **(REPRESENTATIVES | TEXT_REPRESENTATIVES)[kind])
    require_same_answers(keras_file, export(keras_file, format_name))


def operators(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node}


def test_more_layers_need_no_other_operators(tmp_path):
    """So one layer is enough in the other tests."""
    found = []
    for layers in (1, 3):
        keras_file = saved(tmp_path, name="cct_2_3x2", num_layers=layers, num_heads=2 * layers, embed_dim=60 * layers)
        found.append(operators(export(keras_file, "onnx")))
    assert found[0] == found[1]


def test_the_representatives_have_every_choice_that_a_name_can_make():
    """Of the fields that decide operators; sizes, rates and the initialization do not."""
    resolve = {task: resolve_text_architecture if task == TEXTS else resolve_architecture for task in MODELS}
    sizes = {
        "num_layers", "num_heads", "embed_dim", "head_dim", "mlp_ratio", "patch_size", "num_conv_layers",
        "pool_after", "kernel_size", "stride", "padding", "word_dim", "conv_channels", "initialization",
        "standardize", "dropout", "dropout_places", "attention_dropout", "stochastic_depth", "layer_norm_epsilon",
    }  # fmt: skip

    def choices(**params) -> set:
        task = task_of_model(params["name"])
        fields = resolve[task](ModelParams(**params)).model_dump() | {"task": task}
        # A stride above 1 pads by itself, and a head as wide as the tokens folds its projections.
        fields |= {
            "strided": task != TEXTS and fields["stride"] > 1,
            "folds": fields["head_dim"] >= fields["embed_dim"],
        }
        return {(task, key, value) for key, value in fields.items() if key not in sizes}

    every = (REPRESENTATIVES | TEXT_REPRESENTATIVES).values()
    covered = set().union(*(choices(**params) for params in every))
    for name in NAMES:
        assert choices(name=name) <= covered, name


@pytest.mark.exports
@pytest.mark.parametrize("name", NAMES)
def test_every_named_model_exports_to_onnx(name, tmp_path):
    keras_file = saved(tmp_path, name=name, num_layers=1)
    require_same_answers(keras_file, export(keras_file, "onnx"))


@pytest.mark.services
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_model_saved_on_another_backend_exports(backend, tmp_path):
    """In processes of their own: one trains, one exports."""
    import subprocess

    pytest.importorskip(backend)
    code = (
        "import sys; sys.path[:0] = ['tests/inference', 'tests/models']; from test_exported_family import *; "
        f"saved(Path({str(tmp_path)!r}), name='cct_2_3x2', num_layers=1)"
    )
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": f"{ROOT}/src:{ROOT}/tests"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True)
    words = [sys.executable, "-m", "cct.cli", "export", "--format", "onnx", "litert", "saved_model", "--model"]
    subprocess.run([*words, "model.keras"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    for name in ("model.onnx", "model.tflite", "model.savedmodel"):
        require_same_answers(tmp_path / "model.keras", tmp_path / name)
