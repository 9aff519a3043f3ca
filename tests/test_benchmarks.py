"""Recorded results: written from experiments, checked, and shown in the README."""

import json
import sys

import mlflow
import numpy as np
import pytest
from clones import ROOT, Clone
from runs import SEED_SHIFT, THREADS

from cct.dvc import Experiment
from cct.errors import CCTError
from cct.training.checkpoints import CheckpointStore

sys.path.append(str(ROOT / "benchmarks"))
import common
import gpu
import record
import record_gpu
import result_figures
import result_files
import result_pages
import result_tables
import result_text_tables

COMMITTED = {"data.source": "cifar10.yaml", "model.name": "cct_2_3x2", "train.epochs": 30, "train.seed": 0}
PRESETS = {"fast": {"model.name": "cct_4_3x2", "train.epochs": 60}, "slow": {"train.epochs": 300}}


@pytest.mark.parametrize("path", sorted(result_pages.RESULTS.glob("*.json")), ids=lambda path: path.name)
def test_every_result_says_what_kind_it_is(path):
    kinds = (
        "accuracy",
        "speed",
        "profile",
        "growth",
        "startup",
        "scale",
        "ablation",
        "gpu",
        "inference",
        "fine_tuning",
        "serving",
        "text",
        "text_steps",
    )
    assert json.loads(path.read_text())["kind"] in kinds


def test_every_result_is_whole():
    results = result_files.read(result_pages.RESULTS)
    assert len(results) >= 4
    for result in results:
        found = [run.accuracy for run in result.runs]
        assert result.accuracy.mean == pytest.approx(sum(found) / len(found), abs=1e-6)
        assert (result.accuracy.sd is None) == (len(found) == 1)
        assert len({run.seed for run in result.runs}) == len(found)
        for run in result.runs:
            assert run.accuracy_low <= run.accuracy <= run.accuracy_high
            assert (run.experiment is None) <= (result.note is not None), "by hand, and does not say so"


def test_the_pages_have_the_tables():
    for path, made in result_pages.pages(result_pages.RESULTS).items():
        assert path.read_text(encoding="utf-8") == made, f"{path.name} is not up to date: run make results"


def test_titles_in_the_figure_of_minutes_cover_neither_each_other_nor_a_point():
    results = [result for result in result_files.read(result_pages.RESULTS) if result.data.title == result_pages.DRAWN]
    figure = result_figures.plot_minutes(results)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    extents = [text.get_window_extent() for text in axes.texts]
    points = [axes.transData.transform(point) for line in axes.lines[1:] for point in line.get_xydata()]
    titles = [text.get_text() for text in axes.texts]
    timed = [one for one in results if result_files.minutes_of(one) is not None]
    names = [one.title.replace("`", "") + (f", {one.epochs} epochs" if one.epochs != 30 else "") for one in timed]
    assert sorted(titles[2:]) == sorted(names)
    hollow = [line.get_markerfacecolor() == "none" for line in axes.lines[2:]]
    assert hollow == [result_files.at_most(one) for one in timed] and len(set(hollow)) == 2
    for place, extent in enumerate(extents):
        assert not any(map(extent.overlaps, extents[:place])), titles[place]
        assert not any(extent.contains(*point) for point in points), titles[place]
        assert extent.x1 <= axes.get_window_extent().x1, titles[place]


def test_the_figure_has_every_result_with_its_interval():
    results = [result for result in result_files.read(result_pages.RESULTS) if result.data.title == result_pages.DRAWN]
    (axes,) = result_figures.plot_results(results).axes
    assert [f"{100 * result.accuracy.mean:.2f} %" for result in results] == [text.get_text() for text in axes.texts]
    for bars, result in zip(axes.containers, results, strict=True):
        ((low, _), (high, _)) = bars.lines[2][0].get_segments()[0]
        run, mean = result.runs[0], result.accuracy.mean
        spread = (
            (run.accuracy_low, run.accuracy_high)
            if len(result.runs) == 1
            else (mean - result.accuracy.sd, mean + result.accuracy.sd)
        )
        assert (low, high) == pytest.approx([100 * value for value in spread])


def test_a_result_by_hand_without_an_interval_is_a_point():
    result = next(result for result in result_files.read(result_pages.RESULTS) if len(result.runs) == 1)
    bare = result.runs[0].model_copy(update={"accuracy_low": None, "accuracy_high": None})
    (axes,) = result_figures.plot_results([result.model_copy(update={"runs": [bare]})]).axes
    assert axes.containers[0].lines[2] == ()


def test_a_result_of_several_seeds_is_a_mean_with_its_spread(tmp_path):
    content = json.loads((result_pages.RESULTS / "keras_example.json").read_text())
    second = content["runs"][0] | {"seed": 1}
    content |= {
        "runs": [*content["runs"], second],
        "accuracy": {"mean": 0.7645, "sd": 0.00123},
        "seconds_per_epoch": 111.4,
    }
    (tmp_path / "one.json").write_text(json.dumps(content))
    (tmp_path / "other.json").write_text('{"kind": "speed"}')
    lines = result_files.markdown(result_files.read(tmp_path)).splitlines()
    assert len(lines) == 3 and len({line.count("|") for line in lines}) == 1
    assert "| 30 | 76.45 ± 0.12 % (2 seeds) | at most 111 s |" in lines[2]
    runs = [{"parameters": 7000, "seconds": seconds, "texts_per_second": 9} for seconds in (40, 60)]
    case = {"model": "text_cct_2_1", "change": "", "embeddings": None, "mean": 0.9, "std": 0.01, "runs": runs}
    trec = {"cases": {"a": case, "b": case | {"change": "model.num_layers=3"}}, "epochs": 20, "machine": "a computer"}
    *_, last = result_files.markdown(result_files.read(tmp_path), trec).splitlines()
    assert last.endswith(
        "| `text_cct_2_1`, changed recipe `text` | 7,000 | 20 | 90.00 ± 1.00 % (2 seeds) | at most 2.5 s | a computer |"
    )
    del content["epochs"]
    (tmp_path / "one.json").write_text(json.dumps(content | {"epoch": 30}))
    with pytest.raises(CCTError, match=r"epochs is missing[\s\S]*epoch = 30: unknown name; did you mean epochs"):
        result_files.read(tmp_path)


def text_case(change: str, accuracies: dict[int, float], *, sha256: str | None = None) -> dict:
    runs = [{"seed": seed, "test_accuracy": accuracy} for seed, accuracy in accuracies.items()]
    embeddings = None if sha256 is None else {"sha256": sha256}
    return {"model": "m", "change": change, "embeddings": embeddings, "runs": runs, "mean": 0.8, "std": 0.1}


def test_a_change_to_a_model_of_texts_is_compared_seed_by_seed():
    """0.5 - 0.9 and 0.7 - 0.9 are -40 and -20 points, whatever a third seed of the model without the change does."""
    base, other = {0: 0.9, 1: 0.9, 2: 0.1}, {0: 0.2, 1: 0.2}
    cases = {
        "changed": text_case("a.b=1", {0: 0.5, 1: 0.7, 3: 0.99}),
        "alone": text_case("a.b=2", {1: 0.95}) | {"std": None},
        "unpaired": text_case("a.b=3", {4: 0.9}),
        "with vectors": text_case("a.b=4", {0: 0.3, 1: 0.3}, sha256="f"),
        "base": text_case("", base),
        "base with vectors": text_case("", other, sha256="f"),
    }
    _, _, *lines = result_text_tables.text_ablation({"cases": cases}).splitlines()
    assert lines == [
        "| `a.b=1` | 80.0 ± 10.0 (3 seeds) | -30.0 ± 10.0 | -40.0, -20.0 |",
        "| `a.b=2` | 80.0 (1 seed) | +5.0 | +5.0 |",
        "| `a.b=4` | 80.0 ± 10.0 (2 seeds) | +10.0 ± 0.0 | +10.0, +10.0 |",
    ]


def test_a_table_says_how_often_was_measured_and_has_no_empty_columns():
    row = {
        "model": "m",
        "precision": "float32",
        "batch": 8,
        "images_per_second": {"ours": 20, "other": 10},
        "ratio": {"other": [2.0, 1.5, 2.5]},
        "versions": {"ours": {"keras": "3"}},
        "python": "3.11",
        "matmul_gflops": 100,
    }
    others = [row, row | {"turns": 2, "steps": 12, "matmul_gflops": 110}]
    for groups, turns, rate in ((others, "2 of 12 steps", "100 to 110"), ([row], None, "100")):
        said = result_tables.steps({"machines": {"a": {"cpu": "A", "flags": ["x"], "groups": groups}}})
        assert f"reaches {rate} in `float32` GFLOP/s" in said and ("turns" in said) == (turns in said.split(" | "))
    point = {"batch": 8, "size": 32, "tokens": 64, "layers": 2, "arithmetic": 0.1, "seconds": {"ours": 1, "other": 2}}
    point |= {"memory": {"ours": 2e9, "other": None}, "ratio": {"other": [2.0, 1.5, 2.5]}}
    series = {"batch": {"matmul_gflops": 100, "turns": 3, "steps": 4, "rows": [point]}}
    said = result_tables.growth({"machines": {"A": {"model": "m", "precision": "float32", "series": series}}})
    assert said.endswith("| 8 | 32 | 64 | 2 | 3 of 4 steps | 1 | 2 | 0.1 | 2.00 (1.50 to 2.50) | 2 |")
    assert "ours, GB |" in said and "other, GB" not in said
    alone = point | {"batch": 9, "seconds": {"ours": 3}, "memory": {"ours": 4e9}, "ratio": {}}
    series = {"layers": {"matmul_gflops": 100, "rows": [alone]}} | series  # measured without PyTorch, and first
    said = result_tables.growth({"machines": {"A": {"model": "m", "precision": "float32", "series": series}}})
    assert "| 9 | 32 | 64 | 2 |  | 3 |  | 0.1 |  | 4 |" in said
    assert "| 8 | 32 | 64 | 2 | 3 of 4 steps | 1 | 2 | 0.1 | 2.00 (1.50 to 2.50) | 2 |" in said


def test_a_table_names_all_versions_of_a_package():
    row = {"model": "m", "precision": "float32", "batch": 8, "python": "3.11", "matmul_gflops": 100, "note": "A note."}
    row |= {"images_per_second": {"ours": 20, "other": 10}, "ratio": {"other": [2.0, 1.5, 2.5]}}
    rows = [row | {"versions": {"ours": {"keras": "3.15"}, "other": {"torch": number}}} for number in ("2.14", "2.15")]
    machines = {"a": {"cpu": "A", "flags": [], "groups": rows}, "augmentation alone": {"cpu": "B", "flags": []}}
    said = result_tables.steps({"machines": machines})
    assert said.endswith("\n\nA note.\n\nVersions: Python 3.11, keras 3.15, torch 2.14 and 2.15.")


def test_a_table_of_a_gpu_needs_no_other_project():
    measured = {"gpus": ["G"], "cores": 4, "packages": {"jax": "1", "keras": "3"}}
    row = {"model": "m", "precision": "float32", "batch": 8, "images_per_second": {"ours": 20}}
    said = result_tables.gpu(measured | {"steps": [row]})
    assert "| `m` | `float32` | 8 | 20 |" in said and said.endswith("Machine: G, 4 cores. Versions: jax 1, keras 3.")
    old = row | {"images_per_second": {"ours": 20, "vit-pytorch": 8}}
    new = old | {"turns": 5, "turn_seconds": 1.0, "ratio": {"vit-pytorch": [2.5, 2.0, 3.0]}, "tf32": True}
    new |= {"versions": {"vit-pytorch": {"torch": "2"}}}
    said = result_tables.gpu(measured | {"steps": [old, new], "steps_notes": ["A note"]})
    assert "| `m` | `float32` | 8 |  | 20 | vit-pytorch | 8 | 2.5 |" in said
    assert "| `m` | `float32` (TF32) | 8 | 5 of 1 s | 20 | vit-pytorch | 8 | 2.50 (2.00 to 3.00) |" in said
    assert said.endswith("Versions: torch 2. A note.")


def test_a_table_of_servers_says_what_computes():
    """Of an older file, too, which has the runtime of `cct serve` once."""
    found = {"requests_per_second": 100.0, "p50_ms": 1.0, "p99_ms": 2.0, "cpu_ms": 3.0}
    long = {"requests": 10, "malformed": 1, "wrong": 0, "largest_difference": 0.0, "memory_mb": {"started": 9.0}}
    rest = {"endurance": long, "cpu": "A", "python": "3.11", "versions": {"keras": "3"}}
    old = {"clients": 1, "cct": found, "mlflow": found, "ratio": [2.0, 1.0, 3.0]}
    said = result_tables.serving(rest | {"runtime": "ONNX Runtime", "speed": [old]})
    assert "| 1 | `cct serve` | ONNX Runtime | 100 |" in said and "| 1 | `mlflow models serve` | Keras | 100 |" in said
    assert "turns:\n\n- ONNX Runtime: 2.0 (1.0 to 3.0) with 1 clients\n" in said
    new = {"clients": 1, "ratios": {"cct": [4.0, 3.0, 5.0], "cct_keras": [1.5, 1.0, 2.0]}}
    for name, runtime in {"cct": "ONNX Runtime", "cct_keras": "Keras", "mlflow": "Keras"}.items():
        new[name] = found | {"runtime": runtime}
    said = result_tables.serving(rest | {"speed": [new, new | {"clients": 16}]})
    assert said.count("| `cct serve` | Keras |") == 2 and said.count("| `cct serve` | ONNX Runtime |") == 2
    assert "- Keras: 1.5 (1.0 to 2.0) with 1 and 1.5 (1.0 to 2.0) with 16 clients\n" in said


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "dvc exp run"),
        ({"train.seed": 1, "train.epochs": 60}, "dvc exp run -S train.epochs=60"),
        ({"model.name": "cct_4_3x2", "train.epochs": 60}, "dvc exp run $(cct preset fast)"),
        (
            {"model.name": "cct_4_3x2", "train.epochs": 60, "data.source": "a b.yaml"},
            "dvc exp run $(cct preset fast) -S 'data.source=\"a b.yaml\"'",
        ),
        ({"model.name": "cct_4_3x2", "train.epochs": 90}, "dvc exp run $(cct preset fast) -S train.epochs=90"),
        ({"model.name": "vit"}, "dvc exp run -S model.name=vit"),
    ],
)
def test_a_recipe_is_named_by_the_preset_that_leaves_the_least(changes, expected):
    assert record.recipe(COMMITTED | changes, COMMITTED, PRESETS, aside=["train.seed"]) == expected


def run(name: str, dependencies: dict[str, str] | None = None, **parameters) -> record.Run:
    return record.Run(
        Experiment(name, "0" * 40, "1" * 40),
        COMMITTED | {key.replace("_", ".", 1): value for key, value in parameters.items()},
        dependencies or {"src/cct/model.py": "a"},
        meta={}, metrics={}, history=[], kinds=[],
    )  # fmt: skip


def test_only_seeds_of_one_recipe_are_one_result():
    record.must_be_seeds([run("a"), run("b", train_seed=1), run("c", train_seed=2)])
    with pytest.raises(CCTError, match=r"a and c differ in more than train.seed: model.name, train.epochs"):
        record.must_be_seeds([run("a"), run("b", train_seed=1), run("c", train_epochs=60, model_name="vit")])
    with pytest.raises(CCTError, match=r"different code or data: src/cct/model.py"):
        record.must_be_seeds([run("a"), run("b", {"src/cct/model.py": "b"}, train_seed=1)])
    with pytest.raises(CCTError, match="seeds must differ, but these are 0, 0"):
        record.must_be_seeds([run("a"), run("b")])


def timed(cpu: str | None, seconds: list[float], **kind) -> tuple[record.Run, record.Times]:
    """A run on a machine, and its times."""
    return run("a")._replace(kinds=[kind]), record.Times(seconds, sum(seconds), cpu, 2)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (timed("A", [3.0], threads=2), 2.0),
        (timed("B", [3.0], threads=2), None),
        (timed("A", [3.0], threads=1), None),
        (timed(None, [], threads=2), 1.5),  # MLflow does not know its machine and times
    ],
)
def test_epochs_of_different_machines_have_no_common_median(second, expected):
    found, times = zip(timed("A", [1.0, 2.0], threads=2), second, strict=True)
    assert record._typical_epoch(found, times) == expected
    assert record._typical_epoch([], []) is None


def test_a_state_travels_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "PIECE", 1000)
    here, out, there = (tmp_path / name for name in ("here", "out", "there"))
    for step in (1, 2):  # the later one travels, in place of the earlier
        with CheckpointStore(here, "abcd") as saved:
            saved.save({"epoch": 3, "step": step}, {"model": [np.arange(3000 // step)]})
        out.mkdir(exist_ok=True)
        gpu.pack(here / "abcd", out)
    pieces = sorted(path.stat().st_size for path in out.iterdir())
    assert len(pieces) > 10 and pieces[-1] == 1000  # more than nine: they are not in the order of their names
    gpu.unpack(out, there)
    with CheckpointStore(there, "abcd") as saved:
        assert saved.latest.content["step"] == 2
        np.testing.assert_array_equal(saved.latest.arrays["model"][0], np.arange(1500))
        saved.clear()
    gpu.pack(there / "abcd", out)
    assert not list(out.iterdir())


def report(folder, *, seed: int = 0, **fields):
    """A report of a finished training of two epochs, which `gpu.py` could have written."""
    sections = gpu.sections("fast", changes=["model.name=cct_4_3x2", f"train.seed={seed}"], small=False)
    row = {"train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0, "learning_rate": 1e-3}
    epochs = [row | {"epoch": n, "val_accuracy": n / 4, "seconds": 4.0 + 2 * n, "best": n - 1} for n in (1, 2)]
    kind = {"backend": "jax", "backend_version": "0.11.2", "keras": "3.15.1", "numpy": "2.5.2", "python": "3.12.3"}
    test = dict.fromkeys(record.MEASURED, 0.5) | {"accuracy": 0.5 + seed / 10}
    trained = {"parameters": {name: section.model_dump() for name, section in sections.items()} | {"data": "d" * 64}}
    trained |= {"machine": kind | {"gpus": ["NVIDIA H200"]}, "epochs": epochs, "model_parameters": 482123, "test": test}
    content = {
        "kind": "gpu",
        "rehearsal": False,
        "commit": "c" * 40,
        "source": common.source_digest(),
        "data": {"name": "made-up", "digest": "d" * 64, "images": {"train": 100, "val": 10, "test": 10}},
        "cpu": "Xeon",
        "cores": 16,
        "trained": {"fast": trained | {"command": f"python benchmarks/gpu.py fast -Strain.seed={seed}"}},
    }
    folder.mkdir()
    (folder / "gpu.json").write_text(json.dumps(content | fields))
    return folder / "gpu.json"


def record_reports(monkeypatch, *words) -> int:
    monkeypatch.setattr(sys, "argv", ["record_gpu.py", *map(str, words)])
    return record_gpu.main()


def test_a_training_on_a_lent_gpu_becomes_a_result(tmp_path, monkeypatch):
    out = tmp_path / "results/gpu.json"
    out.parent.mkdir()
    reports = [report(tmp_path / name, seed=seed) for seed, name in enumerate(("a", "b"))]
    assert record_reports(monkeypatch, *reports, "--out", out, "--note", "Both at once.") == 0
    (result,) = result_files.read(out.parent)
    assert (result.accuracy.mean, [run.seed for run in result.runs]) == (0.55, [0, 1])
    assert result.recipe == (
        "dvc exp run $(cct preset fast) -S model.name=cct_4_3x2 -S runtime.backend=jax -S runtime.deterministic=false"
    )
    assert result.command.endswith("python benchmarks/gpu.py fast -Strain.seed=1") and result.note == "Both at once."
    assert (result.seconds_per_epoch, result.images_per_second, result.runs[0].seconds) == (2, 50, 8)
    assert "NVIDIA H200" in result_files.markdown([result])


def test_a_report_of_other_source_code_is_refused(tmp_path, monkeypatch, capsys):
    """Also one of an older gpu.py, without a digest."""
    for name, fields, commit in (
        ("a", {"source": "0" * 64}, "commit cccccccccccc"),
        ("b", {"source": "0" * 64, "commit": None}, "an unknown commit"),
        ("c", {"source": None}, "commit cccccccccccc"),
    ):
        path = report(tmp_path / name, **fields)
        assert record_reports(monkeypatch, path, "--out", tmp_path / "out.json") == 1
        said = capsys.readouterr().err
        assert f"{path} measured another src/ ({commit}) than that of the work tree: check out its commit" in said
    assert not (tmp_path / "out.json").exists()


def test_the_digest_of_source_code_is_that_of_names_and_contents(tmp_path):
    def digest() -> str:
        return common.source_digest(tmp_path)

    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.py").write_text("x = 1")
    found = [digest()]
    (tmp_path / "a/__pycache__").mkdir()
    (tmp_path / "a/__pycache__/b.pyc").write_bytes(b"x")
    (tmp_path / "a/.b.py.swp").write_bytes(b"x")
    assert digest() == found[0]
    (tmp_path / "a/b.py").write_text("x = 2")
    found.append(digest())
    (tmp_path / "a/b.py").rename(tmp_path / "a/c.py")
    found.append(digest())
    (tmp_path / "a/d.html").touch()
    found.append(digest())
    assert len(set(found)) == 4


def test_a_report_that_is_no_result_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "not.json").write_text("[]")
    for path, said in (
        (report(tmp_path / "a", rehearsal=True), "is of a rehearsal"),
        (report(tmp_path / "b", trained={"fast": {}}), "must have one finished training, but it has 0"),
        (tmp_path / "not.json", "is not a report of benchmarks/gpu.py"),
        (tmp_path / "none.json", "is not a report of benchmarks/gpu.py"),
    ):
        assert record_reports(monkeypatch, path, "--out", tmp_path / "out.json") == 1
        assert said in capsys.readouterr().err
    trained, steps = report(tmp_path / "c"), tmp_path / "d.json"
    source = {"source": common.source_digest()}
    steps.write_text(json.dumps({"kind": "gpu", "rehearsal": False, "steps": [{"batch": 128}]} | source))
    assert record_reports(monkeypatch, trained, steps, "--out", tmp_path / "out.json") == 1
    assert f"{steps} must have one finished training, but it has 0" in capsys.readouterr().err
    other = {"name": "made-up", "digest": "e" * 64, "images": {"train": 100, "val": 10, "test": 10}}
    second = report(tmp_path / "e", seed=1, data=other)
    assert record_reports(monkeypatch, trained, second, "--out", tmp_path / "out.json") == 1
    assert "c and e are of different code or data: data" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_steps_of_one_machine_become_one_table():
    first = {"kind": "gpu", "gpus": ["NVIDIA H200"], "steps": [{"batch": 128}]}
    later = first | {"steps": [{"batch": 1024}], "check": {"losses": [2.0, 1.0]}}
    merged = record_gpu.steps_of([first, later])
    assert merged["steps"] == [{"batch": 128}, {"batch": 1024}] and merged["check"] == {"losses": [2.0, 1.0]}
    with pytest.raises(CCTError, match="differ in gpus"):
        record_gpu.steps_of([first, later | {"gpus": ["NVIDIA H100"]}])
    with pytest.raises(CCTError, match="differ in source"):
        record_gpu.steps_of([first, later | {"source": "0" * 64}])
    with pytest.raises(CCTError, match="no report has steps"):
        record_gpu.steps_of([{"kind": "gpu"}])


def test_the_check_on_a_gpu_is_refused_for_other_images(tmp_path):
    options = type("Options", (), {"data": tmp_path})
    job = type("Job", (), {"options": options, "meta": {"image_shape": [28, 28, 1], "classes": ["a"] * 10}})
    with pytest.raises(CCTError, match=r"check is for images of 32x32x3 in 10 classes, and .* of 28x28x1 in 10: "):
        gpu.check(job)


@pytest.fixture(scope="module")
def saved(finished) -> Clone:
    """A run that is saved as the experiment `whole`; `stale` has not been run with its parameters."""
    finished.run("dvc", "exp", "save", "-n", "whole")
    finished.run("dvc", "exp", "run", "-n", "stale", "-S", "train.label_smoothing=0.2", "download")
    return finished


def test_a_finished_experiment_becomes_a_result(saved, tmp_path):
    client = mlflow.MlflowClient(f"sqlite:///{saved.path}/mlflow.db")
    (logged,) = client.search_runs([client.get_experiment_by_name("cct").experiment_id])
    client.set_tag(logged.info.run_id, "cct.experiment", "whole")  # as if it had been trained under this name
    out = tmp_path / "whole.json"
    assert "test accuracy" in saved.run(
        "python", "benchmarks/record.py", "whole", "--out", str(out), "--data", "Digits"
    )
    (result,) = result_files.read(tmp_path)
    metrics = json.loads((saved.path / "reports/metrics.json").read_text())
    (one,) = result.runs
    assert one.accuracy == result.accuracy.mean == metrics["test"]["accuracy"]
    assert (one.experiment, one.seed, one.epochs) == ("whole", SEED_SHIFT, 3) and one.loss == metrics["test"]["loss"]
    assert result.data.title == "Digits" and result.data.name == "digits" and result.data.images["test"] == 359
    assert result.recipe.startswith("dvc exp run -S model.name=cct_2_3x1") and "data.source" not in result.recipe
    commit = saved.run("git", "rev-parse", "HEAD").strip()
    assert result.commit == commit and result.changed_code == []
    assert result.command.startswith(f"git checkout {commit[:12]} && dvc exp run -S data.source=")
    assert result.parameters["train.epochs"] == 3 and "train.seed" not in result.parameters
    assert result.seconds_per_epoch > 0 and result.images_per_second > 0 and one.seconds > result.seconds_per_epoch
    (machine,) = result.machines
    assert machine.cores and machine.kind["threads"] == THREADS
    assert set(result.versions) >= {"tensorflow", "keras", "python"}


def test_what_is_no_result_is_refused(saved, tmp_path):
    words = ("python", "benchmarks/record.py", "--out", str(tmp_path / "none.json"))
    said = saved.run(*words, "stale", code=1)
    assert "error: experiment 'stale' is not finished: train has not run with its parameters" in said
    assert "did you mean whole?" in saved.run(*words, "whol", code=1)
    assert not list(tmp_path.iterdir())
