"""Models in files."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from networks import built, random_images

from cct.errors import CCTError
from cct.models.saving import load_model, predict_logits, save_model


def test_saved_models_give_the_same_logits_elsewhere(tmp_path):
    """In another process, which knows the files and nothing else."""
    names, images = ["cct_2_3x2", "keras_example", "vit_lite_2_8"], random_images(3, 32, 32, 3)
    networks = {name: built(name) for name in names}
    for name, network in networks.items():
        save_model(network, tmp_path / f"models/{name}.keras")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, numpy as np; from pathlib import Path; from cct.models.saving import load_model, predict_logits;"
        "folder = Path(sys.argv[1]);"
        "images = np.load(folder / 'images.npy');"
        "networks = {path.stem: load_model(path) for path in (folder / 'models').iterdir()};"
        "logits = {name: predict_logits(network, images, batch_size=2) for name, network in networks.items()};"
        "np.savez(folder / 'logits.npz', **logits)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=120)
    with np.load(tmp_path / "logits.npz") as found:
        assert set(found.files) == set(names)
        for name, network in networks.items():
            assert found[name].dtype == np.float32 and found[name].shape == (3, 10)
            np.testing.assert_allclose(found[name], predict_logits(network, images, batch_size=3), atol=1e-6)


def test_saved_bytes_depend_on_the_function_alone(tmp_path):
    network = built("cct_2_3x1", image_shape=(8, 8, 1))
    save_model(network, tmp_path / "a.keras")
    keras.layers.Dense(3)  # moves Keras's counters of names and Python's ids
    save_model(network, tmp_path / "b.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    network.get_layer("head").bias.assign(np.full(10, 1e-7))
    save_model(network, tmp_path / "b.keras")
    assert (tmp_path / "a.keras").read_bytes() != (tmp_path / "b.keras").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.keras", "b.keras"]


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 not a zip"])
def test_what_is_no_model_is_refused_in_words(tmp_path, content):
    path = tmp_path / "model.keras"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CCTError, match=r"model\.keras is not a model of this project"):
        load_model(path)
