"""Checks the model that a training starts from, `train.init_from`, before any work. It needs no Keras."""

import contextlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cct.errors import CCTError
from cct.models.architectures import ModelParams, resolve_architecture, resolve_text_architecture
from cct.models.fields import Architecture, Encoder, TextArchitecture
from cct.models.metadata import read_json, read_metadata
from cct.models.names import CUSTOM, IMAGES, MODEL_NAMES, TEXTS, task_of_model
from cct.overrides import arguments
from cct.params import in_yaml

FOLDER = Path("pretrained")  # the only folder of such models, a dependency of `train`
# Fields of a training alone: they change no weight's shape, and nothing that a trained model computes.
TRAINING_FIELDS = {"dropout", "attention_dropout", "stochastic_depth", "freeze_embeddings"}
POOLINGS = {"SequencePool": "sequence", "FirstToken": "class_token", "GlobalAveragePooling1D": "mean"}


class StoredModel(NamedTuple):
    """What the configuration in a `.keras` file says of its model.

    Attributes:
        fields: the fields of the architecture that fix weights and function; empty if the model has other layers than
            those of this project.
        input_shape: of images height, width, channels; of texts their length.
        classes: number of outputs.
    """

    fields: dict[str, Any]
    input_shape: tuple[int, ...]
    classes: int

    @property
    def task(self) -> str | None:
        """The task that the layers are made for; None if there are no fields."""
        if not self.fields:
            return None
        return TEXTS if "word_dim" in self.fields else IMAGES

    def section(self) -> dict[str, Any]:
        """The section `model` of this architecture: a name in `cct models`, and as few other fields as possible.

        If several names need equally few, the name whose own fields differ least wins. Empty if there is none.
        """
        names = [name for name in MODEL_NAMES if name not in CUSTOM]
        found = filter(self._is, map(self._changed, names))
        section = min(found, key=lambda one: (len(one), len(self._other({"name": one["name"]}))), default={})
        for field in [field for field in section if field != "name"]:  # some follow from others
            shorter = {one: value for one, value in section.items() if one != field}
            section = shorter if self._is(shorter) else section
        return section

    def section_after(self, present: Mapping[str, Any]) -> dict[str, Any]:
        """The section of this architecture, with null for each other field that the present section `model` sets."""
        section = self.section()
        unset = [field for field, value in present.items() if value is not None and field not in TRAINING_FIELDS]
        return section and section | {field: None for field in unset if field not in section}

    def _changed(self, name: str) -> dict[str, Any]:
        """A name, and all fields that differ from its own."""
        section: dict[str, Any] = {"name": name}
        for _ in range(2):  # a changed field may change what follows from it
            section |= self._other(section)
        return section

    def _other(self, section: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that a section `model` has not, or with other values."""
        found = _section_fields(section)
        return {field: value for field, value in self.fields.items() if found.get(field) != value}

    def _is(self, section: Mapping[str, Any]) -> bool:
        return bool(self.fields) and _section_fields(section) == self.fields


def _section_fields(section: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `StoredModel` that a section `model` makes; empty if it is not valid."""
    with contextlib.suppress(ValueError):
        params = ModelParams(**section)
        resolve = resolve_text_architecture if task_of_model(params.name) == TEXTS else resolve_architecture
        return _fields(resolve(params))
    return {}


def require_starting_model(path: Path, params: ModelParams, task: str) -> None:
    """Refuse a file that a training cannot start from.

    Args:
        path: `train.init_from`.
        params: the section `model`.
        task: the task of the data, as `cct.data.formats.registry` names it.

    Raises:
        CCTError: there is no such file, it is no model, or it is a model of another task or another architecture.
    """
    require_starting_file(path)
    metadata, stored = read_metadata(path), stored_model(path)
    trained_for = metadata.get("task", stored.task or task)  # an imported checkpoint has no metadata
    if trained_for != task:
        raise CCTError(
            f"{path} is a model for {trained_for}, and the data are for {task}: choose another train.init_from"
        )
    wanted = _fields(_resolved(params, task, stored))
    differ = [field for field, value in wanted.items() if stored.fields.get(field, value) != value]
    if stored.fields and differ:
        present = params.model_dump()
        section = stored.section_after(present)
        settings = {f"model.{field}": value for field, value in section.items() if value != present[field]}
        remedy = shlex.join(arguments(settings)) if settings else "these fields of model"
        told = ", ".join(
            f"{field} {in_yaml(stored.fields[field])} and not {in_yaml(wanted[field])}" for field in differ
        )
        raise CCTError(f"{path} does not fit the section model, {params.name}: it has {told}; set {remedy}")


def _resolved(params: ModelParams, task: str, stored: StoredModel) -> Architecture | TextArchitecture:
    """The architecture of `params`. Words without a width are as wide as those of the stored model.

    Whether that is the width of the data's vectors is compared when both are read.
    """
    if task == TEXTS:
        return resolve_text_architecture(params, word_dim=stored.fields.get("word_dim"))
    return resolve_architecture(params)


def require_starting_file(path: Path) -> None:
    """Refuse a `train.init_from` that is not there.

    Raises:
        CCTError: there is no such file.
    """
    if not path.is_file():
        pointer = path.with_name(f"{path.name}.dvc")
        remedy = f"dvc pull {shlex.quote(str(pointer))}" if pointer.is_file() else "put it there with cct import-model"
        raise CCTError(f"train.init_from = {str(path)!r}: there is no such file: {remedy}")


def stored_model(path: Path) -> StoredModel:
    """Read the configuration of a model's file.

    Raises:
        CCTError: the file is not one of Keras.
    """
    try:
        layers = read_json(path, "config.json")["config"]["layers"]
        configs = {layer["config"]["name"]: (layer["class_name"], layer["config"]) for layer in layers}
        inputs = next(config for kind, config in configs.values() if kind == "InputLayer")
        return StoredModel(_stored_fields(configs), tuple(inputs["batch_shape"][1:]), configs["head"][1]["units"])
    except Exception as error:  # any error that a crafted or damaged file causes
        raise CCTError(f"{path} is not a model of this project: it has no configuration of one ({error!r})") from error


def _stored_fields(configs: Mapping[str, tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """The fields of `StoredModel`, from the class and the configuration of each layer by its name."""
    _, embedding = configs.get("embedding", ("", {}))
    kind, tokenizer = configs.get("tokenizer", ("WordEmbedding", embedding) if embedding else ("", {}))
    blocks = [config for name, (_, config) in configs.items() if name.startswith("encoder_")]
    if kind not in TOKENIZERS or not blocks:
        return {}
    copied = ("num_heads", "head_dim", "norm", "mlp_output", "qkv_bias", "layer_norm_epsilon")
    tokens = TOKENIZERS[kind](tokenizer)
    return {
        **({"word_dim": embedding["word_dim"]} if embedding else {}),
        **tokens,
        "num_layers": len(blocks),
        "mlp_ratio": blocks[0]["hidden_dim"] / tokens["embed_dim"],
        **{field: blocks[0][field] for field in copied},
        "positional_embedding": configs.get("positional_embedding", ("", {"kind": "none"}))[1]["kind"],
        "pooling": POOLINGS[configs["pool"][0]],
    }


def _stored_convolutions(config: Mapping[str, Any]) -> dict[str, Any]:
    channels = config["channels"]
    return {
        "tokenizer": "conv",
        "embed_dim": channels[-1],
        "num_conv_layers": len(channels),
        # Older files lack it: all their convolutions have pooling.
        "pool_after": config.get("pool_after", list(range(1, len(channels) + 1))),
        **_conv_channels(channels[:-1]),
        "kernel_size": config["kernel_size"],
        "conv_padding": config["padding"],
        "conv_bias": config["use_bias"],
        "conv_norm": config.get("norm", "none"),  # older files lack it
        "flip_invariant": config.get("flip_equivariant", False),  # and this
    }


def _conv_channels(channels: Sequence[int]) -> dict[str, Any]:
    """The field of a section `model`, as short as it can be."""
    return {"conv_channels": channels[0] if len({*channels}) == 1 else [*channels]} if channels else {}


def _stored_patches(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"tokenizer": "patch", "embed_dim": config["embed_dim"], "patch_size": config["patch_size"]}


def _stored_word_convolution(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "tokenizer": "conv",
        "embed_dim": config["channels"],
        "kernel_size": config["kernel_size"],
        "conv_bias": config["use_bias"],
    }


# By the class of the layer. A model without a tokenizer has the vectors of words as its tokens.
TOKENIZERS = {
    "ConvTokenizer": _stored_convolutions,
    "PatchTokenizer": _stored_patches,
    "WordConvTokenizer": _stored_word_convolution,
    "WordPatchTokenizer": _stored_patches,
    "WordEmbedding": lambda config: {"tokenizer": "none", "embed_dim": config["word_dim"]},
}


def _convolution_fields(a: Encoder) -> dict[str, Any]:
    if isinstance(a, TextArchitecture):
        return {"kernel_size": a.kernel_size, "conv_bias": a.conv_bias}
    return {
        "num_conv_layers": a.num_conv_layers,
        "pool_after": list(a.pool_after),
        **_conv_channels(a.conv_channels),
        "kernel_size": a.kernel_size,
        "conv_padding": a.conv_padding,
        "conv_bias": a.conv_bias,
        "conv_norm": a.conv_norm,
        "flip_invariant": a.flip_invariant,
    }


def _fields(architecture: Architecture | TextArchitecture) -> dict[str, Any]:
    """The fields of an architecture that `StoredModel` has too."""
    a = architecture
    return {
        **({"word_dim": a.word_dim} if isinstance(a, TextArchitecture) else {}),
        "tokenizer": a.tokenizer,
        "embed_dim": a.embed_dim,
        **(_convolution_fields(a) if a.tokenizer == "conv" else {}),
        **({"patch_size": a.patch_size} if a.tokenizer == "patch" else {}),
        "num_layers": a.num_layers,
        "num_heads": a.num_heads,
        "head_dim": a.head_dim,
        "mlp_ratio": a.hidden_dim / a.embed_dim,  # the hidden units are a whole number
        "norm": a.norm,
        "mlp_output": a.mlp_output,
        "qkv_bias": a.qkv_bias,
        "layer_norm_epsilon": a.layer_norm_epsilon,
        "positional_embedding": a.positional_embedding,
        "pooling": a.pooling,
    }
