"""Arbitrary archives and splits give the right arrays or the reader's own error."""

import gzip

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sources import preprocess_params, read
from test_cifar import TEST, TRAIN, cifar10, tarred

from cct.data import splits
from cct.data.arrays import DataError

within = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def archive() -> bytes:
    return gzip.compress(tarred(list(cifar10().items())), 1, mtime=0)


@within
@given(st.lists(st.tuples(st.integers(0), st.integers(1, 255)), max_size=3), st.integers(0))
def test_any_damage_of_an_archive_is_found(archive, tmp_path, flips, cut):
    """Of its bytes some are changed, and some at its end are lost."""
    path, damaged = tmp_path / "a.tar.gz", bytearray(archive)
    for place, mask in flips:
        damaged[place % len(damaged)] ^= mask
    damaged = damaged[: len(damaged) - cut % len(damaged)]
    path.write_bytes(archive)
    whole = read(path)
    path.write_bytes(damaged)
    try:
        found = read(path)
    except DataError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    else:  # a byte that no reader looks at, such as the date in the header of gzip
        assert all(np.array_equal(one, other) for one, other in zip(found, whole, strict=True))


@within
@given(st.binary(max_size=3073 * 3), st.integers(0, 5))
def test_any_content_of_a_member_is_records_or_refused(tmp_path, content, which):
    name = [*TRAIN, TEST][which]
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(tarred(list((cifar10() | {name: content}).items())), 1))
    try:
        arrays = read(path)
    except DataError as error:
        assert name in str(error)
    else:
        assert len(content) % 3073 == 0 and content[0] < 10 and arrays.train_inputs.shape[1:] == (32, 32, 3)


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=80),
    st.floats(0, 1, exclude_min=True),
    st.floats(0, 1, exclude_min=True, exclude_max=True),
    st.integers(0, 2**32 - 1),
)
def test_any_split_keeps_each_example_on_one_side_and_each_class_on_both(labels, share, fraction, seed):
    labels = np.array(labels)
    config = preprocess_params(train_fraction=share, validation_fraction=fraction, seed=seed)
    here = sorted(set(labels.tolist()))
    try:
        stated = np.full(len(labels), splits.TRAIN)
        found = splits.assign_splits(
            np.searchsorted(here, labels), stated, config, classes=list(map(str, here)), test_is_separate=True
        )
    except DataError as error:
        assert "Each class needs at least one example on both sides" in str(error)
        return
    assert set(found) <= {splits.TRAIN, splits.VAL, splits.UNUSED}
    for label in here:
        count = (labels == label).sum()
        used = max(1, round(count * share)) if share < 1 else count
        chosen = max(1, round(used * fraction))
        assert (labels[found == splits.VAL] == label).sum() == chosen and (
            labels[found == splits.TRAIN] == label
        ).sum() == used - chosen
