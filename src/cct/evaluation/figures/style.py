"""The style of all figures, and their files.

Matplotlib is imported where a figure is made, because the import takes long. Only the object-oriented interface is
used, without display and pyplot. A user's matplotlibrc changes nothing.
"""

import contextlib
import functools
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from cct.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
Arguments = ParamSpec("Arguments")


def styled(draw: Callable[Arguments, "Figure"]) -> Callable[Arguments, "Figure"]:
    """Draw a figure in this project's style, whatever matplotlibrc says."""

    @functools.wraps(draw)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> "Figure":
        with figure_style():
            return draw(*args, **kwargs)

    return wrapper


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

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def new_figure(*, height: float, width: float = WIDTH) -> "Figure":
    """An empty figure. Sizes are in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def percent(share: float) -> str:
    """A share as text: 0.5 as 50.0 %."""
    return f"{share:.1%}".replace("%", " %")


def percent_ticks():
    """A formatter of ticks: 0.5 as 50 %."""
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda share, _: f"{100 * share:.4g} %")


def shorten(name: str, length: int) -> str:
    """A name of at most `length` characters. It is cut in the middle, because names often differ at their ends."""
    tail = (length - 1) // 2
    return name if len(name) <= length else f"{name[: length - 1 - tail]}…{name[-tail:]}"
