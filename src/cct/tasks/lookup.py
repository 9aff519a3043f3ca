"""Finds the task of the data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from cct.errors import CCTError

Entry = TypeVar("Entry")


def task_of(meta: Mapping[str, Any], table: Mapping[str, Entry], *, where: Path | None = None) -> Entry:
    """The entry of a task in one of the tables of this package.

    Args:
        meta: the content of meta.json or the metadata of a model, which name the task.
        table: entries by the name of the task.
        where: the model's file; None for the data's meta.json.

    Raises:
        CCTError: the table has no such task.
    """
    name = meta.get("task")
    if name not in table:
        if where is not None:
            raise CCTError(
                f"{where} names the task {name!r}; valid: {', '.join(table)}. It was made by another version of this "
                "project, so train it again"
            )
        raise CCTError(
            f"data/processed/meta.json names the task {name!r}; valid: {', '.join(table)}. Run dvc repro preprocess"
        )
    return table[name]
