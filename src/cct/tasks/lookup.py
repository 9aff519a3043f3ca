"""Finds the task of the data."""

from collections.abc import Mapping
from typing import Any, TypeVar

from cct.errors import CCTError

Entry = TypeVar("Entry")


def task_of(meta: Mapping[str, Any], table: Mapping[str, Entry]) -> Entry:
    """The entry of a task in one of the tables of this package.

    Args:
        meta: the content of meta.json, which names the task.
        table: entries by the name of the task.

    Raises:
        CCTError: the table has no such task.
    """
    name = meta.get("task")
    if name not in table:
        raise CCTError(
            f"data/processed/meta.json names the task {name!r}; valid: {', '.join(table)}. Run dvc repro preprocess"
        )
    return table[name]
