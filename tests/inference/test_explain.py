"""`cct explain`, and `explain` in Python."""

import re

import numpy as np
import pytest
from brightness import FACTS, brightness_model
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from PIL import Image

import cct
from cct.cli import main
from cct.errors import CCTError
from cct.evaluation.figures.style import save_figure
from cct.inference.printed import plain_lines
from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.build import build_model
from cct.models.saving import save_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    params = ModelParams(name="cct_2_3x2", embed_dim=16, num_conv_layers=1)
    save_model(
        build_model(resolve_architecture(params), image_shape=(8, 6, 3), classes=2),
        folder / "model.keras",
        facts=FACTS,
    )
    for name, value in (("a.png", 250), ("b.png", 10)):
        Image.new("L", (20, 20), value).save(folder / name)
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def test_it_draws_the_images_and_names_the_broken_ones(folder, tmp_path, capsys):
    paths = [str(folder / name) for name in ("a.png", "broken.png", "b.png", "b.png")]
    figure = tmp_path / "new/heat.png"
    code = main(["explain", *paths, "--model", str(folder / "model.keras"), "--output", str(figure)])
    out, err = capsys.readouterr()
    assert code == 3 and "broken.png: not an image" in err
    assert err.endswith("1 of 4 files could not be used; they are named above\n")
    assert out.count("a.png") == 1 and out.count("b.png") == 2
    with Image.open(figure) as image:
        assert image.width > image.height > 200


def test_names_and_texts_do_nothing_to_a_terminal(folder, tmp_path, capsys):
    """A foreign archive may hold such names, and a foreign file such texts."""
    for name, content in (("a.png", (folder / "a.png").read_bytes()), ("b.png", b"no image")):
        (tmp_path / f"\x1b[31m\u202e{name}").write_bytes(content)
    words = ["--model", str(folder / "model.keras"), "--output", str(tmp_path / "heat/heat.png")]
    assert main(["explain", str(tmp_path), *words]) == 3
    out, err = capsys.readouterr()
    assert "\\x1b[31m\\u202ea.png  " in out and "\\x1b[31m\\u202eb.png: not an image" in err
    assert "\x1b" not in out + err and "\u202e" not in out + err
    assert plain_lines("a \x1b[31m\tb\n▃ ▃▃▃▃▃ ▃") == "a \N{REPLACEMENT CHARACTER}[31m b\n▃ ▃▃▃▃▃ ▃"


def test_classes_whose_letters_no_font_has_are_numbered(tmp_path, folder, monkeypatch, capsys, caplog):
    """The shell gets the name, and the figure the number, with a warning."""
    monkeypatch.setattr(fontManager, "ttflist", [font for font in fontManager.ttflist if font.name == "DejaVu Sans"])
    brightness = FACTS | {"classes": ["猫", "犬"]}
    save_model(cct.load(folder / "model.keras").model, tmp_path / "private.keras", facts=brightness)
    drawn = []

    def keep(figure, *rest):
        drawn.extend(text.get_text() for text in figure.findobj(Text))
        save_figure(figure, *rest)

    monkeypatch.setattr("cct.evaluation.figures.style.save_figure", keep)
    words = ["--model", str(tmp_path / "private.keras"), "--output", str(tmp_path / "heat.png")]
    assert main(["explain", str(folder / "a.png"), *words]) == 0
    assert re.search(r"a\.png  [猫犬] \d", capsys.readouterr().out)
    assert "figures call these classes by their number" in caplog.text
    assert any(re.search(r"a\.png\nclass [12] \d+\.\d%$", text) for text in drawn)


def test_a_figure_that_is_no_png_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["explain", "a text", "--output", "words.txt"])
    assert ended.value.code == 2 and "argument --output: 'words.txt' must end in .png" in capsys.readouterr().err


def test_in_python_the_answers_are_those_of_predict(folder):
    model, paths = cct.load(folder / "model.keras"), [folder / "a.png", folder / "b.png"]
    found = model.explain(paths)
    np.testing.assert_array_equal(found.predictions.probabilities, model.predict(paths).probabilities)
    assert found.arrays.shape == (2, 8, 6, 3) and found.attention.rollout_blhw.shape == (2, 2, 4, 3)
    np.testing.assert_allclose(found.attention.pooling_bhw.sum(axis=(1, 2)), 1, rtol=1e-5)


def test_a_model_without_attention_is_refused(folder, tmp_path):
    model = cct.load(brightness_model(tmp_path / "other.keras"))
    with pytest.raises(CCTError, match="no attention"):
        model.explain(folder / "a.png")


def test_nothing_is_not_explained(folder):
    with pytest.raises(CCTError, match="nothing to explain"):
        cct.load(folder / "model.keras").explain([])


def test_too_many_images_for_a_figure_are_refused(folder, tmp_path, capsys):
    for number in range(51):
        (tmp_path / f"{number}.png").write_bytes((folder / "a.png").read_bytes())
    assert main(["explain", str(tmp_path), "--model", str(folder / "model.keras")]) == 1
    assert "51 files are too many" in capsys.readouterr().err
