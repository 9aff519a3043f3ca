"""What a model's file says of its architecture, without Keras, and which files a training cannot start from."""

import json
import shlex
import subprocess
import sys
import zipfile

import pytest
import yaml
from networks import built

from cct.errors import CCTError
from cct.models.architectures import ModelParams, resolve_text_architecture
from cct.models.build_text import build_text_model
from cct.models.saving import save_model
from cct.models.starting import TRAINING_FIELDS, require_starting_model, stored_model

IMAGES = "image_classification"


@pytest.mark.parametrize("name", ["cct_2_3x2", "cct_2_7x1", "cvt_2_8", "vit_lite_2_8", "vit", "keras_example"])
def test_a_file_names_its_architecture(name, tmp_path):
    save_model(built(name, image_shape=(32, 40, 1), classes=7), path := tmp_path / "a.keras")
    stored = stored_model(path)
    assert (stored.section(), stored.input_shape, stored.classes) == ({"name": name}, (32, 40, 1), 7)
    require_starting_model(path, ModelParams(name=name, attention_dropout=0.3), IMAGES)  # of the training alone


@pytest.mark.parametrize(
    "section",
    [
        {"name": "cct_2_3x2", "num_conv_layers": 4, "pool_after": [1, 2], "conv_channels": 80, "conv_norm": "batch"},
        {"name": "cct_2_3x2", "conv_norm": "batch", "flip_invariant": True},
        {"name": "cct_2_3x1", "num_conv_layers": 3, "pool_after": [1, 3], "conv_channels": [32, 64]},
        {"name": "cct_2_3x2", "embed_dim": 64, "pooling": "mean"},
        {"name": "cvt_2_8", "num_heads": 8, "head_dim": 5},
        {"name": "keras_example", "num_layers": 3},
        {"name": "cct_2_3x2", "embed_dim": 100, "mlp_ratio": 1.15},  # as floats, 100 * 1.15 is less than 115,
        {"name": "cct_2_3x2", "embed_dim": 100, "mlp_ratio": 1.14},  # and 100 * 1.14 is less than 114
    ],
)
def test_a_file_says_the_shortest_section_that_makes_its_architecture(section, tmp_path):
    save_model(built(**section), path := tmp_path / "a.keras")
    assert stored_model(path).section() == section
    require_starting_model(path, ModelParams(**section), IMAGES)


@pytest.mark.parametrize(
    ("fields", "name", "told"),
    [
        ({}, "cct_2_7x2", "it has kernel_size 3 and not 7; set -S model.name=cct_2_3x2"),
        (
            {},
            "cct_4_3x1",
            "num_conv_layers 2 and not 1, pool_after [1, 2] and not [1], num_layers 2 and not 4; set -S model.name=",
        ),
        ({}, "cvt_2_8", "it has tokenizer 'conv' and not 'patch'; set -S model.name=cct_2_3x2"),
        ({"norm": "pre", "mlp_ratio": 0.5}, "cct_2_3x2", "has mlp_ratio 0.5 and not 1.0, norm 'pre' and not 'stream'"),
        ({"positional_embedding": "none", "pooling": "mean"}, "cct_2_3x2", "positional_embedding 'none' and not 'lea"),
        ({"conv_norm": "batch"}, "cct_2_3x2", "it has conv_norm 'batch' and not 'none'; set -S model.conv_norm=batch"),
        ({"layer_norm_epsilon": 1e-3, "qkv_bias": True}, "cct_2_3x2", "qkv_bias true and not false"),
    ],
)
def test_another_architecture_is_named_field_by_field(fields, name, told, tmp_path):
    save_model(built("cct_2_3x2", **fields), path := tmp_path / "a.keras")
    with pytest.raises(CCTError) as refused:
        require_starting_model(path, ModelParams(name=name), IMAGES)
    assert told in str(refused.value) and "\n" not in str(refused.value)
    assert str(refused.value).startswith(f"{path} does not fit the section model, {name}: it has ")


DEEP = {"num_conv_layers": 4, "pool_after": [1, 2], "conv_channels": 80, "conv_norm": "batch"}


@pytest.mark.parametrize(
    ("stored", "present"),
    [
        ({"name": "cct_2_3x2", **DEEP}, {"name": "cct_2_3x1"}),
        ({"name": "cct_2_3x2", **DEEP}, {"name": "cct_2_3x2"}),
        ({"name": "cct_2_3x2", **DEEP}, {"name": "cvt_2_8", "dropout": 0.2}),
        ({"name": "cct_2_3x2", **DEEP, "flip_invariant": True}, {"name": "cct_2_3x2", **DEEP}),
        ({"name": "cct_2_3x2", **DEEP}, {"name": "cct_2_3x2", **DEEP, "flip_invariant": True}),
        ({"name": "cct_2_3x2"}, {"name": "cct_2_3x2", **DEEP, "num_layers": 3}),
        ({"name": "cvt_2_8"}, {"name": "cct_2_3x2", **DEEP, "attention_dropout": 0.0}),
    ],
)
def test_the_settings_of_a_refusal_make_the_section_fit(stored, present, tmp_path):
    save_model(built(**stored), path := tmp_path / "a.keras")
    with pytest.raises(CCTError) as refused:
        require_starting_model(path, ModelParams(**present), IMAGES)
    changes = dict(word.split("=", 1) for word in shlex.split(str(refused.value).partition("; set ")[2])[1::2])
    settings = {name.removeprefix("model."): yaml.safe_load(value) for name, value in changes.items()}
    require_starting_model(path, ModelParams(**present | settings), IMAGES)
    assert not settings.keys() & TRAINING_FIELDS


def test_every_field_but_those_of_a_training_is_compared(tmp_path):
    made = {"c": built("cct_2_3x2"), "p": built("cvt_2_8")}
    texts = resolve_text_architecture(ModelParams(name="text_cct_2_2", word_dim=8, num_heads=2, embed_dim=8))
    made["t"] = build_text_model(texts, length=8, vocabulary_size=9, classes=2)
    for name, model in made.items():
        save_model(model, tmp_path / f"{name}.keras")
    compared = {field for name in made for field in stored_model(tmp_path / f"{name}.keras").fields}
    assert compared | {"name", *TRAINING_FIELDS} == {*ModelParams.model_fields, "conv_padding"}


def test_another_task_and_other_files_are_refused(tmp_path):
    path, params = tmp_path / "a.keras", ModelParams(name="cct_2_3x2")
    save_model(built("cct_2_3x2"), path, facts={"task": "text_classification"})
    with pytest.raises(CCTError, match=f"^{path} is a model for text_classification, and the data are for {IMAGES}: "):
        require_starting_model(path, params, IMAGES)
    for name, content in (("config.json", "{}"), ("config.json", '{"config": {"layers": [3]}}'), ("other", "")):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("metadata.json", "{}")
            file.writestr(name, content)
        with pytest.raises(CCTError, match=f"^{path} is not a model of this project: it has no configuration of one"):
            require_starting_model(path, params, IMAGES)
    path.write_bytes(b"no zip")
    with pytest.raises(CCTError, match="is not a model of this project: "):
        require_starting_model(path, params, IMAGES)
    path.unlink()
    with pytest.raises(CCTError, match=r"there is no such file: put it there with cct import-model$"):
        require_starting_model(path, params, IMAGES)
    (tmp_path / "a.keras.dvc").touch()
    with pytest.raises(CCTError, match=r"there is no such file: dvc pull .*a\.keras\.dvc$"):
        require_starting_model(path, params, IMAGES)


def test_a_file_without_metadata_is_a_model_for_what_its_layers_take(tmp_path):
    """Such as an imported checkpoint. Fields of the section `model` would be no remedy."""
    words = ModelParams(name="text_transformer_2", word_dim=8)
    texts = build_text_model(resolve_text_architecture(words), length=8, vocabulary_size=9, classes=2)
    for model, params, data, own in (
        (built("cct_2_3x2"), words, "text_classification", IMAGES),
        (texts, ModelParams(name="cct_2_3x2"), IMAGES, "text_classification"),
    ):
        save_model(model, path := tmp_path / "a.keras")
        with pytest.raises(
            CCTError, match=f"^{path} is a model for {own}, and the data are for {data}: choose another"
        ):
            require_starting_model(path, params, data)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"config": 5}', b"\xff", b"{}", b'{"config": {"layers": [1]}}'])
def test_a_damaged_configuration_is_a_sentence(content, tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", content)
        file.writestr("metadata.json", content)
    with pytest.raises(CCTError, match="is not a model of this project"):
        stored_model(path)
    whole = bytearray(path.read_bytes())
    whole[40:60] = bytes(20)
    path.write_bytes(whole)
    with pytest.raises(CCTError, match="is not a model of this project"):
        stored_model(path)


def test_a_model_of_no_width_is_a_sentence(tmp_path):
    layers = [
        {"class_name": "InputLayer", "config": {"name": "images", "batch_shape": [None, 8, 8, 3]}},
        {"class_name": "PatchTokenizer", "config": {"name": "tokenizer", "embed_dim": 0, "patch_size": 4}},
        {"class_name": "EncoderBlock", "config": {"name": "encoder_0", "hidden_dim": 8}},
        {"class_name": "Dense", "config": {"name": "head", "units": 2}},
    ]
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps({"config": {"layers": layers}}))
    with pytest.raises(CCTError, match="is not a model of this project"):
        stored_model(path)


def test_the_check_needs_no_keras():
    code = "import sys, cct.models.starting, cct.stages.__main__; print({'keras', 'mlflow'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.parametrize("width", [25, 50, 300])
@pytest.mark.parametrize("name", ["text_cct_2_2", "text_cvt_2_4", "text_transformer_2"])
def test_a_model_of_texts_is_named_whatever_the_width_of_its_words(name, width, tmp_path):
    """Heads of other named models do not divide 25 and 50."""
    heads = {"num_heads": 5} if "transformer" in name else {}
    params = ModelParams(name=name, word_dim=width, **heads)
    model = build_text_model(resolve_text_architecture(params), length=8, vocabulary_size=9, classes=3)
    save_model(model, path := tmp_path / "a.keras", facts={"task": "text_classification"})
    stored = stored_model(path)
    words = {} if width == 300 else {"word_dim": width}
    assert (stored.section(), stored.input_shape, stored.classes) == ({"name": name} | words | heads, (8,), 3)
    require_starting_model(path, params, "text_classification")
    require_starting_model(path, params.model_copy(update={"word_dim": None}), "text_classification")
    with pytest.raises(CCTError, match=f"has word_dim {width} and not {width + 5}"):
        require_starting_model(path, params.model_copy(update={"word_dim": width + 5}), "text_classification")
