"""IDX files: the arrays of four files, or one sentence; and the descriptors of MNIST and Fashion-MNIST."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from clones import ROOT
from hypothesis import given
from hypothesis import strategies as st

from cct.data.arrays import DataError
from cct.data.download import fetch_source
from cct.data.formats.idx import FILES, read_idx
from cct.data.sources import read_arrays, read_source

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def packed(array: np.ndarray) -> bytes:
    """An array of bytes as an IDX file."""
    shape = np.array(array.shape, ">u4")
    return bytes([0, 0, 8, array.ndim]) + shape.tobytes() + array.astype(np.uint8).tobytes()


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "train_images": rng.integers(0, 256, (6, 4, 5)),
        "train_labels": np.array([0, 1, 2, 2, 1, 0]),
        "test_images": rng.integers(0, 256, (3, 4, 5)),
        "test_labels": np.array([2, 1, 0]),
    }


def write(folder: Path, contents: dict[str, bytes]) -> dict[str, Path]:
    for role, content in contents.items():
        (folder / role).write_bytes(content)
    return {role: folder / role for role in FILES}


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_images_and_labels_are_read(arrays, tmp_path, compress):
    paths = write(tmp_path, {role: compress(packed(array)) for role, array in arrays.items()})
    read = read_idx(paths, 3)
    np.testing.assert_array_equal(read.train_inputs[..., 0], arrays["train_images"])
    np.testing.assert_array_equal(read.test_inputs[..., 0], arrays["test_images"])
    np.testing.assert_array_equal(read.train_labels, arrays["train_labels"])
    np.testing.assert_array_equal(read.test_labels, arrays["test_labels"])
    assert read.train_inputs.shape == (6, 4, 5, 1) and read.train_inputs.dtype == np.uint8


@pytest.mark.parametrize(
    ("role", "change", "why"),
    [
        ("train_images", lambda content: b"", "not an IDX file of bytes with 3 dimensions"),
        (
            "train_labels",
            lambda content: b"\x00\x00\x0d\x01" + content[4:],
            "not an IDX file of bytes with 1 dimension",
        ),
        ("test_images", lambda content: content[:-1], r"75 bytes, but its header says 76 for \(3, 4, 5\)"),
        ("test_images", lambda content: content + b"x", "77 bytes, but its header says 76"),
        ("train_images", lambda content: content[:4] + b"\xff" * 12 + content[16:], "but its header says 79,228,162,"),
        ("train_labels", lambda content: packed(np.arange(5) % 3), "5 labels for 6 images"),
        ("test_labels", lambda content: packed(np.array([0, 1, 3])), "labels up to 3, but there are 3 classes"),
        ("test_images", lambda content: packed(np.zeros((3, 5, 4))), "different sizes: 4x5 and 5x4"),
        ("train_images", lambda content: packed(np.zeros((0, 4, 5))), "16 bytes, but its header says 16"),
        ("test_labels", lambda content: gzip.compress(content)[:-5], "damaged: "),
        ("train_labels", lambda content: gzip.compress(content)[:-1] + b"x", "damaged: "),
    ],
)
def test_what_is_wrong_is_said(arrays, tmp_path, role, change, why):
    contents = {role: packed(array) for role, array in arrays.items()}
    paths = write(tmp_path, contents | {role: change(contents[role])})
    with pytest.raises(DataError, match=rf"{role}: .*{why}"):
        read_idx(paths, 3)


@given(place=st.integers(0, 15), value=st.integers(0, 255))
def test_any_header_is_read_or_refused(tmp_path_factory, place, value):
    folder = tmp_path_factory.mktemp("idx")
    labels = packed(np.array([0, 1]))
    images = bytearray(packed(np.ones((2, 2, 2))))
    images[place] = value
    paths = write(
        folder, {"train_images": bytes(images), "test_images": bytes(images)} | dict.fromkeys(FILES[1::2], labels)
    )
    try:
        assert read_idx(paths, 2).train_inputs.shape == (2, 2, 2, 1)
    except DataError as error:
        assert str(error).startswith(f"{folder}/") and "\n" not in str(error)


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_fashion_mnist_is_found_where_debian_has_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CCT_CACHE", str(tmp_path / "cache"))
    source = read_source(ROOT / "data/sources/fashion_mnist.yaml")
    found = fetch_source(source, base=ROOT)
    for role, path in found.items():
        (tmp_path / source.files[role].file).symlink_to(path)
    arrays = read_arrays(source, tmp_path)
    assert arrays.train_inputs.shape == (60_000, 28, 28, 1) and arrays.test_inputs.shape == (10_000, 28, 28, 1)
    assert np.bincount(arrays.train_labels).tolist() == [6000] * 10
    assert np.bincount(arrays.test_labels).tolist() == [1000] * 10
    assert arrays.train_labels[:5].tolist() == [9, 0, 0, 3, 0]  # as its authors' page shows them
