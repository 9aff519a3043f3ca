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
from cct.data.texts.source import columns_read, read_texts
from cct.data.texts.tokens import TOKENS
from cct.inspection.problems import SHOWN, many
from cct.inspection.report import printable
from cct.inspection.suggestion import FIRST, MAX_IMBALANCE, train_command
from cct.overrides import hydra_text, hydra_word

EXAMPLES, LONGEST = 3, 160  # texts of each class that are shown; characters of one
PERCENTILES = (50, 95, 100)
# Shares of the test split's words that are unknown, and of texts that are cut off, from which parameters are suggested.
MANY_UNKNOWN, MANY_CUT = 0.5, 0.1
LONGEST_TEXT = next(bound.le for bound in PreprocessParams.model_fields["max_length"].metadata if hasattr(bound, "le"))


def inspect_texts(
    path: Path,
    source: Source | LocalSource,
    preprocess: PreprocessParams,
    *,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """All facts about a source of texts, as `cct inspect --json` prints them. A descriptor's files are fetched.

    Args:
        path: as `data.source` has it.
        source: the descriptor, or the folder or file.
        preprocess: the parameters that preprocess would use.
        settings: those of them that the user set, by their full names.

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
    columns = columns_read(source, files, preprocess)
    suggested = _suggested(texts.items, prepared, preprocess, imbalance)
    words = [
        f"data.source={hydra_text(str(path))}",
        *(hydra_word(name, value) for name, value in (settings or {}).items() if name not in suggested),
        *(hydra_word(name, value) for name, (value, _) in suggested.items()),
    ]
    facts = {
        "source": printable(str(path)),
        "name": source.name,
        "task": "text_classification",
        "texts": len(texts.items),
        "columns": {column: printable(name) for column, name in columns.items()},
        "classes": _classes(texts, counts, prepared),
        "splits": _splits(texts.items),
        "imbalance": round(imbalance, 2),
        "tokens": preprocess.tokens,
        "lengths": _lengths(texts.items, preprocess),
        **(_numbered(prepared.facts) if prepared else {}),
        "ignored": {printable(kind): count for kind, count in texts.ignored.items()},
        "examples": _examples(texts),
        "problems": _problems(prepared, refused),
        "suggestion": {
            "parameters": words,
            "reasons": [f"{name}={value}: {reason}" for name, (value, reason) in suggested.items()],
            "command": train_command("text", words),
        },
        "ready": not refused,
        "to_do": f"{FIRST}: {printable(refused)}{'' if refused.endswith('?') else '.'}"
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
    """The vocabulary, the counts of words and the duplicates that preprocess would find."""
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
    """Reasons why preprocess refuses the texts; otherwise facts that are worth a look."""
    if prepared is None:
        return [{"kind": "splits", "title": printable(refused), "count": 1, "examples": [], "refused": True}]
    problems = []
    for kind, where in (("leaks", "several splits: scores on them are too high"), ("conflicts", "several classes")):
        if texts := prepared.misplaced[kind]:
            title = f"{many(len(texts), 'group')} of equal texts in {where}"
            examples = [printable(text[:LONGEST]) for text in texts[:SHOWN]]
            problems.append({"kind": kind, "title": title, "count": len(texts), "examples": examples, "refused": False})
    return problems


def _suggested(
    items: Sequence[Text], prepared: Prepared | None, preprocess: PreprocessParams, imbalance: float
) -> dict[str, tuple[Any, str]]:
    """Values of parameters, and the reason of each."""
    found: dict[str, tuple[Any, str]] = {}
    tokens = preprocess.tokens
    unknown = _unknown_share(prepared) if prepared and not preprocess.embeddings else 0.0
    if unknown > MANY_UNKNOWN:
        tokens = "bytes"
        found["preprocess.tokens"] = (tokens, f"{unknown:.0%} of the words of the test split are unknown")
    lengths = [len(TOKENS[tokens].split(item.text)) for item in items]
    cut = float(np.mean(np.array(lengths) > preprocess.max_length))
    if cut > MANY_CUT:
        length = min(int(np.percentile(lengths, 95, method="higher")), LONGEST_TEXT)
        if length > preprocess.max_length:
            reason = f"{cut:.0%} of the texts have more than {preprocess.max_length:,} {tokens}"
            found["preprocess.max_length"] = (length, reason)
    if imbalance > MAX_IMBALANCE:
        reason = f"the largest class has {imbalance:.3g} times the texts of the smallest"
        found["train.class_weights"] = ("balanced", reason)
    return found


def _unknown_share(prepared: Prepared) -> float:
    """The share of the test split's words that the training split does not have."""
    if not TOKENS[prepared.facts["tokens"]].has_vocabulary:
        return 0.0
    known = {*prepared.facts["vocabulary"]}
    words = [word for text in prepared.texts["test"] for word in TOKENS[prepared.facts["tokens"]].split(text)]
    return sum(word not in known for word in words) / max(1, len(words))
