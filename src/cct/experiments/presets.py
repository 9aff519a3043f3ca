"""Presets: recipes as overlays on `params.yaml`, in the folder `presets/`.

DVC leaves the last values of `dvc exp run -S` in `params.yaml`. A preset sets the whole recipe, so that it does not
mix with them. It leaves out the options of mixing where there is none, the steps of a schedule without steps, and the
parameters of the data, the seed and the machine.
"""

import difflib
from pathlib import Path
from typing import Any

from cct.models.architectures import ModelParams
from cct.overrides import arguments
from cct.params import ParamsError, flatten, read_yaml
from cct.repository import repository_root


def presets_folder() -> Path:
    """The folder of the presets, from any folder of the repository."""
    return repository_root() / "presets"


def preset_names() -> list[str]:
    """The names of all presets."""
    return sorted(path.stem for path in presets_folder().glob("*.yaml"))


def preset_title(name: str) -> str:
    """The first line of a preset's header."""
    return (presets_folder() / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0].removeprefix("#").strip()


def read_preset(name: str) -> dict[str, Any]:
    """The values of a preset, by the full name of the parameter. Model fields that it does not have are null.

    Raises:
        ParamsError: there is no such preset.
    """
    if name not in preset_names():
        near = difflib.get_close_matches(name, preset_names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(preset_names())}"
        raise ParamsError(f"no preset {name!r} in {presets_folder()}; {hint}")
    unset: dict[str, Any] = dict.fromkeys(f"model.{field}" for field in ModelParams.model_fields)
    return unset | flatten(read_yaml(presets_folder() / f"{name}.yaml"))


def preset_arguments(name: str) -> list[str]:
    """A preset as arguments of `dvc exp run`: -S, `train.epochs=30`, and so on."""
    return arguments(read_preset(name))
