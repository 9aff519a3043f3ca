"""Text classification: the texts of a source as arrays of numbers of words."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cct.data.params import PreprocessParams
from cct.data.prepare import Prepared
from cct.data.sources import LocalSource, Source, source_files
from cct.data.texts.prepare import prepare_texts
from cct.data.texts.source import read_texts


@contextlib.contextmanager
def prepare(source: Source | LocalSource, preprocess: PreprocessParams, raw: Path) -> Iterator[Prepared]:
    """The texts of a source, and the vocabulary of its training split.

    Args:
        source: the source.
        preprocess: all options.
        raw: the folder with the files of a descriptor.

    Raises:
        DataError: the source cannot be read, or a class is too small.
    """
    local = isinstance(source, LocalSource)
    texts = read_texts(source, {} if local else source_files(source, raw), preprocess)
    hashes = {} if local else {role: file.sha256 for role, file in source.files.items()}
    yield prepare_texts(texts, preprocess, name=source.name, source_sha256=hashes)


def describe(words_nl: np.ndarray) -> dict[str, Any]:
    """No more fields of meta.json: `prepare` has them all."""
    return {}


def converter(shape_l: tuple[int, ...], preprocess: PreprocessParams) -> Callable[[np.ndarray], np.ndarray] | None:
    """None: the arrays stay as they are."""
    return None
