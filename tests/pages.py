"""The commands, sentences and links of README.md and the pages in docs/."""

import re
from pathlib import Path
from typing import NamedTuple

from clones import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
FENCE = re.compile(r"^ *(`{3,})")


class Block(NamedTuple):
    """The commands of a console block, and why the test does not run them."""

    commands: list[str]
    not_run: str | None


def blocks(path: Path) -> list[Block]:
    """The console blocks of a page."""
    found, reason = [], None
    lines = iter(path.read_text(encoding="utf-8").splitlines())
    for line in lines:
        if mark := NOT_RUN.fullmatch(line.strip()):
            reason = mark[1]
        elif line.strip() == "```console":
            found.append(Block(_commands(lines), reason))
            reason = None
        elif line.strip():
            reason = None
    return found


def _commands(lines) -> list[str]:
    """Commands up to the end of a block; a line that ends with a backslash continues."""
    commands: list[str] = []
    continues = False
    for line in lines:
        if FENCE.match(line):
            break
        text = line.strip()
        if text.startswith("$ "):
            commands.append(text[2:])
        elif continues:
            commands[-1] += f"\n{text}"
        continues = text.endswith("\\")
    return commands


def sentences(path: Path) -> list[str]:
    """The sentences of a page in plain words, without code blocks, tables and comments."""
    paragraphs, inside = [""], False
    for line in path.read_text(encoding="utf-8").splitlines():
        if FENCE.match(line):
            inside = not inside
            paragraphs.append("")
        elif inside or line.lstrip().startswith(("|", "<", "!!!", "#", "![", "::: ")):
            paragraphs.append("")
        elif not line.strip() or re.match(r" *([-*]|\d+\.) ", line):
            paragraphs.append(line)
        else:
            paragraphs[-1] += f" {line.strip()}"
    words = [re.sub(r"`[^`]*`", "Code", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)) for text in paragraphs]
    return [
        part.strip() for text in words for part in re.split(r"(?<=[.!?:])\s+(?=[A-Z0-9\[*…])", text) if part.strip()
    ]
