"""Words, vocabularies, numbers, and the splits of texts."""

import json
import logging

import numpy as np
import pytest
from sources import preprocess_params

from cct.data.arrays import DataError
from cct.data.prepare import write_processed
from cct.data.store import read_meta, read_split, read_texts, read_vectors
from cct.data.texts.items import Text, make_texts
from cct.data.texts.prepare import prepare_texts
from cct.data.texts.tokens import BYTES, Numbering, build_vocabulary, split_bytes, split_words
from cct.words import FIRST_WORD, MOST_WORDS, PADDING, UNKNOWN


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("You can now install TorchText using pip!", "you can now install torchtext using pip !"),
        ('It\'s 5.2, (more) or "less"?', "it ' s 5 . 2 , ( more ) or less ?"),
        ("a;b: c<br />d<BR/>e", "a b c d e"),
        ("  Ein\tWort\nÄPFEL 猫 ", "ein wort äpfel 猫"),
        (' ";: ', ""),
    ],
)
def test_words_are_those_of_basic_english(text, words):
    assert split_words(text) == words.split()


def test_the_vocabulary_is_by_frequency_and_then_by_alphabet():
    texts = [["b", "a", "c"], ["a", "c", "d"], ["a"]]
    assert build_vocabulary(texts, most=9, min_count=1) == ["a", "c", "b", "d"]
    assert build_vocabulary(texts, most=3, min_count=1) == ["a", "c", "b"]
    assert build_vocabulary(texts, most=9, min_count=2) == ["a", "c"]


@pytest.mark.parametrize(("truncation", "numbers"), [("end", [2, 1, 3]), ("start", [1, 3, 2])])
def test_numbers_end_in_padding_and_longer_texts_are_cut_off(truncation, numbers):
    numbering = Numbering("words", ["a", "b"], length=3, truncation=truncation)
    found = numbering.number([["a"], ["a", "x", "b", "a"], []])
    assert found.words_nl.dtype == np.int32
    assert found.words_nl.tolist() == [[2, PADDING, PADDING], numbers, [UNKNOWN, PADDING, PADDING]]
    assert (found.words, found.unknown, found.truncated, numbering.size) == (5, 2, 1, 4)


def test_bytes_need_no_vocabulary():
    numbering = Numbering("bytes", [], length=4, truncation="end")
    assert numbering.size == BYTES + FIRST_WORD < MOST_WORDS
    found = numbering.number([split_bytes("aé")])
    assert found.words_nl.tolist() == [[FIRST_WORD + 97, FIRST_WORD + 0xC3, FIRST_WORD + 0xA9, PADDING]]
    assert found.unknown == 0


def texts_of(count: int = 40, **more: str):
    """Texts of two classes, each with a word of its own."""
    items = [Text(f"word{number} {'good' if number % 2 else 'bad'}", "pn"[number % 2]) for number in range(count)]
    return make_texts([*items, *(Text(text, label) for label, text in more.items())], "here")


def prepared(texts=None, **changes):
    return prepare_texts(texts or texts_of(), preprocess_params(**changes), name="mine")


def test_the_vocabulary_is_of_the_training_split_alone():
    found = prepared()
    training = {word for text in found.texts["train"] for word in split_words(text)}
    assert {*found.facts["vocabulary"]} == training
    counts = {split: len(rows.label_n) for split, rows in found.splits.items()}
    assert counts == {"train": 28, "val": 4, "test": 8}
    # Every text has one word that no other has: it is unknown outside of the training split.
    assert found.facts["unknown_words"] == {"train": 0, "val": 4, "test": 8}
    assert found.facts["words"] == {"train": 56, "val": 8, "test": 16}
    for rows in found.splits.values():
        assert rows.inputs.dtype == np.int32 and rows.inputs.shape == (len(rows.label_n), 64)


def test_equal_texts_stay_in_one_split_and_conflicts_are_counted():
    texts = texts_of()
    twice = make_texts([*texts.items, *(item._replace(text=f" {item.text.upper()} ") for item in texts.items)], "here")
    found = prepared(twice)
    where = {}
    for split, listed in found.texts.items():
        for text in listed:
            where.setdefault(" ".join(split_words(text)), set()).add(split)
    assert len(where) == 40 and all(len(splits) == 1 for splits in where.values())
    assert found.facts["duplicates"]["exact"] == 40
    other = prepared(make_texts([*texts.items, texts.items[0]._replace(label="n")], "here"))
    assert other.facts["duplicates"]["groups_in_several_classes"] == 1


def test_named_groups_stay_in_one_split():
    texts = texts_of()
    grouped = [item._replace(group=str(place // 8)) for place, item in enumerate(texts.items)]
    found = prepared(make_texts(grouped, "here"))
    group_of = {item.text: item.group for item in grouped}
    splits = [{group_of[text] for text in listed} for listed in found.texts.values()]
    assert sum(map(len, splits)) == len(set.union(*splits)) == 5


def test_leaks_between_the_splits_of_the_source_are_warned_of(caplog):
    items = [Text(f"a {place}", "xy"[place % 2], "train" if place < 20 else "test") for place in range(30)]
    leak = Text("A 1", "y", "test")
    with caplog.at_level(logging.WARNING, logger="cct"):
        logging.getLogger("cct").propagate = True
        found = prepared(make_texts([*items, leak], "here"))
    assert found.facts["duplicates"]["groups_in_several_splits"] == 1
    assert "in more than one split, as the source has them" in caplog.text


@pytest.mark.parametrize(("padding", "width"), [("max_length", 9), ("longest", 2)])
def test_the_width_of_the_arrays(padding, width):
    assert prepared(max_length=9, padding=padding).splits["train"].inputs.shape[1] == width


def test_options_of_the_vocabulary_count():
    assert prepared(min_count=2).facts["vocabulary"] == ["bad", "good"]
    assert prepared(max_vocabulary=1).facts["vocabulary"] == ["bad"]
    found = prepared(tokens="bytes")
    assert found.facts["vocabulary"] == [] and found.facts["vocabulary_size"] == 258
    assert found.facts["unknown_words"] == {"train": 0, "val": 0, "test": 0}


def test_a_class_that_is_too_small_is_named():
    with pytest.raises(DataError, match=r"^mine: a fraction of 0.2 leaves nothing on one side of: z"):
        prepared(make_texts([*texts_of().items, Text("a", "z")], "here"))


def test_the_files_have_the_arrays_and_the_texts(tmp_path):
    texts = texts_of()
    texts = make_texts([item._replace(text=f'{item.text} "ä"\u2028\n{item.label}') for item in texts.items], "here")
    for folder in ("a", "b"):
        meta = write_processed(
            tmp_path / folder, prepared(texts), task="text_classification", describe=lambda words: {}
        )
    assert meta == read_meta(tmp_path / "a") and {"vocabulary"} < meta["sha256"].keys()
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert read_texts(tmp_path / "a", "test") == prepared(texts).texts["test"]
    inputs, labels = read_split(tmp_path / "a", "test")
    assert inputs.dtype == np.int32 and len(inputs) == len(labels) == 8
    with pytest.raises(DataError, match="cannot be read"):
        read_texts(tmp_path, "test")
    (tmp_path / "a/texts.jsonl").write_text(json.dumps({"split": "test"}) + "\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_texts(tmp_path / "a", "test")


def test_other_words_with_equal_numbers_are_other_data():
    other = make_texts([item._replace(text=item.text.replace("word", "wort")) for item in texts_of().items], "here")
    ours, theirs = prepared(), prepared(other)
    np.testing.assert_array_equal(ours.splits["train"].inputs, theirs.splits["train"].inputs)
    assert ours.digests != theirs.digests


def test_words_of_a_file_of_vectors_get_numbers_behind_those_of_the_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/vectors").mkdir(parents=True)
    (tmp_path / "data/vectors/g.txt").write_text("bad 1 0\nnever 2 2\nseen 3 3\n")
    plain, found = prepared(), prepared(embeddings="data/vectors/g.txt", extra_words=1)
    own = plain.facts["vocabulary"]
    assert found.facts["vocabulary"] == [*own, "never"] and found.facts["vocabulary_size"] == len(own) + 3
    assert found.facts["embeddings"]["words_without_vector"] == len(own) - 1
    np.testing.assert_array_equal(found.splits["train"].inputs, plain.splits["train"].inputs)
    meta = write_processed(tmp_path / "out", found, task="text_classification", describe=lambda words: {})
    vectors_vd = read_vectors(tmp_path / "out")
    np.testing.assert_array_equal(vectors_vd[[own.index("bad"), -1]], [[1, 0], [2, 2]])
    assert np.isnan(vectors_vd[own.index("good")]).all() and {"vectors", "vocabulary"} < meta["sha256"].keys()
    with pytest.raises(DataError, match="vectors"):
        read_vectors(tmp_path)
    for word, said in (("Katze", "is it of another language"), ("BAD", "write its words in small letters, as those")):
        (tmp_path / "data/vectors/g.txt").write_text(f"{word} 1 2\n")
        with pytest.raises(DataError, match=rf"g\.txt has a vector for no word of the training texts: {said}"):
            prepared(embeddings="data/vectors/g.txt", extra_words=0)


@pytest.mark.parametrize(("tokens", "said"), [("words", "words are unknown"), ("bytes", " bytes, 0 texts are longer")])
def test_the_log_counts_the_tokens_by_their_name(tokens, said, caplog):
    with caplog.at_level(logging.INFO, logger="cct"):
        prepared(tokens=tokens)
    assert said in caplog.text and ("word" in caplog.text) == (tokens == "words")


def test_texts_of_one_named_group_are_no_duplicates(caplog):
    items = [Text(f"a {place}", "xy"[place % 2], "", group="one" if place < 4 else "") for place in range(40)]
    found = prepared(make_texts(items, "here"))
    author = {f"a {place}" for place in range(4)}
    assert [author & {*texts} for texts in found.texts.values() if author & {*texts}] == [author]
    assert found.facts["duplicates"]["exact"] == found.facts["duplicates"]["groups_in_several_classes"] == 0
    assert "groups of equal texts" not in caplog.text
