"""Which files of a container are examples (images, or texts), and of which class and split each is."""

import logging
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from cct.data.arrays import DataError, unfit_class_names
from cct.data.images.decoding import SUFFIXES
from cct.data.splits import Labelled

log = logging.getLogger(__name__)

# Spellings of the folders of splits, in any letter case and with spaces or hyphens for underscores.
SPLIT_FOLDERS = {
    "train": ("train", "training", "train_set", "trainset", "training_set"),
    "val": ("val", "valid", "validation", "dev", "val_set", "valset", "validation_set"),
    "test": ("test", "testing", "test_set", "testset", "eval"),
}
SPLIT_OF = {spelling: split for split, spellings in SPLIT_FOLDERS.items() for spelling in spellings}
DISTINCT = 2  # splits among folders, from which on the folders are splits and no classes
SYSTEM_FILES = {"__macosx", "thumbs.db", "desktop.ini", "ehthumbs.db", "$recycle.bin"}
# Images in formats that are not read: a folder of a phone's photos may be full of them.
UNREAD = (".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".psd", ".dng", ".cr2", ".cr3", ".nef", ".arw")
NOT_READ = "images of a format that is not read"
SIDECARS = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".html", ".pdf", ".dvc", ".xmp")
ClassFolder = Literal["top", "leaf"]


class Kind(NamedTuple):
    """A kind of example, whose files have these endings."""

    noun: str
    suffixes: tuple[str, ...]


IMAGES, TEXTS = Kind("image", SUFFIXES), Kind("text", (".txt",))


class Item(NamedTuple):
    """An image of a source, or another example that is a file.

    Attributes:
        name: the file's name in its container, with slashes.
        label: the name of its class, in Unicode's form NFC.
        split: "train", "val" or "test" where the source says it.
        group: images of one group stay in one split; None is a group of its own.
    """

    name: str
    label: str
    split: str | None = None
    group: str | None = None


class Listing(NamedTuple):
    """The images of a source, and what was ignored.

    Attributes:
        items: the images in the order of their arrays.
        classes: the names of all classes, sorted. A class has the same index whichever splits have it.
        ignored: how many files were ignored, by the kind of file.
    """

    items: list[Item]
    classes: list[str]
    ignored: dict[str, int]


def make_listing(items: Iterable[Item], ignored: Counter[str]) -> Listing:
    """Name the classes of items."""
    items = list(items)
    return Listing(items, sorted({item.label for item in items}), dict(sorted(ignored.items())))


def list_class_folders(
    names: Iterable[str], *, where: object, class_folder: ClassFolder | None, kind: Kind = IMAGES
) -> Listing:
    """The images in folders of classes, with or without folders of splits above these.

    Args:
        names: the names of all files in the container.
        where: the container, for errors.
        class_folder: which folder is the class where folders are nested; None refuses nested ones.
        kind: which files count. Other kinds are listed as images are.

    Returns:
        The images, sorted by class and name, so that a folder and an archive of it give the same arrays.

    Raises:
        DataError: there is no image, an image has no class folder, a class has no printable name, folders are nested
            and `class_folder` is None, or it is not clear which folders are splits.
    """
    ignored: Counter[str] = Counter()
    paths = [parts for name in names if _counts(parts := name.split("/"), ignored, kind)]
    if not paths:
        present = f"but {describe_ignored(ignored)}" if ignored else "and no other file"
        texts = "; texts must be .txt files" if "text files" in ignored else ""
        raise DataError(f"{where}: there is no {kind.noun} ({', '.join(kind.suffixes)}), {present}{texts}")
    first = _common_folders(paths)
    splits = _split_folders({parts[first] for parts in paths if len(parts) > first + 1}, where)
    items, bare, nested = [], [], []
    for parts in paths:
        split, name = splits.get(parts[first]), "/".join(parts)
        folders = parts[first + (split is not None) : -1]
        if len(folders) > 1:
            nested.append(name)
        if folders:
            label = unicodedata.normalize("NFC", folders[-1 if class_folder == "leaf" else 0])
            items.append(Item(name, label, split))
        else:
            bare.append(name)
    if bare:
        raise DataError(
            f"{where}: {kind.noun}s without a class folder: {len(bare):,} ({_examples(bare)}): move each into a folder "
            "with the name of its class"
        )
    if nested and class_folder is None:
        raise DataError(
            f"{where}: {kind.noun}s in a folder inside a class folder: {len(nested):,} ({_examples(nested)}): set "
            "preprocess.class_folder to top or leaf, whichever folder is the class"
        )
    below = {folder for name in nested if split_of(folder := name.split("/")[-2])}
    if below and class_folder == "top":
        log.warning(
            "%s: the folders %s inside of class folders are no splits here, so their %ss are mixed: put them above "
            "the classes, as in train/CLASS",
            where, _examples(sorted(below)), kind.noun,
        )  # fmt: skip
    require_class_names({item.label for item in items}, where)
    return make_listing(sorted(items, key=_class_and_name), ignored)


def describe_ignored(ignored: Mapping[str, int]) -> str:
    """The number of ignored files of each kind: "1 text file, 2 hidden files"."""
    kinds = {kind: re.sub(r"(^| )(file|image)s\b", r"\1\2", kind, count=1) for kind in ignored}
    return ", ".join(f"{count:,} {kinds[kind] if count == 1 else kind}" for kind, count in ignored.items())


def split_of(text: str) -> str | None:
    """The split that a folder or a cell names in one of the spellings of `SPLIT_FOLDERS`, or None."""
    return SPLIT_OF.get(re.sub("[- ]", "_", text.lower()))


def require_class_names(labels: Iterable[str], where: object) -> None:
    """Refuse names of classes that a report, a metric or a table cannot hold.

    Raises:
        DataError: a name is empty, has spaces around it, or is not printable Unicode.
    """
    if unfit := unfit_class_names(labels):
        raise DataError(f"{where}: {unfit}")


class Grouped(Labelled, Protocol):
    """An example of a source that may also have a group."""

    @property
    def group(self) -> str | None: ...


def require_groups_in_one_split(items: Iterable[Grouped], path: Path, *, kind: str) -> None:
    """Refuse a table whose splits tear a group apart.

    Args:
        items: the items of the table.
        path: the table, for the error.
        kind: a noun for the items, in the plural.

    Raises:
        DataError: a group is in several splits.
    """
    splits: dict[str, set[str]] = {}
    for item in items:
        if item.group:
            splits.setdefault(item.group, set()).add(item.split or "train")
    torn = [group for group, found in splits.items() if len(found) > 1]
    if torn:
        raise DataError(
            f"{path}: groups in several splits: {len(torn):,} ({_examples(torn)}): give all {kind} of a group one split"
        )


def _class_and_name(item: Item) -> tuple[str, str, str]:
    return item.label, unicodedata.normalize("NFC", item.name), item.name


def is_image(name: str) -> bool:
    """Whether a file counts as an image, by its name."""
    return _counts(name.split("/"), Counter(), IMAGES)


def is_text(name: str) -> bool:
    """Whether a file counts as a text, by its name."""
    return _counts(name.split("/"), Counter(), TEXTS)


def _counts(parts: Sequence[str], ignored: Counter[str], kind: Kind) -> bool:
    """Whether a file is of a kind. If not, its kind is counted."""
    suffix = os.path.splitext(parts[-1])[1].lower()
    if not SYSTEM_FILES.isdisjoint(part.lower() for part in parts):
        ignored["files of an operating system"] += 1
    elif any(part.startswith(".") for part in parts):
        ignored["hidden files"] += 1
    elif suffix in kind.suffixes:
        return True
    elif suffix in SUFFIXES:
        ignored["images"] += 1
    elif suffix in UNREAD:
        ignored[f"{NOT_READ} ({suffix})"] += 1
    else:
        ignored["text files" if suffix in SIDECARS else f"{suffix} files" if suffix else "files without an ending"] += 1
    return False


def _common_folders(paths: Sequence[Sequence[str]]) -> int:
    """The number of folders around everything, as archives have them, above at least one class or split folder.

    A folder of the validation or test split is none of them, unless there are splits in it: it lacks the training one.
    """
    first = 0
    while len({parts[first] for parts in paths}) == 1 and all(len(parts) > first + 2 for parts in paths):
        inside = {split_of(folder) for folder in {parts[first + 1] for parts in paths}} - {None}
        if split_of(paths[0][first]) in ("val", "test") and len(inside) < DISTINCT:
            break
        first += 1
    return first


def _split_folders(folders: set[str], where: object) -> dict[str, str]:
    """The split of each folder if all of them are splits; empty if they are classes.

    Raises:
        DataError: some are splits and others are not, `train` is absent, or two mean one split.
    """
    found = {folder: split for folder in sorted(folders) if (split := split_of(folder))}
    if len(set(found.values())) < DISTINCT and not (found and len(found) == len(folders)):
        return {}  # a class may be called test, or train
    others = sorted(folders - found.keys())
    if others or "train" not in found.values():
        looks = "look like splits" if len(found) > 1 else "looks like a split"
        problem = f"{', '.join(others[:5])} is not one" if others else "there is no train"
        raise DataError(
            f"{where}: {' and '.join(found)} {looks}, but {problem}: move what is no split elsewhere, and add "
            "a folder train"
        )
    for split in SPLIT_FOLDERS:
        same = [folder for folder, meant in found.items() if meant == split]
        if len(same) > 1:
            raise DataError(f"{where}: {' and '.join(same)} both mean the split {split}: rename one of them")
    return found


def _examples(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
