"""Facts about the texts of a data source, before anything is trained."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cct.data.arrays import DataError
from cct.data.download import fetch_source
from cct.data.params import PreprocessParams
from cct.data.prepare import Prepared
from cct.data.sources import LocalSource, Source
from cct.data.texts.items import Text, Texts
from cct.data.texts.prepare import prepare_texts
from cct.data.texts.source import read_texts
from cct.data.texts.tokens import TOKENS
from cct.inspection.problems import many
from cct.inspection.report import printable
from cct.inspection.suggestion import MAX_IMBALANCE, hydra_text

EXAMPLES, LONGEST = 3, 160  # texts of each class that are shown; characters of one
PERCENTILES = (50, 95, 100)


def inspect_texts(path: Path, source: Source | LocalSource, preprocess: PreprocessParams) -> dict[str, Any]:
    """All facts about a source of texts, as `cct inspect --json` prints them. A descriptor's files are fetched.

    Args:
        path: as `data.source` has it.
        source: the descriptor, or the folder or file.
        preprocess: the parameters that preprocess would use.

    Raises:
        DownloadError: a file of a descriptor cannot be fetched.
        DataError: the source cannot be read.
    """
    files = {} if isinstance(source, LocalSource) else fetch_source(source, base=path.parent)
    texts = read_texts(source, files, preprocess)
    prepared, refused = None, ""
    try:
        prepared = prepare_texts(texts, preprocess, name=source.name)
    except DataError as error:
        refused = str(error)
    counts = Counter(item.label for item in texts.items)
    imbalance = max(counts.values()) / min(counts.values())
    facts = {
        "source": printable(str(path)),
        "name": source.name,
        "task": "text_classification",
        "texts": len(texts.items),
        "classes": _classes(texts, counts, prepared),
        "splits": _splits(texts.items),
        "imbalance": round(imbalance, 2),
        "tokens": preprocess.tokens,
        "lengths": _lengths(texts.items, preprocess),
        **(_numbered(prepared.facts) if prepared else {}),
        "ignored": {printable(kind): count for kind, count in texts.ignored.items()},
        "examples": _examples(texts),
        "problems": _problems(prepared, refused),
        "suggestion": {"command": _command(path, imbalance)},
        "ready": not refused,
        "to_do": f"To do before any training: {printable(refused)}."
        if refused
        else "Ready: preprocess would accept these texts with the parameters as they are.",
    }
    return facts


def _classes(texts: Texts, counts: Mapping[str, int], prepared: Prepared | None) -> list[dict[str, Any]]:
    of_split = (
        {
            split: np.bincount(rows.label_n, minlength=len(texts.classes)).tolist()
            for split, rows in prepared.splits.items()
        }
        if prepared
        else {}
    )
    return [
        {"name": name, "texts": counts[name], **{split: found[number] for split, found in of_split.items()}}
        for number, name in enumerate(texts.classes)
    ]


def _splits(items: Sequence[Text]) -> dict[str, str]:
    """Who chooses each split."""
    stated = {item.split for item in items}
    return {split: "source" if split in stated else "preprocess" for split in ("train", "val", "test")}


def _lengths(items: Sequence[Text], preprocess: PreprocessParams) -> dict[str, int]:
    """Words or bytes of the shortest, the median, the longest text, and of one of twenty; and how many are cut off."""
    split = TOKENS[preprocess.tokens].split
    lengths = [len(split(item.text)) for item in items]
    median, high, longest = (int(value) for value in np.percentile(lengths, PERCENTILES, method="higher"))
    cut = sum(length > preprocess.max_length for length in lengths)
    return {"min": min(lengths), "median": median, "percentile_95": high, "max": longest, "longer_than_arrays": cut}


def _numbered(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What preprocess would make of them."""
    return {
        "vocabulary": facts["vocabulary_size"],
        "most_frequent": facts["vocabulary"][:20],
        "words": facts["words"],
        "unknown_words": facts["unknown_words"],
        "duplicates": {name: value for name, value in facts["duplicates"].items() if name != "examples"},
    }


def _examples(texts: Texts) -> dict[str, list[str]]:
    """The first texts of each class."""
    found: dict[str, list[str]] = {name: [] for name in texts.classes}
    for item in texts.items:
        if len(found[item.label]) < EXAMPLES:
            text = printable(" ".join(item.text.split()))
            found[item.label].append(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…")
    return found


def _problems(prepared: Prepared | None, refused: str) -> list[dict[str, Any]]:
    """What preprocess refuses, and what is worth a look."""
    if prepared is None:
        return [{"kind": "splits", "title": printable(refused), "count": 1, "examples": [], "refused": True}]
    duplicates, problems = prepared.facts["duplicates"], []
    for kind, where, name in (
        ("leaks", "several splits: scores on them are too high", "groups_in_several_splits"),
        ("conflicts", "several classes", "groups_in_several_classes"),
    ):
        if count := duplicates[name]:
            title = f"{many(count, 'group')} of equal texts in {where}"
            problems.append({"kind": kind, "title": title, "count": count, "examples": [], "refused": False})
    if problems:
        problems[0]["examples"] = [printable(text[:LONGEST]) for text in duplicates["examples"][:5]]
    return problems


def _command(path: Path, imbalance: float) -> str:
    """The command that trains on the source."""
    weights = " -S train.class_weights=balanced" if imbalance > MAX_IMBALANCE else ""
    return f"dvc exp run $(cct preset text) -S data.source={hydra_text(str(path))}{weights}"
