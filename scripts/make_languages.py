"""Makes data/languages.csv, the texts of `make demo-text`: messages of Django in twenty languages.

    uv pip install --no-deps --target /tmp/django Django==5.2.19
    python scripts/make_languages.py /tmp/django/django

Django's translations are real sentences by people who speak the language. Its licence (BSD) lets this project carry
them: data/LICENSE-Django. Places for values and tags of HTML are left out, and so are messages of less than three words
and those that are equal in two languages.
"""

import csv
import gettext
import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = {
    "cs": "Czech", "da": "Danish", "de": "German", "en": "English", "es": "Spanish", "et": "Estonian", "fi": "Finnish",
    "fr": "French", "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "lt": "Lithuanian", "nb": "Norwegian",
    "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "sv": "Swedish", "tr": "Turkish",
    "vi": "Vietnamese",
}  # fmt: skip
NOISE = re.compile(r"[%{}<>]|&[a-z]+;|[\u200e\u200f]")
LEAST_WORDS, MOST = 3, 320  # of a text; texts of a language


def messages(django: Path, language: str) -> list[str]:
    """The messages of a language, in the order of their English texts."""
    found = {}
    for path in sorted(django.rglob("locale/de/LC_MESSAGES/django.mo")):  # English is what the others translate
        own = path.parents[2] / ("de" if language == "en" else language) / "LC_MESSAGES/django.mo"
        if own.is_file():
            with own.open("rb") as file:
                catalog = gettext.GNUTranslations(file)._catalog
            for key, text in catalog.items():
                source = key[0] if isinstance(key, tuple) else key
                if source:  # the empty one has the file's own facts
                    found[source] = source if language == "en" else text
    texts = [text.rpartition("\x04")[2] for _, text in sorted(found.items())]  # gettext puts the context before it
    return [" ".join(text.split()) for text in texts if not NOISE.search(text)]


def main() -> None:
    django = Path(sys.argv[1])
    texts = {name: list(dict.fromkeys(messages(django, code))) for code, name in LANGUAGES.items()}
    uses = Counter(text for found in texts.values() for text in found)
    rows = []
    for name, found in texts.items():
        usable = [text for text in found if uses[text] == 1 and len(text.split()) >= LEAST_WORDS]
        rows += [(text, name) for text in usable[:: max(1, len(usable) // MOST)][:MOST]]
    with (ROOT / "data/languages.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["text", "label"])
        table.writerows(rows)


if __name__ == "__main__":
    main()
