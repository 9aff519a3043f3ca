"""The images of a source: which files they are, and how their pixels and splits come about."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cct.data.arrays import DataError
from cct.data.images.containers import Container, FilesOfManifest, open_container
from cct.data.images.decoded import Decoded, OtherSize, decode_images
from cct.data.images.decoding import ImageError, ImageOptions, decode_image
from cct.data.images.duplicates import Duplicates, find_duplicates
from cct.data.images.listing import NOT_READ, ClassFolder, Item, Listing, list_class_folders
from cct.data.images.manifest import READERS, manifest_in, read_manifest
from cct.data.params import PreprocessParams
from cct.data.prepare import Prepared, Split
from cct.data.splits import TEST, TRAIN, UNSTATED, VAL, assign_splits
from cct.data.store import SPLITS

log = logging.getLogger(__name__)

SPLIT_CODES = {None: UNSTATED, "train": TRAIN, "val": VAL, "test": TEST}
OWN_SIZES, OTHERWISE = range(8, 513), 64  # the sides that image_size may have, and the one of images of mixed sizes
MAX_LISTED, MAX_EXAMPLES = 100, 20  # bad images in a message; groups of duplicates in meta.json


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
    manifest = path if path.suffix.lower() in READERS else manifest_in(path) if path.is_dir() else None
    if manifest:
        listing = read_manifest(manifest)
        return ImageFiles(FilesOfManifest(manifest.parent, [item.name for item in listing.items]), listing)
    container = open_container(path)
    return ImageFiles(container, list_class_folders(container.names(), where=path, class_folder=class_folder))


def prepare_images(
    files: ImageFiles,
    preprocess: PreprocessParams,
    *,
    name: str,
    classes: Sequence[str] | None = None,
    folder: Path,
    made_by: Any,
) -> Prepared:
    """Decode the images of a source, find bad and duplicate ones, and choose the splits.

    Args:
        files: as `list_images` returns them.
        preprocess: all options.
        name: the name of the data set.
        classes: the names of the classes in the order of their labels; None: those of the source, sorted.
        folder: for the decoded images, see `decode_images`.
        made_by: as for `decode_images`.

    Raises:
        DataError: the source cannot be read, has bad images and they fail, or a class is unknown or too small.
    """
    container, (items, found, ignored) = files
    classes = list(classes or found)
    unknown = sorted(set(found) - set(classes))
    if unknown:
        raise DataError(f"{container.path}: classes that the descriptor does not name: {', '.join(unknown[:20])}")
    if len(found) < 2:
        raise DataError(f"{container.path}: all images are of one class ({found[0]}): a classifier needs two or more")
    if ignored:
        unread = any(kind.startswith(NOT_READ) for kind in ignored)
        log.log(
            logging.WARNING if unread else logging.INFO,
            "ignored: %s%s",
            ", ".join(f"{count:,} {kind}" for kind, count in ignored.items()),
            ". Convert images of other formats to JPEG or PNG first" if unread else "",
        )
    names = [item.name for item in items]
    decoded = _decode(container, names, preprocess, folder=folder, made_by=made_by)
    bad = _bad_images(container, names, decoded, preprocess)
    good = np.flatnonzero(decoded.facts_n["error"] == b"")
    duplicates = find_duplicates(decoded)
    index = {name: number for number, name in enumerate(classes)}
    label_n = np.array([index[item.label] for item in items], np.int64)
    stated_n = np.array([SPLIT_CODES[item.split] for item in items], np.int64)
    try:
        split_n = np.full(len(items), UNSTATED)
        split_n[good] = assign_splits(
            label_n[good], stated_n[good], preprocess, classes=classes, groups=_groups(items, duplicates)[good]
        )
    except DataError as error:
        raise DataError(f"{container.path}: {error}") from error
    grey = preprocess.channels == "auto" and bool(decoded.facts_n["grey"][good].all())
    pixels = decoded.pixels_nhwc[..., :1] if grey else decoded.pixels_nhwc
    members = {split: np.flatnonzero(split_n == SPLIT_CODES[split]) for split in SPLITS}
    return Prepared(
        name=name,
        classes=classes,
        splits={split: Split(pixels, decoded.row_n[chosen], label_n[chosen]) for split, chosen in members.items()},
        facts={
            "resize": preprocess.resize,
            "background": preprocess.background,
            "ignored": ignored,
            "bad_images": bad,
            "duplicates": _describe_duplicates(items, duplicates, split_n),
        },
        files={split: [names[number] for number in chosen] for split, chosen in members.items()},
    )


def _decode(
    container: Container, names: list[str], preprocess: PreprocessParams, *, folder: Path, made_by: Any
) -> Decoded:
    """Decode to the size that the parameters say, or to the images' own size if they have one."""
    channels = 1 if preprocess.channels == "grey" else 3
    background = colour(preprocess.background)

    def decode(size: Sequence[int], *, one_size: bool = False) -> Decoded:
        options = ImageOptions(*size, channels, preprocess.resize, background)
        return decode_images(container, names, options, folder=folder, made_by=made_by, one_size=one_size)

    if preprocess.image_size is not None:
        side = preprocess.image_size
        return decode([side, side] if isinstance(side, int) else side)
    own = _first_size(container, names)
    if own and all(side in OWN_SIZES for side in own):
        try:
            return decode(own, one_size=True)
        except OtherSize:
            pass
    log.info("the images have several sizes, so they become %dx%d: preprocess.image_size changes it", *[OTHERWISE] * 2)
    return decode([OTHERWISE, OTHERWISE])


def _first_size(container: Container, names: Sequence[str]) -> tuple[int, int] | None:
    """Height and width of the first good image."""
    for file in container.files(names):
        if not isinstance(file.content, ImageError):
            try:
                return decode_image(file.content, None)[1:3]
            except ImageError:
                pass
    return None


def colour(text: str) -> tuple[int, int, int]:
    """Red, green and blue of a name or #rrggbb, which the schema has checked."""
    from PIL import ImageColor

    return ImageColor.getrgb(text)[:3]


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
            f"{container.path}: {len(bad):,} of {len(names):,} images cannot be used: mend or remove them, or set "
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


def _groups(items: Sequence[Item], duplicates: Duplicates) -> np.ndarray:
    """The group of each image: its duplicates, and the images of its group in a manifest."""
    if not any(item.group for item in items):
        return duplicates.group_n
    return duplicates.merged([item.group for item in items])


def _describe_duplicates(items: Sequence[Item], duplicates: Duplicates, split_n: np.ndarray) -> dict[str, Any]:
    """Facts for meta.json. Duplicates in several splits, or with several labels, are warned of."""
    groups = duplicates.groups()
    leaks = [group for group in groups if len({int(split_n[n]) for n in group} & {TRAIN, VAL, TEST}) > 1]
    conflicts = [group for group in groups if len({items[n].label for n in group}) > 1]
    for found, where in (
        (leaks, "in more than one split, as the source has them, so that scores on these say too much"),
        (conflicts, "in more than one class"),
    ):
        if found:
            example = ", ".join(items[n].name for n in found[0][:3])
            log.warning("groups of equal or nearly equal images %s: %s (%s)", where, f"{len(found):,}", example)
    return {
        "exact": duplicates.exact,
        "near": duplicates.near,
        "groups_in_several_splits": len(leaks),
        "groups_in_several_classes": len(conflicts),
        "examples": [[items[n].name for n in group[:10]] for group in [*leaks, *conflicts][:MAX_EXAMPLES]],
    }
