"""Writing and reading of the processed arrays."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from sources import preprocess_params, source

from cct.data.arrays import Arrays, DataError
from cct.data.params import PreprocessParams
from cct.data.prepare import prepare_arrays, write_processed
from cct.data.splits import stratified_split
from cct.data.store import read_meta, read_split
from cct.tasks.image_classification.preparation import channel_statistics, converter, describe


def test_channel_statistics():
    rng = np.random.default_rng(0)
    images = (rng.random((5000, 3, 5, 3)) ** [1, 2, 3] * 256).astype(np.uint8)  # more than one chunk of 4,096
    scaled = images.astype(np.float64) / 255
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, scaled.std(axis=(0, 1, 2)), rtol=1e-12)


@pytest.mark.parametrize("value", range(0, 256, 15))
def test_a_constant_channel_has_no_deviation_at_all(value):
    assert channel_statistics(np.full((1001, 3, 3, 1), value, np.uint8)) == ([value / 255], [0.0])


@pytest.fixture
def arrays() -> Arrays:
    rng = np.random.default_rng(0)
    train, test = (rng.integers(0, 256, (n, 4, 5, 3), dtype=np.uint8) for n in (60, 9))
    return Arrays(train, np.arange(60) % 3, test, np.arange(9) % 3)


PREPROCESS = preprocess_params(validation_fraction=0.2)


def write(folder: Path, arrays: Arrays, preprocess: PreprocessParams = PREPROCESS, *, classes: int = 3, **options):
    prepared = prepare_arrays(source(folder.parent, classes=classes), arrays, preprocess)
    return write_processed(folder, prepared, task="image_classification", describe=describe, **options)


def test_processed_files(arrays, tmp_path):
    meta = write(tmp_path / "new" / "out", arrays)
    folder = tmp_path / "new" / "out"
    names = [f"{split}_{kind}" for split in ("train", "val", "test") for kind in ("inputs", "labels")]
    assert sorted(p.name for p in folder.iterdir()) == sorted(["meta.json", *(f"{name}.npy" for name in names)])
    assert meta == read_meta(folder) == json.loads((folder / "meta.json").read_text())
    digests = {name: hashlib.sha256((folder / f"{name}.npy").read_bytes()).hexdigest() for name in names}
    stays, chosen = stratified_split(arrays.train_labels, 0.2, seed=0, remedy="")
    mean, std = channel_statistics(arrays.train_inputs[stays])
    assert meta == {
        "name": "small",
        "task": "image_classification",
        "classes": ["class0", "class1", "class2"],
        "image_shape": [4, 5, 3],
        "examples": {"train": 48, "val": 12, "test": 9},
        "examples_per_class": {"train": [16] * 3, "val": [4] * 3, "test": [3] * 3},
        "mean": mean,
        "std": std,
        "resize": "crop",
        "background": "white",
        "source_sha256": {"archive": "0" * 64},
        "sha256": digests,
        "digest": hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest(),
    }
    for split, images, labels in [
        ("train", arrays.train_inputs[stays], arrays.train_labels[stays]),
        ("val", arrays.train_inputs[chosen], arrays.train_labels[chosen]),
        ("test", arrays.test_inputs, arrays.test_labels),
    ]:
        found = read_split(folder, split)
        assert isinstance(found[0], np.memmap) and not found[0].flags.writeable
        np.testing.assert_array_equal(found[0], images)
        np.testing.assert_array_equal(found[1], labels)


def test_a_share_of_the_training_images(arrays, tmp_path):
    """Of each class 10 of 20, of which 2 validate; the test split stays whole, and the whole set's order."""
    half = PREPROCESS.model_copy(update={"train_fraction": 0.5})
    meta = write(tmp_path / "half", arrays, half)
    assert meta["examples_per_class"] == {"train": [8] * 3, "val": [2] * 3, "test": [3] * 3}
    known = [image.tobytes() for image in arrays.train_inputs]
    places = {}
    for split in ("train", "val"):
        images, labels = read_split(tmp_path / "half", split)
        places[split] = [known.index(image.tobytes()) for image in images]
        assert places[split] == sorted(places[split])
        np.testing.assert_array_equal(labels, arrays.train_labels[places[split]])
    assert len({*places["train"], *places["val"]}) == 30
    with pytest.raises(
        DataError, match=r"^small: .* class0 \(1 of 1\), .* add examples, or raise preprocess\.train_fraction$"
    ):
        write(tmp_path / "tiny", arrays, PREPROCESS.model_copy(update={"train_fraction": 0.01}))


def test_processed_files_are_the_same_bytes_again(arrays, tmp_path):
    for folder, preprocess in [("a", PREPROCESS), ("b", PREPROCESS), ("c", PREPROCESS.model_copy(update={"seed": 1}))]:
        write(tmp_path / folder, arrays, preprocess)
    contents = {
        folder: {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in ("a", "b", "c")
    }
    assert contents["a"] == contents["b"]
    assert {name for name in contents["a"] if contents["a"][name] == contents["c"][name]} >= {"test_inputs.npy"}
    assert contents["a"]["val_inputs.npy"] != contents["c"]["val_inputs.npy"]


def test_a_class_without_images_is_refused(arrays, tmp_path):
    with pytest.raises(
        DataError, match=r"^small: no training example of class3, class4: add some, or remove the classes$"
    ):
        write(tmp_path / "out", arrays, classes=5)
    assert not (tmp_path / "out").exists()


def test_a_constant_channel_is_refused(arrays, tmp_path):
    images = arrays.train_inputs.copy()
    images[..., 1] = 7
    with pytest.raises(DataError, match=r"^small: a channel has one value in all training images: check the archive"):
        write(tmp_path / "out", arrays._replace(train_inputs=images))
    assert not (tmp_path / "out").exists()


def test_inputs_are_converted_as_they_are_written(arrays, tmp_path):
    write(tmp_path / "out", arrays, convert=lambda images: 255 - images[..., :1])
    images, _ = read_split(tmp_path / "out", "test")
    np.testing.assert_array_equal(images, 255 - arrays.test_inputs[..., :1])


@pytest.mark.parametrize(
    "changes", [{"image_size": 8}, {"image_size": [8, 12], "channels": "grey"}, {"channels": "grey"}]
)
def test_arrays_get_the_size_and_channels_of_the_parameters(arrays, changes):
    preprocess = preprocess_params(**changes)
    found = converter(arrays.train_inputs.shape[1:], preprocess)(arrays.train_inputs)
    height, width = {"8": [8, 8], "[8, 12]": [8, 12], "None": [4, 5]}[str(preprocess.image_size)]
    assert found.shape == (60, height, width, 1 if preprocess.channels == "grey" else 3) and found.dtype == np.uint8
    assert converter(found.shape[1:], preprocess) is None


def test_what_is_not_there_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="run dvc repro preprocess"):
        read_meta(tmp_path)
    with pytest.raises(DataError, match=r"the val split cannot be read .* run dvc repro preprocess"):
        read_split(tmp_path, "val")


def test_a_pickle_is_not_read(tmp_path):
    np.save(tmp_path / "val_inputs.npy", np.zeros(2, np.uint8))
    np.save(tmp_path / "val_labels.npy", np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(DataError, match="the val split cannot be read"):
        read_split(tmp_path, "val")
