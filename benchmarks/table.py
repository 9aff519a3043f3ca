"""Makes the tables and figures of README and docs from `benchmarks/results/*.json`, for `make results`.

    python benchmarks/table.py [--check]

`record.py` and `record_gpu.py` write accuracies. Older ones were written by hand, and their notes say so. `speed.py`
writes `speed.json`, `step_profile.py` writes `profile.json`, `fine_tuning.py` writes `fine_tuning.json`, `serving.py`
writes `serving.json`, `inference.py` writes `inference.json`, `text.py` writes `trec.json`, `text_steps.py` writes
`text_steps.json`, `growth.py` writes `growth.json`, `startup.py` writes `startup.json`, `scale.py` writes `scale.json`,
and `record_gpu.py` writes `gpu.json`. `ablation.json` is a copy of the file that `make ablate` leaves in
`reports/ablation/`.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from speed import widest

from cct.entry import entry_point
from cct.errors import CCTError
from cct.evaluation.figures.style import BLUE, GREY, ORANGE, WIDTH, save_figure, styled
from cct.experiments.ablation.figure import plot_ablation
from cct.experiments.ablation.table import ablation_table
from cct.markers import fill_markers
from cct.params import Section, parse

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HERE = Path(__file__).parent
ROOT, RESULTS = HERE.parent, HERE / "results"
IMAGES = ROOT / "docs/images"
# The tables of each page, by the names in its markers.
PAGES = {
    "README.md": ("results",),
    "docs/results.md": ("results", "commands"),
    "docs/ablation.md": ("ablation",),
    "docs/speed.md": ("steps", "profile", "growth", "startup", "augmentation"),
    "docs/data.md": ("scale",),
    "docs/gpu.md": ("gpu",),
    "docs/fine-tuning.md": ("fine-tuning",),
    "docs/serve.md": ("serving",),
    "docs/export.md": ("inference",),
    "docs/text.md": ("texts", "text-ablation", "text-steps"),
}
DRAWN = "CIFAR-10, JPEG copy"  # the data set in the figure of results
# Published accuracies on the original images, which are one to three points higher than those on the copy.
PUBLISHED_POINTS = [
    (30, 80.0, "the paper: 80 % of the original images\nin less than 30 minutes, 12 cores of an AMD 5900X")
]
PUBLISHED_LINES = {":": (77.61, "the Keras example as published, original images")}  # by the style of the line
COLUMNS = (
    "data", "model", "parameters", "epochs", "test accuracy", "time an epoch", "examples/s", "machine",
)  # fmt: skip
TITLES = {  # titles of `contender.AUGMENTATIONS`
    "default": "`params.yaml`: crop and flip",
    "randaugment": "crop, flip, RandAugment",
    "all": "resized crop, flip, RandAugment, erasing, MixUp, CutMix",
}


class Data(Section):
    """The data set of training and test."""

    title: str = Field(description="for people")
    name: str = Field(description="as in meta.json")
    digest: str | None = Field(description="of the arrays")
    images: dict[Literal["train", "val", "test"], int] = Field(description="of each split")


class Accuracy(Section):
    """Accuracy over the seeds."""

    mean: float = Field(ge=0, le=1)
    sd: float | None = Field(ge=0, le=1, description="of the sample; null of one seed")


class Run(Section):
    """The run of one seed. Unknown values are null."""

    experiment: str | None
    seed: int
    epochs: int
    accuracy: float = Field(ge=0, le=1)
    accuracy_low: float | None = Field(ge=0, le=1)
    accuracy_high: float | None = Field(ge=0, le=1)
    top_5_accuracy: float | None = Field(ge=0, le=1)
    # These two are newer than the first results.
    balanced_accuracy: float | None = Field(None, ge=0, le=1)
    macro_f1: float | None = Field(None, ge=0, le=1)
    loss: float | None
    calibration_error: float | None
    val_accuracy: float | None = Field(ge=0, le=1)
    best_epoch: int | None
    seconds: float | None = Field(description="of the training")


class Machine(Section):
    """The machine of a training."""

    cpu: str | None
    cores: int | None
    kind: dict[str, Any] | None = Field(description="as cct.runtime.backend.configure_backend returns it")


class Result(Section):
    """A file in `benchmarks/results/` of the kind "accuracy"."""

    kind: Literal["accuracy"]
    title: str
    data: Data
    recipe: str | None = Field(description="command, without data and seed")
    command: str | None = Field(description="all of it")
    commit: str | None = Field(description="that it is run on")
    changed_code: list[str] | None = Field(description="files that were not as in that commit")
    parameters: dict[str, Any] = Field(description="that differ from those of the commit")
    model_parameters: int
    epochs: int
    accuracy: Accuracy
    confidence: float = Field(gt=0, lt=1, description="of the interval of each run")
    runs: list[Run] = Field(min_length=1)
    seconds_per_epoch: float | None = Field(description="median, validation included")
    images_per_second: float | None = Field(description="training images in that time")
    pipeline_seconds: float | None = Field(None, description="of all stages, where the epoch's are not known")
    machines: list[Machine] = Field(min_length=1)
    versions: dict[str, str]
    note: str | None


def read(folder: Path) -> list[Result]:
    """Results of the kind "accuracy", in the order of the table: by data, then by accuracy.

    Raises:
        CCTError: a file is not valid.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CCTError(f"{path} is not JSON: {error}") from error
        if content.get("kind") == "accuracy":
            found.append(parse(Result, content, where=path))
    return sorted(found, key=lambda result: (result.data.title, result.accuracy.mean))


def markdown(results: Sequence[Result], trec: Mapping[str, Any] | None = None) -> str:
    """The table of results, with those of models of texts from `trec.json`."""
    cases = [] if trec is None else [case for case in trec["cases"].values() if not case["change"]]
    return _table(COLUMNS, [*map(_cells, results), *(_text_cells(case, trec) for case in cases)])


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown. A column without any cell is left out."""
    escaped = [[cell.replace("|", "\\|") for cell in cells] for cells in rows]
    filled = [place for place in range(len(columns)) if any(cells[place] for cells in escaped)]
    lines = (columns, ["---"] * len(columns), *escaped)
    return "\n".join(f"| {' | '.join(cells[place] for place in filled)} |" for cells in lines)


def _cells(result: Result) -> list[str]:
    seeds, first = len(result.runs), result.runs[0]
    accuracy = _accuracy(result.accuracy.mean, result.accuracy.sd, seeds=seeds)
    if seeds == 1 and (interval := _interval(first)):
        accuracy += f" ({100 * interval[0]:.2f} to {100 * interval[1]:.2f})"
    if result.seconds_per_epoch is not None:
        time = f"{result.seconds_per_epoch:.3g} s"
    elif result.pipeline_seconds is not None:
        time = f"({result.pipeline_seconds:,.0f} s, the whole pipeline)"
    else:
        time = ""
    return [
        result.data.title,
        result.title,
        f"{result.model_parameters:,}",
        f"{result.epochs:,}",
        accuracy,
        time,
        "" if result.images_per_second is None else f"{result.images_per_second:,.0f}",
        " and ".join(dict.fromkeys(map(_place, result.machines))),
    ]


def _interval(run: Run) -> tuple[float, float] | None:
    """The interval of a run's accuracy. Results written by hand may lack it."""
    known = run.accuracy_low is not None and run.accuracy_high is not None
    return (run.accuracy_low, run.accuracy_high) if known else None


def _accuracy(mean: float, sd: float | None, *, seeds: int) -> str:
    return f"{100 * mean:.2f} %" if sd is None else f"{100 * mean:.2f} ± {100 * sd:.2f} % ({seeds} seeds)"


def _text_cells(case: Mapping[str, Any], trec: Mapping[str, Any]) -> list[str]:
    case = {"epochs": trec["epochs"], "machine": trec["machine"]} | case  # older files have them once, for all cases
    seconds = statistics.median(run["seconds"] / case["epochs"] for run in case["runs"])
    speed = statistics.median(run["texts_per_second"] for run in case["runs"])
    return [
        "TREC, 6 classes of questions",
        f"`{case['model']}`, recipe `text`{' with GloVe' if case['embeddings'] else ''}",
        f"{case['runs'][0]['parameters']:,}",
        f"{case['epochs']}",
        _accuracy(case["mean"], case["std"], seeds=len(case["runs"])),
        f"{seconds:.3g} s",
        f"{speed:,.0f}",
        case["machine"],
    ]


def _place(machine: Machine) -> str:
    kind = machine.kind or {}
    if kind.get("gpus"):
        return ", ".join(kind["gpus"])
    instructions = f" ({widest(kind['cpu_flags'])})" if "cpu_flags" in kind else ""
    return f"{machine.cores or '?'} cores of {machine.cpu or 'an unknown CPU'}{instructions}"


def commands(results: Sequence[Result]) -> str:
    """The command of every result that has one, without data and seed."""
    return "\n".join(
        f"- {result.title}, {result.epochs:,} epochs: `{result.recipe}`" for result in results if result.recipe
    )


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
            f"GFLOP/s.\n\n{_table(columns, lines)}\n\nVersions: Python {pythons}, "
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
        table = _table(["ms", *(f"`{precision}`" for precision in precisions)], rows)
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
            f"of a matrix product.\n\n{_table(columns, rows)}"
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
        found.append(f"{cpu}, median and range of {machine['turns']} turns:\n\n{_table(['', 'seconds'], rows)}")
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
    return _table(columns, lines)


def gpu(measured: Mapping[str, Any]) -> str:
    """The table of training steps on a GPU, from `gpu.json`."""
    lines = []
    for row in measured["steps"]:
        ours, others = row["images_per_second"]["ours"], row["images_per_second"].get("vit-pytorch")
        against = ["", ""] if others is None else [f"{others:,}", f"{ours / others:.1f}"]
        lines.append([f"`{row['model']}`", f"`{row['precision']}`", str(row["batch"]), f"{ours:,}", *against])
    table = _table(["model", "precision", "batch", "images/s, JAX", "images/s, vit-pytorch", "ratio"], lines)
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
    return _table(columns, lines)


def fine_tuning(measured: Mapping[str, Any]) -> str:
    """The table of what fine-tuning gains on few images, from `fine_tuning.json`."""
    sizes = sorted({row["images"] for row in measured["rows"]})
    lines = []
    for variant in dict.fromkeys(row["variant"] for row in measured["rows"]):
        rows = {row["images"]: row for row in measured["rows"] if row["variant"] == variant}
        cells = [f"{_percent(rows[n]['accuracy'])}{_gain(rows[n]['gain'])}" if n in rows else "" for n in sizes]
        lines.append([variant, *cells])
    return _table(["test accuracy, %", *(f"{n} images a class" for n in sizes)], lines)


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
        f"{_table(columns, lines)}\n\n"
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
        f"{_table(columns, lines)}\n\nImages a second; in brackets the ratio to Keras, median and range of "
        f"{measured['turns']} turns. Machine: {measured['cpu']}. Versions: Python {measured['python']}, {versions}."
    )


def texts(measured: Mapping[str, Any]) -> str:
    """The table of models of texts on TREC's questions, from `trec.json`."""
    lines = []
    for case in measured["cases"].values():
        if not case["change"]:
            vectors = "GloVe" if case["embeddings"] else "learned"
            lines.append([f"`{case['model']}`", vectors, f"{case['runs'][0]['parameters']:,}", _seeds(case)])
    columns = ["model", "vectors of words", "parameters", "test accuracy, %"]
    versions = ", ".join(f"{name} {version}" for name, version in measured["packages"].items())
    machines = dict.fromkeys(case.get("machine", measured["machine"]) for case in measured["cases"].values())
    return f"{_table(columns, lines)}\n\nMachine: {' and '.join(machines)}. Versions: {versions}."


def text_ablation(measured: Mapping[str, Any]) -> str:
    """The table of one change each to a model of texts, from `trec.json`. Seeds are paired with those of the base."""
    lines = []
    bases = {_base_of(case): _by_seed(case) for case in measured["cases"].values() if not case["change"]}
    for case in measured["cases"].values():
        base, found = bases.get(_base_of(case), {}), _by_seed(case)
        gains = [100 * (found[seed] - base[seed]) for seed in found if seed in base]
        if not case["change"] or not gains:
            continue
        error = f" ± {statistics.stdev(gains) / len(gains) ** 0.5:.1f}" if len(gains) > 1 else ""
        each = ", ".join(f"{gain:+.1f}" for gain in gains)
        lines.append([f"`{case['change']}`", _seeds(case), f"{statistics.fmean(gains):+.1f}{error}", each])
    columns = ["change", "test accuracy, %", "difference, points (± its standard error)", "of each seed"]
    return _table(columns, lines)


def _base_of(case: Mapping[str, Any]) -> tuple[str, str | None]:
    """The model and the vectors that a case shares with the one without a change."""
    return case["model"], (case["embeddings"] or {}).get("sha256")


def _by_seed(case: Mapping[str, Any]) -> dict[int, float]:
    return {run["seed"]: run["test_accuracy"] for run in case["runs"]}


def _seeds(case: Mapping[str, Any]) -> str:
    count = len(case["runs"])
    sd = "" if case["std"] is None else f" ± {100 * case['std']:.1f}"
    return f"{100 * case['mean']:.1f}{sd} ({count} seed{'s' * (count > 1)})"


def text_steps(measured: Mapping[str, Any]) -> str:
    """The sentence on training steps with texts, from `text_steps.json`."""
    ours, plain = (measured["texts_per_second"][name] for name in ("ours", "plain Keras"))
    middle, least, most = measured["ratio"]
    return (
        f"`{measured['model']}` trains on {ours:,} texts of {measured['length']} words a second, a plain Keras model "
        f"of the same widths on {plain:,}: {middle:.2f} times ({least:.2f} to {most:.2f} in turns). Batches of "
        f"{measured['batch']}, {measured['vocabulary']:,} words, AdamW. Machine: {measured['cpu']}."
    )


def tables(folder: Path) -> dict[str, str]:
    """Every table by its name.

    Raises:
        CCTError: a file is not valid.
    """
    _, _, compared = ablation_table(_content(folder / "ablation.json")).partition("\n\n")  # without its heading
    return {
        "results": markdown(read(folder), _content(folder / "trec.json")),
        "commands": commands(read(folder)),
        "ablation": compared.rstrip(),
        "steps": steps(_content(folder / "speed.json")),
        "profile": profile(_content(folder / "profile.json")),
        "startup": startup(_content(folder / "startup.json")),
        "growth": growth(_content(folder / "growth.json")),
        "augmentation": augmentation(_content(folder / "speed.json")),
        "gpu": gpu(_content(folder / "gpu.json")),
        "serving": serving(_content(folder / "serving.json")),
        "inference": inference(_content(folder / "inference.json")),
        "texts": texts(_content(folder / "trec.json")),
        "text-ablation": text_ablation(_content(folder / "trec.json")),
        "text-steps": text_steps(_content(folder / "text_steps.json")),
        "scale": scale(_content(folder / "scale.json")),
        "fine-tuning": fine_tuning(_content(folder / "fine_tuning.json")),
    }


def _content(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


@styled
def plot_results(results: Sequence[Result]) -> "Figure":
    """The test accuracies of one data set, with the interval of a single run or the deviation of several."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 0.9 + 0.42 * len(results)), layout="constrained")
    axes = figure.subplots()
    for row, result in enumerate(results):
        first, mean = result.runs[0], 100 * result.accuracy.mean
        if len(result.runs) > 1:
            error = [[100 * result.accuracy.sd], [100 * result.accuracy.sd]]
        elif interval := _interval(first):
            error = [[mean - 100 * interval[0]], [100 * interval[1] - mean]]
        else:
            error = None
        colour = GREY if result.recipe is None else BLUE
        axes.errorbar(mean, row, xerr=error, fmt="o", color=colour, capsize=3)
        axes.annotate(f"{mean:.2f} %", (mean, row), (0, 6), textcoords="offset points", ha="center", fontsize=9)
    names = [f"{result.title.replace('`', '')}, {result.epochs} epochs" for result in results]
    axes.set_yticks(range(len(results)), names)
    axes.set_ylim(-0.5, len(results) - 0.3)
    axes.set_xlabel(f"test accuracy, % ({results[0].data.title})")
    axes.grid(axis="y", visible=False)
    return figure


@styled
def plot_minutes(results: Sequence[Result]) -> "Figure":
    """The test accuracies of one data set against the minutes of the training, with the published points."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axes = figure.subplots()
    for places, (accuracy, text) in PUBLISHED_LINES.items():
        axes.axhline(accuracy, color=GREY, linestyle=places, linewidth=1)
        axes.annotate(text, (1, accuracy), (-4, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
                      ha="right", fontsize=8, color=GREY)  # fmt: skip
    for minutes, accuracy, text in PUBLISHED_POINTS:
        axes.plot(minutes, accuracy, "<", color=GREY)
        axes.annotate(
            text, (minutes, accuracy), (-8, -3), textcoords="offset points", ha="right", fontsize=8, color=GREY
        )
    timed = [(minutes, result) for result in results if (minutes := _minutes(result)) is not None]
    for minutes, result in timed:
        accuracy = 100 * result.accuracy.mean
        place = _place(result.machines[0]).partition(" (")[0]
        on_gpu = any((machine.kind or {}).get("gpus") for machine in result.machines)
        axes.plot(minutes, accuracy, "o", color=ORANGE if on_gpu else BLUE, label=place)
    handles, places = axes.get_legend_handles_labels()
    by_place = dict(zip(places, handles, strict=True))
    axes.legend(by_place.values(), by_place.keys(), loc="lower left")
    axes.set_xscale("log")
    axes.set_xlim(0.8, 800)
    ticks = (1, 2, 5, 10, 20, 50, 100, 200, 500)
    axes.set_xticks(ticks, [f"{tick}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("minutes of training")
    axes.set_ylabel(f"test accuracy, % ({results[0].data.title})")
    _label_points(axes, [(result.title.replace("`", ""), (m, 100 * result.accuracy.mean)) for m, result in timed])
    return figure


# Where the title of a point may stand: its offset in points of 1/72 inch, and its alignment. The first that is free.
LABEL_PLACES = (
    ((6, 0), "left", "center"),
    ((0, 6), "center", "bottom"),
    ((0, -6), "center", "top"),
    ((-6, 0), "right", "center"),
)


def _label_points(axes: "Axes", titled: Sequence[tuple[str, tuple[float, float]]]) -> None:
    """Write the title of each point beside it, inside the axes, where it covers no other text and no point."""
    axes.figure.draw_without_rendering()  # sets the places of all that is there
    frame, points = axes.get_window_extent(), [axes.transData.transform(point) for _, point in titled]
    taken = [text.get_window_extent() for text in axes.texts] + [axes.get_legend().get_window_extent()]
    for title, point in titled:
        for offset, horizontal, vertical in LABEL_PLACES:
            style = {"ha": horizontal, "va": vertical, "fontsize": 8}
            label = axes.annotate(title, point, offset, textcoords="offset points", **style)
            extent = label.get_window_extent()
            inside = frame.x0 <= extent.x0 and extent.x1 <= frame.x1
            if inside and not any(map(extent.overlaps, taken)) and not any(extent.contains(*one) for one in points):
                break
            label.remove()
        else:
            raise CCTError(f"there is no free place for the title {title!r}: make the figure larger")
        taken.append(extent)


def _minutes(result: Result) -> float | None:
    known = [run.seconds for run in result.runs if run.seconds is not None]
    if known:
        return statistics.fmean(known) / 60
    if result.seconds_per_epoch is not None:
        return result.epochs * result.seconds_per_epoch / 60
    return None if result.pipeline_seconds is None else result.pipeline_seconds / 60


def pages(folder: Path) -> dict[Path, str]:
    """The text of each page with its tables."""
    made = tables(folder)
    return {
        ROOT / path: fill_markers(ROOT / path, {name: made[name] for name in names}) for path, names in PAGES.items()
    }


@entry_point
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if a table is not up to date")
    arguments = parser.parse_args()
    made = pages(RESULTS)
    if arguments.check:
        stale = [str(path.relative_to(ROOT)) for path, text in made.items() if path.read_text("utf-8") != text]
        if stale:
            raise CCTError(f"the tables in {', '.join(stale)} are not up to date: run make results")
        return 0
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    drawn = [result for result in read(RESULTS) if result.data.title == DRAWN]
    save_figure(plot_results(drawn), IMAGES / "results.png", dpi=100)
    save_figure(plot_minutes(drawn), IMAGES / "minutes.png", dpi=100)
    save_figure(plot_ablation(_content(RESULTS / "ablation.json")), IMAGES / "ablation.png", dpi=100)
    return 0


if __name__ == "__main__":
    sys.exit(main())
