"""The style of all figures, and their files.

Matplotlib is imported where a figure is made, because the import takes long. Only the object-oriented interface is
used, without display and pyplot. A user's matplotlibrc changes nothing.
"""

import contextlib
import functools
import io
import itertools
import logging
import os
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from cct.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

# Okabe & Ito, 2008: people with any common kind of colour vision can tell them apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#595959"
WIDTH = 8.0  # inches: 800 pixels, the width of a README, at 100 dpi
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E5E5E5",
    "legend.fontsize": 9,
    "legend.framealpha": 0.9,
    "legend.edgecolor": "none",
    "text.parse_math": False,  # a class may be called "$5"
    "xtick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.color": GREY,
    "ytick.labelcolor": "black",
}
LAST_RESORT = "Last Resort High-Efficiency"  # Matplotlib's font of boxes for letters that no font has
Arguments = ParamSpec("Arguments")


def styled(draw: Callable[Arguments, "Figure"]) -> Callable[Arguments, "Figure"]:
    """Draw a figure in this project's style, whatever matplotlibrc says, with fonts for the scripts of its texts."""

    @functools.wraps(draw)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> "Figure":
        with figure_style():
            figure = draw(*args, **kwargs)
            _choose_fonts(figure)
            return figure

    return wrapper


def _choose_fonts(figure: "Figure") -> None:
    from matplotlib.text import Text

    texts = [text for text in figure.findobj(Text) if not text.get_text().isascii()]
    families, _ = fallback_fonts("".join(text.get_text() for text in texts))
    if len(families) > 1:
        for text in texts:
            text.set_fontfamily(families)


def save_figure(figure: "Figure", path: Path, dpi: int) -> None:
    """Write a PNG atomically. Its bytes depend on the figure and `dpi` alone."""
    content = io.BytesIO()
    with figure_style():
        # Without `metadata`, Matplotlib writes its name and version into the file.
        figure.savefig(content, format="png", dpi=dpi, facecolor="white", backend="agg", metadata={"Software": None})
    write_atomically(path, content.getbuffer())


@contextlib.contextmanager
def figure_style() -> Iterator[None]:
    """Apply Matplotlib's defaults and `STYLE` within the block."""
    os.environ.pop("MPLBACKEND", None)  # figures are files here, and Matplotlib refuses an unknown backend at import
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        # A box stands for a letter that no font has, and `class_labels` avoids it.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def new_figure(*, height: float, width: float = WIDTH) -> "Figure":
    """An empty figure. Sizes are in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def text_size(text: str, fontsize: float) -> tuple[float, float]:
    """The width and height in inches of a text of one or more lines, in the fonts that figures draw it with."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with figure_style():
        canvas = FigureCanvasAgg(new_figure(height=1))
        drawn = canvas.figure.text(0, 0, text, fontsize=fontsize, fontfamily=fallback_fonts(text)[0])
        extent = drawn.get_window_extent(canvas.get_renderer())
        return extent.width / canvas.figure.dpi, extent.height / canvas.figure.dpi


def percent(share: float) -> str:
    """A share as text: 0.5 as 50.0 %."""
    return f"{share:.1%}".replace("%", " %")


def percent_ticks():
    """A formatter of ticks: 0.5 as 50 %."""
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda share, _: f"{100 * share:.4g} %")


def errors_title(shown: int, errors: int, among: str) -> str:
    """The heading of a figure of errors.

    Args:
        shown: errors in the figure.
        errors: all errors.
        among: number and kind of the examples, such as "24 test images".
    """
    if not errors:
        return f"No errors among {among}"
    share = f"The {shown:,} most confident of {errors:,} errors" if shown < errors else f"All {errors:,} errors"
    return f"{'The only error' if errors == 1 else share} among {among}: true → predicted"


def shorten(name: str, length: int) -> str:
    """A name of at most `length` columns. It is cut in the middle, because names often differ at their ends."""
    if columns(name) <= length:
        return name
    length = length * len(name) // columns(name)
    tail = (length - 1) // 2
    return f"{name[: length - 1 - tail]}…{name[-tail:]}"


def columns(text: str) -> int:
    """The width of a text in letters, where a Chinese, Japanese or Korean one counts as two."""
    return len(text) + sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)


def left_to_right(name: str) -> str:
    """A name for a line that reads from left to right, whatever the direction of the name.

    Matplotlib takes the direction of a line from its first letter, and moves numbers after a Hebrew or Arabic name to
    its left. Marks around the name prevent both. Its fonts have no glyph for Unicode's isolates.
    """
    mark = "\N{LEFT-TO-RIGHT MARK}"
    return f"{mark}{name}{mark}" if any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name) else name


def class_labels(names: Sequence[str], length: int) -> list[str]:
    """What a figure calls each class: its name, shortened so that no two labels are equal.

    The third class is "class 3" if no font here has the letters of its name, or if every short label equals another.

    Args:
        names: of all classes, in their order, all different.
        length: the most columns of a label.
    """
    _, unknown = fallback_fonts("".join(names))
    label_of = _without_equal({name: shorten(name, length) for name in names}, length)
    uses = Counter(label_of.values())
    return [
        f"class {number}" if unknown.intersection(name) or uses[label_of[name]] > 1 else label_of[name]
        for number, name in enumerate(names, start=1)
    ]


def warn_of_missing_fonts(names: Iterable[str]) -> None:
    """Say which letters of class names no font here has, because `class_labels` numbers these classes."""
    with figure_style():
        _, unknown = fallback_fonts("".join(names))
    if unknown:
        letters = " ".join(sorted(unknown)[:10]) + (" …" if len(unknown) > 10 else "")
        log.warning("No font that Matplotlib knows has %s: figures call these classes by their number", letters)


def _without_equal(label_of: Mapping[str, str], length: int) -> dict[str, str]:
    """The labels by name, but where several names have one label, it shows where these names begin to differ."""
    equal: dict[str, list[str]] = {}
    for name, label in label_of.items():
        equal.setdefault(label, []).append(name)
    result = dict(label_of)
    for names in equal.values():
        if len(names) > 1:
            first, last = min(names), max(names)  # what they have in common, all have
            common = "".join(
                a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
            )
            word = max(common.rfind(separator) for separator in " _-") + 1
            # The whole word, unless it is long, because its common part would fill the label again.
            start = word if columns(common[word:]) <= length // 3 else len(common)
            cut = {name: _begin_and_part(name, start, length) for name in names}
            # Without progress, the names stay equal.
            result |= _without_equal(cut, length) if len({*cut.values()}) > 1 else cut
    return result


def _begin_and_part(name: str, start: int, length: int) -> str:
    """A name of more than `length` columns as its first letters and those from `start` on."""
    length = length * len(name) // columns(name)
    begin = length // 4
    if start <= begin:
        return f"{name[: length - 1]}…"
    part, kept = name[start:], length - begin - 1
    return f"{name[:begin].rstrip()}…{part if len(part) <= kept else part[: kept - 1].rstrip() + '…'}"


def fallback_fonts(text: str) -> tuple[list[str], set[str]]:
    """Font families for a text of any script: the bundled one first, then those installed that have what it lacks.

    Returns:
        The families, and the letters that none of them has.
    """
    from matplotlib.font_manager import fontManager, get_font

    def lacking(letters: Iterable[str], path: str) -> set[str]:
        known = get_font(path).get_charmap()
        return {letter for letter in letters if ord(letter) not in known}

    bundled = next(font for font in fontManager.ttflist if font.name == "DejaVu Sans" and font.weight == 400)
    visible = {letter for letter in text if not letter.isspace() and unicodedata.category(letter) != "Cf"}
    families, missing = [bundled.name], lacking(visible, bundled.fname)
    others = fontManager.ttflist if missing else []
    for font in sorted(others, key=lambda font: (font.style != "normal", font.weight != 400, font.name)):
        if not missing:
            break
        if font.name == LAST_RESORT:
            continue
        try:
            left = lacking(missing, font.fname)
        except (OSError, RuntimeError):  # removed or damaged since Matplotlib listed it
            continue
        if left < missing:
            families.append(font.name)
            missing = left
    return families, missing
