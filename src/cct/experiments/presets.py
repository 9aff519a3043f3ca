"""Recipes as overlays on `params.yaml`: files in `presets/` that say all that is of the recipe, and nothing else.

All, because DVC leaves in `params.yaml` what `dvc exp run -S` said last: a preset must not mix with it. What is not
said has no effect there (RandAugment's strength without RandAugment), or is of the data, the seed and the machine.
"""

import difflib
from pathlib import Path
from typing import Any

from cct.models.architectures import ModelParams
from cct.params import ParamsError, arguments, flatten, read_yaml
from cct.repository import repository_root


def presets_folder() -> Path:
    """Where presets are, from whatever folder of the repository."""
    return repository_root() / "presets"


def preset_names() -> list[str]:
    """Every preset there is."""
    return sorted(path.stem for path in presets_folder().glob("*.yaml"))


def preset_title(name: str) -> str:
    """The first line of its header."""
    return (presets_folder() / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0].removeprefix("#").strip()


def read_preset(name: str) -> dict[str, Any]:
    """What a preset sets, by the full name of the parameter; of the model's fields those that it does not say are null.

    Raises:
        ParamsError: there is no such preset.
    """
    if name not in preset_names():
        near = difflib.get_close_matches(name, preset_names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(preset_names())}"
        raise ParamsError(f"no preset {name!r} in {presets_folder()}; {hint}")
    unsaid: dict[str, Any] = dict.fromkeys(f"model.{field}" for field in ModelParams.model_fields)
    return unsaid | flatten(read_yaml(presets_folder() / f"{name}.yaml"))


def preset_arguments(name: str) -> list[str]:
    """A preset as arguments of `dvc exp run`: -S, `train.epochs=30`, and so on."""
    return arguments(read_preset(name))
