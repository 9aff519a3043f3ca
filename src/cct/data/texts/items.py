"""The texts of a source."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from cct.data.arrays import DataError
from cct.data.listing import require_class_names
from cct.data.texts.tokens import clean_text


class Text(NamedTuple):
    """A text of a source.

    Attributes:
        text: its words, in Unicode's form NFC.
        label: the name of its class, in the same form.
        split: "train", "val" or "test" where the source says it.
        group: texts of one group stay in one split; None is a group of its own.
    """

    text: str
    label: str
    split: str | None = None
    group: str | None = None


class Texts(NamedTuple):
    """All texts of a source.

    Attributes:
        items: the texts in the order of the source.
        classes: the names of all classes: in the descriptor's order, otherwise sorted.
        ignored: how many files were ignored, by the kind of file.
    """

    items: Sequence[Text]
    classes: Sequence[str]
    ignored: Mapping[str, int]


def make_texts(
    items: Iterable[Text],
    where: object,
    *,
    classes: Sequence[str] | None = None,
    ignored: Mapping[str, int] | None = None,
) -> Texts:
    """Name the classes of texts.

    Args:
        items: the texts.
        where: the source, for errors.
        classes: those of a descriptor. None: those of the texts.
        ignored: as in `Texts`.

    Raises:
        DataError: there is no text, a class has no printable name, or the descriptor does not name a class.
    """
    items = [
        item._replace(text=clean_text(item.text), label=unicodedata.normalize("NFC", item.label)) for item in items
    ]
    found = sorted({item.label for item in items})
    require_class_names(found, where)
    if unknown := sorted(set(found) - set(classes or found)):
        raise DataError(f"{where}: classes that the descriptor does not name: {', '.join(unknown[:20])}")
    if len(found) < 2:
        present = f"all texts are of one class ({found[0]})" if found else "there is no text"
        raise DataError(f"{where}: {present}: a classifier needs two or more classes")
    return Texts(items, [*(classes or found)], ignored or {})
