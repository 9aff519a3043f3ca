"""The images of a source: which files they are, and how their pixels and splits come about."""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cct.data.arrays import DataError
from cct.data.containers import Container, FilesOfManifest, Folder, open_container
from cct.data.groups import misplaced_groups
from cct.data.images.decoded import Decoded, OtherSize, decoded_folder, decoded_images
from cct.data.images.decoding import ImageError, ImageOptions, colour_of, decode_image
from cct.data.images.duplicates import Duplicates, find_duplicates
from cct.data.images.manifest import manifest_in, read_manifest
from cct.data.listing import NOT_READ, ClassFolder, Item, Listing, describe_ignored, is_image, list_class_folders
from cct.data.params import MAX_SIZE, MIN_SIZE, PreprocessParams
from cct.data.plain_files import FileError
from cct.data.prepare import Prepared, Split
from cct.data.splits import SPLIT_CODES, UNSTATED, Labels, assign_splits, label_items
from cct.data.store import SPLITS
from cct.data.tables import is_table

log = logging.getLogger(__name__)

MIXED_SIZE = 64  # side of the arrays of images of several sizes, if the parameters do not say one
MAX_LISTED = 100  # bad images in a message


class ImageFiles(NamedTuple):
    """The files of a source and what they are."""

    container: Container
    listing: Listing


def list_images(path: Path, class_folder: ClassFolder | None = None) -> ImageFiles:
    """Find the images of a folder, an archive or a manifest, and their classes and splits.

    Args:
        path: a folder of class folders, an archive of one, a manifest, or a folder with a manifest.
        class_folder: as for `list_class_folders`.

    Raises:
        DataError: the source cannot be read, or is not of any of these kinds.
    """
    if manifest := path if is_table(path) else manifest_in(path) if path.is_dir() else None:
        listing = read_manifest(manifest)
        names = {item.name for item in listing.items}
        container = FilesOfManifest(manifest, sorted(names))
        if path.is_dir() and (others := sum(is_image(name) and name not in names for name in Folder(path).names())):
            listing = listing._replace(ignored={f"images that {manifest.name} does not name": others})
        return ImageFiles(container, listing)
    container = open_container(path)
    return ImageFiles(container, list_class_folders(container.names(), where=path, class_folder=class_folder))


@contextlib.contextmanager
def prepare_images(
    files: ImageFiles,
    preprocess: PreprocessParams,
    *,
    name: str,
    classes: Sequence[str] | None = None,
    folder: Path,
    made_by: Any,
) -> Iterator[Prepared]:
    """Decode the images of a source, find bad and duplicate ones, and choose the splits.

    Args:
        files: as `list_images` returns them.
        preprocess: all options.
        name: the name of the data set.
        classes: the names of the classes in the order of their labels; None: those of the source, sorted.
        folder: holds the decoded images while the context is open, see `decoded_images`.
        made_by: as for `decoded_images`.

    Raises:
        DataError: the source cannot be read, has bad images and they fail, or a class is unknown or too small.
    """
    container, (items, found, ignored) = files
    classes = list(classes or found)
    unknown = sorted(set(found) - set(classes))
    if unknown:
        raise DataError(f"{container.where}: classes that the descriptor does not name: {', '.join(unknown[:20])}")
    if len(found) < 2:
        raise DataError(f"{container.where}: all images are of one class ({found[0]}): a classifier needs two or more")
    _log_ignored(ignored)
    if not isinstance(container, FilesOfManifest):
        _log_folder_around(items, found)
    names = [item.name for item in items]
    with _decoded(container, names, preprocess, folder=folder, made_by=made_by) as decoded:
        bad = _bad_images(container, names, decoded, preprocess)
        duplicates = find_duplicates(decoded)
        labels = label_items(items, classes)
        groups = duplicates.merged([item.group for item in items])
        good = np.flatnonzero(decoded.facts_n["error"] == b"")
        split_n = np.full(len(items), UNSTATED)
        try:
            split_n[good] = choose_splits(labels, good, groups, preprocess, classes=classes)
        except DataError as error:
            raise DataError(f"{container.where}: {error}") from error
        grey = preprocess.channels == "auto" and bool(decoded.facts_n["grey"][good].all())
        pixels = decoded.pixels_nhwc[..., :1] if grey else decoded.pixels_nhwc
        members = {split: np.flatnonzero(split_n == SPLIT_CODES[split]) for split in SPLITS}
        yield Prepared(
            name=name,
            classes=classes,
            splits={
                split: Split(pixels, decoded.row_n[chosen], labels.label_n[chosen]) for split, chosen in members.items()
            },
            facts={
                "resize": preprocess.resize,
                "background": preprocess.background,
                "ignored": ignored,
                "bad_images": bad,
                "duplicates": _describe_duplicates(items, duplicates, split_n),
            },
            files={split: [names[number] for number in chosen] for split, chosen in members.items()},
        )


def _log_ignored(ignored: Mapping[str, int]) -> None:
    """Log how many files were ignored, as a warning if some are images of a format that is not read."""
    unread = any(kind.startswith(NOT_READ) for kind in ignored)
    if ignored:
        log.log(
            logging.WARNING if unread else logging.INFO,
            "ignored: %s%s",
            describe_ignored(ignored),
            ". Convert images of other formats to JPEG or PNG first" if unread else "",
        )


def _log_folder_around(items: Sequence[Item], classes: Sequence[str]) -> None:
    """Log which folder is above all classes: its owner may take it for a class with folders in it."""
    if around := os.path.commonpath([os.path.dirname(item.name) for item in items]):
        log.info("all images are in the folder %s, so it is no class: the classes are %s", around, _few(classes))


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def choose_splits(
    labels: Labels, good: np.ndarray, groups: np.ndarray, preprocess: PreprocessParams, *, classes: Sequence[str]
) -> np.ndarray:
    """The split (m,) of each good image.

    Args:
        labels: of all images, (n,).
        good: the numbers (m,) of the good images.
        groups: the group (n,) of each image, which stays in one split.
        preprocess: the fractions and the seed of the choice.
        classes: the names of the classes.

    Raises:
        DataError: as `assign_splits`; or all images of a split of the source are bad, so that others would take their
            place.
    """
    stated = labels.stated_n
    for split, code in SPLIT_CODES.items():
        if (stated == code).any() and not (stated[good] == code).any():
            raise DataError(f"all images of its split {split} are bad: mend them, or remove the split")
    return assign_splits(labels.label_n[good], stated[good], preprocess, classes=classes, groups=groups[good])


@contextlib.contextmanager
def _decoded(
    container: Container, names: list[str], preprocess: PreprocessParams, *, folder: Path, made_by: Any
) -> Iterator[Decoded]:
    """Decode to the size that the parameters say, or to the images' own size if they have one."""
    channels, background = 1 if preprocess.channels == "grey" else 3, colour_of(preprocess.background)

    def options(height: int, width: int) -> ImageOptions:
        return ImageOptions(height, width, channels, preprocess.resize, background)

    where = given = {"folder": folder, "made_by": made_by}
    if preprocess.image_size is not None:
        side = preprocess.image_size
        wanted = options(side, side) if isinstance(side, int) else options(*side)
    else:
        wanted = options(MIXED_SIZE, MIXED_SIZE)
        own, where = _first_size(container, names), given | {"made_by": [made_by, "mixed"]}
        # By a call that was interrupted.
        known_as_mixed = decoded_folder(container, names, wanted, one_size=False, **where).exists()
        if own and all(MIN_SIZE <= side <= MAX_SIZE for side in own) and not known_as_mixed:
            with contextlib.ExitStack() as stack:
                try:
                    decoded = stack.enter_context(
                        decoded_images(container, names, options(*own), one_size=True, **given)
                    )
                except OtherSize:
                    pass
                else:
                    yield decoded
                    return
        log.info(
            "the images have several sizes, or one outside %d to %d pixels, so they become %dx%d "
            "(preprocess.image_size)", MIN_SIZE, MAX_SIZE, MIXED_SIZE, MIXED_SIZE,
        )  # fmt: skip
    with decoded_images(container, names, wanted, **where) as decoded:
        yield decoded


def _first_size(container: Container, names: Sequence[str]) -> tuple[int, int] | None:
    """Height and width of the first good image."""
    for file in container.files(names):
        if not isinstance(file.content, FileError):
            try:
                return decode_image(file.content, None)[1:3]
            except ImageError:
                pass
    return None


def _bad_images(
    container: Container, names: Sequence[str], decoded: Decoded, preprocess: PreprocessParams
) -> list[dict[str, str]]:
    """The bad images with their reasons.

    Raises:
        DataError: they fail, or there is no good image.
    """
    errors_n = decoded.facts_n["error"]
    bad = [{"file": names[row], "reason": errors_n[row].decode()} for row in np.flatnonzero(errors_n != b"")]
    listed = [f"{one['file']}: {one['reason']}" for one in bad]
    if bad and (preprocess.on_bad_image == "fail" or len(bad) == len(names)):
        lines = [
            f"{container.where}: {len(bad):,} of {len(names):,} images cannot be used: mend or remove them, or set "
            "preprocess.on_bad_image to skip",
            *listed[:MAX_LISTED],
            *([f"and {len(bad) - MAX_LISTED:,} more"] if len(bad) > MAX_LISTED else []),
        ]
        raise DataError("\n  ".join(lines))
    if bad:
        log.warning(
            "skipped %s of %s images, which meta.json lists: %s%s", f"{len(bad):,}", f"{len(names):,}",
            "; ".join(listed[:3]), "; …" if len(bad) > 3 else "",
        )  # fmt: skip
    return bad


def _describe_duplicates(items: Sequence[Item], duplicates: Duplicates, split_n: np.ndarray) -> dict[str, Any]:
    """Facts for meta.json. Duplicates in several splits of the source, or in several classes, are warned of."""
    misplaced = misplaced_groups(
        duplicates.groups(), items, split_n, what="equal or nearly equal images",
        shown=lambda group: ", ".join(items[n].name for n in group[:3]),
    )  # fmt: skip
    return {
        "exact": duplicates.exact,
        "near": duplicates.near,
        **misplaced.facts(lambda group: [items[n].name for n in group[:10]]),
    }
