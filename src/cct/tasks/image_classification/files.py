"""The image files that a user names: files, folders, archives, patterns, and standard input."""

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from cct.data.archives import ARCHIVE_SUFFIXES
from cct.data.containers import open_container
from cct.data.images.decoding import MAX_FILE_BYTES, SUFFIXES
from cct.data.images.pool import decode_files
from cct.data.listing import is_image
from cct.data.plain_files import File
from cct.errors import CCTError
from cct.tasks.image_classification.inference import ImageReader
from cct.tasks.named import Chunk, Named, fitting_paths

STANDARD_INPUT = "-"


def named_images(names: Sequence[str], reader: ImageReader) -> Named:
    """The images that a user names, before anything is read.

    Raises:
        CCTError: as `list_files`.
    """
    listed = list_files(names)

    def chunks() -> Iterator[Chunk]:
        left = _names(listed)
        for chunk in decode_files(_read(listed), reader.options, count=count_files(listed)):
            errors = chunk.facts_n["error"]
            bad = {int(place): errors[place].decode(errors="replace") for place in np.flatnonzero(errors != b"")}
            good_nhwc = chunk.pixels_nhwc[errors == b""]
            yield Chunk(list(itertools.islice(left, len(errors))), good_nhwc, bad, good_nhwc)

    return Named(count_files(listed), "files", chunks())


def list_files(names: Sequence[str]) -> list[tuple[str, list[str] | None]]:
    """What is to be read for each name, before anything is read.

    Args:
        names: files; folders and archives, whose images are taken; patterns with `*`, `?`, `[]` or `**`; and "-" for
            the bytes of one image on standard input.

    Returns:
        Pairs of a path and the names of the images inside it; None for a file that is an image itself.

    Raises:
        CCTError: a name fits nothing, a folder or an archive cannot be read, or has no image.
    """
    found: list[tuple[str, list[str] | None]] = []
    for name in names:
        if name == STANDARD_INPUT:
            found.append((name, None))
            continue
        if not (paths := fitting_paths(name)):
            raise CCTError(
                f"{name}: there is no such file or folder, and no pattern that fits one. This model takes images"
            )
        found += [(path, _inside(Path(path))) for path in paths]
    return found


def _inside(path: Path) -> list[str] | None:
    if not path.is_dir() and not path.name.lower().endswith(ARCHIVE_SUFFIXES):
        return None
    names = open_container(path).names()
    if not (images := [name for name in names if is_image(name)]):
        raise CCTError(f"{path}: none of its {len(names):,} files is an image ({', '.join(SUFFIXES)})")
    return images


def count_files(listed: Iterable[tuple[str, list[str] | None]]) -> int:
    """The number of files of `list_files`."""
    return sum(1 if inside is None else len(inside) for _, inside in listed)


def _names(listed: Iterable[tuple[str, list[str] | None]]) -> Iterator[str]:
    for path, inside in listed:
        yield from [path] if inside is None else (f"{path.rstrip('/')}/{name}" for name in inside)


def _read(listed: Iterable[tuple[str, list[str] | None]]) -> Iterator[File]:
    for path, inside in listed:
        if path == STANDARD_INPUT:
            yield File(path, sys.stdin.buffer.read(MAX_FILE_BYTES + 1))
        elif inside is None:
            yield File(path, Path(path))
        else:
            yield from open_container(Path(path)).files(inside)
