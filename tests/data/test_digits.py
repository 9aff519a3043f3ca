"""The table of handwritten digits, whole and damaged."""

import gzip
import hashlib

import numpy as np
import pytest
from sources import DIGITS, read, refusal


def test_digits_are_what_the_file_says():
    rows = [[int(x) for x in line.split(",")] for line in gzip.decompress(DIGITS.read_bytes()).decode().split()]
    arrays = read(DIGITS, "digits-csv")
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
    arrays = read(DIGITS, "digits-csv")
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
        (
            f"{ROW},1\n" * 9 + f"{ROW},2\n",
            "a fraction of 0.2 leaves nothing on one side of: label 2 (1 of 1). Each class needs at least one example "
            "on both sides: the test split takes 20 % of each class, so add examples with this label",
        ),
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
