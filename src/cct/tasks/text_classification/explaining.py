"""Text classification: words that are marked by what the model looked at, in a figure, in the shell and as JSON."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cct.evaluation.figures.texts import Marked, break_lines, plot_marked_texts
from cct.tasks.text_classification.inference import TextReader

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cct.tasks.text_classification.attention import WordAttention

BARS, COLUMNS = " ▁▂▃▄▅▆▇█", 100  # marks of a share in the shell, from none to the largest; columns of a line


def figure(
    reader: TextReader, texts: Sequence[str], rows: Sequence[tuple[str, str]], attention: "WordAttention"
) -> "Figure":
    """Each text once for each layer and for the pooling.

    Args:
        reader: of the model.
        texts: as people gave them.
        rows: name and prediction of each text.
        attention: of these texts.
    """
    marked = [
        Marked(f"{prediction}, {title}", reader.numbering.weighted(text, shares[place]))
        for place, (text, (_, prediction)) in enumerate(zip(texts, rows, strict=True))
        for title, shares in attention.titled()
    ]
    return plot_marked_texts("What the model looked at", marked)


def lines(reader: TextReader, texts: Sequence[str], attention: "WordAttention") -> Iterator[str]:
    """Each text for the shell, with a bar under each word: by its pooling weight, otherwise by attention rollout."""
    for place, text in enumerate(texts):
        words = reader.numbering.weighted(text, summary(attention)[place])
        most = max((share for _, share in words), default=0) or 1
        found = []
        for line in break_lines(words, COLUMNS):
            found.append("".join(word for _, word, _ in line).rstrip())
            found.append("".join(_bar(word, share / most) for _, word, share in line).rstrip())
        yield "\n".join(found)


def _bar(word: str, share: float) -> str:
    from cct.evaluation.figures.style import columns

    width = columns(word.rstrip())
    return BARS[round(share * (len(BARS) - 1))] * width + " " * (columns(word) - width)


def summary(attention: "WordAttention") -> np.ndarray:
    """The shares (b, length) that say most with one number a word."""
    return attention.rollout_bln[:, 0] if attention.pooling_bn is None else attention.pooling_bn


def as_json(reader: TextReader, text: str, attention: "WordAttention") -> dict[str, Any]:
    """The words of one text with the spaces behind them, and their shares: maps, each with its title."""
    weighted = {title: reader.numbering.weighted(text, shares[0]) for title, shares in attention.titled()}
    first = next(iter(weighted.values()))
    return {
        "words": [word for word, _ in first],
        "maps": [
            {"title": title, "shares": [round(share, 6) for _, share in words]} for title, words in weighted.items()
        ],
    }
