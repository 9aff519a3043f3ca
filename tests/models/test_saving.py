"""Models are saved and loaded."""

import json
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from networks import FLIP, NORMALIZED, built, random_images, randomized_norms
from patience import HUNG_S

from cct.errors import CCTError
from cct.models.cost import inputs_at_once
from cct.models.saving import load_model, predict_logits, save_model


def test_saved_models_give_the_same_logits_elsewhere(tmp_path):
    """In another process, which knows the files and nothing else."""
    names, images = ["cct_2_3x2", "keras_example", "vit_lite_2_8"], random_images(3, 32, 32, 3)
    networks = {name: built(name) for name in names} | {
        "normalized": randomized_norms(built("cct_2_3x2", **NORMALIZED)),
        "flip": randomized_norms(built("cct_2_3x2", **FLIP)),
    }
    for name, network in networks.items():
        save_model(network, tmp_path / f"models/{name}.keras")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, numpy as np; from pathlib import Path; from cct.models.saving import load_model, predict_logits;"
        "folder = Path(sys.argv[1]);"
        "images = np.load(folder / 'images.npy');"
        "networks = {path.stem: load_model(path) for path in (folder / 'models').iterdir()};"
        "logits = {name: predict_logits(network, images, batch_size=1) for name, network in networks.items()};"
        "np.savez(folder / 'logits.npz', **logits)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=HUNG_S)
    with np.load(tmp_path / "logits.npz") as found:
        assert set(found.files) == set(networks)
        for name, network in networks.items():
            assert found[name].dtype == np.float32 and found[name].shape == (3, 10)
            # Batches of another size may add in another order, which depends on the processor.
            np.testing.assert_allclose(found[name], predict_logits(network, images, batch_size=3), atol=2e-5)


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


def test_what_is_no_archive_is_refused_in_words(tmp_path):
    path = tmp_path / "model.keras"
    save_model(built("cct_2_3x1", image_shape=(8, 8, 1)), path)
    for content in (b"", b"PK\x03\x04 not a zip", path.read_bytes()[:20_000], path.read_bytes()[:-100]):
        path.write_bytes(content)
        with pytest.raises(CCTError, match=r"model\.keras is not a model of this project: it is cut off, or no zip ar"):
            load_model(path)


def test_a_file_that_unpacks_without_end_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", bytes(100 << 20))
    with pytest.raises(CCTError, match=r"model\.keras is not a model of this project: it unpacks to 104,857,600 bytes"):
        load_model(path)


def test_an_absent_model_is_named_with_what_to_do(tmp_path):
    with pytest.raises(
        CCTError, match=r"model\.keras is not there: dvc repro makes it, and make demo makes reports/demo/model.keras$"
    ):
        load_model(tmp_path / "model.keras")


CRAFTED = {
    "of a class that is not installed": lambda config: config["config"]["layers"][1].update(
        class_name="TorchModuleWrapper", module="keras.src.utils.torch_utils", registered_name="TorchModuleWrapper"
    ),
    "without a configuration": lambda config: config.pop("config"),
    "of another type": lambda config: config["config"].update(layers=7),
    "of a function that it carries": lambda config: config["config"]["layers"][1].update(
        class_name="Lambda", module="keras.layers", registered_name=None,
        config={"function": {"class_name": "__lambda__", "config": {"code": "4wAAAAA="}}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [*CRAFTED, "of nested lists"])
def test_a_crafted_model_is_refused_in_words(tmp_path, name):
    save_model(built("cct_2_3x1", image_shape=(8, 8, 1)), tmp_path / "whole.keras")
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(tmp_path / "whole.keras") as source, zipfile.ZipFile(path, "w") as target:
        for member in source.namelist():
            content = source.read(member)
            if member == "config.json":
                config = json.loads(content)
                if name in CRAFTED:
                    CRAFTED[name](config)
                    content = json.dumps(config).encode()
                else:
                    content = b"[" * 100_000 + b"]" * 100_000
            target.writestr(member, content)
    with pytest.raises(CCTError, match=r"model\.keras is not a model of this project: .+") as caught:
        load_model(path)
    assert len(str(caught.value)) < 500 + len(str(path))


@pytest.mark.parametrize(
    ("shape", "most", "at_once"),
    [
        ((32, 32, 3), 256, 256),
        ((64, 64, 1), 256, 256),
        ((224, 224, 3), 256, 20),
        ((8, 512, 3), 256, 256),
        ((512, 512, 3), 256, 4),
        ((512, 512, 3), 3, 3),
        ((4096, 4096, 3), 256, 1),
        ((64,), 256, 256),
    ],
)
def test_large_images_are_predicted_a_few_at_a_time(shape, most, at_once):
    assert inputs_at_once(shape, most=most) == at_once


def test_a_model_sees_no_more_large_images_than_that_at_once():
    seen = []

    class Watch(keras.layers.Layer):
        def call(self, x):
            seen.append(x.shape[0])
            return keras.ops.sum(x, axis=(1, 2))

    inputs = keras.Input((1024, 512, 1))
    model = keras.Model(inputs, Watch()(inputs))
    model.compile(run_eagerly=True)
    seen.clear()
    images = np.zeros((5, 1024, 512, 1), "uint8")
    images[:, 0, 0, 0] = range(5)
    assert predict_logits(model, images, batch_size=256).ravel().tolist() == [0, 1, 2, 3, 4]
    assert seen == [2, 2, 1]
