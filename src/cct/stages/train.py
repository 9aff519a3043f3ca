"""Train the model on `data/processed`."""

import sys
from pathlib import Path

from cct import data, params, runtime, serving, tables, tracking, variants
from cct.errors import command, writable


@command
def main() -> None:
    architecture, augment, recipe, hardware = params.load(Path("params.yaml"), "model", "augment", "train", "runtime")
    writable(Path("models"), Path("reports"))
    folder, meta = Path("data/processed"), data.read_meta(Path("data/processed"))
    print(runtime.configure(hardware, seed=recipe.seed))
    from cct import checkpoint, model, training  # after configure: importing Keras chooses the backend

    resolved, shape = variants.resolve(architecture), tuple(meta["image_shape"])
    network = model.build(
        resolved,
        image_shape=shape,
        classes=len(meta["classes"]),
        mean=meta["mean"],
        std=meta["std"],
    )
    print(f"{architecture.name}: {network.count_params():,} parameters, {meta['images']['train']:,} pictures")
    if recipe.init_from:
        kept = checkpoint.start_from(model.load(Path(recipe.init_from)), network, resolved, image_shape=shape)
        print(f"starting from {recipe.init_from}, {kept}")
    with tracking.Tracker(stage="train", meta=meta) as tracker:
        history = training.train(
            network,
            training.Split(*data.read_split(folder, "train")),
            training.Split(*data.read_split(folder, "val")),
            recipe=recipe,
            augment=augment,
            jit_compile=runtime.jit_compile(hardware),
            on_epoch=lambda row: tracker.metrics(tracking.epoch_metrics(row), step=row["epoch"]),
        )
        best = history[[row["chosen"] for row in history].index(1)]
        print(f"kept epoch {best['epoch']}: validation accuracy {best['val_accuracy']:.4f}")
        path = Path("models/model.keras")
        model.save(network, path)
        tables.write_history(Path("reports/history.csv"), history)
        tracker.metrics({"best/epoch": best["epoch"], "best/val_accuracy": best["val_accuracy"]})
        tracker.model(
            serving, model_file=path, classes=meta["classes"], image_shape=meta["image_shape"], backend=hardware.backend
        )
        tracker.artifact(Path("reports/history.csv"), "reports")
        # Last: it is by this tag that the next stages know a run whose training is whole.
        tracker.tags({"model_sha256": tracking.digest(path)})


if __name__ == "__main__":
    sys.exit(main())
