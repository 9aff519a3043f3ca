"""Writes each parameter's description in the schemas into params.yaml and docs/parameters.md, for `make params`."""

import sys
from pathlib import Path

from cct.entry import entry_point
from cct.markers import fill_markers
from cct.param_docs import commented, markdown_table, parameters

ROOT = Path(__file__).parents[1]
PAGE, FILES = ROOT / "docs/parameters.md", (ROOT / "params.yaml", ROOT / "tests/params.yaml")


def page() -> str:
    """The text of docs/parameters.md, with a table for each section."""
    return fill_markers(PAGE, {section: markdown_table(section) for section in parameters()})


@entry_point
def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    for path in FILES:
        path.write_text(commented(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
