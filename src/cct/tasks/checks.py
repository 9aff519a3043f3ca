"""Whether parameters fit the data, by task, and the environment. `cct check` and the stages before `train` call it.

No result depends on it.

To add a task, write its function and an entry in `CHECK_TASKS`.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cct.augment.params import AugmentParams
from cct.data.kinds import source_task
from cct.data.sources import open_source
from cct.errors import CCTError
from cct.models.architectures import ModelParams
from cct.models.names import task_of_model
from cct.models.starting import require_starting_file, require_starting_model
from cct.runtime.available import unavailable
from cct.tasks.image_classification import checks as images
from cct.tasks.text_classification import misfits as texts

CHECK_TASKS: dict[str, Callable[[ModelParams, AugmentParams, Any], Iterator[CCTError]]] = {
    "image_classification": images.misfits,
    "text_classification": texts.misfits,
}


def misfits(sections: Mapping[str, Any]) -> list[CCTError]:
    """All that does not fit in a set of parameters without mistakes: source, model, augmentation, backend.

    Args:
        sections: all sections by name.
    """
    model, preprocess, init_from = sections["model"], sections["preprocess"], sections["train"].init_from
    found: list[CCTError] = []
    task = None
    try:
        task = source_task(open_source(Path(sections["data"].source)), preprocess)
        found += CHECK_TASKS[task](model, sections["augment"], preprocess)
    except CCTError as error:
        found.append(error)
    try:
        # A model of the other task has no architecture to compare with.
        if init_from and task == task_of_model(model.name):
            require_starting_model(Path(init_from), model, task)
        elif init_from:
            require_starting_file(Path(init_from))
    except CCTError as error:
        found.append(error)
    return [*found, *unavailable(sections["runtime"])]


def require_fitting(sections: Mapping[str, Any]) -> None:
    """Refuse parameters that do not fit the data or the environment.

    Raises:
        CCTError: there are some; the message has a line for each.
    """
    if found := misfits(sections):
        raise CCTError("\n".join(map(str, found)))
