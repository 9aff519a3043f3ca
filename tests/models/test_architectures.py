"""The table of models and their costs. `test_layers.py` and `test_build.py` test their outputs."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cct.errors import CCTError
from cct.models.architectures import Architecture, ModelParams, resolve_architecture
from cct.models.cost import model_cost, token_grid, training_memory
from cct.models.fields import hidden_units
from cct.models.names import IMAGES, MODEL_NAMES, MODELS, SIZES, WORD_FIELDS
from cct.params import ParamsError, parse


def params(name: str, **fields) -> ModelParams:
    return parse(ModelParams, {"name": name, **fields}, where=Path("params.yaml"))


def architecture(name: str, **fields) -> Architecture:
    return resolve_architecture(params(name, **fields))


def refusal(name: str, **fields) -> list[str]:
    with pytest.raises(ParamsError) as caught:
        params(name, **fields)
    return str(caught.value).split("\n  ")[1:]


def test_importing_is_light():
    code = "import sys, cct.models.architectures; print(*sys.modules)"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    loaded = subprocess.check_output([sys.executable, "-c", code], env=env, text=True).split()
    assert not {"keras", "tensorflow", "mlflow", "numpy"} & set(loaded)


NAMED = [name for name in MODELS[IMAGES] if name != "custom"]
DIVIDE = "choose a num_heads that does, or give head_dim"
CUSTOM = {"num_layers": 2, "num_heads": 2, "embed_dim": 8, "mlp_ratio": 1.5}


@pytest.mark.parametrize("name", NAMED)
def test_every_name_resolves(name):
    a = architecture(name)
    assert a.num_heads * a.head_dim in (a.embed_dim, 2 * a.embed_dim)
    if name in ("keras_example", "vit"):
        return
    family, layers, rest = re.fullmatch(r"(cct|cvt|vit_lite)_(\d+)_(\w+)", name).groups()
    assert a.num_layers == int(layers)
    assert (a.num_heads, a.embed_dim, a.mlp_ratio) == SIZES[a.num_layers]
    if family == "cct":
        assert (a.tokenizer, a.pooling, f"{a.kernel_size}x{a.num_conv_layers}") == ("conv", "sequence", rest)
        assert a.stride == (2 if a.kernel_size == 7 else 1)
    else:
        assert (a.tokenizer, a.patch_size) == ("patch", int(rest))
        assert a.pooling == ("sequence" if family == "cvt" else "class_token")


def test_names_are_the_grammar():
    kernels = ["3x1", "3x2", "7x1", "7x2"]
    grammar = [f"cct_{layers}_{kernel}" for layers, kernel in itertools.product([2, 4, 6, 7, 14], kernels)]
    sizes = itertools.product(["cvt", "vit_lite"], [2, 4, 6, 7], [2, 4, 8, 16])
    grammar += [f"{family}_{layers}_{patch}" for family, layers, patch in sizes]
    assert sorted(MODELS[IMAGES]) == sorted([*grammar, "vit", "keras_example", "custom"])


def test_custom_takes_every_field_and_needs_the_essential_ones():
    a = architecture("custom", **CUSTOM, tokenizer="patch", patch_size=4, pooling="mean")
    assert (a.num_layers, a.head_dim, a.patch_size, a.pooling) == (2, 4, 4, "mean")
    lines = refusal("custom", num_layers=2)
    assert lines == [
        f"{field} must be given, because the name is custom"
        for field in ("num_heads", "embed_dim", "mlp_ratio", "tokenizer")
    ]


@pytest.mark.parametrize(
    ("name", "fields", "line"),
    [
        ("cvt_7_4", {"num_conv_layers": 2}, "num_conv_layers = 2: has no use: the tokenizer of cvt_7_4 is patch"),
        ("vit", {"pool_after": [1]}, "pool_after = [1]: has no use: the tokenizer of vit is patch"),
        ("vit", {"conv_bias": True}, "conv_bias = true: has no use: the tokenizer of vit is patch"),
        ("cct_7_3x2", {"patch_size": 4}, "patch_size = 4: has no use: the tokenizer of cct_7_3x2 is conv"),
        ("cct_7_3x1", {"conv_channels": 8}, "conv_channels = 8: has no use: the only convolution is as wide"),
        ("cct_7_3x1", {"conv_channels": []}, "conv_channels = []: has no use: the only convolution is as wide"),
        ("cct_7_3x1", {"tokenizer": "patch"}, "patch_size must be given, because the tokenizer is patch"),
        ("custom", {**CUSTOM, "tokenizer": "conv", "kernel_size": 3}, "num_conv_layers must be given, because"),
    ],
)
def test_a_field_without_a_use_is_refused_not_ignored(name, fields, line):
    (found,) = refusal(name, **fields)
    assert found.startswith(line)


def test_another_tokenizer_makes_another_family():
    assert architecture("cct_7_3x1", tokenizer="patch", patch_size=4) == architecture("cvt_7_4")
    assert architecture("cvt_7_4", pooling="class_token") == architecture("vit_lite_7_4")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("cct_2_3x3", "nearest: cct_2_3x2, cct_2_3x1, "),
        ("cct_7_3x2_sine", "nearest: cct_7_3x2, "),
        ("CCT_7_3x1", "nearest: cct_7_3x1, "),
        ("keras", "nearest: keras_example; "),
        ("resnet", "all: "),
        ("", "all: "),
    ],
)
def test_unknown_names_bring_the_nearest(name, near):
    (line,) = refusal(name)
    assert line.startswith(f"name = {name!r}: unknown model name; {near}")
    assert line.endswith(f"all: {', '.join(MODEL_NAMES)}")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_layers", 3),
        ("num_heads", 8),
        ("embed_dim", 64),
        ("head_dim", 5),
        ("mlp_ratio", 2.5),
        ("mlp_output", "gelu"),
        ("norm", "pre"),
        ("qkv_bias", True),
        ("num_conv_layers", 3),
        ("pool_after", [2]),
        ("kernel_size", 5),
        ("conv_channels", [32]),
        ("conv_bias", True),
        ("conv_norm", "batch"),
        ("flip_invariant", True),
        ("positional_embedding", "sinusoidal"),
        ("pooling", "mean"),
        ("dropout", 0.2),
        ("attention_dropout", 0.0),
        ("stochastic_depth", 0.0),
        ("layer_norm_epsilon", 1e-3),
    ],
)
def test_one_override_changes_one_field(field, value):
    plain, other = architecture("cct_2_3x2").model_dump(), architecture("cct_2_3x2", **{field: value}).model_dump()
    changed = {key for key in plain if plain[key] != other[key]}
    follows = {
        "num_heads": {"head_dim"},
        "embed_dim": {"head_dim"},
        "num_conv_layers": {"pool_after", "conv_channels"},
    }.get(field, set())
    assert changed == {field} | follows
    assert other[field] == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        (
            "pool_after",
            [4],
            "must be null for all convolutions, or rising numbers from 1 to 3: num_conv_layers is 3",
        ),
        (
            "pool_after",
            [2, 1],
            "must be null for all convolutions, or rising numbers from 1 to 3: num_conv_layers is 3",
        ),
        (
            "pool_after",
            [1, 1],
            "must be null for all convolutions, or rising numbers from 1 to 3: num_conv_layers is 3",
        ),
        ("pool_after", [0], "must be greater than or equal to 1"),
        ("pool_after", [], "must have at least 1 item, not 0"),
        ("pool_after", 2, "must be a list, or null"),
        ("conv_channels", [8], "must be one number, or a list of 2: num_conv_layers is 3, and the last convolution is"),
        ("conv_channels", [8, 8, 8], "must be one number, or a list of 2: num_conv_layers is 3, and the last"),
        ("conv_channels", [8, 0], "must be an integer from 1 to 65,536, or a list of such integers, or null"),
        ("conv_channels", 0, "must be an integer from 1 to 65,536, or a list of such integers, or null"),
        ("conv_channels", "wide", "must be an integer from 1 to 65,536, or a list of such integers, or null"),
    ],
)
def test_a_list_of_convolutions_fits_their_number(field, value, line):
    (found,) = refusal("cct_2_3x2", num_conv_layers=3, **{field: value})
    assert found.startswith(field) and f": {line}" in found


def test_a_list_of_convolutions_is_not_compared_with_a_wrong_number():
    (line,) = refusal("cct_2_3x2", num_conv_layers="3", pool_after=[3], conv_channels=[8, 8])
    assert line == "num_conv_layers = '3': must be an integer, or null"


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"embed_dim": 63, "num_heads": 1}, "needs even conv_channels and embed_dim, and one is 63"),
        ({"num_conv_layers": 3, "conv_channels": [8, 9]}, "needs even conv_channels and embed_dim, and one is 9"),
        ({"conv_channels": 7}, "needs even conv_channels and embed_dim, and one is 7"),
        ({"kernel_size": 7}, "needs convolutions of stride 1: a kernel_size of 1, 3 or 5, not 7"),
        ({"conv_bias": True}, "has no biases: set conv_bias to false, or null"),
        ({"tokenizer": "patch", "patch_size": 4}, "has no use: the tokenizer of cct_2_3x2 is patch"),
    ],
)
def test_a_flip_invariant_model_is_symmetric(fields, line):
    assert refusal("cct_2_3x2", **fields, flip_invariant=True) == [f"flip_invariant = true: {line}"]


def test_one_number_of_channels_is_that_of_every_convolution_but_the_last():
    four = {"num_conv_layers": 4, "pool_after": [1, 3]}
    assert architecture("cct_2_3x2", **four).conv_channels == (64, 64, 64)
    assert architecture("cct_2_3x2", **four, conv_channels=8).conv_channels == (8, 8, 8)
    assert architecture("cct_2_3x2", **four, conv_channels=[8, 9, 10]).conv_channels == (8, 9, 10)


def test_every_field_can_be_overridden():
    tested = next(mark for mark in test_one_override_changes_one_field.pytestmark if mark.name == "parametrize")
    # A tokenizer of another kind changes more than a field; it has a test of its own, as have the fields of texts.
    elsewhere = {"name", "tokenizer", "patch_size", *WORD_FIELDS}
    fields = {field for field, _ in tested.args[1]}
    assert fields == ModelParams.model_fields.keys() - elsewhere, "give each field a value in the list above"


def test_null_is_the_names_own():
    nulls = dict.fromkeys(ModelParams.model_fields.keys() - {"name"})
    for name in NAMED:
        assert architecture(name, **nulls) == architecture(name)


def test_overrides_lead_from_one_name_to_another():
    assert architecture("cct_6_3x1", num_layers=7, num_conv_layers=2) == architecture("cct_7_3x2")
    assert architecture("cct_2_3x2", kernel_size=7) == architecture("cct_2_7x2"), "the stride follows the kernel"


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        (
            {"num_heads": 3},
            ["num_heads 3 does not divide embed_dim 128: choose a num_heads that does, or give head_dim"],
        ),
        (
            {"embed_dim": 129},
            ["num_heads 2 does not divide embed_dim 129: choose a num_heads that does, or give head_dim"],
        ),
        (
            {"num_heads": 3, "num_layers": 0},
            ["num_layers = 0: must be greater than or equal to 1, or null", "num_heads 3 does not "],
        ),
        ({"num_heads": 0}, ["num_heads = 0: must be greater than or equal to 1, or null"]),
        ({"num_heads": True}, ["num_heads = true: must be an integer, or null"]),
        ({"kernel_size": 2}, ["kernel_size = 2: must be odd"]),
        ({"mlp_ratio": 0.001}, ["mlp_ratio = 0.001: leaves the MLP no unit at embed_dim 128: at least 0.0078125"]),
        ({"mlp_ratio": 0}, ["mlp_ratio = 0: must be greater than 0, or null"]),
        ({"stochastic_depth": 1.0}, ["stochastic_depth = 1.0: must be less than or equal to 0.99, or null"]),
        ({"norm": "post"}, ["norm = 'post': must be 'stream' or 'pre', or null"]),
        ({"stride": 2}, ["stride = 2: unknown name; valid: name, num_layers, "]),
        ({"head": 4}, ["head = 4: unknown name; did you mean head_dim?"]),
    ],
)
def test_refused(fields, lines):
    found = refusal("cct_2_3x2", **fields)
    assert len(found) == len(lines)
    assert all(one.startswith(line) for one, line in zip(found, lines, strict=True)), found


def test_the_ratio_of_hidden_units_to_width_gives_these_hidden_units():
    for embed_dim in (*range(1, 130), 65_536):
        for hidden in {1, embed_dim, *range(1, 4 * embed_dim, max(1, embed_dim // 40)), 64 * embed_dim - 1}:
            assert hidden_units(embed_dim, hidden / embed_dim) == hidden
    assert hidden_units(100, 1.15) == 115  # 100 * 1.15 is 114.99999999999999
    assert hidden_units(100, 1.1499) == 114


def test_the_smallest_ratio_that_a_refusal_names_is_taken():
    assert 98 * (1 / 98) < 1
    assert architecture("cct_2_3x2", embed_dim=98, mlp_ratio=1 / 98).hidden_dim == 1


def test_heads_need_not_divide_where_their_width_is_given():
    a = architecture("cct_2_3x2", num_heads=3, head_dim=32)
    assert (a.num_heads, a.head_dim, a.embed_dim) == (3, 32, 128)
    assert architecture("keras_example", num_heads=3).head_dim == 128


# Multiply-adds in G on 32x32x3 with 10 classes: table 8 of the paper.
@pytest.mark.parametrize(
    ("name", "giga", "tokens"),
    [
        ("cct_2_3x2", 0.033, 64),
        ("cct_4_3x2", 0.046, 64),
        ("cct_6_3x2", 0.241, 64),
        ("cct_7_3x2", 0.275, 64),
        ("cct_6_3x1", 0.813, 256),
        ("cct_7_3x1", 0.947, 256),
        ("cvt_6_4", 0.202, 64),
        ("cvt_7_4", 0.236, 64),
        ("vit_lite_6_4", 0.205, 65),
        ("vit_lite_7_4", 0.239, 65),
    ],
)
def test_costs_are_the_papers(name, giga, tokens):
    price = model_cost(architecture(name), height=32, width=32, channels=3, classes=10)
    assert price.macs / 1e9 == pytest.approx(giga, rel=0.01)
    assert price.tokens == tokens


def test_cost_by_hand():
    a = architecture("cct_2_3x1", num_layers=3, embed_dim=8, num_heads=2, mlp_ratio=2, head_dim=5)
    price = model_cost(a, height=4, width=6, channels=1, classes=7)
    tokens = 2 * 3
    convolution = 4 * 6 * 9 * 1 * 8
    block = tokens * (8 * 3 * 10 + 10 * 8 + 8 * 16 + 16 * 8)
    assert price.tokens == tokens
    assert price.macs == convolution + 3 * block + tokens * 8 + 8 * 7
    assert price.attention_macs == 3 * 2 * tokens**2 * 10


def numbers_of_an_image(a: Architecture) -> int:
    """Numbers that a training holds for each image in its batch, of 4 bytes."""
    size = {"height": 8, "width": 8, "channels": 3, "classes": 10}
    two, one = (training_memory(a, **size, batch_size=count) for count in (2, 1))
    return (two - one) // 4


def test_memory_by_hand():
    """First convolution; then attention weights, tokens, queries, keys, values and hidden units of each layer."""
    small = {"num_layers": 3, "embed_dim": 8, "mlp_ratio": 2}
    tokens, first = 4 * 4, 8 * 8 * 8
    a = architecture("cct_2_3x1", **small, num_heads=2, head_dim=5)
    layer = 2 * tokens**2 + tokens * (8 + 3 * 2 * 5 + 16)
    assert numbers_of_an_image(a) == first + 3 * layer
    # Folded projections make no queries, keys and values: for each head, the tokens times two products of matrices.
    for head_dim in (8, 100):
        a = architecture("cct_2_3x1", **small, num_heads=2, head_dim=head_dim)
        assert numbers_of_an_image(a) == first + 3 * (2 * tokens**2 + tokens * (8 + 2 * 2 * 8 + 16))


def test_the_encoder_of_a_flip_invariant_model_holds_each_image_twice():
    fields = {"num_layers": 3, "embed_dim": 8, "num_heads": 2, "mlp_ratio": 2, "head_dim": 5}
    layer = 2 * 16**2 + 16 * (8 + 3 * 2 * 5 + 16)
    assert numbers_of_an_image(architecture("cct_2_3x1", **fields, flip_invariant=True)) == 8 * 8 * 8 + 2 * 3 * layer


@pytest.mark.parametrize(
    ("name", "fields", "side", "sides"),
    [
        ("cct_2_3x2", {}, 32, [32, 16, 16, 8]),
        ("cct_2_3x2", {}, 33, [33, 17, 17, 9]),
        ("cct_2_3x2", {}, 1, [1, 1, 1, 1]),
        ("cct_2_3x1", {"kernel_size": 1}, 8, [8, 4]),
        ("cct_2_3x1", {"kernel_size": 5}, 8, [8, 4]),
        ("cct_14_7x2", {}, 224, [112, 56, 28, 14]),  # 196 tokens, as the authors' 22,367,273 parameters imply
        ("keras_example", {}, 32, [30, 16, 14, 8]),
        ("keras_example", {}, 33, [31, 17, 15, 9]),
        ("keras_example", {"num_conv_layers": 1}, 4, [2, 2]),
        ("cct_2_3x2", {"num_conv_layers": 3, "pool_after": [1, 3]}, 32, [32, 16, 16, 16, 16, 8]),
        ("keras_example", {"pool_after": [1]}, 32, [30, 16, 14, 14]),
    ],
)
def test_grid(name, fields, side, sides):
    a = architecture(name, **fields)
    assert token_grid(a, side, side) == [(size, size) for size in sides]


def test_rows_and_columns_are_not_confused():
    assert token_grid(architecture("cct_2_3x1"), 8, 12) == [(8, 12), (4, 6)]


@pytest.mark.parametrize("size", [(2, 32), (32, 2), (1, 1), (4, 4)])
def test_too_small_a_image_is_refused_in_words(size):
    a = architecture("keras_example")
    image = "x".join(map(str, size))
    message = f"2 convolutions of 3x3 without padding leave nothing of an image this small: {image}"
    for refused in (
        lambda: token_grid(a, *size),
        lambda: model_cost(a, height=size[0], width=size[1], channels=3, classes=10),
    ):
        with pytest.raises(CCTError) as caught:  # so that a stage ends with the message and no traceback
            refused()
        assert message in str(caught.value)
