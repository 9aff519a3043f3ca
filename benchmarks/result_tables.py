"""The tables of measured times, sizes and gains, each from its file in `benchmarks/results/`."""

from collections.abc import Mapping, Sequence
from typing import Any

from result_files import markdown_table

TITLES = {  # titles of `contender.AUGMENTATIONS`
    "default": "`params.yaml`: crop and flip",
    "randaugment": "crop, flip, RandAugment",
    "all": "resized crop, flip, RandAugment, erasing, MixUp, CutMix",
}


def steps(speed: Mapping[str, Any]) -> str:
    """A table of training steps against other projects for each kind of machine, from `speed.json`."""
    found = []
    for machine in speed["machines"].values():
        lines, rates = [], {}
        for row in machine["groups"]:
            rates.setdefault(row["precision"], []).append(row["matmul_gflops"])
            for title, (median, low, high) in row["ratio"].items():
                ours, other = (f"{row['images_per_second'][name]:,}" for name in ("ours", title))
                ratio = f"{median:.2f} ({low:.2f} to {high:.2f})"
                cells = [f"`{row['model']}`", f"`{row['precision']}`", str(row["batch"]), _turns(row)]
                lines.append([*cells, ours, title, other, ratio])
        columns = ["model", "precision", "batch", "turns", "images/s", "against", "images/s", "ratio"]
        versions = {
            name: number
            for row in machine["groups"]
            for own in row["versions"].values()
            for name, number in own.items()
        }
        pythons = " and ".join(dict.fromkeys(row["python"] for row in machine["groups"]))
        reached = " and ".join(f"{_range(rate)} in `{precision}`" for precision, rate in rates.items())
        found.append(
            f"Machine: {machine['cpu']} ({', '.join(machine['flags'])}). A matrix product of 2048³ reaches {reached} "
            f"GFLOP/s.\n\n{markdown_table(columns, lines)}\n\nVersions: Python {pythons}, "
            f"{', '.join(f'{name} {number}' for name, number in sorted(versions.items()))}."
        )
    return "\n\n".join(found)


def _turns(measured: Mapping[str, Any]) -> str:
    """How often something was measured. Results before this was stored have nothing."""
    return f"{measured['turns']} of {measured['steps']} steps" if "turns" in measured else ""


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def profile(measured: Mapping[str, Any]) -> str:
    """A table of the parts of a training step for each kind of machine, from `profile.json`."""
    found = []
    for cpu, machine in measured["machines"].items():
        precisions = machine["precisions"]
        rows = [["**a step, by `fit`**", *(f"**{one['fit']:.1f}**" for one in precisions.values())]]
        for group in ("pieces", "parts"):
            names = next(iter(precisions.values()))[group]
            rows += [[name, *(f"{one[group][name]:.1f}" for one in precisions.values())] for name in names]
            if group == "pieces":
                rows.append(["*each layer alone, forward and backward:*", *[""] * len(precisions)])
        rows.append(["**sum of the layers**", *(f"**{one['sum']:.1f}**" for one in precisions.values())])
        rates = (f"{one['arithmetic']:.1f} ({one['matmul_gflops']} GFLOP/s)" for one in precisions.values())
        gflop = next(iter(precisions.values()))["gflop"]
        rows.append([f"{gflop:g} GFLOP at the rate of a matrix product", *rates])
        table = markdown_table(["ms", *(f"`{precision}`" for precision in precisions)], rows)
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        found.append(f"`{machine['model']}`, batches of {machine['batch']}, {cpu}:\n\n{table}\n\nVersions: {versions}.")
    return "\n\n".join(found)


def growth(measured: Mapping[str, Any]) -> str:
    """A table of how the cost of a step grows, for each kind of machine, from `growth.json`."""
    found = []
    for cpu, machine in measured["machines"].items():
        series = machine["series"].values()
        others = list(next(iter(series))["rows"][0]["ratio"])
        titles = ["ours", *others]
        columns = ["batch", "pixels", "tokens", "layers", "turns", *(f"{title}, s" for title in titles)]
        columns += ["arithmetic, s", *(f"times {title}" for title in others)]
        columns += [f"{title}, GB" for title in titles]
        rows = []
        for one in series:
            for row in one["rows"]:
                cells = [f"{row['batch']}", f"{row['size']}", f"{row['tokens']:,}", f"{row['layers']}", _turns(one)]
                cells += [f"{row['seconds'][title]:.3g}" for title in titles]
                cells.append(f"{row['arithmetic']:.3g}")
                cells += [_ratio(row["ratio"][title]) for title in others]
                memory = (row["memory"][title] for title in titles)
                rows.append([*cells, *("" if held is None else f"{held / 1e9:.2g}" for held in memory)])
        rates = _range([one["matmul_gflops"] for one in series])
        found.append(
            f"`{machine['model']}` in `{machine['precision']}`, {cpu}. The arithmetic is at {rates} GFLOP/s, the rate "
            f"of a matrix product.\n\n{markdown_table(columns, rows)}"
        )
    return "\n\n".join(found)


def _ratio(spread: Sequence[float]) -> str:
    """The median, and the range where there was more than one turn."""
    middle, low, high = spread
    return f"{middle:.2f}" if low == high else f"{middle:.2f} ({low:.2f} to {high:.2f})"


def startup(measured: Mapping[str, Any]) -> str:
    """A table of what commands cost before they compute, for each kind of machine, from `startup.json`."""
    found = []
    for cpu, machine in measured["machines"].items():
        rows = [[title, "{:.1f} ({:.1f} to {:.1f})".format(*spread)] for title, spread in machine["seconds"].items()]
        found.append(f"{cpu}, median and range of {machine['turns']} turns:\n\n{markdown_table(['', 'seconds'], rows)}")
    return "\n\n".join(found)


def augmentation(speed: Mapping[str, Any]) -> str:
    """A table of augmentation's cost for each kind of machine, from `speed.json`."""
    return "\n\n".join(
        f"Machine: {machine['cpu']}{_of_turns(machine['augmentation'])}.\n\n"
        f"{_augmentation(machine['augmentation']['rows'])}"
        for machine in speed["machines"].values()
    )


def _of_turns(measured: Mapping[str, Any]) -> str:
    return f", turns: {turns}" if (turns := _turns(measured)) else ""


def _augmentation(measured: Sequence[Mapping[str, Any]]) -> str:
    rows = {(row["augmentation"], row["precision"]): row for row in measured}
    precisions = list(dict.fromkeys(precision for _, precision in rows))
    columns = ["augmentation", "ms a batch"]
    for precision in precisions:
        columns += [f"`{precision}`: share of a step", "`fit` takes"]
    lines = []
    for name in dict.fromkeys(name for name, _ in rows):
        found = [rows[name, precision] for precision in precisions]
        cells = [TITLES[name], f"{min(row['milliseconds_per_batch'] for row in found):.2g}"]
        for row in found:
            share, ratio = row["share"], row["fit_ratio"]
            cells += [
                f"{100 * share[0]:.2g} % ({100 * share[1]:.2g} to {100 * share[2]:.2g})",
                f"{ratio[0]:.2f} times as long ({ratio[1]:.2f} to {ratio[2]:.2f})",
            ]
        lines.append(cells)
    return markdown_table(columns, lines)


def gpu(measured: Mapping[str, Any]) -> str:
    """The table of training steps on a GPU, from `gpu.json`."""
    lines = []
    for row in measured["steps"]:
        ours, others = row["images_per_second"]["ours"], row["images_per_second"].get("vit-pytorch")
        against = ["", ""] if others is None else [f"{others:,}", f"{ours / others:.1f}"]
        lines.append([f"`{row['model']}`", f"`{row['precision']}`", str(row["batch"]), f"{ours:,}", *against])
    table = markdown_table(["model", "precision", "batch", "images/s, JAX", "images/s, vit-pytorch", "ratio"], lines)
    versions = ", ".join(f"{name} {measured['packages'][name]}" for name in ("jax", "keras", "torch", "vit-pytorch"))
    return f"{table}\n\nMachine: {', '.join(measured['gpus'])}, {measured['cores']} cores. Versions: {versions}."


def scale(measured: Mapping[str, Any]) -> str:
    """The table of what large sources of images cost, from `scale.json`."""
    columns = ["image", "images", "`preprocess`", "images/s", "memory", "input of an epoch", "examples/s", "memory"]
    lines = []
    for row in measured["rows"]:
        cells = [f"{row['size']}x{row['size']}", f"{row['images']:,}"]
        for job in ("preprocess", "epoch"):
            found = row[job]
            cells += [
                f"{found['seconds']:.3g} s",
                f"{found['examples'] / found['seconds']:,.0f}",
                f"{found['memory_mb']:,} MB",
            ]
        lines.append(cells)
    return markdown_table(columns, lines)


def fine_tuning(measured: Mapping[str, Any]) -> str:
    """The table of what fine-tuning gains on few images, from `fine_tuning.json`."""
    sizes = sorted({row["images"] for row in measured["rows"]})
    lines = []
    for variant in dict.fromkeys(row["variant"] for row in measured["rows"]):
        rows = {row["images"]: row for row in measured["rows"] if row["variant"] == variant}
        cells = [f"{_percent(rows[n]['accuracy'])}{_gain(rows[n]['gain'])}" if n in rows else "" for n in sizes]
        lines.append([variant, *cells])
    return markdown_table(["test accuracy, %", *(f"{n} images a class" for n in sizes)], lines)


def _percent(spread: Mapping[str, float | None], sign: str = "") -> str:
    sd = "" if spread["sd"] is None else f" ± {100 * spread['sd']:.1f}"
    return f"{100 * spread['mean']:{sign}.1f}{sd}"


def _gain(spread: Mapping[str, float | None]) -> str:
    """A gain in points; empty for that of random weights over themselves."""
    return f" ({_percent(spread, '+')})" if spread["mean"] or spread["sd"] else ""


def serving(measured: Mapping[str, Any]) -> str:
    """The tables of `cct serve` against MLflow's server and of many requests, from `serving.json`."""
    columns = ["clients", "server", "requests/s", "median", "99th percentile", "processor time of a request"]
    lines = []
    for row in measured["speed"]:
        for name, title in (("cct", "`cct serve`"), ("mlflow", "`mlflow models serve`")):
            found = row[name]
            times = (f"{found[key]:,.3g} ms" for key in ("p50_ms", "p99_ms", "cpu_ms"))
            lines.append([str(row["clients"]), title, f"{found['requests_per_second']:,.0f}", *times])
    ratios = " and ".join(
        f"{row['ratio'][0]:.1f} ({row['ratio'][1]:.1f} to {row['ratio'][2]:.1f}) with {row['clients']}"
        for row in measured["speed"]
    )
    long = measured["endurance"]
    memory = ", ".join(f"{value:.0f} MB {name}" for name, value in long["memory_mb"].items())
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    return (
        f"{markdown_table(columns, lines)}\n\n"
        "`cct serve` answers more requests a second, by these factors (median and range of the turns): "
        f"{ratios} clients.\n\n"
        f"Then 16 clients sent {long['requests']:,} requests, {long['malformed']:,} of them malformed. Wrong answers: "
        f"{long['wrong']}. The largest difference from `predict` is {long['largest_difference']:.1g}. "
        f"Memory: {memory}.\n\n"
        f"Machine: {measured['cpu']}. Versions: Python {measured['python']}, {versions}."
    )


def inference(measured: Mapping[str, Any]) -> str:
    """The table of models in Keras, ONNX Runtime, LiteRT and PyTorch, from `inference.json`."""
    columns = ["model", "batch", *("Keras", "ONNX Runtime", "LiteRT", "vit-pytorch")]
    lines = []
    for model, batches in measured["models"].items():
        for batch, found in batches.items():
            cells = [f"{found['keras']['images_per_second']:,.0f}"]
            for name in ("onnx", "litert", "vit-pytorch"):
                if name not in found:
                    cells.append("")
                    continue
                middle, least, most = found[name]["times_keras"]
                cells.append(f"{found[name]['images_per_second']:,.0f} ({middle:.1f}, {least:.1f} to {most:.1f})")
            lines.append([model if model == "demo" else f"`{model}`", batch, *cells])
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    return (
        f"{markdown_table(columns, lines)}\n\nImages a second; in brackets the ratio to Keras, median and range of "
        f"{measured['turns']} turns. Machine: {measured['cpu']}. Versions: Python {measured['python']}, {versions}."
    )
