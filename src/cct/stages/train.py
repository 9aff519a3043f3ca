"""Train the model on `data/processed`."""

import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from cct import params
from cct.data.store import read_meta, read_split
from cct.errors import CCTError
from cct.evaluation.calibration import fit_temperature
from cct.evaluation.conformal import set_thresholds
from cct.evaluation.softmax import softmax
from cct.files import require_writable, sha256_of_file
from cct.lockfile import cache_folder, dvc_digest, is_committed
from cct.models.saving import predict_logits, save_model
from cct.paths import HISTORY, MODEL, PARAMS, PROCESSED
from cct.pipeline import stage_code_files
from cct.repository import repository_root
from cct.runtime.backend import configure_backend, describe_platform, determinism_explained, jit_compile
from cct.runtime.machine import machine_record, memory_bytes, platform_differences
from cct.tasks.lookup import task_of
from cct.tasks.training import TRAINING_TASKS, TrainingTask
from cct.training.batches import Examples
from cct.training.checkpoints import CHECKPOINTS, CheckpointStore, abandoned_runs, run_digest
from cct.training.history import averaged_is_better, best_accuracy, best_row, write_history
from cct.training.loop import train_model
from cct.training.variables import parameters_of

if TYPE_CHECKING:
    from cct.tracking.base import Tracker

log = logging.getLogger(__name__)


def main(tracker: "Tracker") -> None:
    model_params, augment, train, runtime = params.load(PARAMS, "model", "augment", "train", "runtime")
    # DVC's cache gets the model at the end. Its own message would come after hours.
    require_writable(MODEL.parent, HISTORY.parent, cache_folder() / "files" / "md5")
    meta = read_meta(PROCESSED)
    task = task_of(meta, TRAINING_TASKS)
    task.check(model_params, augment, meta)
    fingerprint = configure_backend(runtime, seed=train.seed)
    log.info(describe_platform(fingerprint))
    _require_memory(task.memory(model_params, meta, train.batch_size, train.freeze), fingerprint)
    decisive = {
        "model": task.describe(model_params, meta),
        "augment": augment.model_dump(),
        "train": train.model_dump(),
        "runtime": runtime.model_dump(),
        "data": meta,
        "versions": {name: fingerprint[name] for name in ("backend", "backend_version", "keras")},
    }
    files = [*stage_code_files("train"), *([Path(train.init_from)] if train.init_from else [])]
    folder = repository_root() / CHECKPOINTS
    with CheckpointStore(folder, run_digest(decisive, files), is_committed) as checkpoints:
        _announce_resume(checkpoints, train.epochs, fingerprint)
        model = _make_model(task, model_params, meta, train, new=not checkpoints.latest)
        tracker.start("train", meta, run_id=checkpoints.tracked_run(), on_start=checkpoints.note_tracked_run)
        tracker.end_killed_runs(abandoned_runs(folder))
        tracker.log_environment(machine_record(fingerprint))
        if checkpoints.latest:
            tracker.log_history(checkpoints.latest.content["history"])
        training = Examples(*read_split(PROCESSED, "train"))
        with determinism_explained(runtime):
            history = train_model(
                model,
                training,
                Examples(*read_split(PROCESSED, "val")),
                config=train,
                transform_of=task.transforms(training, augment, train.seed),
                jit_compile=jit_compile(runtime),
                checkpoints=checkpoints,
                on_epoch=tracker.log_epoch,
            )
        _write(model, history, meta, task.input_facts(meta), checkpoints.notes["platforms"])
        checkpoints.finish([dvc_digest(path) for path in (MODEL, HISTORY)])
        _track(tracker, history, meta, backend=runtime.backend)


def _announce_resume(checkpoints: CheckpointStore, epochs: int, fingerprint: dict[str, Any]) -> None:
    """Log the step at which the training resumes, and note the present platform."""
    platforms = checkpoints.notes.get("platforms", [])
    if checkpoints.latest:
        done = checkpoints.latest.content
        log.info(
            "resuming after epoch %d of %d, step %d, from %s\n(to start over instead: rm -r %s)",
            done["epoch"], epochs, done["step"], checkpoints.folder, shlex.quote(str(checkpoints.folder)),
        )  # fmt: skip
        if fingerprint not in platforms:
            changes = "\n".join(platform_differences(platforms[-1], fingerprint))
            log.warning(
                "this run began on another platform, so its bytes will equal those of neither platform:\n%s", changes
            )
    checkpoints.notes["platforms"] = [*(p for p in platforms if p != fingerprint), fingerprint]


def _require_memory(needed: int, fingerprint: dict[str, Any]) -> None:
    """Refuse a training that does not fit this machine. A GPU has its own memory, whose size only the backend knows."""
    if not fingerprint["gpus"] and needed > memory_bytes():
        raise CCTError(
            f"this training needs {needed / 2**30:,.1f} GiB of memory at the least, and this machine has "
            f"{memory_bytes() / 2**30:,.1f} GiB: choose a smaller train.batch_size, a smaller model, or one with fewer "
            "tokens (images: more convolutions with max-pooling, see model.num_conv_layers and model.pool_after, or a "
            "larger model.patch_size; texts: a smaller preprocess.max_length, or preprocess.padding=longest)"
        )


def _make_model(task: TrainingTask, model_params: Any, meta: dict[str, Any], train: Any, *, new: bool) -> keras.Model:
    """The model, with the weights of `train.init_from` unless the training resumes."""
    model = task.build(model_params, meta, PROCESSED)
    log.info("%s: %s parameters", model_params.name, f"{parameters_of(model):,}")
    if new and train.init_from:
        path = Path(train.init_from)
        told = task.initialize(path, model, model_params, meta, folder=PROCESSED, freeze=train.freeze)
        log.info("starting from %s (sha256 %s): %s", path, sha256_of_file(path)[:16], told)
    return model


def _write(
    model: keras.Model,
    history: list[dict[str, float]],
    meta: dict[str, Any],
    input_facts: dict[str, Any],
    platforms: list[dict[str, Any]],
) -> None:
    best = best_row(history)
    which = ", averaged weights" if averaged_is_better(best) else ""
    log.info("best epoch %d%s: validation accuracy %.4f", best["epoch"], which, best_accuracy(best))
    inputs, labels = read_split(PROCESSED, "val")
    logits = predict_logits(model, inputs, batch_size=256)
    temperature = fit_temperature(logits, labels)
    log.info("temperature %.4f, from the validation split: the model was too sure if it is above 1", temperature)
    facts = {
        "task": meta["task"],
        "data": {"name": meta["name"], "digest": meta["digest"]},
        "classes": meta["classes"],
        "input": input_facts,
        "temperature": temperature,
        "set_thresholds": set_thresholds(softmax(logits / temperature), labels),
        "trained_on": platforms,
    }
    save_model(model, MODEL, facts=facts)
    write_history(HISTORY, history)


def _track(tracker: "Tracker", history: list[dict[str, float]], meta: dict[str, Any], *, backend: str) -> None:
    tracker.log_best(history)
    tracker.log_model(MODEL, meta, backend)
    tracker.log_artifact(HISTORY, "reports")
    # Last: this tag tells the next stages that the training is complete.
    tracker.set_tags({"model_sha256": sha256_of_file(MODEL)})
