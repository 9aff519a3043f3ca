"""Chooses the splits of texts, builds the vocabulary of the training split, and numbers all words."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cct.data.arrays import DataError
from cct.data.groups import groups_of_several, merge_named, misplaced_groups
from cct.data.listing import describe_ignored
from cct.data.params import PreprocessParams
from cct.data.prepare import Prepared, Split
from cct.data.splits import SPLIT_CODES, assign_splits, label_items
from cct.data.store import VECTORS
from cct.data.texts.items import Text, Texts
from cct.data.texts.tokens import TOKENS, Numbered, Numbering, build_vocabulary
from cct.data.texts.vectors import Vectors, first_words, read_vectors
from cct.files import sha256_of_file
from cct.words import FIRST_WORD

log = logging.getLogger(__name__)

CAPITALS = 100_000  # words of a file of vectors that are looked at for capitals
Words = Sequence[str | int]


def prepare_texts(
    texts: Texts, preprocess: PreprocessParams, *, name: str, source_sha256: Mapping[str, str] | None = None
) -> Prepared:
    """Choose the splits, build the vocabulary and number the words.

    Args:
        texts: the texts of a source.
        preprocess: all options.
        name: the name of the data set.
        source_sha256: the hashes of the source's files, for meta.json.

    Raises:
        DataError: a class has no training example, or is too small for a split.
    """
    items, classes, ignored = texts
    if ignored:
        log.info("ignored: %s", describe_ignored(ignored))
    tokens = TOKENS[preprocess.tokens]
    words = [tokens.split(item.text) for item in items]
    labels, equal = label_items(items, classes), group_equal(words)
    groups = merge_named(equal, [item.group for item in items])
    try:
        split_n = assign_splits(labels.label_n, labels.stated_n, preprocess, classes=classes, groups=groups)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    duplicates, misplaced = describe_duplicates(items, equal, split_n)
    members = {split: np.flatnonzero(split_n == code) for split, code in SPLIT_CODES.items()}
    training = [words[row] for row in members["train"]]
    vectors = read_word_vectors(training, preprocess)
    numbering = make_numbering(training, preprocess, vocabulary=vectors.words if vectors else None)
    numbered = {split: numbering.number(words[row] for row in rows) for split, rows in members.items()}
    _log_numbered(numbering, numbered)
    return Prepared(
        name=name,
        classes=classes,
        splits={
            split: Split(numbered[split].words_nl, np.arange(len(rows)), labels.label_n[rows])
            for split, rows in members.items()
        },
        facts={
            "tokens": preprocess.tokens,
            "max_length": numbering.length,
            "truncation": preprocess.truncation,
            "text_column": preprocess.text_column,
            "vocabulary_size": numbering.size,
            **({"embeddings": describe_vectors(vectors, preprocess)} if vectors else {}),
            "lengths": _lengths([len(words[row]) for row in members["train"]]),
            **_counts(numbered),
            "ignored": dict(ignored),
            "duplicates": duplicates,
            **({"source_sha256": dict(source_sha256)} if source_sha256 else {}),
            "vocabulary": list(numbering.vocabulary),
        },
        texts={split: [items[row].text for row in rows] for split, rows in members.items()},
        digests={"vocabulary": hashlib.sha256(json.dumps([*numbering.vocabulary]).encode()).hexdigest()},
        arrays={VECTORS: vectors.vectors_vd} if vectors else {},
        misplaced=misplaced,
    )


def read_word_vectors(training: Sequence[Words], preprocess: PreprocessParams) -> Vectors | None:
    """The vectors of the vocabulary of training texts, and of `extra_words` more; None if no file has them.

    Raises:
        DataError: the file cannot be read, or has a vector for no word of the texts.
    """
    if not preprocess.embeddings:
        return None
    path, own = Path(preprocess.embeddings), _vocabulary(training, preprocess)
    vectors = read_vectors(path, own, extra=preprocess.extra_words)
    if np.isnan(vectors.vectors_vd[: len(own), 0]).all():
        if not {word.lower() for word in first_words(path, CAPITALS)}.isdisjoint(own):
            raise DataError(
                f"{path} has a vector for no word of the training texts: write its words in small letters, as those of "
                "the texts are"
            )
        raise DataError(f"{path} has a vector for no word of the training texts: is it of another language?")
    log.info(
        "%s: %s of %s words of the training texts have no vector; %s words more",
        path, f"{vectors.missing:,}", f"{len(own):,}", f"{len(vectors.words) - len(own):,}",
    )  # fmt: skip
    return vectors


def describe_vectors(vectors: Vectors, preprocess: PreprocessParams) -> dict[str, Any]:
    """Facts for meta.json: the file, its sha256, the width of its vectors, and the words without one."""
    path = Path(str(preprocess.embeddings))
    return {
        "file": path.name,
        "sha256": sha256_of_file(path),
        "word_dim": vectors.vectors_vd.shape[1],
        "words_without_vector": vectors.missing,
    }


def _vocabulary(training: Sequence[Words], preprocess: PreprocessParams) -> list[str]:
    if not TOKENS[preprocess.tokens].has_vocabulary:
        return []
    return build_vocabulary(training, most=preprocess.max_vocabulary, min_count=preprocess.min_count)


def make_numbering(
    training: Sequence[Words], preprocess: PreprocessParams, *, vocabulary: Sequence[str] | None = None
) -> Numbering:
    """The numbers of words.

    Args:
        training: the training texts, which are split already.
        preprocess: all options.
        vocabulary: the words with numbers. None: those of the training texts.
    """
    if vocabulary is None:
        vocabulary = _vocabulary(training, preprocess)
    length = preprocess.max_length
    if preprocess.padding == "longest":
        length = min(length, max(1, *map(len, training)))
    return Numbering(preprocess.tokens, vocabulary, length=length, truncation=preprocess.truncation)


def group_equal(words: Sequence[Words]) -> np.ndarray:
    """For each text the place (n,) of the first one with equal words."""
    first: dict[Any, int] = {}
    keys = (own if isinstance(own, bytes) else tuple(own) for own in words)
    return np.array([first.setdefault(key, row) for row, key in enumerate(keys)], np.int64)


def describe_duplicates(
    items: Sequence[Text], equal_n: np.ndarray, split_n: np.ndarray
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Groups of equal texts in several splits of the source, or in several classes, which are warned of.

    Args:
        items: the texts.
        equal_n: as `group_equal` returns it.
        split_n: the split of each.

    Returns:
        Facts for meta.json; and `Prepared.misplaced`.
    """
    groups = groups_of_several(equal_n)
    found = misplaced_groups(groups, items, split_n, what="equal texts", shown=lambda group: items[group[0]].text[:80])
    facts = {
        "exact": sum(len(group) - 1 for group in groups),
        **found.facts(lambda group: items[group[0]].text[:200]),
    }
    first = {kind: [items[group[0]].text for group in misplaced] for kind, misplaced in found._asdict().items()}
    return facts, first


def _lengths(lengths: Sequence[int]) -> dict[str, int]:
    """Words of a training text, before any is cut off."""
    return {"min": min(lengths), "median": int(np.median(lengths)), "max": max(lengths)}


def _counts(numbered: Mapping[str, Numbered]) -> dict[str, Any]:
    """Words, words without a number, and texts that are cut off, of each split."""
    return {
        "words": {split: found.words for split, found in numbered.items()},
        "unknown_words": {split: found.unknown for split, found in numbered.items()},
        "truncated_texts": {split: found.truncated for split, found in numbered.items()},
    }


def _log_numbered(numbering: Numbering, numbered: Mapping[str, Numbered]) -> None:
    has_vocabulary = TOKENS[numbering.tokens].has_vocabulary
    for split, found in numbered.items():
        unknown = f"{found.unknown:,} of {found.words:,} {numbering.tokens} are unknown"
        counted = unknown if has_vocabulary else f"{found.words:,} {numbering.tokens}"
        log.info("%s: %s, %s texts are longer than %d", split, counted, f"{found.truncated:,}", numbering.length)
    if has_vocabulary:
        log.info("vocabulary: %s words", f"{numbering.size - FIRST_WORD:,}")
