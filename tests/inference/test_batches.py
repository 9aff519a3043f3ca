"""The inputs of a served model."""

import numpy as np
import pytest

from cct.inference.batches import InputError, as_batch

TAKES = {"dtype": "uint8", "shape": (2, 3, 1)}


def images(value, count: int = 2, dtype=np.uint8) -> np.ndarray:
    return np.full((count, 2, 3, 1), value, dtype)


@pytest.mark.parametrize(
    "values",
    [images(7), images(7, dtype=np.int64), images(7.0, dtype=np.float32), images(7).tolist(), images(7).astype(object)],
)
def test_whole_numbers_of_any_type_are_taken(values):
    batch = as_batch(values, **TAKES)
    assert batch.dtype == np.uint8
    np.testing.assert_array_equal(batch, images(7))


def test_an_empty_batch_is_one():
    assert as_batch(images(0, count=0), **TAKES).shape == (0, 2, 3, 1)


def one_wrong(value: int) -> np.ndarray:
    """Images of which one pixel has another value."""
    batch = images(7, dtype=np.int64)
    batch[1, 1, 2, 0] = value
    return batch


SHAPE = r"must be a batch of shape \(n, 2, 3, 1\)$"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            images(0.5, dtype=np.float32),
            "numbers of 0 to 255, but 0.5 is not a whole number: give raw .*not scaled ones$",
        ),
        (images(255.0000001, dtype=np.float64), "but 255.0000001 is above 255: give raw values"),
        (images(256, dtype=np.int64), "but 256 is above 255: give raw values"),
        (images(-1, dtype=np.int64), "but -1 is below 0: give raw values"),
        (images(-0.5, dtype=np.float32), "but -0.5 is below 0: give raw values"),
        (images(np.nan, dtype=np.float64), "but nan is not a whole number: give raw values"),
        (images(np.inf, dtype=np.float64), "but inf is above 255: give raw values"),
        (one_wrong(300), "but 300 is above 255: give raw values"),
        (images(7)[0], rf"have the shape \(2, 3, 1\), but {SHAPE}"),
        (images(7)[:, :1], rf"have the shape \(2, 1, 3, 1\), but {SHAPE}"),
        (np.zeros((1, 2, 3, 3), np.uint8), rf"have the shape \(1, 2, 3, 3\), but {SHAPE}"),
        ([[1, 2], [3]], "but have different lengths$"),
        (7, rf"have the shape \(\), but {SHAPE}"),
        ([], rf"have the shape \(0,\), but {SHAPE}"),
        ("image", "must be numbers, in a batch of shape"),
        ([[None]], "must be numbers, in a batch of shape"),
        (images(True, dtype=bool), "must be numbers"),
        ({"a": 1}, "must be numbers"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(values, said):
    with pytest.raises(InputError, match=said) as caught:
        as_batch(values, **TAKES)
    assert len(str(caught.value)) < 200 and "\n" not in str(caught.value)
