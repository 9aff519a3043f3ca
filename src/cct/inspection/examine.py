"""Reads every image of a data source once, into thumbnails and facts."""

import hashlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from cct.data.arrays import Arrays, DataError
from cct.data.containers import Container, open_container
from cct.data.download import fetch_source
from cct.data.formats.registry import FORMATS
from cct.data.images.decoded import Decoded, changed, reading_order
from cct.data.images.decoding import ImageOptions, colour_of
from cct.data.images.duplicates import Duplicates, find_duplicates
from cct.data.images.manifest import manifest_in
from cct.data.images.pool import FACTS, decode_files
from cct.data.images.source import ImageFiles, list_images
from cct.data.listing import ClassFolder, Item, list_class_folders, split_of
from cct.data.params import PreprocessParams
from cct.data.sources import LocalSource, open_source
from cct.data.tables import is_table

SIDE = 64  # of a thumbnail, in pixels: duplicates are compared at this size


class Examined(NamedTuple):
    """A data source whose images have all been read.

    Attributes:
        name: the name of the data set.
        source: as `data.source` has it.
        items: each image; examples of arrays have names such as "train 17".
        classes: the names of the classes, in the order of their labels.
        unknown: classes of images that the descriptor does not name.
        ignored: how many files were ignored, by the kind of file.
        nested: where folders are nested, the classes if the top or the leaf folder is the class; otherwise empty.
        class_folder: the one of these that was taken; None where folders are not nested.
        decoded: a thumbnail and the facts of each item.
        duplicates: groups of equal images.
        group_n: the group of each item, which stays in one split.
    """

    name: str
    source: str
    items: Sequence[Item]
    classes: Sequence[str]
    unknown: Sequence[str]
    ignored: Mapping[str, int]
    nested: Mapping[ClassFolder, Sequence[str]]
    class_folder: ClassFolder | None
    decoded: Decoded
    duplicates: Duplicates
    group_n: np.ndarray


def examine(
    path: Path, preprocess: PreprocessParams, *, class_folder: ClassFolder | None = None, folder: Path
) -> Examined:
    """Read the images of whatever `data.source` may name. The files of a descriptor are fetched into the cache.

    Args:
        path: the source.
        preprocess: `resize` and `background` of the thumbnails, and `class_folder`.
        class_folder: which folder is the class where folders are nested; None takes that of `preprocess`, or guesses.
        folder: for the thumbnails on disk, in a file that vanishes with this process.

    Raises:
        ParamsError: a descriptor has mistakes.
        DownloadError: a file of a descriptor cannot be fetched.
        DataError: the source cannot be read.
        OSError: the disk is full.
    """
    source = open_source(path)
    if isinstance(source, LocalSource):
        archive, known = source.path, None
    else:
        paths, form = fetch_source(source, base=path.parent), FORMATS[source.format]
        if form.read:
            return _examine_arrays(form.read(paths, len(source.classes)), source.name, str(path), source.classes)
        archive, known = paths["archive"], source.classes
    files, nested, class_folder = list_nested(archive, class_folder or preprocess.class_folder)
    items, found, ignored = files.listing
    decoded = decode_thumbnails(files.container, [item.name for item in items], preprocess, folder=folder)
    duplicates = find_duplicates(decoded)
    unknown = sorted(set(found) - set(known or found))
    return Examined(
        name=source.name,
        source=str(path),
        items=items,
        classes=[*(known or found), *unknown],
        unknown=unknown,
        ignored=ignored,
        nested=nested,
        class_folder=class_folder,
        decoded=decoded,
        duplicates=duplicates,
        group_n=duplicates.merged([item.group for item in items]),
    )


def list_nested(
    path: Path, class_folder: ClassFolder | None
) -> tuple[ImageFiles, dict[ClassFolder, list[str]], ClassFolder | None]:
    """The images of a source, which may have folders inside of class folders.

    Returns:
        The images; the classes by the kind of folder and the kind that was taken, if folders are nested.

    Raises:
        DataError: as `list_images`, for other reasons than nested folders.
    """
    try:
        return list_images(path), {}, None
    except DataError:
        if is_table(path) or (path.is_dir() and manifest_in(path)):
            raise  # a table names the class of each image
    container, listings, refusals = open_container(path), {}, {}
    names = container.names()
    for kind in ("top", "leaf"):
        try:
            listings[kind] = list_class_folders(names, where=path, class_folder=kind)
        except DataError as refused:  # of nested folders one kind may have unfit names; others are refused twice
            refusals[kind] = refused
    taken = class_folder or _likely({kind: listing.items for kind, listing in listings.items()})
    if taken in refusals:
        raise refusals[taken]
    return ImageFiles(container, listings[taken]), {kind: found.classes for kind, found in listings.items()}, taken


def _likely(items: Mapping[ClassFolder, Sequence[Item]]) -> ClassFolder:
    """The folder that is more likely the class: the leaf if it repeats in every top folder, as below sites or years.

    Splits also repeat in every class, and they are no classes.
    """
    if len(items) < 2:
        return next(iter(items), "top")
    tops: dict[str, set[str]] = {}
    for top, leaf in zip(*(sorted(items[kind], key=lambda item: item.name) for kind in ("top", "leaf")), strict=True):
        tops.setdefault(leaf.label, set()).add(top.label)
    count = len({item.label for item in items["top"]})
    repeats = all(len(found) == count for found in tops.values())
    return "leaf" if repeats and not all(map(split_of, tops)) else "top"


def decode_thumbnails(
    container: Container, names: Sequence[str], preprocess: PreprocessParams, *, folder: Path
) -> Decoded:
    """Decode files on all cores into thumbnails on disk, with a progress bar on a terminal.

    Raises:
        DataError: the container cannot be read.
        OSError: the disk is full.
    """
    row_n = reading_order(container, names)
    options = ImageOptions(SIDE, SIDE, 3, preprocess.resize, colour_of(preprocess.background))
    parts, shape = [], (len(names), SIDE, SIDE, 3)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as pixels, _progress(len(names)) as bar:
        for chunk in decode_files(container.files(names), options, count=len(names)):
            pixels.write(chunk.pixels_nhwc.tobytes())
            parts.append(chunk.facts_n)
            bar.update(len(chunk.facts_n))
        pixels.flush()
        facts_n = np.concatenate(parts) if parts else np.empty(0, FACTS)
        if len(facts_n) != len(names):
            raise changed(container)
        return Decoded(np.memmap(pixels, np.uint8, "r", shape=shape), row_n, facts_n[row_n])


def _examine_arrays(arrays: Arrays, name: str, source: str, classes: Sequence[str]) -> Examined:
    """Arrays have no files: their facts are of the pixels, and only equal images are duplicates, as in preprocess."""
    items = [
        Item(f"{split} {number}", classes[label], split)
        for split, labels in (("train", arrays.train_labels), ("test", arrays.test_labels))
        for number, label in enumerate(labels.tolist())
    ]
    images_nhwc = np.concatenate([arrays.train_inputs, arrays.test_inputs])
    facts_n = np.zeros(len(items), FACTS)
    facts_n["height"], facts_n["width"] = images_nhwc.shape[1:3]
    with _progress(len(items)) as bar:
        for fact, image_hwc in zip(facts_n, images_nhwc, strict=True):
            fact["grey"] = bool((image_hwc == image_hwc[..., :1]).all())
            fact["brightness"] = image_hwc.mean()
            fact["sha256"] = hashlib.sha256(image_hwc.tobytes()).digest()
            bar.update()
    distinct, group_n = np.unique(facts_n["sha256"].view("S32"), return_inverse=True)
    duplicates = Duplicates(group_n, exact=len(items) - len(distinct), near=0)
    alone_n = np.arange(len(items))  # preprocess splits arrays by example
    decoded = Decoded(images_nhwc, alone_n, facts_n)
    return Examined(name, source, items, classes, [], {}, {}, None, decoded, duplicates, alone_n)


def _progress(count: int) -> tqdm:
    return tqdm(total=count, unit=" images", desc="inspect", disable=None, delay=1)


def thumbnails(examined: Examined, rows: Iterable[int]) -> np.ndarray:
    """The thumbnails (m, height, width, 1 or 3) of items, uint8."""
    return np.asarray(examined.decoded.pixels_nhwc[examined.decoded.row_n[list(rows)]])
