"""Names and texts of inputs as a terminal shows them: a foreign file may hold letters that change what it does."""

from collections.abc import Callable

IsPath = Callable[[str], bool]  # as `cct.tasks.named.Named` has it
NAME_WIDTH = 60  # columns of an input's name in a table


def name_of_input(name: str, is_path: IsPath) -> str:
    """The name of an input before a sentence about it: a whole path, or the start of a text."""
    return plain(name) if is_path(name) else shortened(name, keep_end=False)


def shortened(name: str, *, keep_end: bool) -> str:
    """A name that fits a table: the end of a path, or the start of a text."""
    from cct.evaluation.figures.style import columns

    name = plain(name)
    if columns(name) <= NAME_WIDTH:
        return name
    part = name[-NAME_WIDTH:] if keep_end else name[:NAME_WIDTH]
    while columns(part) >= NAME_WIDTH:
        part = part[1:] if keep_end else part[:-1]
    return f"…{part}" if keep_end else f"{part}…"


def plain(name: str) -> str:
    """A name on one line that does nothing to a terminal."""
    line = " ".join(name.splitlines())
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)


def plain_lines(text: str) -> str:
    """Lines that do nothing to a terminal. Each stays as wide as it was, because lines below may mark its letters."""
    return "".join(letter if letter.isprintable() or letter == "\n" else _mark(letter) for letter in text)


def _mark(letter: str) -> str:
    return " " if letter.isspace() else "\N{REPLACEMENT CHARACTER}"
