"""Train the model on `data/processed`."""

import sys
from pathlib import Path

from cct import params
from cct.data.store import read_meta, read_split
from cct.errors import command
from cct.files import Log, require_writable, sha256_of_file
from cct.inference import mlflow_model
from cct.models.architectures import resolve_architecture
from cct.repository import repository_root
from cct.runtime.backend import configure_backend, describe_platform, determinism_explained, jit_compile
from cct.runtime.machine import machine_record, platform_differences
from cct.tracking.mlflow import MlflowTracker
from cct.tracking.names import best_metrics
from cct.tracking.provenance import current_provenance
from cct.training.checkpoints import CheckpointStore, run_digest
from cct.training.history import best_accuracy, write_history


@command
def main() -> None:
    architecture, augment, recipe, hardware = params.load(Path("params.yaml"), "model", "augment", "train", "runtime")
    require_writable(Path("models"), Path("reports"))
    folder, meta = Path("data/processed"), read_meta(Path("data/processed"))
    kind = configure_backend(hardware, seed=recipe.seed)
    say = Log(repository_root() / ".cct/logs", current_provenance().name)
    say(describe_platform(kind))
    from cct.models.build import build_model
    from cct.models.saving import load_model, save_model
    from cct.models.transfer import initialize_from
    from cct.training.batches import Split
    from cct.training.loop import train_model

    resolved, shape = resolve_architecture(architecture), tuple(meta["image_shape"])
    parts = {
        "model": resolved.model_dump(),
        "augment": augment.model_dump(),
        "train": recipe.model_dump(),
        "runtime": hardware.model_dump(),
        "data": meta,
        "versions": {name: kind[name] for name in ("backend", "backend_version", "keras")},
    }
    with CheckpointStore(repository_root() / ".cct/checkpoints", run_digest(parts, _files(recipe.init_from))) as saved:
        if saved.latest:
            done = saved.latest.content
            say(
                f"going on after epoch {done['epoch']} of {recipe.epochs}, step {done['step']}, from {saved.folder}\n"
                f"(to start over instead: rm -r '{saved.folder}')"
            )
            if kind not in saved.notes["kinds"]:
                print("this run began on another kind of machine, so its bits will be those of neither:")
                print(*platform_differences(saved.notes["kinds"][-1], kind), sep="\n")
        saved.notes["kinds"] = [*(k for k in saved.notes.get("kinds", []) if k != kind), kind]
        network = build_model(
            resolved, image_shape=shape, classes=len(meta["classes"]), mean=meta["mean"], std=meta["std"]
        )
        say(f"{architecture.name}: {network.count_params():,} parameters, {meta['images']['train']:,} images")
        if recipe.init_from and not saved.latest:
            kept = initialize_from(load_model(Path(recipe.init_from)), network, resolved, image_shape=shape)
            print(f"starting from {recipe.init_from}, {kept}")
        with MlflowTracker(
            stage="train",
            meta=meta,
            flavor=mlflow_model,
            run_id=saved.notes.get("mlflow_run"),
            on_open=lambda run_id: saved.notes.update(mlflow_run=run_id),
        ) as tracker:
            tracker.environment(machine_record(kind))
            if saved.latest:
                tracker.history(saved.latest.content["history"])
            with determinism_explained(hardware):
                history = train_model(
                    network,
                    Split(*read_split(folder, "train")),
                    Split(*read_split(folder, "val")),
                    recipe=recipe,
                    augment=augment,
                    jit_compile=jit_compile(hardware),
                    states=saved,
                    on_epoch=tracker.epoch,
                    say=say,
                )
            best = history[[row["best"] for row in history].index(1)]
            kept = best_accuracy(best)
            which = ", averaged weights" if kept > best["val_accuracy"] else ""
            say(f"kept epoch {best['epoch']}{which}: validation accuracy {kept:.4f}")
            path = Path("models/model.keras")
            save_model(network, path, origin={"trained_on": saved.notes["kinds"]})
            write_history(Path("reports/history.csv"), history)
            tracker.finals(best_metrics(history))
            tracker.model(path, meta, hardware.backend)
            tracker.artifact(Path("reports/history.csv"), "reports")
            # Last: it is by this tag that the next stages know a run whose training is whole.
            tracker.tags({"model_sha256": sha256_of_file(path)})
        saved.clear()


def _files(init_from: str | None) -> list[Path]:
    """Files that decide the result: the code that DVC is told this stage depends on, and the model it starts from."""
    dependencies = params.read_yaml(Path("dvc.yaml"))["stages"]["train"]["deps"]
    return [Path(d) for d in [*dependencies, init_from] if d and d.endswith((".py", ".keras"))]


if __name__ == "__main__":
    sys.exit(main())
