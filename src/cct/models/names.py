"""Model names: a small grammar over tables of sizes. Images and texts have a table each.

    cct_<layers>_<kernel>x<convolutions>    cct_7_3x1: 7 encoder layers, one 3x3 convolution block
    cvt_<layers>_<patch>                    cvt_7_4: 7 encoder layers, patches of 4x4, sequence pooling
    vit_lite_<layers>_<patch>               vit_lite_7_4: the same with a class token
    vit                                     a plain ViT of 4.8 M parameters
    keras_example                           the Keras example "Compact Convolutional Transformers"
    custom                                  every field must be given

    text_cct_<layers>_<kernel>              text_cct_4_2: 4 encoder layers, one convolution over 2 words
    text_cvt_<layers>_<patch>               text_cvt_4_2: patches of 2 words, sequence pooling
    text_vit_lite_<layers>_<patch>          text_vit_lite_4_2: the same with a class token
    text_transformer_<layers>               text_transformer_4: a token is a word, class token
    text_custom                             every field must be given

Source: Hassani et al., "Escaping the Big Data Paradigm with Compact Transformers", arXiv:2104.05704, table 8, and the
authors' repository: for texts its `src/text`. Nothing here imports Keras.
"""

import itertools
from typing import Any

IMAGES, TEXTS = "image_classification", "text_classification"  # the tasks, as in cct.tasks
# Encoder sizes of the paper by number of layers: heads, width, MLP ratio.
SIZES = {2: (2, 128, 1), 4: (2, 128, 1), 6: (4, 256, 2), 7: (4, 256, 2), 14: (6, 384, 3)}
KERNELS = ((3, 1), (3, 2), (7, 1), (7, 2))  # size and number of the convolutions
PATCHES = (2, 4, 8, 16)
POOLINGS = {"cvt": "sequence", "vit_lite": "class_token"}
# The authors' text_cvt_6 is narrower than their other models of six layers.
TEXT_LAYERS, TEXT_KERNELS, TEXT_SIZES = (2, 4, 6), (1, 2, 4), {("cvt", 6): (4, 128, 2)}
WORD_DIM = 300

# https://keras.io/examples/vision/cct/: cct_2_3x2 with these differences. Heads are as wide as the embedding. The MLP
# has two GELU layers. Blocks are ordinary pre-norm blocks. Convolutions have no padding. Images are only scaled to
# 0..1. Initial weights are Keras's own.
KERAS_EXAMPLE = {
    "num_layers": 2,
    "num_heads": 2,
    "embed_dim": 128,
    "head_dim": 128,
    "mlp_ratio": 1,
    "mlp_output": "gelu",
    "norm": "pre",
    "qkv_bias": True,
    "tokenizer": "conv",
    "kernel_size": 3,
    "num_conv_layers": 2,
    "conv_padding": "valid",
    "initialization": "keras",
    "standardize": False,
    "dropout": 0.1,
    "dropout_places": "mlp",
}
# Dosovitskiy et al., arXiv:2010.11929, in the size that the Keras example uses for comparison.
VIT = {
    "num_layers": 6,
    "num_heads": 4,
    "embed_dim": 256,
    "mlp_ratio": 4,
    "norm": "pre",
    "qkv_bias": True,
    "tokenizer": "patch",
    "patch_size": 4,
    "pooling": "class_token",
}


def _encoder(layers: int, size: tuple[int, int, int]) -> dict[str, Any]:
    return dict(zip(("num_heads", "embed_dim", "mlp_ratio"), size, strict=True), num_layers=layers)


def _image_models() -> dict[str, dict[str, Any]]:
    models = {
        f"cct_{layers}_{size}x{count}": _encoder(layers, SIZES[layers])
        | {"tokenizer": "conv", "kernel_size": size, "num_conv_layers": count}
        for layers, (size, count) in itertools.product(SIZES, KERNELS)
    }
    models |= {
        f"{family}_{layers}_{patch}": _encoder(layers, SIZES[layers])
        | {"tokenizer": "patch", "patch_size": patch, "pooling": POOLINGS[family]}
        for family, layers, patch in itertools.product(POOLINGS, (2, 4, 6, 7), PATCHES)
    }
    return models | {"vit": VIT, "keras_example": KERAS_EXAMPLE, "custom": {}}


def _text_models() -> dict[str, dict[str, Any]]:
    words = {"word_dim": WORD_DIM, "positional_embedding": "sinusoidal"}
    models = {
        f"text_cct_{layers}_{size}": _encoder(layers, SIZES[layers])
        | words
        | {"tokenizer": "conv", "kernel_size": size}
        for layers, size in itertools.product(TEXT_LAYERS, TEXT_KERNELS)
    }
    models |= {
        f"text_{family}_{layers}_{patch}": _encoder(layers, TEXT_SIZES.get((family, layers), SIZES[layers]))
        | words
        | {"tokenizer": "patch", "patch_size": patch, "pooling": POOLINGS[family]}
        for family, layers, patch in itertools.product(POOLINGS, TEXT_LAYERS, TEXT_KERNELS)
    }
    models |= {
        f"text_transformer_{layers}": _encoder(layers, SIZES[layers])
        | words
        | {"embed_dim": WORD_DIM, "tokenizer": "none", "pooling": "class_token"}
        for layers in TEXT_LAYERS
    }
    return models | {"text_custom": {"word_dim": WORD_DIM}}


# By task and name: the fields of the architecture that differ from its defaults.
MODELS = {IMAGES: _image_models(), TEXTS: _text_models()}
MODEL_NAMES = tuple(name for models in MODELS.values() for name in models)
CUSTOM = ("custom", "text_custom")  # names that need every field
# By task and tokenizer: the fields that it needs, and those that it takes.
TOKENIZERS = {
    IMAGES: {
        "conv": (
            ("num_conv_layers", "kernel_size"),
            ("pool_after", "conv_channels", "conv_bias", "conv_norm", "flip_invariant"),
        ),
        "patch": (("patch_size",), ()),
    },
    TEXTS: {"conv": (("kernel_size",), ("conv_bias",)), "patch": (("patch_size",), ()), "none": ((), ())},
}
WORD_FIELDS = ("word_dim", "freeze_embeddings")  # fields of models for texts


def task_of_model(name: str) -> str:
    """The task of a model, by its name."""
    return next(task for task, models in MODELS.items() if name in models)
