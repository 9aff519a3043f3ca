"""Small texts that can be learned, and a model file whose answers are known."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from clones import DEFAULTS
from runs import OFF

from cct.models.architectures import ModelParams
from cct.models.build_text import EMBEDDING, build_text_model
from cct.models.saving import save_model
from cct.params import load
from cct.tasks.text_classification.training import resolve
from cct.training.batches import Examples
from cct.words import FIRST_WORD

VOCABULARY = ["bad", "good", "the", "film", "was", "and", "very", "a"]
META = {
    "task": "text_classification",
    "name": "made-up",
    "digest": "d" * 64,
    "classes": ["negative", "positive"],
    "tokens": "words",
    "max_length": 8,
    "truncation": "end",
    "text_column": None,
    "vocabulary": VOCABULARY,
    "vocabulary_size": len(VOCABULARY) + FIRST_WORD,
}
TEXT_OFF = OFF.model_copy(update={"word_dropout": 0.0})
SMALL = {"name": "text_cct_2_2", "word_dim": 12, "embed_dim": 16, "num_layers": 2}
FACTS = {
    "task": "text_classification",
    "data": {"name": "made-up", "digest": "d" * 64},
    "classes": META["classes"],
    "input": {name: META[name] for name in ("tokens", "max_length", "truncation", "text_column", "vocabulary")},
    "temperature": 2.0,
    "set_thresholds": [1 - percent / 100 for percent in range(1, 100)],
    "trained_on": [{"backend": "tensorflow"}],
}


def model_params(**fields: Any) -> ModelParams:
    """The section `model` of the tests' parameters, with a small model of texts."""
    return ModelParams(**load(DEFAULTS, "model").model_dump() | SMALL | fields)


def text_split(count: int, seed: int) -> Examples:
    """Texts of 3 to 8 words: one of the first two words of the vocabulary, which is the class, among others."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    words = generator.integers(FIRST_WORD + 2, META["vocabulary_size"], (count, 8)).astype(np.int32)
    lengths = generator.integers(3, 9, count)
    words[np.arange(count), generator.integers(0, 3, count)] = FIRST_WORD + labels
    return Examples(np.where(np.arange(8) < lengths[:, None], words, 0).astype(np.int32), labels)


def counting_model(path: Path, **facts: Any) -> Path:
    """A model whose logits are (how often "bad" is there, how often "good" is)."""
    vectors = np.zeros((META["vocabulary_size"], 2), np.float32)
    vectors[FIRST_WORD], vectors[FIRST_WORD + 1] = [1, 0], [0, 1]
    params = ModelParams(name="text_cct_2_2", word_dim=2)
    embedding = build_text_model(
        resolve(params, META), length=8, vocabulary_size=len(vectors), classes=2, vectors_vd=vectors
    ).get_layer(EMBEDDING)
    words = keras.Input((8,), dtype="int32")
    found, _ = embedding(words)
    sums = keras.layers.GlobalAveragePooling1D()
    head = keras.layers.Dense(2, use_bias=False)
    model = keras.Model(words, head(sums(found)))
    head.set_weights([8 * np.eye(2, dtype=np.float32)])
    save_model(model, path, facts=FACTS | facts)
    return path
