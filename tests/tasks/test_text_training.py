"""Texts are trained as images are: augmentation, vectors, resuming in the same bits, fine-tuning."""

from pathlib import Path

import keras
import numpy as np
import pytest
from clones import DEFAULTS
from runs import SEED_SHIFT, TRAIN
from text_models import FACTS, META, TEXT_OFF, VOCABULARY, model_params, text_split

from cct.augment.sampling import sample_plan
from cct.augment.streams import MIXED, MIXUP, random_stream
from cct.errors import CCTError
from cct.evaluation.metrics import compute_metrics
from cct.evaluation.softmax import log_softmax
from cct.models.build_text import EMBEDDING
from cct.models.names import CUSTOM, MODELS, TEXTS
from cct.models.saving import load_model, predict_logits, save_model
from cct.params import load
from cct.tasks.text_classification.augmentation import drop_words, mix_texts, mixup_weights, transforms
from cct.tasks.text_classification.training import build, check, describe, input_facts, memory
from cct.tasks.text_classification.transfer import initialize
from cct.tasks.training import TRAINING_TASKS
from cct.training.checkpoints import CheckpointStore
from cct.training.loop import train_model
from cct.training.params import TrainParams
from cct.words import FIRST_WORD, MOST_WORDS, PADDING, UNKNOWN

RANDOM = TEXT_OFF.model_copy(update={"word_dropout": 0.2, "mixup_alpha": 0.8, "mix_epochs": 2})


FAMILIES = ("text_cct_2_2",)
# The others are as these in all but their sizes: make test-exports trains them too.
EVERY_NAME = [
    name if name in FAMILIES else pytest.param(name, marks=pytest.mark.exports)
    for name in MODELS[TEXTS]
    if name not in CUSTOM
]


@pytest.fixture(scope="module", autouse=True)
def deterministic():
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def network(seed: int = 0, *, meta=META, folder=Path(), **fields):
    keras.utils.set_random_seed(seed + SEED_SHIFT)
    return build(model_params(**fields), meta, folder)


def train(net, *, augment=TEXT_OFF, saved=None, on_epoch=lambda row: None, **changes):
    config = TrainParams(**TRAIN | {"seed": SEED_SHIFT} | changes)
    examples = text_split(200, SEED_SHIFT)
    return train_model(
        net,
        examples,
        text_split(80, 1 + SEED_SHIFT),
        config=config,
        transform_of=transforms(examples, augment, config.seed),
        jit_compile=False,
        checkpoints=saved,
        on_epoch=on_epoch,
    )


def test_training_with_every_augmentation_changes_all_weights_and_reads_the_texts():
    """A model that does not read its texts has at least the entropy of their classes as its loss on them.

    One word of each text is its class. With label smoothing of 0.1 the best loss is 0.05, and half the entropy is 0.35.
    """
    net, examples = network(), text_split(200, SEED_SHIFT)
    before = [keras.ops.convert_to_numpy(variable).copy() for variable in net.trainable_variables]
    train(net, augment=RANDOM, epochs=20, batch_size=16, learning_rate=5e-3)
    for variable, old in zip(net.trainable_variables, before, strict=True):
        assert (keras.ops.convert_to_numpy(variable) != old).any(), variable.path
    log_nk = log_softmax(predict_logits(net, examples.inputs, batch_size=200))
    share_k = np.bincount(examples.labels) / 200
    entropy = -(share_k * np.log(share_k)).sum()
    assert -log_nk[np.arange(200), examples.labels].mean() < entropy / 2


@pytest.mark.parametrize("name", EVERY_NAME)
def test_a_killed_training_ends_in_the_same_bits(name, tmp_path):
    changes = {"augment": RANDOM, "epochs": 3, "clip_norm": 0.5, "ema_decay": 0.8, "class_weights": "effective"}
    fields = {"name": name, "dropout": 0.1} | ({"embed_dim": None} if "transformer" in name else {})
    whole = network(**fields)
    history = train(whole, **changes)

    class Killed(BaseException):
        pass

    class Fatal(CheckpointStore):
        def save(self, content, arrays) -> None:
            super().save(content, arrays)
            raise Killed

    with pytest.raises(Killed), Fatal(tmp_path, "f" * 40) as saved:
        train(network(**fields), saved=saved, **changes)
    with CheckpointStore(tmp_path, "f" * 40) as saved:
        assert saved.latest.content["epoch"] == 1
        resumed = network(seed=5, **fields)
        assert train(resumed, saved=saved, **changes) == history
    for found, expected in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    test = text_split(50, 2 + SEED_SHIFT)
    found = compute_metrics(predict_logits(resumed, test.inputs, batch_size=32), test.labels, 2, confidence=0.95)
    assert found["test"]["examples"] == 50


def test_word_dropout_makes_words_unknown_and_leaves_padding():
    words = np.full((1000, 8), 5, np.int32)
    words[:, 6:] = PADDING
    found = drop_words(words, 0.25, np.random.default_rng(SEED_SHIFT))
    assert (found[:, 6:] == PADDING).all() and set(np.unique(found[:, :6])) == {UNKNOWN, 5}
    assert abs((found[:, :6] == UNKNOWN).mean() - 0.25) < 0.06  # 10 standard errors
    assert found.dtype == np.int32 and (words[:, :6] == 5).all()


def test_mixup_writes_the_weights_of_partners_into_the_words():
    words, targets = np.array([[2, 3], [4, 0], [5, 0]], np.int32), np.eye(3, dtype=np.float32)
    found, mixed = mix_texts(words, targets, np.array([192, 256, 0]))
    assert found.dtype == np.int32 and (found % MOST_WORDS == words).all()
    assert (found // MOST_WORDS).tolist() == [[64, 64], [0, 0], [256, 256]]
    np.testing.assert_allclose(mixed, [[0.75, 0, 0.25], [0, 1, 0], [1, 0, 0]])


def test_texts_and_images_have_the_same_mixup():
    """Own random numbers for whether and how much, rounded to 1/256: a training's bits depend on each of these."""
    share_n = random_stream(3, 1, MIXUP).beta(0.8, 0.8, 500)
    expected_n = np.where(random_stream(3, 1, MIXED).random(500) < 0.75, np.rint(256 * share_n), 256)
    augment = TEXT_OFF.model_copy(update={"mixup_alpha": 0.8, "mix_prob": 0.75})
    of_images = sample_plan(augment, seed=3, epoch=1, shape=(500, 8, 8, 1)).sampled["mixing"]["mixup_weight_n"]
    np.testing.assert_array_equal(of_images, expected_n)
    np.testing.assert_array_equal(mixup_weights(augment, seed=3, epoch=1, count=500), expected_n)
    examples, places = text_split(500, 0), np.array([499, 7, 0])
    words, targets = examples.inputs[places], np.eye(2, dtype=np.float32)[examples.labels[places]]
    found, _ = transforms(examples, augment, 3)(1)(places, words, targets)
    np.testing.assert_array_equal(found // MOST_WORDS, np.repeat(256 - expected_n[places, None], 8, axis=1))


def test_plans_depend_on_seed_and_epoch_and_end_with_mix_epochs():
    def weights(seed, epoch):
        return mixup_weights(RANDOM, seed=seed, epoch=epoch, count=50)

    np.testing.assert_array_equal(weights(0, 0), weights(0, 0))
    assert (weights(0, 0) != weights(0, 1)).any() and (weights(0, 0) != weights(1, 0)).any()
    assert weights(0, 2) is None and mixup_weights(TEXT_OFF, seed=0, epoch=0, count=5) is None
    assert weights(0, 0).min() >= 0 and weights(0, 0).max() <= 256


def test_without_augmentation_batches_stay_as_they_are():
    examples = text_split(10, 0)
    transform = transforms(examples, TEXT_OFF, 0)(0)
    words, targets = transform(np.arange(4), examples.inputs[:4], np.eye(2, dtype=np.float32)[examples.labels[:4]])
    np.testing.assert_array_equal(words, examples.inputs[:4])
    np.testing.assert_array_equal(targets, np.eye(2)[examples.labels[:4]])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"crop_padding": 4, "horizontal_flip": True},
            "augment.crop_padding, augment.horizontal_flip: this changes im",
        ),
        ({"cutmix_alpha": 1.0}, r"turn it off with -S augment.cutmix_alpha=0.0, or take the preset text"),
        ({"policy": "randaugment"}, "turn it off with -S augment.policy=none"),
        ({"resized_crop": 0.5}, "turn it off with -S augment.resized_crop=null"),
        ({"random_erasing_prob": 0.25}, "augment.random_erasing_prob: this changes images, and the data are texts"),
    ],
)
def test_augmentations_of_images_are_refused(changes, said):
    with pytest.raises(CCTError, match=said):
        check(model_params(), TEXT_OFF.model_copy(update=changes), META)
    check(model_params(), RANDOM, META)


def test_those_of_texts_are_refused_for_images():
    params = load(DEFAULTS, "model")
    with pytest.raises(
        CCTError, match=r"^augment.word_dropout = 0.2: this changes texts, and the data are images: set"
    ):
        TRAINING_TASKS["image_classification"].check(params, RANDOM, {})
    with pytest.raises(CCTError, match=r"^model.name = text_cct_2_2 takes texts, and the data are images: "):
        TRAINING_TASKS["image_classification"].check(model_params(), TEXT_OFF, {})
    with pytest.raises(CCTError, match=r"^model.name = cct_2_3x2 takes images, and the data are texts: "):
        check(params, TEXT_OFF, META)


@pytest.fixture
def vectors(tmp_path) -> tuple[Path, dict]:
    """A folder with vectors of three dimensions for three of the words, and the content of meta.json."""
    known_vd = np.full((len(VOCABULARY), 3), np.nan, np.float32)
    known_vd[:3] = np.eye(3)
    np.save(tmp_path / "vectors.npy", known_vd)
    return tmp_path, META | {"embeddings": {"file": "glove.txt", "word_dim": 3}}


def positions(net) -> np.ndarray:
    return keras.ops.convert_to_numpy(net.get_layer("positional_embedding").table)


def table(net) -> np.ndarray:
    return keras.ops.convert_to_numpy(net.get_layer(EMBEDDING).table)


@pytest.mark.parametrize("frozen", [False, True])
def test_pretrained_vectors_are_those_of_the_data(vectors, frozen):
    """Words without one get random vectors, the unknown one gets their mean; and training moves them or not."""
    folder, meta = vectors
    fields = {"word_dim": None, "freeze_embeddings": frozen}
    net = network(meta=meta, folder=folder, **fields)
    before = table(net)
    np.testing.assert_array_equal(before[FIRST_WORD : FIRST_WORD + 3], np.eye(3))
    np.testing.assert_allclose(before[UNKNOWN], [1 / 3] * 3, rtol=1e-6)
    assert (before[PADDING] == 0).all() and len(np.unique(before[FIRST_WORD + 3 :])) > 10
    np.testing.assert_array_equal(table(network(meta=meta, folder=folder, **fields)), before)
    other = network(seed=1, meta=meta, folder=folder, **fields)
    assert (table(other)[FIRST_WORD + 3 :] != before[FIRST_WORD + 3 :]).all()
    assert describe(model_params(**fields), meta)["frozen"] == frozen
    assert {*input_facts(meta)} == {"tokens", "max_length", "truncation", "text_column", "vocabulary"}
    train(net, epochs=1, warmup_epochs=0)
    assert (table(net) == before).all() == frozen


def test_vectors_that_do_not_fit_are_refused_before_any_work(vectors):
    _, meta = vectors
    said = r"model.word_dim = 12, and the vectors in glove.txt have 3 dimensions: set model.word_dim to null"
    with pytest.raises(CCTError, match=said):
        check(model_params(), TEXT_OFF, meta)
    with pytest.raises(CCTError, match=r"^model.freeze_embeddings = true: the data have no vectors, so random ones"):
        check(model_params(freeze_embeddings=True), TEXT_OFF, META)
    check(model_params(word_dim=None, freeze_embeddings=True), TEXT_OFF, meta)


def test_a_training_that_does_not_fit_memory_is_known_before():
    small, large = (memory(model_params(), META, size) for size in (1, 1000))
    assert 10_000 < small < large
    many = META | {"vocabulary_size": 1_000_000}
    trained, frozen = (memory(model_params(freeze_embeddings=freeze), many, 1) for freeze in (None, True))
    assert trained - frozen == 3 * 4 * 12 * 1_000_000  # gradients and two moments of vectors of 12 numbers


def trained_file(path, **changes):
    net = network(seed=3)
    save_model(net, path, facts=FACTS | changes)
    return net


def start(path, net, meta=META, *, folder=Path(), freeze="none", **fields) -> str:
    return initialize(path, net, model_params(**fields), meta, folder=folder, freeze=freeze)


def test_fine_tuning_takes_the_vectors_of_known_words(tmp_path):
    source = trained_file(tmp_path / "a.keras")
    meta = META | {"vocabulary": ["good", "new", "bad"], "vocabulary_size": 5, "classes": ["a", "b", "c"]}
    keras.utils.set_random_seed(9)
    net = build(model_params(), meta, tmp_path)
    own = table(net)
    assert start(tmp_path / "a.keras", net, meta) == (
        "28 of 30 tensors copied, 2 of 3 words known, head new (other classes)"
    )
    found, theirs = table(net), table(source)
    np.testing.assert_array_equal(found[FIRST_WORD], theirs[FIRST_WORD + VOCABULARY.index("good")])
    np.testing.assert_array_equal(found[FIRST_WORD + 2], theirs[FIRST_WORD + VOCABULARY.index("bad")])
    np.testing.assert_array_equal(found[FIRST_WORD + 1], own[FIRST_WORD + 1])
    same = network(seed=4)
    assert start(tmp_path / "a.keras", same) == (
        "30 of 30 tensors copied, 8 of 8 words known, head with the same classes"
    )
    words = text_split(9, 0).inputs
    np.testing.assert_array_equal(*(predict_logits(model, words, batch_size=9) for model in (same, source)))


@pytest.mark.parametrize(("freeze", "warned"), [("none", False), ("tokenizer", True), ("encoder", True)])
def test_frozen_vectors_of_words_without_a_source_are_counted(freeze, warned, tmp_path, caplog):
    """Of the new words, "moon" has a vector in the file and "sun" has none."""
    trained_file(path := tmp_path / "a.keras")
    meta = META | {"vocabulary": ["good", "moon", "sun", "bad"], "vocabulary_size": 6}
    start(path, network(meta=meta), meta, freeze=freeze)
    said = f"{freeze}: 2 of 4 words are not in {path}, and their random vectors stay as they are. Set train.freeze to n"
    assert (said in caplog.text) == warned == bool(caplog.messages)
    caplog.clear()
    vectors_vd = np.full((4, 12), np.nan, np.float32)
    vectors_vd[1] = 1
    np.save(tmp_path / "vectors.npy", vectors_vd)
    more = meta | {"embeddings": {"file": "glove.txt", "word_dim": 12}}
    net = network(meta=more, folder=tmp_path)
    start(path, net, more, folder=tmp_path, freeze=freeze)
    assert (table(net)[FIRST_WORD + 1] == 1).all()
    assert (f"{freeze}: 1 of 4 words are not in" in caplog.text) == warned == bool(caplog.messages)


def test_frozen_vectors_of_known_words_and_of_bytes_are_no_reason_to_warn(tmp_path, caplog):
    trained_file(tmp_path / "a.keras")
    start(tmp_path / "a.keras", network(), freeze="tokenizer")
    bytes_meta = META | {"tokens": "bytes", "vocabulary": [], "vocabulary_size": 258}
    net = network(meta=bytes_meta)
    save_model(net, tmp_path / "b.keras", facts=FACTS | {"input": {**bytes_meta}})
    start(tmp_path / "b.keras", network(meta=bytes_meta), bytes_meta, freeze="tokenizer")
    assert not caplog.messages


@pytest.mark.parametrize(("length", "new"), [(6, ""), (12, ", 4 new")])
@pytest.mark.parametrize("pooling", ["sequence", "class_token"])
def test_texts_of_another_length_have_the_first_positions(length, new, pooling, tmp_path, caplog):
    """A class token is the first of the positions. The model without a tokenizer has one for each word."""
    fields = {"name": "text_transformer_2", "positional_embedding": "learnable", "pooling": pooling, "embed_dim": None}
    source = network(seed=3, **fields)
    save_model(source, tmp_path / "a.keras", facts=FACTS)
    meta, first = META | {"max_length": length}, int(pooling == "class_token")
    net = network(seed=4, meta=meta, **fields)
    own, theirs = positions(net), positions(source)
    assert theirs.shape[1] == 8 + first and own.shape[1] == length + first
    said = start(tmp_path / "a.keras", net, meta, freeze="tokenizer", **fields)
    copied = min(length, 8) + first
    found = positions(net)
    np.testing.assert_array_equal(found[:, :copied], theirs[:, :copied])
    np.testing.assert_array_equal(found[:, copied:], own[:, copied:])
    assert (theirs[:, :copied] != own[:, :copied]).all()
    assert f", positions: first {copied} of {8 + first} copied{new}, head" in said
    warned = f"train.freeze = tokenizer: 4 positions are not in {tmp_path / 'a.keras'}, and their random vectors stay"
    assert (warned in caplog.text) == (length == 12) == bool(caplog.messages)


def test_equal_lengths_and_other_widths_say_nothing_of_positions(tmp_path):
    fields = {"positional_embedding": "learnable"}
    save_model(network(seed=3, **fields), tmp_path / "a.keras", facts=FACTS)
    assert "positions" not in start(tmp_path / "a.keras", network(**fields), **fields)
    meta, wide = META | {"max_length": 12}, fields | {"embed_dim": 32}
    with pytest.raises(CCTError, match=r"shapes differ: positional_embedding/table \(1, 5, 16\), needed \(1, 7, 32\)"):
        start(tmp_path / "a.keras", network(meta=meta, **wide), meta, **wide)


def test_a_model_of_another_kind_is_refused_for_fine_tuning(tmp_path):
    trained_file(tmp_path / "a.keras")
    trained_file(tmp_path / "b.keras", input={**META, "tokens": "bytes"})
    with pytest.raises(CCTError, match="weights do not fit"):
        start(tmp_path / "a.keras", network(num_layers=3), num_layers=3)
    with pytest.raises(CCTError, match=r"b\.keras takes bytes, and preprocess.tokens = words"):
        start(tmp_path / "b.keras", network())
    assert load_model(tmp_path / "a.keras").count_params() == network().count_params()
