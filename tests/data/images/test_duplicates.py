"""Equal and nearly equal images are found, and others are not."""

import numpy as np
import pytest
from image_files import encoded, smooth
from PIL import Image

from cct.data.images.decoded import Decoded
from cct.data.images.decoding import ImageOptions
from cct.data.images.duplicates import find_duplicates
from cct.data.images.pool import decode_files
from cct.data.plain_files import File


def decoded(*contents, size=32):
    files = [File(str(number), content) for number, content in enumerate(contents)]
    chunks = list(decode_files(files, ImageOptions(size, size, 3), count=len(files)))
    pixels_nhwc, facts_n = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    return Decoded(pixels_nhwc, np.arange(len(files)), facts_n)


def groups(found):
    return [group.tolist() for group in found.groups()]


IMAGES = [smooth(seed, height=64, width=64) for seed in range(20)]


def test_different_images_are_no_duplicates():
    found = find_duplicates(decoded(*map(encoded, IMAGES)))
    assert (found.exact, found.near, groups(found)) == (0, 0, [])
    assert len(set(found.group_n.tolist())) == 20


def test_equal_pixels_in_other_files_are_exact_duplicates():
    found = find_duplicates(
        decoded(
            *map(encoded, IMAGES[:4]),
            encoded(IMAGES[1], "BMP"),
            encoded(IMAGES[1], "TIFF"),
            encoded(IMAGES[3], compress_level=0),
        )
    )
    assert (found.exact, found.near, groups(found)) == (3, 0, [[1, 4, 5], [3, 6]])


@pytest.mark.parametrize(
    "changed",
    [
        lambda image: encoded(image, "JPEG", quality=90),
        lambda image: encoded(image, "WEBP", quality=90),
        lambda image: encoded(Image.fromarray(image).resize((96, 96), Image.Resampling.BICUBIC), "JPEG", quality=90),
        lambda image: encoded(np.clip(image.astype(int) + 3, 0, 255).astype(np.uint8)),
    ],
    ids=["jpeg", "webp", "larger", "brighter"],
)
def test_an_image_saved_again_is_a_near_duplicate(changed):
    found = find_duplicates(decoded(*map(encoded, IMAGES), changed(IMAGES[7])))
    assert (found.exact, found.near, groups(found)) == (0, 1, [[7, 20]])


@pytest.mark.parametrize(
    "changed", [np.fliplr, np.flipud, lambda image: 255 - image, lambda image: np.roll(image, 16, 1)]
)
def test_another_view_is_no_duplicate(changed):
    found = find_duplicates(decoded(*map(encoded, IMAGES[:5]), encoded(np.ascontiguousarray(changed(IMAGES[2])))))
    assert groups(found) == []


def test_flat_images_are_duplicates_of_the_same_grey_only():
    flat = [np.full((32, 32, 3), value, np.uint8) for value in (0, 4, 100, 104, 255)]
    found = find_duplicates(decoded(*map(encoded, flat)))
    assert groups(found) == [[0, 1], [2, 3]]


def test_different_images_of_one_hash_are_not_all_one_group():
    """Small spots on white, as in photos of products: most of their hashes are equal."""
    contents = []
    for number in range(400):
        image = np.full((32, 32, 3), 255, np.uint8)
        row, column = divmod(number, 20)
        image[row : row + 4, column : column + 4] = number % 7 * 30
        contents.append(encoded(image))
    found = find_duplicates(decoded(*contents))
    for group in found.groups():  # neighbours whose spots overlap
        rows, columns = np.divmod(group, 20)
        assert np.ptp(rows) < 4 or np.ptp(columns) < 4, group


def test_bad_images_are_alone():
    found = find_duplicates(decoded(b"", encoded(IMAGES[0]), b"", encoded(IMAGES[0], "BMP"), b"x"))
    assert groups(found) == [[1, 3]] and len(set(found.group_n.tolist())) == 4


def test_one_image_and_only_bad_ones():
    for contents in ([encoded(IMAGES[0])], [b"", b"x"]):
        assert groups(find_duplicates(decoded(*contents))) == []


def test_groups_of_a_manifest_are_merged_with_duplicates():
    found = find_duplicates(decoded(*map(encoded, IMAGES[:6]), encoded(IMAGES[0], "BMP")))
    merged = found.merged([None, "a", "b", "a", None, "b", "a"])
    assert merged[0] == merged[6] == merged[1] == merged[3] and merged[2] == merged[5]
    assert len({merged[0], merged[2], merged[4]}) == 3
