"""`cct.load`: a model outside the pipeline."""

import os
import subprocess
import sys

import numpy as np
import pytest
from brightness import CLASSES, FACTS, bright_probability, brightness_model
from clones import ROOT
from PIL import Image
from text_models import counting_model

import cct
from cct.data.images.decoding import decode_image
from cct.errors import CCTError
from cct.models.saving import save_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    brightness_model(folder / "model.keras")
    Image.new("RGB", (60, 80), (200, 200, 200)).save(folder / "bright.png")
    Image.new("L", (6, 8), 30).save(folder / "dark.png")
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return cct.load(folder / "model.keras")


@pytest.fixture(scope="module")
def text_classifier(tmp_path_factory):
    return cct.load(counting_model(tmp_path_factory.mktemp("text") / "model.keras"))


def test_every_kind_of_input_has_the_same_answer(model, folder):
    path = folder / "bright.png"
    array = np.full((80, 60, 3), 200, np.uint8)
    with Image.open(path) as opened:
        kinds = [str(path), path, path.read_bytes(), opened.copy(), array, array[..., 0], array[..., :1]]
    found = model.predict(kinds)
    assert found.labels == ["bright"] * len(kinds) and found.classes == CLASSES
    np.testing.assert_allclose(found.probabilities[:, 1], bright_probability(200), rtol=1e-6)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    for kind in kinds:
        assert model.predict(kind).probabilities[0, 1] == pytest.approx(bright_probability(200), rel=1e-6)


def test_images_are_treated_as_in_training(model, tmp_path):
    """Transparent, turned by EXIF, of another shape: as `decode_image` makes the arrays of `preprocess`."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    expected = model.predict_arrays(decode_image(tmp_path / "a.png", model.reader.options).pixels_hwc[None])
    np.testing.assert_array_equal(model.predict(tmp_path / "a.png").probabilities, expected.probabilities)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(model.predict(image).probabilities, expected.probabilities)


@pytest.mark.parametrize("wrong", [5, None, {"a": 1}, {1}, 2.5])
def test_what_is_no_input_is_named(model, wrong):
    with pytest.raises(CCTError, match=f"{type(wrong).__name__}: give a path"):
        model.predict(wrong)


def test_a_batch_is_more_than_one_call_of_the_model(model):
    images = np.zeros((300, 8, 6, 3), np.uint8)
    images[290:] = 255
    found = model.predict(images)
    assert found.labels == ["dark"] * 290 + ["bright"] * 10
    assert model.predict(iter([images[0], images[299]])).labels == ["dark", "bright"]
    assert model.predict([]).probabilities.shape == (0, 2)


@pytest.mark.parametrize(
    ("wrong", "said"), [(b"text", "image 290: not an image"), (3, "image 290: int: give a path, bytes")]
)
def test_a_wrong_image_is_named_by_its_place_among_all(model, wrong, said):
    """Images are read 256 at a time."""
    inputs = [np.zeros((8, 6, 3), np.uint8)] * 300
    inputs[290] = wrong
    with pytest.raises(CCTError, match=said):
        model.predict(inputs)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (7, "text 290 is of type int: give a text"),
        ("  ", "text 290 is empty"),
        (b"\xe4", "text 290, line 1: the byte 0xe4 is not utf-8"),
    ],
)
def test_a_wrong_text_is_named_by_its_place_among_all(text_classifier, wrong, said):
    inputs = ["a good film"] * 300
    inputs[290] = wrong
    with pytest.raises(CCTError, match=said):
        text_classifier.predict(inputs)


def test_the_top_classes_come_in_their_order(model, folder):
    ((first, second),) = model.predict(folder / "dark.png").top(5)
    assert (first[0], second[0]) == ("dark", "bright") and first[1] == pytest.approx(1 - bright_probability(30))
    assert model.predict(folder / "dark.png").confidences[0] == first[1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("no.png", "no.png: absent"),
        (b"", "image 0: empty"),
        (b"text", "image 0: not an image"),
        ([np.zeros((2, 2))], "image 0: an array of float64 (2, 2), where an image is uint8"),
        (np.zeros((4, 4, 2), np.uint8), "image 0: an array of uint8 (4, 4, 2), where"),
        (np.zeros((0, 4, 3), np.uint8), "image 0: 0x4 pixels: too small"),
        (Image.new("L", (1, 9)), "image 0: 9x1 pixels: too small"),
        (Image.new("F", (4, 4)), "image 0: cannot be used: pixels of 32 bits"),
        ([3], "image 0: int: give a path, bytes, an image of Pillow, or an array of uint8"),
    ],
)
def test_what_is_no_image_is_refused_by_its_name(model, given, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CCTError) as caught:
        model.predict(given)
    assert said in str(caught.value)


def test_what_is_no_trained_model_is_refused(tmp_path):
    (tmp_path / "text.keras").write_text("text")
    model = cct.load(brightness_model(tmp_path / "whole.keras")).model
    save_model(model, tmp_path / "bare.keras")
    save_model(model, tmp_path / "old.keras", facts={"trained_on": [{}]})
    for name, said in (
        ("absent.keras", "is not there"),
        ("text.keras", "is not a model of this project"),
        ("bare.keras", "does not say what its outputs mean"),
        ("old.keras", "was made by another version"),
    ):
        with pytest.raises(CCTError, match=said):
            cct.load(tmp_path / name)
    with pytest.raises(CCTError, match=r"have 3 classes, but its model maps \(8, 6, 3\) to \(2,\)"):
        cct.load(brightness_model(tmp_path / "three.keras", classes=["a", "b", "c"]))
    for name, value in (("shape", [8, 6]), ("resize", "fold"), ("background", "no colour")):
        with pytest.raises(CCTError, match=name):
            cct.load(brightness_model(tmp_path / "crafted.keras", input=FACTS["input"] | {name: value}))
    with pytest.raises(CCTError) as caught:
        cct.load(brightness_model(tmp_path / "sound.keras", task="sound"))
    assert str(caught.value) == (
        f"{tmp_path / 'sound.keras'} names the task 'sound'; valid: image_classification, text_classification. It was "
        "made by another version of this project, so train it again"
    )


def test_it_loads_in_any_folder_without_a_word(folder, tmp_path):
    """Nothing but the answer is printed, whatever the backend says at import."""
    code = f"import cct; print(cct.load({str(folder / 'model.keras')!r}).predict({str(folder / 'dark.png')!r}).labels)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("['dark']\n", "")


THREADS = """
import sys, threading
from pathlib import Path
import numpy as np
import cct
from small_models import attention_model
model = cct.load(attention_model(Path(sys.argv[1])))
assert model.runtime.title == "Keras" and __import__("keras").backend.backend() == "jax"
images = np.random.default_rng(0).integers(0, 256, (4, 8, 6, 3), np.uint8)
expected, failed = model.predict_arrays(images).probabilities, []

def use(function):
    try:
        for _ in range(60):
            found = function(images)
            found = getattr(found, "predictions", found).probabilities
            np.testing.assert_allclose(found, expected, atol=1e-6)
    except Exception as error:
        failed.append(error)

uses = [model.predict_arrays, model.explain_arrays, model.predict_arrays]
threads = [threading.Thread(target=use, args=(function,)) for function in uses]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failed, failed
"""


@pytest.mark.services
def test_threads_share_a_model_on_jax(tmp_path):
    """Keras gives JAX the weights for each prediction, so that another thread would find them deleted."""
    pytest.importorskip("jax")
    paths = os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests", ROOT / "tests/serving")))
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": paths}
    words = [sys.executable, "-c", THREADS, str(tmp_path / "model.keras")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
