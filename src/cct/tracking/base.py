"""What a stage tells whoever watches it."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


class Tracker:
    """Watches one stage, and decides nothing. This one does nothing with what it is told.

    Other trackers override its methods. A method returns at once and never raises: no stage fails for its tracking.
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
        """The stage begins to have results.

        Args:
            stage: "train" starts a run; any other stage belongs to the run that trained the model.
            meta: of the data, the content of meta.json.
            model_sha256: of the model file, for all stages but "train".
            run_id: the run of the interrupted training that resumes.
            on_start: gets the identifier of the run as soon as it is known.
        """

    def end_killed_runs(self, run_ids: Sequence[str]) -> None:
        """The runs of trainings whose process was killed: they did not end themselves."""

    def log_environment(self, record: Mapping[str, Any]) -> None:
        """What computes, as `cct.runtime.machine.machine_record` returns it."""

    def log_epoch(self, row: Mapping[str, float]) -> None:
        """A new row of the history."""

    def log_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Rows of the history, of which the run may have some already."""

    def log_best(self, history: Sequence[Mapping[str, float]]) -> None:
        """The whole history, whose best epoch is known."""

    def log_results(self, summary: Mapping[str, Any]) -> None:
        """The content of metrics.json."""

    def log_model(self, path: Path, meta: Mapping[str, Any], backend: str) -> None:
        """The model file, and the backend that trained it."""

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """A file, or all files in a folder. They stay as they are until `finish`.

        Args:
            path: of the file or folder.
            folder: that they belong into.
        """

    def set_tags(self, values: Mapping[str, str]) -> None:
        """What a run can be found by."""

    def finish(self, status: str) -> None:
        """The stage has ended: "FINISHED", "FAILED" or "KILLED"."""


@contextlib.contextmanager
def finishing(tracker: Tracker) -> Iterator[None]:
    """Tell a tracker how the block ended: "KILLED" by Ctrl-C, "FAILED" by any other exception, else "FINISHED"."""
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        tracker.finish(status)
