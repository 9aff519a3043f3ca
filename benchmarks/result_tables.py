"""The tables of measured times, sizes and gains, each from its file in `benchmarks/results/`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inference import models_of
from result_files import markdown_table

TITLES = {  # titles of `contender.AUGMENTATIONS`
    "default": "`params.yaml`: crop and flip",
    "randaugment": "crop, flip, RandAugment",
    "all": "resized crop, flip, RandAugment, erasing, MixUp, CutMix",
}


def steps(speed: Mapping[str, Any]) -> str:
    """A table of training steps against other projects for each kind of machine, from `speed.json`."""
    found = []
    for machine in (one for one in speed["machines"].values() if "groups" in one):  # not augmentation alone
        lines, rates = [], {}
        for row in machine["groups"]:
            rates.setdefault(row["precision"], []).append(row["matmul_gflops"])
            for title, (median, low, high) in row["ratio"].items():
                ours, other = (f"{row['images_per_second'][name]:,}" for name in ("ours", title))
                ratio = f"{median:.2f} ({low:.2f} to {high:.2f})"
                cells = [f"`{row['model']}`", f"`{row['precision']}`", str(row["batch"]), _turns(row)]
                lines.append([*cells, ours, title, other, ratio])
        columns = ["model", "precision", "batch", "turns", "images/s", "against", "images/s", "ratio"]
        versions = _versions(own for row in machine["groups"] for own in row["versions"].values())
        notes = dict.fromkeys(row["note"] for row in machine["groups"] if "note" in row)
        pythons = " and ".join(dict.fromkeys(row["python"] for row in machine["groups"]))
        reached = " and ".join(f"{_range(rate)} in `{precision}`" for precision, rate in rates.items())
        found += [
            f"Machine: {machine['cpu']} ({', '.join(machine['flags'])}). A matrix product of 2048³ reaches {reached} "
            "GFLOP/s.",
            markdown_table(columns, lines),
            *notes,
            f"Versions: Python {pythons}, {versions}.",
        ]
    return "\n\n".join(found)


def _versions(found: Iterable[Mapping[str, str]]) -> str:
    """The versions of packages in several measurements. Where they differ, all are named."""
    numbers: dict[str, dict[str, None]] = {}
    for name, number in (item for versions in found for item in versions.items()):
        numbers.setdefault(name, {})[number] = None
    return ", ".join(f"{name} {' and '.join(each)}" for name, each in sorted(numbers.items()))


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
        turns = f", {machine['turns']} turns" if "turns" in machine else ""
        heading = f"`{machine['model']}`, batches of {machine['batch']}{turns}, {cpu}:"
        found.append(f"{heading}\n\n{table}\n\nVersions: {versions}.")
    return "\n\n".join(found)


def growth(measured: Mapping[str, Any]) -> str:
    """A table of how the cost of a step grows, for each kind of machine, from `growth.json`."""
    found = []
    for cpu, machine in measured["machines"].items():
        series = machine["series"].values()
        # Series that were measured without PyTorch have fewer contenders.
        others = list(dict.fromkeys(title for one in series for row in one["rows"] for title in row["ratio"]))
        titles = ["ours", *others]
        columns = ["batch", "pixels", "tokens", "layers", "turns", *(f"{title}, s" for title in titles)]
        columns += ["arithmetic, s", *(f"times {title}" for title in others)]
        columns += [f"{title}, GB" for title in titles]
        rows = []
        for one in series:
            for row in one["rows"]:
                cells = [f"{row['batch']}", f"{row['size']}", f"{row['tokens']:,}", f"{row['layers']}", _turns(one)]
                cells += [f"{row['seconds'][title]:.3g}" if title in row["seconds"] else "" for title in titles]
                cells.append(f"{row['arithmetic']:.3g}")
                cells += [_ratio(row["ratio"][title]) if title in row["ratio"] else "" for title in others]
                memory = (row["memory"].get(title) for title in titles)
                rows.append([*cells, *("" if held is None else f"{held / 1e9:.2g}" for held in memory)])
        rates = _range([one["matmul_gflops"] for one in series])
        found.append(
            f"`{machine['model']}` in `{machine['precision']}`, {cpu}. The arithmetic is at {rates} GFLOP/s, the rate "
            f"of a matrix product.\n\n{markdown_table(columns, rows)}"
        )
    return "\n\n".join(found)


def _ratio(spread: Sequence[float], *, digits: int = 2) -> str:
    """The median, and the range where there was more than one turn."""
    middle, low, high = (f"{value:.{digits}f}" for value in spread)
    return middle if spread[1] == spread[2] else f"{middle} ({low} to {high})"


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
        if "augmentation" in machine
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
    """The table of training steps on a GPU, from `gpu.json`. Older files have one turn of PyTorch's eager form."""
    lines = []
    for row in measured["steps"]:
        ours, others = row["images_per_second"]["ours"], {**row["images_per_second"]}
        del others["ours"]
        precision = f"`{row['precision']}`{' (TF32)' if row.get('tf32') else ''}"
        turns = f"{row['turns']} of {row['turn_seconds']:g} s" if "turns" in row else ""
        cells = [f"`{row['model']}`", precision, str(row["batch"]), turns, f"{ours:,}"]
        for title, speed in others.items():
            ratio = _ratio(row["ratio"][title]) if "ratio" in row else f"{ours / speed:.1f}"
            lines.append([*cells, title, f"{speed:,}", ratio])
        if not others:
            lines.append([*cells, "", "", ""])
    columns = ["model", "precision", "batch", "turns", "images/s, JAX", "against", "images/s", "ratio"]
    named = {name: measured["packages"].get(name) for name in ("jax", "keras", "torch", "vit-pytorch")}
    found = [own for row in measured["steps"] for own in row.get("versions", {}).values()]
    versions = _versions(found or [{name: number for name, number in named.items() if number}])
    notes = "".join(f" {note}." for note in measured.get("steps_notes", []))
    machine = f"Machine: {', '.join(measured['gpus'])}, {measured['cores']} cores. Versions: {versions}."
    return f"{markdown_table(columns, lines)}\n\n{machine}{notes}"


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


SERVERS = {"cct": "`cct serve`", "cct_keras": "`cct serve`", "mlflow": "`mlflow models serve`"}


def serving(measured: Mapping[str, Any]) -> str:
    """The tables of `cct serve` against MLflow's server and of many requests, from `serving.json`."""
    # Older files have the runtime of cct serve once. MLflow's server has always had the .keras file alone.
    runtimes = {"cct": measured.get("runtime", ""), "mlflow": "Keras"}
    columns = ["clients", "server", "runtime", "requests/s", "median", "99th percentile"]
    columns.append("processor time of a request")
    lines, ratios = [], {}
    for row in measured["speed"]:
        for name in (name for name in SERVERS if name in row):
            found = row[name]
            runtime = found.get("runtime", runtimes.get(name, ""))
            times = (f"{found[key]:,.3g} ms" for key in ("p50_ms", "p99_ms", "cpu_ms"))
            speed = f"{found['requests_per_second']:,.0f}"
            lines.append([str(row["clients"]), SERVERS[name], runtime, speed, *times])
            if ratio := row.get("ratios", {"cct": row.get("ratio")}).get(name):
                ratios.setdefault(runtime, []).append(f"{_ratio(ratio, digits=1)} with {row['clients']}")
    factors = "\n".join(f"- {runtime}: {' and '.join(each)} clients" for runtime, each in ratios.items())
    long = measured["endurance"]
    memory = ", ".join(f"{value:.0f} MB {name}" for name, value in long["memory_mb"].items())
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    return (
        f"{markdown_table(columns, lines)}\n\n"
        "Requests a second of `cct serve` as a multiple of those of MLflow's server, median and range of the turns:\n\n"
        f"{factors}\n\n"
        f"Then 16 clients sent {long['requests']:,} requests, {long['malformed']:,} of them malformed. Wrong answers: "
        f"{long['wrong']}. The largest difference from `predict` is {long['largest_difference']:.1g}. "
        f"Memory: {memory}.\n\n"
        f"Machine: {measured['cpu']}. Versions: Python {measured['python']}, {versions}."
    )


def inference(measured: Mapping[str, Any]) -> str:
    """A table of models in Keras, ONNX Runtime, LiteRT and PyTorch for each kind of conditions, `inference.json`."""
    groups: dict[str, list[list[str]]] = {}
    for model, found in models_of(measured).items():
        versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
        conditions = f"{found['turns']} turns. Machine: {found['cpu']}. Versions: Python {found['python']}, {versions}."
        lines = groups.setdefault(conditions, [])
        for batch, row in found["batches"].items():
            cells = [f"{row['keras']['images_per_second']:,.0f}"]
            for name in ("onnx", "litert", "vit-pytorch"):
                if name not in row:
                    cells.append("")
                    continue
                middle, low, high = row[name]["times_keras"]
                cells.append(f"{row[name]['images_per_second']:,.0f} ({middle:.1f}, {low:.1f} to {high:.1f})")
            lines.append([model if model == "demo" else f"`{model}`", batch, *cells])
    columns = ["model", "batch", "Keras", "ONNX Runtime", "LiteRT", "vit-pytorch"]
    said = "Images a second; in brackets the ratio to Keras, median and range of"
    return "\n\n".join(f"{markdown_table(columns, lines)}\n\n{said} {each}" for each, lines in groups.items())
