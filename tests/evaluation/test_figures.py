import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from histories import make_history

from cct.evaluation.figures.attention import Example, heat_map, plot_attention, plot_explanations
from cct.evaluation.figures.calibration import plot_reliability
from cct.evaluation.figures.classes import plot_confusion_matrix, plot_per_class_accuracy
from cct.evaluation.figures.curves import plot_learning_rate, plot_training_curves
from cct.evaluation.figures.images import plot_augmentations, plot_top_errors
from cct.evaluation.figures.params import PlotParams
from cct.evaluation.figures.style import (
    STYLE,
    class_labels,
    columns,
    errors_title,
    left_to_right,
    save_figure,
    shorten,
    warn_of_missing_fonts,
)
from cct.params import ParamsError, parse

NAMES = ["cat", "dog", "$5_bill", "a very long name of a class, with a comma"]


def make_predictions() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    probabilities_nk = rng.dirichlet(np.ones(len(NAMES)), size=60)
    return {
        "labels_n": rng.integers(len(NAMES), size=60),
        "predicted_n": probabilities_nk.argmax(axis=1),
        "probabilities_nk": probabilities_nk,
    }


def make_examples(classes: int) -> list[Example]:
    """Of each class a right prediction, and of the first one a wrong one too."""
    rng = np.random.default_rng(4)
    pairs = [*((label, label) for label in range(classes)), (0, 1)]
    return [
        Example(rng.integers(256, size=(8, 6, 3), dtype=np.uint8), rng.random((4, 3)), label, predicted, 0.9)
        for label, predicted in pairs
    ]


def make_figures() -> dict:
    rng = np.random.default_rng(3)
    images_nhwc = rng.integers(256, size=(60, 8, 8, 3), dtype=np.uint8)
    matrix_kk = rng.integers(50, size=(4, 4))
    return {
        "augmentation": plot_augmentations({"original": images_nhwc[:4], "noise": images_nhwc[4:8]}, ["flip"]),
        "curves": plot_training_curves(make_history()),
        "rate": plot_learning_rate(make_history()),
        "confusion": plot_confusion_matrix(matrix_kk, NAMES),
        "errors": plot_top_errors(images_nhwc, **make_predictions(), class_names=NAMES, count=3),
        "attention": plot_attention(make_examples(4), NAMES),
        "explanations": plot_explanations(
            images_nhwc[:2], [("a.png", "cat 50 %"), ("b.png", "$5 50 %")], [("layer 1", rng.random((2, 3, 3)))]
        ),
        "per_class": plot_per_class_accuracy({"cat": 0.5, "dog": 0.75, "cow": None}, 0.6, low=0.5, high=0.7),
    }


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("epochs", [1, 2, 300])
def test_training_curves_mark_the_best_epoch(epochs):
    history = make_history(epochs)
    best = max(epochs - 1, 1)
    loss, accuracy = plot_training_curves(history).axes[:2]
    for axes, name, value in [
        (loss, "loss", f"{2.2 / best:.3f}"),
        (accuracy, "accuracy", f"{100 - 62.5 / best:.1f} %"),
    ]:
        mark, train, validation, dot = axes.lines
        assert list(mark.get_xdata()) == [best, best]
        np.testing.assert_array_equal(train.get_ydata(), history[f"train_{name}"])
        np.testing.assert_array_equal(validation.get_ydata(), history[f"val_{name}"])
        assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (best, history[f"val_{name}"][best - 1])
        legend = [text.get_text() for text in axes.get_legend().get_texts()]
        assert legend == ["train", "validation", f"epoch {best}, best: {value}"]


@pytest.mark.parametrize("better", [False, True])
def test_averaged_weights_have_a_curve_and_the_mark_where_they_were_kept(better):
    history = make_history(5)
    history |= {
        "ema_val_loss": np.arange(5.0),
        "ema_val_accuracy": history["val_accuracy"] + (0.01 if better else -0.01),
    }
    loss, accuracy = plot_training_curves(history).axes[:2]
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        *_, averaged, dot = axes.lines
        np.testing.assert_array_equal(averaged.get_ydata(), history[f"ema_val_{name}"])
        assert dot.get_ydata()[0] == history[f"{'ema_' if better else ''}val_{name}"][3]


def test_a_diverged_history_is_still_drawn(tmp_path):
    history = make_history() | {"train_loss": np.full(12, np.nan), "val_loss": np.full(12, np.inf)}
    save_figure(plot_training_curves(history), tmp_path / "a.png", dpi=50)


def test_confusion_shows_the_shares_of_each_row():
    axes = plot_confusion_matrix(np.array([[99, 1, 0], [300, 699, 1], [0, 0, 0]]), ["a", "b", "c"]).axes[0]
    assert texts(axes) == ["99", "1", "30", "70", "<1"]
    shares_kk = axes.images[0].get_array()
    np.testing.assert_allclose(shares_kk[:2], [[0.99, 0.01, 0], [0.3, 0.699, 0.001]])
    assert np.ma.getmaskarray(np.ma.masked_invalid(shares_kk))[2].all()


def test_confusion_of_many_classes_has_no_text_and_fewer_names():
    assert len(texts(plot_confusion_matrix(np.eye(25, dtype=int), [str(i) for i in range(25)]).axes[0])) == 25
    axes = plot_confusion_matrix(np.eye(100, dtype=int), [f"class {i}" for i in range(100)]).axes[0]
    assert not texts(axes)
    for labels, title in ((axes.get_xticklabels(), axes.get_xlabel()), (axes.get_yticklabels(), axes.get_ylabel())):
        assert [label.get_text() for label in labels] == [f"class {i}" for i in range(0, 100, 2)]
        assert title.endswith(" (of every 2 classes the first is named)")


@pytest.mark.parametrize(
    ("classes", "step"), [(2, 1), (25, 1), (26, 1), (30, 1), (50, 1), (51, 2), (101, 3), (1000, 20)]
)
def test_confusion_says_which_classes_it_names_and_no_names_overlap(classes, step):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = plot_confusion_matrix(np.eye(classes, dtype=int), [f"species {i}" for i in range(classes)])
    FigureCanvasAgg(figure).draw()
    axes = figure.axes[0]
    assert [axes.get_xlabel(), axes.get_ylabel()] == [
        f"{name} (of every {step} classes the first is named)" if step > 1 else name for name in ("predicted", "true")
    ]
    names = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert len(names) == -(-classes // step)
    assert all(above.y0 > below.y0 + below.height * 0.8 for above, below in itertools.pairwise(names))
    if classes > 25:  # upright ones; slanted ones are wider than their letters
        names = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert all(right.x0 > left.x0 + left.width * 0.8 for left, right in itertools.pairwise(names))


def test_errors_are_the_most_confident_first():
    images_nhwc = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
    probabilities_nk = np.array([[0.6, 0.4], [0.3, 0.7], [0.002, 0.998], [0.97, 0.03], [0.2, 0.8]])
    figure = plot_top_errors(
        images_nhwc,
        np.array([0, 0, 0, 1, 0], dtype=np.uint8),
        predicted_n=probabilities_nk.argmax(axis=1),
        probabilities_nk=probabilities_nk,
        class_names=["cat", "dog"],
        count=3,
    )
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == ["cat → dog, >99 %", "dog → cat, 97 %", "cat → dog, 80 %"]
    assert [axes.images[0].get_array()[0, 0] for axes in shown] == [2, 3, 4]
    assert all(axes.images[0].get_cmap().name == "gray" for axes in shown)
    assert figure.get_suptitle() == "The 3 most confident of 4 errors among 5 test images: true → predicted"


def test_no_errors_are_said_so():
    labels_n = np.zeros(7, dtype=int)
    figure = plot_top_errors(
        np.zeros((7, 8, 8, 3), np.uint8),
        labels_n,
        predicted_n=labels_n,
        probabilities_nk=np.eye(2)[labels_n],
        class_names=["a", "b"],
        count=9,
    )
    assert texts(figure) == ["No errors among 7 test images"]


def test_per_class_bars_are_sorted():
    figure = plot_per_class_accuracy({"a": 0.25, "b": None, "c": 1.0, "d": 0.5}, 0.6, low=0.55, high=0.65)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c", "d", "a", "b"]
    assert [bar.get_width() for bar in axes.patches[:3]] == [1.0, 0.5, 0.25]
    assert texts(axes) == ["100.0 %", "50.0 %", "25.0 %", "no example"]
    assert "60.0 % (confidence interval 55.0 % to 65.0 %)" in figure.legends[0].get_texts()[0].get_text()


@pytest.mark.parametrize(("height", "width", "channels"), [(8, 8, 1), (32, 32, 3), (20, 40, 3)])
def test_augmentation_has_a_row_for_each_kind(height, width, channels, tmp_path):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    images_nhwc = np.random.default_rng(4).integers(0, 200, (6, height, width, channels), dtype=np.uint8)
    rows = {"original": images_nhwc, "AutoAugment (CIFAR-10)": 255 - images_nhwc, "$5": images_nhwc[::-1]}
    figure = plot_augmentations(rows, ["crop", "MixUp"])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [*rows]
    assert figure.get_suptitle() == "Augmentation, each kind by itself\non in params.yaml: crop, MixUp"
    sheet, gap = np.asarray(axes.images[0].get_array()), max(1, width // 16)
    assert sheet.shape[:2] == (3 * height + 2 * gap, 6 * width + 5 * gap)
    for row, images_mhwc in enumerate(rows.values()):
        for column, image in enumerate(images_mhwc):
            top, left = row * (height + gap), column * (width + gap)
            shown = sheet[top : top + height, left : left + width]
            np.testing.assert_array_equal(shown.reshape(image.shape), image)
    assert (sheet[height : height + gap] == 255).all() and (sheet[:, width : width + gap] == 255).all()
    save_figure(figure, tmp_path / "a.png", dpi=50)
    renderer = FigureCanvasAgg(figure).get_renderer()
    labels = [*axes.get_yticklabels(), figure.texts[0]]
    extents = [label.get_window_extent(renderer) for label in labels]
    assert min(extent.x0 for extent in extents) >= 0 and max(extent.x1 for extent in extents) <= figure.bbox.x1
    assert plot_augmentations(rows, []).get_suptitle().endswith(": nothing")


def test_heat_is_bright_where_the_model_looked_most():
    share_rc = np.zeros((2, 3), "float32")
    share_rc[1, 2] = 0.5
    for channels in (1, 3):
        image_hwc = np.full((8, 12, channels), 100, np.uint8)
        heat_hwc = heat_map(image_hwc, share_rc)
        assert heat_hwc.shape == (88, 132, 3) and heat_hwc.dtype == np.uint8
        brightness_hw = heat_hwc.sum(axis=-1, dtype=int)
        assert brightness_hw[66, 110] == brightness_hw.max()
        assert brightness_hw[:30, :40].max() < 150
    assert heat_map(np.zeros((300, 200, 3), np.uint8), share_rc).shape == (300, 200, 3)


def test_attention_has_a_right_and_a_wrong_prediction_of_each_class():
    figure = plot_attention(make_examples(4), NAMES)
    shown = [axes.get_title() or texts(axes)[0] for axes in figure.axes]
    assert shown[:4] == ["cat, 90 %", "cat → dog, 90 %", "dog, 90 %", "dog:\nnone wrong"] and len(shown) == 8
    many = plot_attention(make_examples(45), [f"class {k}" for k in range(45)])
    assert len(many.axes) == 32 and "15 of 45 classes" in many.get_suptitle()


def test_reliability_has_the_share_that_is_right_by_confidence():
    """Two bins: 0.9 is right once of two times, 0.3 is wrong; calibrated, all have 0.5."""
    before_nk = np.array([[0.9, 0.1, 0.0], [0.9, 0.0, 0.1], [0.3, 0.4, 0.3]])
    after_nk = np.array([[0.5, 0.3, 0.2], [0.5, 0.2, 0.3], [0.3, 0.5, 0.2]])
    labels_n = np.array([0, 2, 0])
    figure = plot_reliability(before_nk, after_nk, labels_n, errors=(0.4, 0.25), temperature=1.5)
    above, below = figure.axes
    before, after = above.collections
    np.testing.assert_allclose(before.get_offsets(), [[0.4, 0], [0.9, 0.5]])
    np.testing.assert_allclose(after.get_offsets(), [[0.5, 1 / 3]])
    assert sorted(bar.get_height() for bar in below.patches if bar.get_height()) == [1, 2, 3]
    assert "after, temperature 1.50: error 25.0 %" in [text.get_text() for text in above.get_legend().get_texts()]


def test_one_error_is_the_only_one():
    assert errors_title(1, 1, "24 test images") == "The only error among 24 test images: true → predicted"
    assert errors_title(2, 2, "24 test texts") == "All 2 errors among 24 test texts: true → predicted"
    assert errors_title(0, 0, "24 test texts") == "No errors among 24 test texts"


def test_drawing_leaves_no_trace(tmp_path):
    import matplotlib

    before = matplotlib.rcParams.copy()
    save_figure(plot_learning_rate(make_history()), tmp_path / "a.png", dpi=50)
    assert matplotlib.rcParams.copy() == before


def test_the_font_is_the_bundled_one():
    import matplotlib
    from matplotlib.font_manager import findfont

    assert Path(findfont(STYLE["font.family"])).is_relative_to(matplotlib.get_data_path())


SCRIPTS = ["cat", "猫", "חתול"]


def figures_with_names(names: list[str]) -> list:
    counted = {"labels_n": np.array([0, 1, 2]), "predicted_n": np.array([1, 2, 0]), "probabilities_nk": np.eye(3)}
    return [
        plot_confusion_matrix(np.eye(3, dtype=int), names),
        plot_per_class_accuracy(dict.fromkeys(names, 0.5), 0.6, low=0.5, high=0.7),
        plot_top_errors(np.zeros((3, 8, 8, 3), np.uint8), **counted, class_names=names, count=3),
    ]


def test_names_of_any_script_are_drawn_from_the_fonts_here(tmp_path, recwarn):
    """STIX comes with Matplotlib too, and has a letter that DejaVu Sans has not."""
    from matplotlib.font_manager import findfont, get_font
    from matplotlib.text import Text

    own, other = (set(get_font(findfont(name)).get_charmap()) for name in ("DejaVu Sans", "STIXGeneral"))
    letter = chr(min(code for code in other - own if chr(code).isprintable() and code > 255))
    for figure in figures_with_names(["cat", f"{letter}x", "dog"]):
        save_figure(figure, tmp_path / "a.png", dpi=50)
        found = [text.get_fontfamily() for text in figure.findobj(Text) if letter in text.get_text()]
        assert found and all(families[0] == "DejaVu Sans" and len(families) == 2 for families in found)
    assert not recwarn.list


def test_classes_without_a_font_are_numbered_and_matplotlib_warns_of_nothing(tmp_path, monkeypatch, recwarn, caplog):
    from matplotlib.font_manager import fontManager
    from matplotlib.text import Text

    bundled = [font for font in fontManager.ttflist if font.name == "DejaVu Sans"]
    monkeypatch.setattr(fontManager, "ttflist", bundled)
    warn_of_missing_fonts(["cat"])
    assert not caplog.messages
    warn_of_missing_fonts(SCRIPTS)
    assert "has 猫: figures" in caplog.text
    assert class_labels(SCRIPTS, 9) == ["cat", "class 2", SCRIPTS[2]]
    for figure in figures_with_names(SCRIPTS):
        save_figure(figure, tmp_path / "a.png", dpi=50)
        assert any("class 2" in text.get_text() for text in figure.findobj(Text))
    figure.suptitle(SCRIPTS[1])
    save_figure(figure, tmp_path / "a.png", dpi=50)
    assert not recwarn.list


def ink(text: str, *, side: str, width: int) -> np.ndarray:
    """The `width` pixels of a line of text that are next to its left or right end."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = FigureCanvasAgg(Figure(figsize=(4, 1), dpi=100))
    canvas.figure.text(0.5, 0.5, text, ha=side)
    canvas.draw()
    dark = np.asarray(canvas.buffer_rgba())[..., 0] < 128
    places = np.flatnonzero(dark.any(axis=0))
    return (
        dark[:, places[0] : places[0] + width] if side == "left" else dark[:, places[-1] + 1 - width : places[-1] + 1]
    )


@pytest.mark.parametrize("name", ["חתול", "قطة", "חתול 4"])
def test_a_title_reads_from_left_to_right_around_a_name_of_another_direction(name):
    images_nhwc, labels_n, probabilities_nk = (
        np.zeros((2, 8, 8, 3), np.uint8),
        np.array([0, 1]),
        np.array([[0.04, 0.96]]),
    )
    figure = plot_top_errors(images_nhwc, labels_n, 1 - labels_n, probabilities_nk.repeat(2, axis=0), [name, "dog"], 2)
    to_dog, from_dog = [axes.get_title() for axes in figure.axes[:2]]
    assert to_dog == f"{left_to_right(name)} → dog, 96 %" and from_dog == f"dog → {left_to_right(name)}, 4 %"
    assert left_to_right("cat") == "cat"
    for line in (f"→ {left_to_right(name)}, 4 %", f"{left_to_right(name)} → dog, 4 %", from_dog):
        np.testing.assert_array_equal(ink(line, side="right", width=20), ink("4 %", side="right", width=20))
        first = line[0] if line[0] in "d→" else name
        np.testing.assert_array_equal(ink(line, side="left", width=5), ink(first, side="left", width=5))


def test_wide_letters_count_as_two():
    assert shorten("大熊猫大熊猫", 12) == "大熊猫大熊猫" and shorten("a" * 12, 12) == "a" * 12
    assert columns(shorten("大熊猫" * 9, 12)) <= 12 and columns(shorten("大熊猫 and more of it", 12)) <= 16


KINDS = ["red delicious", "red dawn", "golden", "green", "granny smith"]


@pytest.mark.parametrize("length", [12, 18, 28])
def test_names_that_are_long_and_alike_have_different_labels(length):
    names = [f"{place} grown and sold {kind} of apples" for place in ("Northern", "Southern") for kind in KINDS]
    names += ["a" * 30, "a" * 40, "x" * 20 + "1" + "x" * 20, "x" * 20 + "2" + "x" * 20, "猫" * 20 + "大" + "猫" * 20]
    labels = class_labels([*names, "猫" * 20 + "熊" + "猫" * 20, "cat"], length)
    assert len({*labels}) == len(labels) and labels[-1] == "cat" and max(map(len, labels)) <= length
    if length == 18:
        assert labels[:5] == [
            "Nort…red deliciou…",
            "Nort…red dawn of…",
            "Nort…golden of ap…",
            "Nort…green of app…",
            "Nort…granny smith…",
        ]


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_two_processes_write_equal_bytes(tmp_path):
    """Also with another hash seed, another user's matplotlibrc and no display."""
    (tmp_path / "matplotlibrc").write_text("font.size: 30\nsavefig.dpi: 33\nbackend: svg\naxes.facecolor: red\n")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_figures as t; from pathlib import Path\n"
        "for n, f in t.make_figures().items(): t.save_figure(f, Path(sys.argv[2]) / (n + '.png'), dpi=60)\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    base = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    base |= {"PYTHONPATH": os.pathsep.join(sys.path), "MPLBACKEND": "no-such-backend"}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path / name)], env=base | extra
        )
        for name, extra in {
            "one": {"PYTHONHASHSEED": "1"},
            "two": {"PYTHONHASHSEED": "2", "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")},
        }.items()
    ]
    assert [run.wait() for run in runs] == [0, 0]
    assert len(digests(tmp_path / "one")) == len(make_figures())
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_png_holds_no_software_or_date(tmp_path):
    path = tmp_path / "new" / "a.png"
    save_figure(plot_learning_rate(make_history()), path, dpi=50)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert not any(word in content for word in (b"tEXt", b"iTXt", b"tIME", b"Software"))
    assert int.from_bytes(content[16:20], "big") == 8 * 50
    assert os.listdir(path.parent) == ["a.png"]


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    figure = plot_learning_rate(make_history())

    def broken(file, **_) -> None:
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", broken)
    with pytest.raises(OSError, match="disk full"):
        save_figure(figure, path, dpi=50)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("wrong", [{"dpi": 49}, {"dpi": 601}, {"top_errors": 0}, {"top_errors": 101}, {"dpi": "100"}])
def test_params_are_checked(wrong, tmp_path):
    good = {"dpi": 100, "top_errors": 20}
    assert parse(PlotParams, good, where=tmp_path).dpi == 100
    with pytest.raises(ParamsError, match=next(iter(wrong))):
        parse(PlotParams, good | wrong, where=tmp_path)
