"""Images that are equal, or nearly so, though their files differ."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from cct.data.groups import connected_groups, groups_of_several, merge_named
from cct.data.images.decoded import Decoded

MAX_BITS = 3  # different bits of two perceptual hashes, of 64, that make the pixels of two images be compared
NEIGHBOURS = 16  # with how many others each image is compared at the most, in each of four sorted orders
# Two images are nearly equal if their pixels differ little, and rise and fall together.
MAX_DIFFERENCE, MIN_CORRELATION = 8.0, 0.98  # mean difference of pixels, of 255; Pearson's correlation of pixels
BATCH, SAMPLED = 256, 32  # pairs that are compared at a time; pixels of a side that are compared


class Duplicates(NamedTuple):
    """Groups of equal and nearly equal images.

    Attributes:
        group_n: the number of each image's group. An image without a duplicate has a group of its own.
        exact: the number of images that equal an earlier one in all pixels.
        near: the number of other images that are nearly equal to an earlier one.
    """

    group_n: np.ndarray
    exact: int
    near: int

    def groups(self) -> list[np.ndarray]:
        """The images of each group of two or more, in their order."""
        return groups_of_several(self.group_n)

    def merged(self, names: Sequence[str | None]) -> np.ndarray:
        """The number of each image's group (n,) where images with one name also belong together."""
        return merge_named(self.group_n, names)


def find_duplicates(decoded: Decoded) -> Duplicates:
    """Find equal images by the digest of their pixels, and nearly equal ones by a perceptual hash and their pixels.

    Bad images have no duplicates. Of images with similar hashes only the nearest `NEIGHBOURS` are compared, so that the
    time grows with the number of images and not with its square.
    """
    facts_n = decoded.facts_n
    good = np.flatnonzero(facts_n["error"] == b"")
    _, first, equal = np.unique(facts_n["sha256"][good].view("S32"), return_index=True, return_inverse=True)
    exact_pairs = np.stack([good, good[first[equal]]])
    unique = np.sort(good[first])
    near = [np.empty((2, 0), np.int64)]
    for pairs in _similar(facts_n["hash"][unique]):
        near.append(unique[pairs][:, _nearly_equal(decoded, unique[pairs])])
    near_pairs = np.concatenate(near, axis=1)
    exact_count, _ = connected_groups(exact_pairs, len(facts_n))
    count, group_n = connected_groups(np.concatenate([exact_pairs, near_pairs], axis=1), len(facts_n))
    return Duplicates(group_n, exact=len(facts_n) - exact_count, near=exact_count - count)


def _similar(hash_n: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs (2, p) of hashes that differ in at most `MAX_BITS` bits, some at a time, each pair once or more.

    Two such hashes are equal in one of four blocks of 16 bits. So the hashes are sorted by each block in turn.
    """
    for block in range(4):
        order = np.lexsort((hash_n, _block(hash_n, block)))
        for distance in range(1, min(NEIGHBOURS, len(order) - 1) + 1):
            left, right = order[:-distance], order[distance:]
            same = _block(hash_n[left], block) == _block(hash_n[right], block)
            if not same.any():
                break
            bits = np.bitwise_count(hash_n[left] ^ hash_n[right])
            # Equal hashes are neighbours in the first order already.
            close = same & (bits <= MAX_BITS) & ((bits > 0) | (block == 0))
            yield np.stack([left[close], right[close]])


def _block(hash_n: np.ndarray, block: int) -> np.ndarray:
    return (hash_n >> np.uint64(16 * block)) & np.uint64(0xFFFF)


def _nearly_equal(decoded: Decoded, pairs: np.ndarray) -> np.ndarray:
    """Whether the pixels of each pair (2, p) of images are nearly equal, (p,). Of large images a part is compared."""
    result = [np.empty(0, bool)]
    step = [max(1, side // SAMPLED) for side in decoded.pixels_nhwc.shape[1:3]]
    pixels_nhwc = decoded.pixels_nhwc[:, :: step[0], :: step[1]]
    for start in range(0, pairs.shape[1], BATCH):
        rows = decoded.row_n[pairs[:, start : start + BATCH]]
        a, b = (pixels_nhwc[part].reshape(rows.shape[1], -1).astype(np.float32) for part in rows)
        a_centred, b_centred = (values - values.mean(axis=1, keepdims=True) for values in (a, b))
        covariance = (a_centred * b_centred).sum(axis=1)
        scale = np.sqrt((a_centred**2).sum(axis=1) * (b_centred**2).sum(axis=1))
        result.append((np.abs(a - b).mean(axis=1) <= MAX_DIFFERENCE) & (covariance >= MIN_CORRELATION * scale))
    return np.concatenate(result)
