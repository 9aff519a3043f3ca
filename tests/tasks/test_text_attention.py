"""Which words of a text a model looked at: shares, figures, and bars in the shell."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from text_models import FACTS, META, model_params, text_split

import cct
from cct.cli import main
from cct.data.texts.tokens import Numbering
from cct.evaluation.figures.texts import break_lines, columns
from cct.models.saving import save_model
from cct.tasks.text_classification.attention import _covers, word_attention
from cct.tasks.text_classification.explaining import BARS, lines
from cct.tasks.text_classification.inference import NO_KNOWN_WORD
from cct.tasks.text_classification.training import build
from cct.words import PADDING

FAMILIES = ["text_cct_2_1", "text_cct_2_2", "text_cct_2_4", "text_cvt_2_2", "text_vit_lite_2_4", "text_transformer_2"]


def network(name: str, **fields) -> keras.Model:
    keras.utils.set_random_seed(1)
    return build(model_params(name=name, **{"embed_dim": None if "transformer" in name else 16} | fields), META, Path())


@pytest.mark.parametrize("pooling", ["sequence", "class_token", "mean"])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_shares_of_words_sum_to_one_and_padding_has_none(name, pooling):
    words = text_split(7, 0).inputs
    found = word_attention(network(name, pooling=pooling), words)
    assert found.rollout_bln.shape == (7, 2, 8) and (found.rollout_bln >= 0).all()
    for shares in [found.rollout_bln] if found.pooling_bn is None else [found.rollout_bln, found.pooling_bn[:, None]]:
        np.testing.assert_allclose(shares.sum(axis=-1), 1, rtol=1e-5)
        assert not shares[np.broadcast_to((words == PADDING)[:, None], shares.shape)].any()
    assert (found.pooling_bn is not None) == (pooling == "sequence")


@pytest.mark.parametrize("name", [name for name in FAMILIES if "transformer" not in name])
def test_a_token_is_made_of_the_words_that_change_it(name):
    """Of 40 texts whose words are all changed one at a time, some change every token that a word is part of."""
    model = network(name)
    tokens = keras.Model(model.inputs[0], model.get_layer("tokenizer").output)
    generator = np.random.default_rng(0)
    words_bn = generator.integers(2, META["vocabulary_size"], (40, 8)).astype(np.int32)
    before = keras.ops.convert_to_numpy(tokens(words_bn)[0])
    found_mn = np.zeros((before.shape[1], 8), bool)
    for place in range(8):
        changed_bn = words_bn.copy()
        changed_bn[:, place] = 2 + (changed_bn[:, place] - 1) % (META["vocabulary_size"] - 2)
        after = keras.ops.convert_to_numpy(tokens(changed_bn)[0])
        found_mn[:, place] = (after != before).any(axis=(0, 2))
    np.testing.assert_array_equal(_covers(model, 8), found_mn)


def test_more_padding_changes_no_share():
    short = {**META, "max_length": 6}
    model = network("text_cct_2_2")
    keras.utils.set_random_seed(1)
    other = build(model_params(name="text_cct_2_2"), short, Path())
    other.set_weights(model.get_weights())
    words = text_split(20, 3).inputs
    words = words[(words[:, 6:] == PADDING).all(axis=1)]
    found, expected = word_attention(model, words), word_attention(other, words[:, :6])
    assert len(words) > 3
    np.testing.assert_allclose(found.rollout_bln[:, :, :6], expected.rollout_bln, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.pooling_bn[:, :6], expected.pooling_bn, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("explained") / "model.keras"
    save_model(network("text_cct_2_2"), path, facts=FACTS)
    return path


def test_cct_explain_draws_texts_and_prints_bars(model_file, tmp_path, capsys):
    figure, texts = tmp_path / "words.png", ["The film was very good", "  ", "bad " * 30]
    code = main(["explain", *texts[:1], texts[2], "--model", str(model_file), "--output", str(figure)])
    out, _ = capsys.readouterr()
    assert code == 0
    first = out.splitlines()
    assert first[0] == "the film was very good" and set(first[1]) <= set(BARS)
    assert BARS[-1] * 3 in first[1]
    assert out.count("bad " * 7 + "bad\n") == 1 and out.count("tive ") == 2  # negative or positive, with a probability
    with Image.open(figure) as image:
        assert image.width == 800 and len(np.unique(np.asarray(image.convert("L")))) > 50


def test_cct_explain_names_texts_without_a_known_word(model_file, tmp_path, capsys):
    words = ["explain", "Guten Tag", "good", "--model", str(model_file), "--output", str(tmp_path / "words.png")]
    assert main(words) == 0
    assert capsys.readouterr().err == f"Guten Tag: {NO_KNOWN_WORD}\n"


def test_the_longest_bar_is_under_the_word_of_the_largest_share(model_file):
    model = cct.load(model_file)
    text = "very good and bad"
    found = model.explain(text)
    words, bars = next(lines(model.reader, [text], found.attention)).split("\n")
    most = words.split()[found.attention.pooling_bn[0].argmax()]
    start = words.index(most)
    assert bars[start : start + len(most)] == BARS[-1] * len(most)


def test_letters_of_several_bytes_have_the_shares_of_all():
    numbering = Numbering("bytes", [], length=6, truncation="end")
    found = numbering.weighted("aé漢z", np.array([0.1, 0.2, 0.3, 0.1, 0.1, 0.2]))
    assert [letter for letter, _ in found] == ["a", "é", "漢"]
    np.testing.assert_allclose([share for _, share in found], [0.1, 0.5, 0.4])


def test_lines_are_broken_between_words_and_long_words_are_cut():
    words = [(f"{'w' * length} ", 0.1) for length in (5, 4, 30, 2, 3)]
    found = list(break_lines(words, 10))
    assert [[word for _, word, _ in line] for line in found] == [["wwwww ", "wwww "], ["wwww… ", "ww "], ["www "]]
    for line in found:
        column, word, _ = line[-1]
        assert column + columns(word.rstrip()) <= 10
    assert json.dumps(list(break_lines([], 10))) == "[[]]"
