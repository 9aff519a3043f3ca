"""Train the model on `data/processed`."""

import sys
from pathlib import Path

from cct import data, machine, params, runtime, serving, states, tables, tracking, variants
from cct.errors import command
from cct.files import Log, digest, root, writable


@command
def main() -> None:
    architecture, augment, recipe, hardware = params.load(Path("params.yaml"), "model", "augment", "train", "runtime")
    writable(Path("models"), Path("reports"))
    folder, meta = Path("data/processed"), data.read_meta(Path("data/processed"))
    kind = runtime.configure(hardware, seed=recipe.seed)
    say = Log(root() / ".cct/logs", tracking.origin().name)
    say(runtime.describe(kind))
    from cct import checkpoint, model, training  # after configure: importing Keras chooses the backend

    resolved, shape = variants.resolve(architecture), tuple(meta["image_shape"])
    parts = {
        "model": resolved.model_dump(),
        "augment": augment.model_dump(),
        "train": recipe.model_dump(),
        "runtime": hardware.model_dump(),
        "data": meta,
        "versions": {name: kind[name] for name in ("backend", "backend_version", "keras")},
    }
    with states.States(root() / ".cct/states", states.fingerprint(parts, _files(recipe.init_from))) as saved:
        if saved.latest:
            done = saved.latest.content
            say(
                f"going on after epoch {done['epoch']} of {recipe.epochs}, step {done['step']}, from {saved.folder}\n"
                f"(to start over instead: rm -r '{saved.folder}')"
            )
            if kind not in saved.notes["kinds"]:
                print("this run began on another kind of machine, so its bits will be those of neither:")
                print(*machine.differences(saved.notes["kinds"][-1], kind), sep="\n")
        saved.notes["kinds"] = [*(k for k in saved.notes.get("kinds", []) if k != kind), kind]
        network = model.build(
            resolved, image_shape=shape, classes=len(meta["classes"]), mean=meta["mean"], std=meta["std"]
        )
        say(f"{architecture.name}: {network.count_params():,} parameters, {meta['images']['train']:,} pictures")
        if recipe.init_from and not saved.latest:
            kept = checkpoint.start_from(model.load(Path(recipe.init_from)), network, resolved, image_shape=shape)
            print(f"starting from {recipe.init_from}, {kept}")
        with tracking.Tracker(
            stage="train",
            meta=meta,
            flavor=serving,
            run_id=saved.notes.get("mlflow_run"),
            on_open=lambda run_id: saved.notes.update(mlflow_run=run_id),
        ) as tracker:
            tracker.environment(machine.record(kind))
            if saved.latest:
                tracker.history(saved.latest.content["history"])
            with runtime.determinism_explained(hardware):
                history = training.train(
                    network,
                    training.Split(*data.read_split(folder, "train")),
                    training.Split(*data.read_split(folder, "val")),
                    recipe=recipe,
                    augment=augment,
                    jit_compile=runtime.jit_compile(hardware),
                    states=saved,
                    on_epoch=tracker.epoch,
                    say=say,
                )
            best = history[[row["chosen"] for row in history].index(1)]
            kept = tables.kept_accuracy(best)
            which = ", averaged weights" if kept > best["val_accuracy"] else ""
            say(f"kept epoch {best['epoch']}{which}: validation accuracy {kept:.4f}")
            path = Path("models/model.keras")
            model.save(network, path, origin={"trained_on": saved.notes["kinds"]})
            tables.write_history(Path("reports/history.csv"), history)
            tracker.finals(tracking.best_metrics(history))
            tracker.model(path, meta, hardware.backend)
            tracker.artifact(Path("reports/history.csv"), "reports")
            # Last: it is by this tag that the next stages know a run whose training is whole.
            tracker.tags({"model_sha256": digest(path)})
        saved.clear()


def _files(init_from: str | None) -> list[Path]:
    """Files that decide the result: the code that DVC is told this stage depends on, and the model it starts from."""
    dependencies = params.read_yaml(Path("dvc.yaml"))["stages"]["train"]["deps"]
    return [Path(d) for d in [*dependencies, init_from] if d and d.endswith((".py", ".keras"))]


if __name__ == "__main__":
    sys.exit(main())
