"""Training steps of a model of texts against a plain Keras model of the same size, in turns.

    python benchmarks/text_steps.py [--model text_cct_2_1] [--turns 5] [--out benchmarks/results/text_steps.json]

The plain one is what people write with Keras's own layers: Embedding, Conv1D, MaxPooling1D, MultiHeadAttention,
LayerNormalization and Dense, with a mask, compiled and trained by `train_on_batch`. Both have the same widths, vectors,
optimizer and batches. A turn's figure is the median of its steps.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import contender
import numpy as np
from common import HERE, here, spread, write

from cct.commands.arguments import whole_number
from cct.entry import entry_point
from cct.models.names import CUSTOM, MODELS, TEXTS

BATCH, LENGTH, WORDS, CLASSES, STEPS = 64, 64, 10_000, 6, 30


def plain(a: Any) -> Any:
    """The layers of a CCT for texts in plain Keras. Heads, widths and numbers of layers are those of `a`."""
    import keras
    from keras import layers

    words = keras.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(WORDS, a.word_dim)(words)
    x = layers.Conv1D(a.embed_dim, a.kernel_size, padding="same", use_bias=False, activation="relu")(x)
    x = layers.MaxPooling1D(2)(x)
    valid = layers.MaxPooling1D(2)(keras.ops.cast(keras.ops.not_equal(words, 0), "float32")[:, :, None])[:, :, 0] > 0
    x = layers.Dropout(0.1)(x)
    for _ in range(a.num_layers):
        y = layers.LayerNormalization(epsilon=1e-5)(x)
        attention = layers.MultiHeadAttention(a.num_heads, a.head_dim, dropout=a.attention_dropout, use_bias=False)
        x = x + attention(y, y, attention_mask=valid[:, None, :])
        y = layers.LayerNormalization(epsilon=1e-5)(x)
        y = layers.Dense(a.hidden_dim, activation="gelu")(y)
        x = x + layers.Dense(a.embed_dim)(y)
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    scores = layers.Dense(1)(x)[:, :, 0] + keras.ops.cast(~valid, "float32") * -1e9
    pooled = keras.ops.sum(keras.ops.softmax(scores)[:, :, None] * x, axis=1)
    return keras.Model(words, layers.Dense(CLASSES)(pooled))


def ours(a: Any) -> Any:
    from cct.models.build_text import build_text_model

    return build_text_model(a, length=LENGTH, vocabulary_size=WORDS, classes=CLASSES)


CONTENDERS: dict[str, Callable[[Any], Any]] = {"ours": ours, "plain Keras": plain}


def stepper(model: Any) -> Callable[[], None]:
    """A function that makes one training step of `train_on_batch`, and waits for it."""
    import keras

    generator = np.random.default_rng(0)
    lengths = generator.integers(5, LENGTH, (BATCH, 1))
    words = np.where(np.arange(LENGTH) < lengths, generator.integers(2, WORDS, (BATCH, LENGTH)), 0).astype(np.int32)
    labels = generator.integers(0, CLASSES, BATCH)
    model.compile(
        keras.optimizers.AdamW(1e-3, weight_decay=0.06), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return lambda: model.train_on_batch(words, labels)


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [name for name in MODELS[TEXTS] if name not in CUSTOM]
    parser.add_argument("--model", choices=names, metavar="NAME", default="text_cct_2_1")
    parser.add_argument("--turns", type=whole_number(1000), default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results/text_steps.json")
    arguments = parser.parse_args()
    contender.configure("tensorflow", "float32")
    import keras

    from cct.models.architectures import ModelParams, resolve_text_architecture

    a = resolve_text_architecture(ModelParams(name=arguments.model))
    steps, parameters = {}, {}
    for name, make in CONTENDERS.items():
        model = make(a)
        parameters[name], steps[name] = model.count_params(), stepper(model)
        for _ in range(5):
            steps[name]()
    turns: list[dict[str, float]] = []
    for _ in range(arguments.turns):
        turns.append({name: _median(step) for name, step in steps.items()})
        print(turns[-1], flush=True)
    report = {"kind": "text_steps"} | here() | {
        "model": arguments.model, "batch": BATCH, "length": LENGTH, "vocabulary": WORDS,
        "packages": {"python": platform.python_version(), "keras": keras.__version__},
        "parameters": parameters,
        "texts_per_second": {
            name: round(BATCH / statistics.median(turn[name] for turn in turns)) for name in CONTENDERS
        },
        "ratio": spread(turn["plain Keras"] / turn["ours"] for turn in turns),
    }  # fmt: skip
    write(arguments.out, report)
    print(json.dumps(report["texts_per_second"]), report["ratio"])


def _median(step: Callable[[], None]) -> float:
    taken = []
    for _ in range(STEPS):
        start = time.perf_counter()
        step()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


if __name__ == "__main__":
    sys.exit(main())
