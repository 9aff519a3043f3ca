"""`cct.data` on archives that are made here, whole and broken, in the layout of the official ones."""

import gzip
import hashlib
import importlib.util
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from cct.data.arrays import Arrays, DataError
from cct.data.prepare import write_processed
from cct.data.sources import Source, read_arrays, read_source
from cct.data.splits import PreprocessParams, stratified_split
from cct.data.store import read_meta, read_split
from cct.errors import CCTError
from cct.params import ParamsError
from cct.tasks.image_classification.preparation import channel_statistics, describe

TRAIN = [f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)]
TEST = "cifar-10-batches-bin/test_batch.bin"
RECORD = 3073
DIGITS = Path(importlib.util.find_spec("sklearn").submodule_search_locations[0], "datasets/data/digits.csv.gz")


def source(form: str = "cifar10-binary", classes: int = 10) -> Source:
    names = [f"class{i}" for i in range(classes)]
    return Source(name="small", format=form, classes=names, file="f", size=1, sha256="0" * 64, urls=["f"])


def records(n: int, *, seed: int, label_bytes: int = 1, classes: int = 10) -> tuple[bytes, np.ndarray, np.ndarray]:
    """Bytes of n records, and the images (n, 32, 32, 3) and labels in them, put together one by one."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    labels = (np.arange(n) + seed) % classes
    content = b""
    for image, label in zip(images, labels, strict=True):
        content += bytes([*[255] * (label_bytes - 1), label])  # a coarse label, which no one reads
        content += b"".join(image[:, :, channel].tobytes() for channel in range(3))
    return content, images, labels


def cifar10(n: int = 2) -> dict[str, bytes]:
    return {name: records(n, seed=i)[0] for i, name in enumerate([*TRAIN, TEST])}


def tarred(members: list[tuple[str | tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def packed(tmp_path: Path, members: dict[str, bytes] | list) -> Path:
    path = tmp_path / "archive.tar.gz"
    members = list(members.items()) if isinstance(members, dict) else members
    path.write_bytes(gzip.compress(tarred(members), 1))
    return path


def refusal(path: Path, form: str = "cifar10-binary", classes: int = 10) -> str:
    with pytest.raises(DataError) as caught:
        read_arrays(source(form, classes), path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_errors_are_the_users():
    assert issubclass(DataError, CCTError)


# Archives


def test_cifar10_round_trip(tmp_path):
    parts = [records(3, seed=i) for i in range(6)]
    contents = dict(zip([*TRAIN, TEST], [content for content, _, _ in parts], strict=True))
    backwards = {"cifar-10-batches-bin/readme.html": b"no record"} | dict(reversed(contents.items()))
    arrays = read_arrays(source(), packed(tmp_path, backwards))
    np.testing.assert_array_equal(arrays.train_inputs, np.concatenate([images for _, images, _ in parts[:5]]))
    np.testing.assert_array_equal(arrays.train_labels, np.concatenate([labels for _, _, labels in parts[:5]]))
    np.testing.assert_array_equal(arrays.test_inputs, parts[5][1])
    np.testing.assert_array_equal(arrays.test_labels, parts[5][2])
    assert [array.dtype for array in arrays] == [np.uint8, np.int64, np.uint8, np.int64]


def test_cifar100_round_trip(tmp_path):
    """The fine label counts, not the coarse one before it."""
    train, test = (records(n, seed=n, label_bytes=2, classes=100) for n in (150, 60))
    path = packed(tmp_path, {"cifar-100-binary/train.bin": train[0], "cifar-100-binary/test.bin": test[0]})
    arrays = read_arrays(source("cifar100-binary", 100), path)
    for array, expected in zip(arrays, (*train[1:], *test[1:]), strict=True):
        np.testing.assert_array_equal(array, expected)


def without(name: str) -> list:
    return [(other, content) for other, content in cifar10().items() if other != name]


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], ", ".join([*TRAIN, TEST]) + " missing from the archive"),
        (without(TEST), f"{TEST} missing from the archive"),
        ([(f"./{TEST}", b""), *without(TEST)], f"{TEST} missing from the archive"),
        ([*cifar10().items(), (TRAIN[2], records(1, seed=0)[0])], f"{TRAIN[2]} is there twice"),
        ([*without(TEST), (link(TEST, tarfile.SYMTYPE), b"")], f"{TEST} is not a plain file"),
        ([*without(TEST), (link(TEST, tarfile.LNKTYPE), b"")], f"{TEST} is not a plain file"),
        ([*without(TEST), (link(TEST, tarfile.DIRTYPE), b"")], f"{TEST} is not a plain file"),
        ([*without(TEST), (link(TEST, tarfile.FIFOTYPE), b"")], f"{TEST} is not a plain file"),
        (
            [*without(TEST), (TEST, records(2, seed=5)[0][:-1])],
            f"{TEST}: 6,145 bytes are not whole records of 3073: the one at offset 3,073 is cut off",
        ),
        (
            [*without(TEST), (TEST, b"")],
            f"{TEST}: 0 bytes are not whole records of 3073: the one at offset 0 is cut off",
        ),
        (
            [*without(TEST), (TEST, bytes(2 * RECORD) + b"\x0a" + bytes(3072) + b"\x0b" + bytes(3072))],
            f"{TEST}: label 10 at offset 6,146, but there are 10 classes (0 to 9)",
        ),
    ],
)
def test_bad_members_are_refused(members, message, tmp_path):
    assert refusal(packed(tmp_path, members)) == message


def test_the_offset_of_a_fine_label_is_its_own(tmp_path):
    members = {"cifar-100-binary/train.bin": bytes(3074) + b"\x00\x64" + bytes(3072)}
    message = refusal(packed(tmp_path, members), "cifar100-binary", 100)
    assert message == "cifar-100-binary/train.bin: label 100 at offset 3,075, but there are 100 classes (0 to 99)"


def test_extended_headers_of_nonsense_are_refused(tmp_path):
    """Python's tarfile lets a ValueError through."""
    info = tarfile.TarInfo("sparse")
    info.pax_headers = {"GNU.sparse.size": "many"}
    assert refusal(packed(tmp_path, [(info, b""), *cifar10().items()])).startswith("damaged or not a .tar.gz archive: ")


@pytest.mark.parametrize(
    "content",
    [b"", b"not a gzip", b"\x1f\x8b", b"PK\x03\x04" + bytes(600), gzip.compress(b"no tar" * 200), tarred([])],
    ids=["empty", "text", "magic", "zip", "no tar", "no gzip"],
)
def test_what_is_no_archive_is_refused(content, tmp_path):
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(content)
    assert refusal(path).startswith("damaged or not a .tar.gz archive: ")


def test_an_absent_archive_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"absent\.tar\.gz is not there: run dvc repro download"):
        read_arrays(source(), tmp_path / "absent.tar.gz")


def test_every_truncation_is_refused(tmp_path):
    """The last ones cut off only the checksum and length that end a gzip file."""
    path = packed(tmp_path, cifar10(1))
    whole = path.read_bytes()
    read_arrays(source(), path)
    for length in [*range(24), *range(24, len(whole), 211), *range(len(whole) - 12, len(whole))]:
        path.write_bytes(whole[:length])
        assert refusal(path).startswith("damaged or not a .tar.gz archive"), length


def test_no_flipped_bit_changes_a_image(tmp_path):
    """Each is refused, but for the few that mean nothing, such as the padding of deflate's blocks."""
    path = packed(tmp_path, cifar10(1))
    whole, arrays, harmless = path.read_bytes(), read_arrays(source(), path), 0
    places = range(10, len(whole), 151)  # after gzip's own header
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            read = read_arrays(source(), path)
        except DataError:
            continue
        harmless += 1
        for array, expected in zip(read, arrays, strict=True):
            np.testing.assert_array_equal(array, expected)
    assert harmless < len(places) / 50


def test_headers_of_chance_raise_nothing_else(tmp_path):
    """Bytes of a member's header changed at random under a right checksum: read, or refused with one message."""
    rng = np.random.default_rng(0)
    whole = tarred([(name, records(1, seed=0)[0]) for name in [*TRAIN, TEST]])
    header = whole.index(TRAIN[3].encode())
    path, refused = tmp_path / "archive.tar.gz", 0
    for _ in range(150):
        changed = bytearray(whole)
        # Name, size, kind and the fields that extended headers use.
        for place in rng.choice([rng.integers(512), 124 + rng.integers(12), 156, 345 + rng.integers(155)], 2):
            changed[header + place] = rng.integers(256)
        changed[header + 148 : header + 156] = b" " * 8
        total = sum(changed[header : header + 512])
        changed[header + 148 : header + 156] = b"%06o\0 " % total
        path.write_bytes(gzip.compress(changed, 1))
        try:
            read_arrays(source(), path)
        except DataError:
            refused += 1
    assert 50 < refused < 150


def test_other_members_are_ignored_and_nothing_is_extracted(tmp_path, monkeypatch):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    names = ["../../evil", str(tmp_path / "evil"), f"../{TEST}", link("link", tarfile.SYMTYPE)]
    evil = [(name, b"") for name in names]
    path = packed(tmp_path, [*evil, *cifar10().items(), *evil])
    assert len(read_arrays(source(), path).test_labels) == 2
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "archive.tar.gz", "b"]


# Digits


def test_digits_are_what_the_file_says():
    rows = [[int(x) for x in line.split(",")] for line in gzip.decompress(DIGITS.read_bytes()).decode().split()]
    arrays = read_arrays(read_source(ROOT / "data/sources/digits.yaml"), DIGITS)
    assert len(rows) == 1797 == len(arrays.train_labels) + len(arrays.test_labels)
    assert arrays.train_inputs.shape[1:] == arrays.test_inputs.shape[1:] == (8, 8, 1)
    assert arrays.train_inputs.dtype == np.uint8
    assert arrays.train_inputs.max() == 255
    expected = sorted((bytes(round(x * 255 / 16) for x in row[:64]), row[64]) for row in rows)
    found = [
        (image.tobytes(), int(label))
        for images, labels in [arrays[:2], arrays[2:]]
        for image, label in zip(images, labels, strict=True)
    ]
    assert sorted(found) == expected


def test_digits_keep_their_test_images():
    """A golden number: it changes only if results on digits are no longer comparable with those before."""
    arrays = read_arrays(source("digits-csv"), DIGITS)
    assert len(arrays.test_labels) == 359
    assert hashlib.sha256(arrays.test_inputs.tobytes()).hexdigest()[:16] == "79f879f7d5c51589"


ROW = ",".join(["0"] * 64)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{ROW}\n", "expected rows of 64 pixels from 0 to 16 and a label, found a table of (1, 64)"),
        (f"{ROW},1\n{ROW}\n", "damaged or not a gzipped table of numbers: "),
        (f"17{ROW[1:]},1\n", "expected rows of 64 pixels from 0 to 16 "),
        (f"-1{ROW[1:]},1\n", "expected rows of 64 pixels from 0 to 16 "),
        (f"nan{ROW[1:]},1\n", "damaged or not a gzipped table of numbers: "),
        (f"0.5{ROW[1:]},1\n", "damaged or not a gzipped table of numbers: "),
        (f"{ROW},1.5\n", "damaged or not a gzipped table of numbers: "),
        (f"{ROW},1\n{ROW},10\n", "labels from 1 to 10, but there are 10 classes"),
        (f"{ROW},-1\n", "labels from -1 to -1, but there are 10 classes"),
        ("p1,p2\n", "damaged or not a gzipped table of numbers: "),
        ("é", "damaged or not a gzipped table of numbers: "),
    ],
)
def test_bad_tables_are_refused(text, message, tmp_path):
    path = tmp_path / "digits.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert refusal(path, "digits-csv").startswith(message)


@pytest.mark.filterwarnings("ignore:loadtxt")
def test_truncated_tables_are_refused(tmp_path):
    path, whole = tmp_path / "digits.csv.gz", DIGITS.read_bytes()
    for length in [*range(20), 1000, len(whole) // 2, *range(len(whole) - 9, len(whole))]:
        path.write_bytes(whole[:length])
        refusal(path, "digits-csv")


# The split


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [100, 60, 40]))


@pytest.mark.parametrize(("fraction", "counts"), [(0.1, [10, 6, 4]), (0.26, [26, 16, 10]), (0.99, [99, 59, 39])])
def test_split_takes_the_fraction_of_each_class(labels, fraction, counts):
    if fraction == 0.99:  # 59.4 and 39.6: the second would be all of the 40
        labels = np.delete(labels, np.flatnonzero(labels == 2))
        counts = counts[:2]
    stays, chosen = stratified_split(labels, fraction, seed=0)
    assert np.bincount(labels[chosen]).tolist() == counts
    assert sorted([*stays, *chosen]) == list(range(len(labels)))
    assert (np.diff(stays) > 0).all() and (np.diff(chosen) > 0).all()


def test_split_is_the_seeds(labels):
    first, again, other = (stratified_split(labels, 0.2, seed=seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_split_is_shuffled(labels):
    """Not the last of each class, which is what the Keras example takes of the whole."""
    _, chosen = stratified_split(np.zeros(1000, int), 0.1, seed=0)
    assert chosen.min() < 100 and chosen.max() > 900


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_a_class_left_empty_is_refused(labels, fraction):
    with pytest.raises(DataError, match=r"of the 40 examples with label 2: .* preprocess.validation_fraction"):
        stratified_split(labels, fraction, seed=0)


# Statistics and files


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


IMAGES = {"task": "image_classification", "describe": describe}
PREPROCESS = PreprocessParams(train_fraction=1.0, validation_fraction=0.2, seed=0)


def test_processed_files(arrays, tmp_path):
    meta = write_processed(tmp_path / "new" / "out", source(classes=3), arrays, PREPROCESS, **IMAGES)
    folder = tmp_path / "new" / "out"
    names = [f"{split}_{kind}" for split in ("train", "val", "test") for kind in ("inputs", "labels")]
    assert sorted(p.name for p in folder.iterdir()) == sorted(["meta.json", *(f"{name}.npy" for name in names)])
    assert meta == read_meta(folder) == json.loads((folder / "meta.json").read_text())
    digests = {name: hashlib.sha256((folder / f"{name}.npy").read_bytes()).hexdigest() for name in names}
    stays, chosen = stratified_split(arrays.train_labels, 0.2, seed=0)
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
        "source_sha256": "0" * 64,
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
    meta = write_processed(tmp_path / "half", source(classes=3), arrays, half, **IMAGES)
    assert meta["examples_per_class"] == {"train": [8] * 3, "val": [2] * 3, "test": [3] * 3}
    known = [image.tobytes() for image in arrays.train_inputs]
    places = {}
    for split in ("train", "val"):
        images, labels = read_split(tmp_path / "half", split)
        places[split] = [known.index(image.tobytes()) for image in images]
        assert places[split] == sorted(places[split])
        np.testing.assert_array_equal(labels, arrays.train_labels[places[split]])
    assert len({*places["train"], *places["val"]}) == 30
    with pytest.raises(DataError, match=r"takes 0 of the 20 .* choose another preprocess\.train_fraction"):
        tiny = PREPROCESS.model_copy(update={"train_fraction": 0.01})
        write_processed(tmp_path / "tiny", source(classes=3), arrays, tiny, **IMAGES)


def test_processed_files_are_the_same_bytes_again(arrays, tmp_path):
    for folder, preprocess in [("a", PREPROCESS), ("b", PREPROCESS), ("c", PREPROCESS.model_copy(update={"seed": 1}))]:
        write_processed(tmp_path / folder, source(classes=3), arrays, preprocess, **IMAGES)
    contents = {
        folder: {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in ("a", "b", "c")
    }
    assert contents["a"] == contents["b"]
    assert {name for name in contents["a"] if contents["a"][name] == contents["c"][name]} >= {"test_inputs.npy"}
    assert contents["a"]["val_inputs.npy"] != contents["c"]["val_inputs.npy"]


def test_a_class_without_images_is_refused(arrays, tmp_path):
    with pytest.raises(DataError, match=r"^small: no training example of class3, class4: .* too many classes$"):
        write_processed(tmp_path / "out", source(classes=5), arrays, PREPROCESS, **IMAGES)
    assert not (tmp_path / "out").exists()


def test_a_constant_channel_is_refused(arrays, tmp_path):
    images = arrays.train_inputs.copy()
    images[..., 1] = 7
    with pytest.raises(DataError, match=r"^small: a channel has one value in all training images$"):
        write_processed(tmp_path / "out", source(classes=3), arrays._replace(train_inputs=images), PREPROCESS, **IMAGES)
    assert not (tmp_path / "out").exists()


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


# Descriptors


@pytest.mark.parametrize("path", sorted((ROOT / "data/sources").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_committed_descriptors_are_read(path):
    read = read_source(path)
    assert read.name == path.stem


def test_the_digits_descriptor_is_of_the_package():
    read = read_source(ROOT / "data/sources/digits.yaml")
    content = DIGITS.read_bytes()
    assert (read.size, read.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("sha256", "'ABC'", "sha256 = 'ABC': must match pattern '^[0-9a-f]{64}$' (64 hexadecimal digits)"),
        ("sha256", f"'{'0' * 64}\n\n'", "sha256 = '000"),
        ("sha256", "7", "sha256 = 7: must be a string"),
        ("classes", "[a, b, a, c, c]", "classes = ['a', 'b', 'a', 'c', 'c']: class names must differ, but "),
        ("classes", "[a]", "classes = ['a']: must have at least 2 items, not 1"),
        ("classes", "[a, 1]", "classes.1 = 1: must be a string"),
        ("classes", "ab", "classes = 'ab': must be a list"),
        ("format", "cifar10-python", "format = 'cifar10-python': must be 'cifar10-binary', "),
        ("file", "../evil", "file = '../evil': must match pattern "),
        ("file", "a/b", "file = 'a/b': must match pattern "),
        ("file", "/etc/passwd", "file = '/etc/passwd': must match pattern "),
        ("file", "..", "file = '..': must match pattern "),
        ("file", "'a\\b'", r"file = 'a\\b': must match pattern "),
        ("size", "0", "size = 0: must be greater than 0"),
        ("size", "1.0", "size = 1.0: must be an integer"),
        ("urls", "[]", "urls = []: must have at least 1 item, not 0"),
        (
            "name",
            "a b",
            "name = 'a b': must match pattern '^[A-Za-z0-9._-]+$' (short name of the data set: letters, digits, . _ -)",
        ),
        ("hash", "x", "hash = 'x': unknown name; valid: name, format, classes, file, size, sha256, urls"),
        ("class", "x", "class = 'x': unknown name; did you mean classes?"),
    ],
)
def test_descriptor_mistakes(field, value, line, tmp_path):
    good = {
        "name": "n",
        "format": "cifar10-binary",
        "classes": "[a, b]",
        "file": "f",
        "size": "1",
        "sha256": "0" * 64,
        "urls": "[f]",
    }
    good["sha256"] = f"'{good['sha256']}'"
    path = tmp_path / "source.yaml"
    path.write_text("".join(f"{key}: {text}\n" for key, text in good.items()))
    assert read_source(path).classes == ["a", "b"]
    path.write_text("".join(f"{key}: {text}\n" for key, text in (good | {field: value}).items()))
    with pytest.raises(ParamsError) as caught:
        read_source(path)
    head, found = str(caught.value).split("\n  ")
    assert head == f"{path} has 1 mistake:"
    assert found.startswith(line)
