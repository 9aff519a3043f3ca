"""The same weights give the same logits and gradients on every backend. Each backend has its own process."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from patience import HUNG_S

pytestmark = pytest.mark.services
# What one backend computes: logits of models with seed-independent weights, their gradients, and a file round trip.
SCRIPT = """
import sys
from pathlib import Path
from cct.runtime.backend import configure_backend, prepare_backend
from cct.runtime.params import RuntimeParams
backend, folder, names = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
runtime = RuntimeParams(backend=backend, device="cpu", precision="float32", deterministic=True, threads=None)
prepare_backend(runtime)
print(configure_backend(runtime, seed=0))
import keras, numpy as np
from cct.models.architectures import ModelParams, resolve_architecture, resolve_text_architecture
from cct.models.build import build_model
from cct.models.build_text import build_text_model
from cct.models.saving import load_model, predict_logits, save_model
assert keras.backend.backend() == backend
for name in names:
    fields = dict(dropout=0.0) if name == "keras_example" else dict(num_layers=2)  # more compute nothing else, longer
    name_of_model = name.partition(" ")[0]
    if name != name_of_model:
        fields |= dict(num_conv_layers=3, pool_after=[1, 3], conv_norm="batch", flip_invariant=name.endswith("flip"))
    params = ModelParams(name=name_of_model, attention_dropout=0.0, stochastic_depth=0.0, **fields)
    generator = np.random.default_rng(7)
    if name.startswith("text_"):
        architecture = resolve_text_architecture(params)
        network = build_text_model(architecture, length=16, vocabulary_size=50, classes=10)
        inputs = np.arange(16) < generator.integers(3, 17, (6, 1))  # texts of 3 to 16 words
        inputs = np.where(inputs, generator.integers(1, 50, (6, 16)), 0).astype("int32")
    else:
        network = build_model(
            resolve_architecture(params), image_shape=(32, 32, 3), classes=10, mean=[.5] * 3, std=[.25] * 3
        )
        inputs = generator.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    for variable in network.trainable_variables:
        scale = 1 / np.sqrt(np.prod(variable.shape[:-1])) if len(variable.shape) > 1 else 0.1
        value = generator.normal(size=variable.shape) * scale + (1 if variable.path.endswith("gamma") else 0)
        variable.assign(value.astype("float32"))
    targets = np.eye(10, dtype="float32")[generator.integers(0, 10, 6)]
    logits = predict_logits(network, inputs, batch_size=6)
    file = folder / f"{name}.keras"  # TensorFlow comes first and writes it; the others open it
    if backend == "tensorflow":
        save_model(network, file)
    else:
        np.testing.assert_allclose(predict_logits(load_model(file), inputs, batch_size=6), logits, atol=1e-4)
    before = [np.array(weight) for weight in network.get_weights()]
    # A step of plain gradient descent at rate 1 is the gradient.
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.SGD(1.0), loss, jit_compile=backend == "jax")
    network.train_on_batch(inputs, targets)
    gradient = [b - a for a, b in zip(network.get_weights(), before)]
    np.savez(folder / f"{name}-{backend}.npz", logits, *gradient)
"""
NAMES = ["cct_2_3x2", "cct_2_3x2 normalized", "cct_2_3x2 flip", "vit_lite_2_8", "vit", "keras_example"]
NAMES += ["text_cct_2_4", "text_vit_lite_2_4", "text_transformer_2"]
BACKENDS = ["tensorflow", *(name for name in ("jax", "torch") if importlib.util.find_spec(name))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What every backend computed: logits and gradients of every model, in files."""
    path = tmp_path_factory.mktemp("backends")
    for backend in BACKENDS:
        environment = os.environ | {"KERAS_BACKEND": backend}
        words = [sys.executable, "-c", SCRIPT, backend, str(path), *NAMES]
        subprocess.run(words, env=environment, check=True, timeout=HUNG_S)
    return path


def computed(folder: Path, name: str, backend: str) -> list[np.ndarray]:
    with np.load(folder / f"{name}-{backend}.npz") as file:
        return [file[key] for key in file.files]


@pytest.mark.parametrize("name", NAMES)
def test_backends_agree(name, folder):
    assert "jax" in BACKENDS, "make test-services installs JAX"
    expected = computed(folder, name, "tensorflow")
    assert np.abs(expected[0]).max() > 0.1 and max(np.abs(g).max() for g in expected[1:]) > 1e-3
    for backend in BACKENDS[1:]:
        for theirs, ours in zip(computed(folder, name, backend), expected, strict=True):
            np.testing.assert_allclose(theirs, ours, atol=1e-4)


@pytest.mark.skipif("jax" not in BACKENDS, reason="JAX is not installed: make test-services")
def test_training_does_on_jax_what_it_does_on_tensorflow():
    """Averages beside the raw weights, accumulation, class weights, and killed runs that end in the same bits.

    Of these, one has frozen parts and rates by layer.
    """
    folder = Path(__file__).parents[1] / "training"
    words = [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", str(folder)]
    names = ("averag", "accumulated", "killed_run", "minimized_loss", "fine_tuning")
    words += ["-k", " or ".join(names)]
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=HUNG_S, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"\b9 passed", done.stdout), done.stdout[-3000:]
