"""The interface between a stage and its tracker."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


class Tracker:
    """Receives the progress and the results of one stage, and decides nothing. This class ignores them.

    Other trackers override its methods. A method never raises: tracking never makes a stage fail. All methods except
    `finish` return at once.
    """

    def start(
        self,
        stage: str,
        meta: Mapping[str, Any],
        *,
        model_sha256: str | None = None,
        run_id: str | None = None,
        on_start: Callable[[str], None] | None = None,
    ) -> None:
        """Open the run of a stage, before its first result is logged.

        Args:
            stage: "train" starts a run; any other stage belongs to the run that trained the model.
            meta: the content of meta.json, which describes the data.
            model_sha256: sha256 of the model file, for all stages except "train".
            run_id: the run of an interrupted training that resumes.
            on_start: called with the identifier of the run as soon as it is known.
        """

    def end_killed_runs(self, run_ids: Sequence[str]) -> None:
        """End the runs of trainings whose process was killed."""

    def log_environment(self, record: Mapping[str, Any]) -> None:
        """Log the record of the machine, as `cct.runtime.machine.machine_record` returns it."""

    def log_epoch(self, row: Mapping[str, float]) -> None:
        """Log a new row of the history."""

    def log_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Log rows of the history. The run may have some of them already."""

    def log_best(self, history: Sequence[Mapping[str, float]]) -> None:
        """Log the best epoch of the whole history."""

    def log_results(self, summary: Mapping[str, Any]) -> None:
        """Log the content of metrics.json."""

    def log_model(self, path: Path, meta: Mapping[str, Any], backend: str) -> None:
        """Log the model file, and the backend that trained it."""

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file, or all files in a folder. They must not change until `finish`.

        Args:
            path: the file or folder.
            folder: the folder in the run; None is its top folder.
        """

    def set_tags(self, values: Mapping[str, str]) -> None:
        """Set tags, by which a run can be found."""

    def finish(self, status: str) -> None:
        """Record how the stage ended: "FINISHED", "FAILED" or "KILLED". Waits up to 60 s until all is delivered."""


@contextlib.contextmanager
def finishing(tracker: Tracker) -> Iterator[None]:
    """Finish a tracker after the block: "KILLED" after Ctrl-C, "FAILED" after other exceptions, else "FINISHED"."""
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        tracker.finish(status)
