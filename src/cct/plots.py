"""Figures of a run, from arrays to matplotlib figures, and from those to files.

Matplotlib is imported where a figure is made, because this module's schema is read by every stage. Only the
object-oriented interface is used: no display, no pyplot, and a user's matplotlibrc changes nothing.
"""

import contextlib
import functools
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import numpy as np
from pydantic import Field

from cct.files import write_atomically
from cct.params import Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008: told apart with every common kind of colour vision.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#595959"
WIDTH = 8.0  # inches: 800 pixels, the width of a README, at 100 dpi
CELL_TEXT_CLASSES = 25  # above, numbers in the cells of a confusion matrix would be smaller than can be read
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


History = Mapping[str, np.ndarray]
Arguments = ParamSpec("Arguments")


class PlotParams(Section):
    """`plot` in `params.yaml`."""

    dpi: int = Field(ge=50, le=600, description="pixels per inch of the figures, 50 to 600; 100 makes them 800 wide")
    mistakes: int = Field(ge=1, le=100, description="how many of the most confident mistakes are shown, 1 to 100")


def _styled(draw: Callable[Arguments, "Figure"]) -> Callable[Arguments, "Figure"]:
    @functools.wraps(draw)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> "Figure":
        with _style():
            return draw(*args, **kwargs)

    return wrapper


@_styled
def training_curves(history: History) -> "Figure":
    """Loss and accuracy over the epochs, training and validation, with the chosen epoch marked.

    Args:
        history: as `read_history` gives it.
    """
    figure = _figure(height=3.6)
    loss, accuracy = figure.subplots(1, 2)
    _curves(loss, history, "loss", "Loss", "{:.3f}")
    _curves(accuracy, history, "accuracy", "Accuracy", "{:.1%}")
    accuracy.yaxis.set_major_formatter(_percent_ticks())
    return figure


@_styled
def learning_rate(history: History) -> "Figure":
    """The learning rate over the epochs.

    Args:
        history: as `read_history` gives it.
    """
    figure = _figure(height=2.8)
    axes = figure.subplots()
    axes.plot(history["epoch"], history["learning_rate"], color=BLUE, **_marker(history))
    axes.set(title="Learning rate", xlabel="epoch")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter("{x:.3g}")
    _epoch_axis(axes, history)
    return figure


@_styled
def confusion(matrix_kk: np.ndarray, class_names: Sequence[str]) -> "Figure":
    """Where the images of each true class went: rows are true classes, each coloured by its own shares.

    Args:
        matrix_kk: counts, rows true, columns predicted. A row without images is grey.
        class_names: k names. Up to `CELL_TEXT_CLASSES` every class is named and every cell has its percentage (none
            where the count is 0); above, every few classes are named and the cells are colour only.
    """
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    classes = len(class_names)
    images_k1 = matrix_kk.sum(axis=1, keepdims=True)
    share_kk = np.divide(matrix_kk, images_k1, out=np.full(matrix_kk.shape, np.nan), where=images_k1 > 0)
    numbers = classes <= CELL_TEXT_CLASSES
    shown = range(0, classes, -(-classes // CELL_TEXT_CLASSES))
    labels = [_short(class_names[i], 18) for i in shown]

    figure = _figure(height=max(min(1.8 + 0.46 * classes, 6.4), 0.32 * classes) if numbers else 7.2)
    axes = figure.subplots()
    # The square root gives the small shares, which are the mistakes, most of the colour.
    norm = PowerNorm(0.5, vmin=0, vmax=1)
    cmap = colormaps["Blues"].with_extremes(bad="#DDDDDD")
    image = axes.imshow(share_kk, cmap=cmap, norm=norm, interpolation="nearest")
    slanted = max(map(len, labels)) * len(labels) > 60
    axes.set_xticks(shown, labels, **({"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if slanted else {}))
    axes.set_yticks(shown, labels)
    axes.set(title="Confusion matrix, percent of each true class", xlabel="predicted", ylabel="true")
    axes.grid(False)
    axes.spines[:].set_visible(not numbers)
    if not numbers:
        bar = figure.colorbar(image, ax=axes, shrink=0.8, ticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1])
        bar.ax.yaxis.set_major_formatter(_percent_ticks())
        return figure
    axes.tick_params(length=0)
    for row, column in np.argwhere(matrix_kk > 0):
        share = share_kk[row, column]
        text = f"{100 * share:.0f}"
        axes.text(
            column,
            row,
            "<1" if text == "0" else text,
            ha="center",
            va="center",
            fontsize=10 if classes <= 15 else 9,
            color="white" if norm(share) > 0.6 else "black",
        )
    return figure


@_styled
def mistakes(
    images_nhwc: np.ndarray,
    labels_n: np.ndarray,
    predicted_n: np.ndarray,
    probabilities_nk: np.ndarray,
    class_names: Sequence[str],
    count: int,
) -> "Figure":
    """The wrong predictions that the model was surest of, the surest first, each titled "true → predicted, 97 %".

    Args:
        images_nhwc: uint8 with 1 or 3 channels; may be a memory map, of which only what is shown is read.
        labels_n: true class indices.
        predicted_n: predicted class indices.
        probabilities_nk: of which that of the predicted class is the confidence.
        class_names: k names.
        count: the most pictures to show.
    """
    wrong_m = np.flatnonzero(labels_n != predicted_n)
    confidence_m = probabilities_nk[wrong_m, predicted_n[wrong_m]]
    order_m = np.argsort(-confidence_m, kind="stable")[:count]
    if not len(order_m):
        figure = _figure(height=1.6)
        figure.text(0.5, 0.5, f"No mistakes among {len(labels_n):,} test images", ha="center", va="center", fontsize=12)
        return figure

    titles = [
        (_short(class_names[labels_n[i]], 12), f"→ {_short(class_names[predicted_n[i]], 12)}, {_sure(confidence)}")
        for i, confidence in zip(wrong_m[order_m], confidence_m[order_m], strict=True)
    ]
    separator = " " if max(len(true) + len(rest) for true, rest in titles) < 21 else "\n"
    shown_mhwc = images_nhwc[wrong_m[order_m]]
    columns = 5
    rows = -(-len(titles) // columns)
    cell = WIDTH / columns
    height = min(shown_mhwc.shape[1] / shown_mhwc.shape[2], 2) * (cell - 0.1) + (0.25 if separator == " " else 0.4)
    figure = _figure(height=rows * height + 0.4)
    share = f"The {len(titles):,} most confident of" if len(titles) < len(wrong_m) else "All"
    figure.suptitle(
        f"{share} {len(wrong_m):,} mistakes among {len(labels_n):,} test images: true → predicted", fontsize=11
    )
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    # Grey pictures share one scale, up to the brightest of them: some data sets do not use all of the 255.
    grey = {"cmap": "gray", "vmin": 0, "vmax": max(int(shown_mhwc.max()), 1)} if shown_mhwc.shape[-1] == 1 else {}
    for axes, image_hwc, title in zip(grid, shown_mhwc, titles, strict=False):
        axes.imshow(image_hwc[..., 0] if grey else image_hwc, interpolation="nearest", **grey)
        axes.set_title(separator.join(title), fontsize=9, pad=3)
    return figure


@_styled
def per_class_accuracy(per_class: Mapping[str, float | None], overall: float, low: float, high: float) -> "Figure":
    """A bar for each class, the best on top, and the overall accuracy with its confidence interval.

    Args:
        per_class: accuracy, 0 to 1, by class name; None where the class has no test image.
        overall: accuracy over all images, 0 to 1.
        low: lower end of its interval.
        high: upper end of its interval.
    """
    known = {name: accuracy for name, accuracy in per_class.items() if accuracy is not None}
    names = [*sorted(known, key=lambda name: -known[name]), *(name for name in per_class if name not in known)]
    figure = _figure(height=1.1 + (0.28 if len(names) <= 25 else 0.19) * len(names))
    axes = figure.subplots()
    axes.barh(range(len(known)), [known[name] for name in names[: len(known)]], height=0.7, color=BLUE)
    for place, name in enumerate(names):
        text = f"{known[name]:.1%}".replace("%", " %") if name in known else "no image"
        axes.text(1.01, place, text, va="center", fontsize=9)  # a column of its own: beside its bar the line crosses it
    axes.axvspan(low, high, color=ORANGE, alpha=0.4, linewidth=0, zorder=0.5)
    interval = f"all classes: {overall:.1%} (confidence interval {low:.1%} to {high:.1%})".replace("%", " %")
    line = axes.axvline(overall, color=ORANGE, linewidth=2, label=interval)
    figure.legend(handles=[line], loc="outside upper center")
    axes.set_yticks(range(len(names)), [_short(name, 28) for name in names])
    axes.tick_params(axis="y", length=0, labelsize=10 if len(names) <= 25 else 9)
    axes.set(xlabel="accuracy", xlim=(0, 1), ylim=(len(names) - 0.4, -0.6), xticks=np.linspace(0, 1, 6))
    axes.xaxis.set_major_formatter(_percent_ticks())
    axes.grid(axis="y", visible=False)
    return figure


@_styled
def augmentation(rows: Mapping[str, np.ndarray], switched_on: Sequence[str]) -> "Figure":
    """The same pictures in each row, as what stands at its left changes them.

    Args:
        rows: uint8 pictures (m, h, w, c) by name; c is 1 or 3.
        switched_on: names of what training does, for the title.
    """
    count, height, width, channels = next(iter(rows.values())).shape
    gap = max(1, width // 16)
    # One image of them all, white between them: an axes for each would take seconds.
    sheet = np.full((len(rows), height + gap, count, width + gap, channels), 255, np.uint8)
    for place, images_mhwc in enumerate(rows.values()):
        sheet[place, :height, :, :width] = images_mhwc.swapaxes(0, 1)
    sheet = sheet.reshape(len(rows) * (height + gap), count * (width + gap), channels)[:-gap, :-gap]
    figure = _figure(height=0.65 + (WIDTH - 2.1) * sheet.shape[0] / sheet.shape[1])
    on = ", ".join(switched_on) or "nothing"
    figure.suptitle(f"Augmentation, each kind by itself\non in params.yaml: {on}", fontsize=11)
    axes = figure.subplots()
    axes.imshow(sheet[..., 0] if channels == 1 else sheet, interpolation="nearest", cmap="gray", vmin=0, vmax=255)
    axes.set_yticks(np.arange(len(rows)) * (height + gap) + (height - 1) / 2, rows, fontsize=9)
    axes.set_xticks([])
    axes.set_anchor("E")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(False)
    return figure


def save(figure: "Figure", path: Path, dpi: int) -> None:
    """Write a PNG whose bytes depend on the figure and `dpi` alone, whole or not at all."""
    content = io.BytesIO()
    with _style():
        # Matplotlib's own name and version would otherwise be in the file.
        figure.savefig(content, format="png", dpi=dpi, facecolor="white", backend="agg", metadata={"Software": None})
    write_atomically(path, content.getbuffer())


@contextlib.contextmanager
def _style() -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def _figure(*, height: float, width: float = WIDTH) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _curves(axes: "Axes", history: History, quantity: str, title: str, form: str) -> None:
    epochs, train, validation = (history[name] for name in ("epoch", f"train_{quantity}", f"val_{quantity}"))
    chosen = int(np.flatnonzero(history["chosen"])[0])
    averaged, kept, colour = history.get(f"ema_val_{quantity}"), validation, BLUE
    if averaged is not None and history["ema_val_accuracy"][chosen] > history["val_accuracy"][chosen]:
        kept, colour = averaged, GREEN
    value = form.format(kept[chosen]).replace("%", " %")
    axes.axvline(epochs[chosen], color=GREY, linewidth=1, linestyle=":")
    axes.plot(epochs, train, color=ORANGE, label="train", **_marker(history))
    axes.plot(epochs, validation, color=BLUE, label="validation", **_marker(history))
    if averaged is not None:
        axes.plot(epochs, averaged, color=GREEN, label="validation, averaged weights", **_marker(history))
    axes.plot(
        epochs[chosen],
        kept[chosen],
        "o",
        color=colour,
        markersize=8,
        markeredgecolor="white",
        label=f"epoch {epochs[chosen]}, chosen: {value}",
        zorder=5,
    )
    axes.set(title=title, xlabel="epoch")
    axes.legend(loc="best")
    _epoch_axis(axes, history)


def _marker(history: History) -> dict[str, str]:
    return {"marker": "o"} if len(history["epoch"]) == 1 else {}  # a line through one point is invisible


def _epoch_axis(axes: "Axes", history: History) -> None:
    from matplotlib.ticker import MaxNLocator

    first, last = history["epoch"][[0, -1]]
    margin = max(0.03 * (last - first), 0.5 if last == first else 0)
    axes.set_xlim(first - margin, last + margin)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def _percent_ticks():
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda share, _: f"{100 * share:.4g} %")


def _sure(confidence: float) -> str:
    return ">99 %" if confidence >= 0.995 else f"{100 * confidence:.0f} %"  # nothing is 100 % sure


def _short(name: str, length: int) -> str:
    """Cut from the middle: names often differ at their ends."""
    tail = (length - 1) // 2
    return name if len(name) <= length else f"{name[: length - 1 - tail]}…{name[-tail:]}"
