"""CIFAR archives, whole and damaged."""

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from sources import read, refusal

from cct.data.arrays import DataError
from cct.data.formats.registry import FORMATS

TRAIN = [f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)]
TEST = "cifar-10-batches-bin/test_batch.bin"
RECORD = 3073


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


def test_cifar10_round_trip(tmp_path):
    parts = [records(3, seed=i) for i in range(6)]
    contents = dict(zip([*TRAIN, TEST], [content for content, _, _ in parts], strict=True))
    backwards = {"cifar-10-batches-bin/readme.html": b"no record"} | dict(reversed(contents.items()))
    arrays = read(packed(tmp_path, backwards))
    np.testing.assert_array_equal(arrays.train_inputs, np.concatenate([images for _, images, _ in parts[:5]]))
    np.testing.assert_array_equal(arrays.train_labels, np.concatenate([labels for _, _, labels in parts[:5]]))
    np.testing.assert_array_equal(arrays.test_inputs, parts[5][1])
    np.testing.assert_array_equal(arrays.test_labels, parts[5][2])
    assert [array.dtype for array in arrays] == [np.uint8, np.int64, np.uint8, np.int64]


def test_cifar100_round_trip(tmp_path):
    """The fine label counts, not the coarse one before it."""
    train, test = (records(n, seed=n, label_bytes=2, classes=100) for n in (150, 60))
    path = packed(tmp_path, {"cifar-100-binary/train.bin": train[0], "cifar-100-binary/test.bin": test[0]})
    arrays = read(path, "cifar100-binary", 100)
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
        ([*cifar10().items(), (TRAIN[2], records(1, seed=0)[0])], f"{TRAIN[2]} is a duplicate"),
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
        read(tmp_path / "absent.tar.gz")


def test_every_truncation_is_refused(tmp_path):
    """The last ones cut off only the checksum and length that end a gzip file."""
    path = packed(tmp_path, cifar10(1))
    whole = path.read_bytes()
    read(path)
    for length in [*range(24), *range(24, len(whole), 211), *range(len(whole) - 12, len(whole))]:
        path.write_bytes(whole[:length])
        assert refusal(path).startswith("damaged or not a .tar.gz archive"), length


def test_no_flipped_bit_changes_a_image(tmp_path):
    """Each is refused, but for the few that mean nothing, such as the padding of deflate's blocks."""
    path = packed(tmp_path, cifar10(1))
    whole, arrays, harmless = path.read_bytes(), read(path), 0
    places = range(10, len(whole), 151)  # after gzip's own header
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            found = read(path)
        except DataError:
            continue
        harmless += 1
        for array, expected in zip(found, arrays, strict=True):
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
            read(path)
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
    assert len(read(path).test_labels) == 2
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "archive.tar.gz", "b"]


def sparse(name: str, size: int) -> bytes:
    """A member of GNU's sparse kind: all of its bytes are a hole."""
    header = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[124:136] = b"%011o\0" % 0
    header[483:495] = b"\x80" + size.to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def test_a_sparse_member_of_a_terabyte_takes_no_memory(tmp_path):
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(gzip.compress(sparse(TRAIN[0], 1 << 40) + bytes(1024)))
    with pytest.raises(DataError, match=r"data_batch_1\.bin (is not a plain file|has )"):
        read(path)


@pytest.mark.parametrize("name", [TRAIN[0], "readme"])
def test_a_member_that_says_to_be_larger_than_the_archive_can_be_is_refused(tmp_path, name):
    info = tarfile.TarInfo(name)
    info.size = 1 << 40
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)))
    with pytest.raises(DataError, match=rf"{name} has 1,099,511,627,776 bytes, more than the limit of 536,870,912: "):
        read(path)


def test_five_thousand_chained_long_names_are_refused(tmp_path):
    link = tarfile.TarInfo("././@LongLink")
    link.type, link.size = tarfile.GNUTYPE_LONGNAME, 512
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(gzip.compress((link.tobuf(tarfile.GNU_FORMAT) + b"a" * 511 + b"\0") * 5000 + bytes(1024)))
    with pytest.raises(DataError, match=r"archive\.tar\.gz: damaged or not a \.tar\.gz archive"):
        read(path)


@pytest.mark.parametrize("name", ["cifar10-binary", "digits-csv"])
def test_a_file_that_the_system_does_not_open_is_not_called_damaged(tmp_path, name):
    with pytest.raises(DataError, match=rf"^cannot read {tmp_path}: Is a directory$"):
        FORMATS[name].read(dict.fromkeys(FORMATS[name].files, tmp_path), 10)


@pytest.mark.parametrize("name", ["cifar10-binary", "digits-csv"])
def test_a_file_that_unpacks_without_end_is_left(tmp_path, monkeypatch, name):
    monkeypatch.setattr("cct.data.formats.gzipped.ALWAYS_ALLOWED", 1 << 20)
    path = tmp_path / "archive.tar.gz"
    info = tarfile.TarInfo("other.bin")
    info.size = 1 << 19
    endless = (info.tobuf(tarfile.GNU_FORMAT) + bytes(info.size)) * 100
    content = endless if name == "cifar10-binary" else b"1,2\n" * (2 << 20)
    path.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=r"unpacks to more than [\d,]+ bytes, the larger of 1 MiB and 20 times its "):
        read(path, name)
