"""The scripts of benchmarks, with made-up measurements: what they measure, compare, keep and refuse."""

import collections
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np
import pytest
from clones import ROOT

from cct.errors import CCTError
from cct.inference.runtimes import onnx_model
from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.build import build_model
from cct.training.batches import Examples

sys.path.append(str(ROOT / "benchmarks"))
import common
import contender
import fine_tuning
import gpu
import gpu_steps
import growth
import inference
import load
import result_pages
import result_tables
import run_server
import scale
import serving
import speed
import startup
import step_profile
import text
import text_steps


def inference_result(**conditions) -> dict:
    speed = {"images_per_second": 20.0, "times_keras": [1.0, 1.0, 1.0]}
    facts = {"cpu": "A", "python": "3.11", "versions": {"keras": "3"}, "turns": 5, "commit": "old"} | conditions
    return facts | {"batches": {"1": {"keras": speed, "onnx": speed | {"times_keras": [2.0, 1.0, 3.0]}}}}


def test_models_of_other_conditions_have_a_table_of_their_own():
    models = {"demo": inference_result(), "cct_7_3x1": inference_result(), "cct_2_3x2": inference_result(turns=2)}
    first, second = result_tables.inference({"kind": "inference", "models": models}).split("Images a second")[:2]
    assert "| demo | 1 | 20 | 20 (2.0, 1.0 to 3.0) |" in first and "`cct_7_3x1`" in first
    assert "`cct_2_3x2`" not in first and "`cct_2_3x2`" in second and "range of 5 turns. Machine: A." in second
    old = inference_result() | {"kind": "inference"}  # an older file has the conditions once, for all models
    old["models"] = {"demo": old.pop("batches")}
    assert inference.models_of(old) == {"demo": inference_result()}


def test_a_gain_is_that_over_random_weights_of_the_same_seed():
    """0.5 and 0.7 against 0.4 and 0.3: gains of 0.1 and 0.4; a seed without its pair does not count."""
    accuracies = {
        (fine_tuning.BASE, 0): 0.4,
        (fine_tuning.BASE, 1): 0.3,
        ("all layers", 0): 0.5,
        ("all layers", 1): 0.7,
    }
    runs = [
        {"variant": variant, "images": 5, "seed": seed, "test_accuracy": accuracy}
        for (variant, seed), accuracy in accuracies.items()
    ]
    base, tuned = fine_tuning.summarize(runs)
    assert (base["gain"], base["seeds"]) == ({"mean": 0, "sd": 0}, 2)
    assert tuned["accuracy"] == {"mean": 0.6, "sd": 0.141421} and tuned["gain"] == {"mean": 0.25, "sd": 0.212132}
    lines = result_tables.fine_tuning({"rows": [base, tuned]}).splitlines()
    assert lines[2:] == ["| random weights | 35.0 ± 7.1 |", "| all layers | 60.0 ± 14.1 (+25.0 ± 21.2) |"]
    (alone,) = fine_tuning.summarize(runs[:1])
    assert alone["accuracy"] == {"mean": 0.4, "sd": None} and "40.0 |" in result_tables.fine_tuning({"rows": [alone]})


@pytest.mark.parametrize("images", fine_tuning.SIZES)
def test_fine_tuning_makes_equally_many_updates_with_any_number_of_images(images):
    labels = np.arange(10 * images)
    repeated = fine_tuning.repeated(Examples(labels[:, None], labels), fine_tuning.BATCH * fine_tuning.UPDATES)
    counts = np.bincount(repeated.labels)
    assert len(repeated.labels) == 500 and len(counts) == len(labels) and np.ptp(counts) <= 1
    np.testing.assert_array_equal(repeated.inputs[:, 0], repeated.labels)


def test_only_missing_trainings_are_made():
    runs = [{"images": 5, "seed": 0, "variant": name} for name in fine_tuning.VARIANTS]
    missing = fine_tuning.missing(runs, seeds=2)
    assert len(missing) == (len(fine_tuning.SIZES) * 2 - 1) * len(fine_tuning.VARIANTS)
    assert not {(5, 0, name) for name in fine_tuning.VARIANTS} & {*missing}


class MadeUpProblem:
    """In place of `fine_tuning.Problem`: each training has the accuracy 0.5."""

    def __init__(self, path):
        self.model = ModelParams(name="cct_2_3x2")

    def conditions(self):
        return {"commit": "new", "cpu": "A", "settings": {"train": {"epochs": 10}}}

    def train(self, variant, **options):
        return {"test_accuracy": 0.5, "val_accuracy": 0.5, "seconds": 1.0}


@pytest.mark.parametrize("changed", [{}, {"commit": "old"}, {"cpu": "B"}, {"settings": {}}])
def test_fine_tuning_resumes_only_under_the_same_conditions(changed, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fine_tuning, "Problem", MadeUpProblem)
    monkeypatch.setattr(fine_tuning, "read_metadata", lambda path: {})
    monkeypatch.setattr(fine_tuning, "configure_backend", lambda *args, **options: None)
    out, run = tmp_path / "out.json", {"variant": "all layers", "images": 5, "seed": 0, "test_accuracy": 0.9}
    facts = MadeUpProblem(None).conditions() | changed
    rates = [{"variant": name, "learning_rate": 0.1, "val_accuracy": 0.5} for name in fine_tuning.VARIANTS]
    out.write_text(json.dumps({"kind": "fine_tuning", "note": "A.", "rates": rates, "runs": [run]} | facts))
    before = out.read_bytes()
    code = call(monkeypatch, fine_tuning, "model.keras", "--seeds", 1, "--out", out)
    if changed:
        said = f"{out} has trainings of 'cct_2_3x2' with other or unknown conditions ({', '.join(changed)}): name"
        assert code == 1 and said in capsys.readouterr().err and out.read_bytes() == before
        return
    content = json.loads(out.read_text())
    assert code == 0 and content["note"] == "A." and content["runs"][0] == run
    assert len(content["runs"]) == len(fine_tuning.SIZES) * len(fine_tuning.VARIANTS)
    assert {one["learning_rate"] for one in content["runs"][1:]} == {0.1}


@pytest.mark.parametrize(
    "change",
    [
        "train.epoch=3", "epochs=3", "train.epochs=many", "model.name=cct_9", "train.epochs=[3", "trian.epochs=3",
        "train.epochs", "train.name=#",
    ],
)  # fmt: skip
def test_a_misspelt_change_is_refused_before_any_work(change):
    with pytest.raises(CCTError):
        gpu.sections("fast", changes=[change], small=False)
    with pytest.raises(CCTError):
        text.sections_of([change])


def call(monkeypatch, script, *words) -> int:
    monkeypatch.setattr(sys, "argv", [f"{script.__name__}.py", *map(str, words)])
    return script.main()


@pytest.mark.parametrize(
    ("script", "words", "said"),
    [
        (inference, ["--trained", "none.keras"], "there is no none.keras: run make demo"),
        (serving, ["--model", "none.keras"], "there is no none.keras: run make demo"),
        (scale, ["--folder", "none"], "--folder none is no folder"),
    ],
)
def test_a_missing_file_is_named_before_any_work(script, words, said, monkeypatch, capsys, tmp_path):
    assert call(monkeypatch, script, *words, "--out", tmp_path / "out.json") == 1
    assert f"error: {said}" in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["--model", "cct_2_3x3"], ["--only", "augmentation", "--model", "cct_2_3x2"]])
def test_a_model_that_is_not_measured_is_refused(words, monkeypatch, tmp_path):
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, speed, *words, "--out", tmp_path / "out.json")
    assert ended.value.code == 2 and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("script", "option"),
    [
        *((script, "--turns") for script in (speed, growth, inference, startup, step_profile, text_steps, serving)),
        (growth, "--steps"),
        (step_profile, "--batch"),
        (fine_tuning, "--seeds"),
        (text, "--seeds"),
        (serving, "--requests"),
        (scale, "--most"),
    ],
)
@pytest.mark.parametrize("number", ["0", "-1", "1.5"])
def test_a_count_that_is_no_whole_number_is_refused(script, option, number, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, script, option, number)
    assert ended.value.code == 2 and f"{option}: '{number}' is not a whole number from 1 to" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["cct_9", "custom", "text_cct_2_1"])
def test_a_profile_of_an_unknown_model_is_refused(name, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, step_profile, "--model", name)
    assert ended.value.code == 2 and f"invalid choice: '{name}' (choose from " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "out.json is not JSON: "),
        ("[]", "out.json is not JSON: a file of results is an object"),
        ('{"kind": "accuracy"}', "out.json has no results of the kind "),
    ],
)
@pytest.mark.parametrize("script", [speed, growth, inference, startup, step_profile, fine_tuning, text, scale, serving])
def test_a_file_that_is_no_result_is_refused_before_any_work(script, content, said, monkeypatch, capsys, tmp_path):
    words = {fine_tuning: ["m.keras"], text: ["texts", "--models", "text_cct_2_1"], inference: ["--trained"]}
    words |= {serving: ["--model"]}
    given = words.get(script, [])
    if script in (inference, serving):
        (tmp_path / "m.keras").touch()
        given = [*given, tmp_path / "m.keras"]
    out = tmp_path / "out.json"
    out.write_text(content)
    assert call(monkeypatch, script, *given, "--out", out) == 1
    assert said in capsys.readouterr().err and out.read_text() == content


def speed_row(model: str, ours: float, *, ratio: float = 2.0, precision: str = "float32", **fields) -> dict:
    """A group of `speed.json` with one turn of `ours` images a second."""
    row = {"model": model, "precision": precision, "batch": 32, "steps": 4, "seconds": {"ours": [32 / ours]}}
    row |= {"images_per_second": {"ours": round(ours)}, "ratio": {"vit-pytorch": [ratio, 1, 2]}}
    return row | fields


def test_a_group_that_is_not_measured_again_stays_as_it_is():
    rows = [speed_row(model, 10) for model in ("a", "b", "b", "c")]  # b has been measured twice
    new = [speed_row("b", 20, precision=precision) for precision in ("float32", "mixed_bfloat16")]
    assert speed.replaced(rows, new) == [rows[0], new[0], rows[3], new[1]]
    other = speed_row("b", 20, batch=64)
    assert speed.replaced(rows, [other]) == [*rows, other]


def test_what_became_slower_is_named():
    before = [speed_row("m", 100)]
    assert not speed.slower([speed_row("m", 91, ratio=1.9)], before)
    assert speed.slower([speed_row("m", 89)], before) == [
        "m, float32, batch 32: images/s is 0.89 times that of an earlier run"
    ]
    assert speed.slower([speed_row("m", 100, ratio=1.7)], before) == [
        "m, float32, batch 32: ratio to vit-pytorch is 0.85 times that of an earlier run"
    ]
    assert len(speed.slower([speed_row("m", 89)], [speed_row("m", 80), *before])) == 1  # any earlier run
    # Rounded, 17.4 and 19.5 images/s are 17 and 20: less than 0.85 of it.
    (named,) = speed.slower([speed_row("m", 17.4)], [speed_row("m", 19.5)])
    assert "is 0.89 times" in named
    old = speed_row("m", 100)  # the first results have neither seconds nor steps
    del old["seconds"], old["steps"]
    assert len(speed.slower([speed_row("m", 89)], [old])) == 1


def test_a_group_without_an_earlier_result_is_named():
    before = [speed_row("m", 100)]
    for other in (speed_row("n", 1), speed_row("m", 1, batch=64), speed_row("m", 1, steps=12)):
        assert speed.slower([other], before) == [
            f"{other['model']}, float32, batch {other['batch']}: there is no earlier result of this kind"
        ]
    assert len(speed.slower([speed_row("m", 1)], [])) == 1


def test_all_runs_of_a_group_are_in_the_table():
    facts = {"versions": {}, "python": "3.11", "matmul_gflops": 100}
    rows = [speed_row("m", ours, ratio=ratio, **facts) for ours, ratio in ((846, 0.89), (1077, 1.13))]
    for row in rows:
        row["images_per_second"]["vit-pytorch"] = 953
    table = result_tables.steps({"machines": {"a": {"cpu": "A", "flags": [], "groups": rows}}})
    assert "| 846 | vit-pytorch | 953 | 0.89 (" in table and "| 1,077 | vit-pytorch | 953 | 1.13 (" in table


@pytest.fixture
def without_torch(monkeypatch):
    """No Python has PyTorch, and nothing can be measured."""
    machine = {"cpu": "A", "flags": [], "python": "3.11", "commit": "new"}
    for script in (speed, growth, inference):
        monkeypatch.setattr(script, "has_torch", lambda python: False)
        monkeypatch.setattr(script, "here", machine.copy)
        monkeypatch.setattr(script, "measure", lambda *args, **options: pytest.fail("measured"))
    for script in (speed, growth):
        monkeypatch.setattr(script, "rates", lambda: {"float32": 100, "mixed_bfloat16": 100})


def test_a_comparison_with_pytorch_is_not_replaced_by_none(without_torch, monkeypatch, capsys, tmp_path):
    ratio = {"ratio": {"vit-pytorch, channels last": [1.0, 1.0, 1.0]}}
    compared = inference_result()
    compared["batches"]["1"]["vit-pytorch"] = {}
    (tmp_path / "m.keras").touch()
    for script, words, content in (
        (growth, [], {"machines": {"A": {"series": {"batch": {"rows": [ratio]}}}}}),
        (inference, ["--trained", tmp_path / "m.keras"], {"models": {"cct_2_3x2": compared}}),
    ):
        out = tmp_path / f"{script.__name__}.json"
        out.write_text(json.dumps({"kind": script.__name__} | content))
        before = out.read_bytes()
        assert call(monkeypatch, script, *words, "--torch-python", "/p", "--out", out) == 1
        said = capsys.readouterr().err
        assert f"{out} compares with vit-pytorch" in said and "which /p cannot run" in said
        assert "give --torch-python a Python with torch, einops and vit-pytorch" in said
        assert out.read_bytes() == before


def test_what_has_no_comparison_is_measured_without_pytorch(without_torch, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(speed, "measure", lambda group, **options: speed_row(group.model, 10, batch=group.batch))
    monkeypatch.setattr(growth, "measure", lambda point, **options: {"batch": point.batch, "ratio": {}})
    out = tmp_path / "speed.json"
    compared = speed_row("cct_2_3x2", 10, batch=128)
    out.write_text(json.dumps({"kind": "speed", "machines": {"A": {"groups": [compared]}}}))
    assert call(monkeypatch, speed, "--model", "keras_example", "--out", out) == 0
    assert "keras_example, float32, batch 128: there is no earlier result of this kind" in capsys.readouterr().out
    groups = json.loads(out.read_text())["machines"]["A"]["groups"]
    assert groups[0] == compared and [row["model"] for row in groups] == ["cct_2_3x2", "keras_example"]
    monkeypatch.setattr(speed, "measure", lambda group, **options: {**compared, "model": group.model, "ratio": {}})
    assert call(monkeypatch, speed, "--model", "cct_2_3x2", "--only", "steps", "--out", out) == 0
    assert json.loads(out.read_text())["machines"]["A"]["groups"] == groups
    assert "not stored, because an earlier result also compares with vit-pytorch" in capsys.readouterr().out
    out = tmp_path / "growth.json"
    series = {"batch": {"rows": [{"ratio": {"vit-pytorch, channels last": [1.0, 1.0, 1.0]}}]}}
    out.write_text(json.dumps({"kind": "growth", "machines": {"A": {"series": series}}}))
    assert call(monkeypatch, growth, "--only", "layers", "--out", out) == 0
    found = json.loads(out.read_text())["machines"]["A"]["series"]
    assert found["batch"] == series["batch"] and len(found["layers"]["rows"]) == len(growth.SERIES["layers"])


def test_models_are_replaced_one_by_one(without_torch, monkeypatch, tmp_path):
    def measure(folder, name, **options):
        if name != "demo":
            raise KeyboardInterrupt
        return {name: one for name, one in inference_result(turns=1).items() if name in ("versions", "batches")}

    monkeypatch.setattr(inference, "measure", measure)
    monkeypatch.setattr(inference, "run", lambda *words: "")
    monkeypatch.setattr(inference, "random_model", lambda name, path: None)
    out = tmp_path / "inference.json"
    (tmp_path / "m.keras").touch()
    models = {name: inference_result() for name in ("demo", "cct_7_3x1")}
    out.write_text(json.dumps({"kind": "inference", "models": models}))
    assert call(monkeypatch, inference, "--trained", tmp_path / "m.keras", "--turns", 1, "--out", out) == 130
    found = json.loads(out.read_text())["models"]
    assert found["cct_7_3x1"] == models["cct_7_3x1"] and [*found] == ["demo", "cct_7_3x1"]
    assert (found["demo"]["commit"], found["demo"]["turns"]) == ("new", 1)


def test_the_versions_of_pytorch_are_stored(monkeypatch):
    said = {"calls": [0.5, 1.0], "versions": {"torch": "2", "vit_pytorch": "1", "numpy": "2"}}
    monkeypatch.setattr(inference, "ask", lambda *args, **options: said)
    calls = {str(batch): [1.0, 1.0] for batch in inference.BATCHES}
    monkeypatch.setattr(inference, "run", lambda *words: json.dumps(calls))
    found = inference.measure(ROOT, "cct_2_3x2", turns=1, torch_python="p")
    assert found["versions"] == inference.library_versions() | {"torch": "2", "vit_pytorch": "1"}
    assert found["batches"]["1"]["vit-pytorch"]["times_keras"] == [2.0, 2.0, 2.0]


def test_what_a_source_of_images_costs_is_written_row_by_row(monkeypatch, tmp_path):
    """A run that is interrupted in its second row leaves the first."""
    out = tmp_path / "scale.json"

    def measure(job, archive, folder):
        if out.exists():
            raise KeyboardInterrupt
        return {}

    monkeypatch.setattr(scale, "SIZES", {32: (10, 20)})
    monkeypatch.setattr(scale, "write_archive", lambda path, **options: path.touch())
    monkeypatch.setattr(scale, "measure", measure)
    assert call(monkeypatch, scale, "--out", out) == 130
    assert [row["images"] for row in json.loads(out.read_text())["rows"]] == [10]


def test_memory_is_that_beyond_the_start():
    memory = contender.Memory()
    if memory.before is None:
        pytest.skip("this system does not reset the highest memory of a process (/proc/self/clear_refs)")
    before = memory.most()
    filled = np.ones(4 << 20)  # 32 MiB
    assert memory.most() >= before + filled.nbytes // 2


def test_memory_is_unknown_where_the_system_does_not_tell():
    memory = contender.Memory()
    memory.before = None
    assert memory.most() is None


def test_each_file_of_vectors_has_its_own_cases():
    assert text.key_of("m", None, "", files=0) == "m"
    assert text.key_of("m", "data/vectors/a.txt", "x.y=1", files=1) == "m, with vectors, x.y=1"
    assert text.key_of("m", "data/vectors/a.txt", "", files=2) != text.key_of("m", "data/vectors/b.txt", "", files=2)


def test_a_command_is_whole_whatever_its_order(tmp_path):
    words = ["--models", "a", "--machine", "2 cores", str(tmp_path), "-S", "train.epochs=2"]
    said = "python benchmarks/text.py --models a --machine '2 cores' SOURCE -S train.epochs=2"
    assert text.command(words, tmp_path) == said


def test_trainings_of_other_conditions_are_not_continued(tmp_path):
    facts = {"commit": "a", "settings": {"train.epochs": 2}}
    options = {"out": tmp_path / "trec.json"}
    text.refuse_others("m", {"runs": []}, facts, more=True, **options)
    text.refuse_others("m", {"runs": [{}]} | facts, facts, more=True, **options)
    text.refuse_others("m", {"runs": [{}]} | facts | {"commit": "b"}, facts, more=False, **options)
    for case, differing in (
        (facts | {"commit": "b"}, "commit"),
        (facts | {"settings": {}}, "settings"),
        ({}, "commit, settings"),
    ):
        with pytest.raises(CCTError) as refused:
            text.refuse_others("m", {"runs": [{}]} | case, facts, more=True, **options)
        assert f"{options['out']} has trainings of 'm' with other or unknown conditions ({differing}): " in str(
            refused.value
        )


def test_a_committed_file_of_older_cases_is_not_continued(monkeypatch, capsys):
    before = (result_pages.RESULTS / "trec.json").read_bytes()
    words = ["none", "--models", "text_cct_2_1", "--seeds", 6, "--out", result_pages.RESULTS / "trec.json"]
    assert call(monkeypatch, text, *words) == 1
    assert "has trainings of 'text_cct_2_1' with other or unknown conditions (commit, " in capsys.readouterr().err
    assert (result_pages.RESULTS / "trec.json").read_bytes() == before


def test_what_a_source_of_images_costs_is_measured(tmp_path):
    """On a few images: all different, and each process has some memory."""
    scale.write_archive(tmp_path / "images.tar", size=32, count=300)
    done = scale.measure("preprocess", tmp_path / "images.tar", tmp_path)
    assert done["examples"] == 300 and done["duplicates"] == 0 and done["seconds"] > 0 and done["memory_mb"] > 10
    done = scale.measure("epoch", tmp_path / "images.tar", tmp_path)
    assert done["examples"] == 220 and done["memory_mb"] > 10


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="make profile measures steps on TensorFlow")
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("cct_2_3x2", {}),
        ("cct_2_7x2", {}),
        ("vit_lite_6_4", {}),
        ("keras_example", {}),
        ("cct_2_3x2", {"num_conv_layers": 3, "pool_after": [1, 3], "conv_norm": "batch"}),
    ],
)
def test_the_parts_of_a_profile_are_all_layers(name, fields):
    """All weights are in them, and one after the other they compute the tokens, each from inputs of its shape."""
    architecture = resolve_architecture(ModelParams(name=name, num_layers=1, **fields))
    model = build_model(architecture, image_shape=(16, 16, 3), classes=10)
    parts = [*step_profile.parts(model)]
    found = [variable.path for part in parts for layer in part.layers for variable in layer.trainable_variables]
    others = {"class_token/token"}  # a copy of one vector for each image
    assert sorted(found) == sorted({variable.path for variable in model.trainable_variables} - others)
    _, *before = itertools.takewhile(lambda part: part.title not in ("positions", "layer norms"), parts)
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    flipped = before[0].title == "convolution 1"  # as `convolve_relu_pool` has them
    x = images[:, ::-1, ::-1] if flipped else images
    for part in before:
        assert part.shapes == [x.shape[1:]], part.title
        x = np.asarray(part.function(x))
    x = x[:, ::-1, ::-1] if flipped else x
    tokens = np.asarray(model.get_layer("tokenizer")(images, training=True))
    np.testing.assert_allclose(x.reshape(tokens.shape), tokens, rtol=1e-5, atol=1e-5)
    for part in parts:
        gradients = step_profile.timed_part(part, 2)()
        assert all(np.isfinite(one).all() for one in (gradients if isinstance(gradients, list) else [gradients]))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="make profile measures steps on TensorFlow")
@pytest.mark.parametrize("name", ["cct_2_3x2", "keras_example"])
def test_a_step_without_random_numbers_has_all_other_operations(name):
    """It has dropout's operations and the same attention. Only the draws of the masks are missing."""
    params = ModelParams(name=name, num_layers=2, dropout=0.1, attention_dropout=0.1, stochastic_depth=0.1)
    network = build_model(resolve_architecture(params), image_shape=(16, 16, 3), classes=10)
    network.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    images, labels = contender.random_images(2, 16)
    targets = np.eye(10, dtype="float32")[labels]
    usual, still = (step_profile.gradients_of(network, images, targets) for _ in range(2))
    found = [operations_of(function) for function in (usual, step_profile.with_fixed_masks(still))]
    drawn = [{kind: count for kind, count in one.items() if "Random" in kind or "uint16" in kind} for one in found]
    assert sum(drawn[0].values()) > 3 and not drawn[1]
    for kind in ("SelectV2", "Softmax", "MatMul", "BatchMatMulV2", "Einsum", "Conv2D", "MaxPool"):
        assert found[0][kind] == found[1][kind], kind
    again = [np.asarray(one) for _ in range(2) for one in still()]
    np.testing.assert_array_equal(again[0], again[len(again) // 2])
    assert not np.array_equal(*(np.asarray(usual()[0]) for _ in range(2)))


def operations_of(function) -> collections.Counter:
    """How often each kind of operation is in a TensorFlow function and those that it calls."""
    graph = function.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for one in graph.library.function for node in one.node_def)]
    return collections.Counter(node.op for node in nodes)


def test_all_measures_take_turns():
    taken = []
    measures = {name: lambda name=name: taken.append(name) or len(taken) for name in ("fit", "step")}
    found = step_profile.medians(measures, 3)
    assert taken == ["fit", "step"] * (step_profile.WARMUP + 3)
    first = 2 * step_profile.WARMUP
    assert found == {"fit": first + 3, "step": first + 4}  # the median of the turns that count


def test_importing_a_script_does_not_import_keras():
    """TensorFlow reads its variables at import, and `configure_backend` sets them."""
    names = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"keras_example"}  # a model in Keras
    code = f"import sys; sys.path.insert(0, 'benchmarks'); import {', '.join(names)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"keras", "tensorflow", "jax", "torch", "mlflow.models"} & {*done.stdout.split()} and len(names) > 20


SERVER = """
import socket, sys, time
answer, listener = sys.argv[1], socket.create_server(("127.0.0.1", int(sys.argv[3])))
opened = 0
while True:
    connection, opened = listener.accept()[0], opened + 1
    file = connection.makefile("rb")
    while line := file.readline():
        while (header := file.readline()).strip():
            if header.startswith(b"Content-Length:"):
                file.read(int(header.split()[1]) + 2)
                break
        if answer == "cut":
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\nx")
            connection.close()
            break
        if answer == "open":
            body = str(opened).encode()
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
"""


@pytest.mark.parametrize("answer", ["never", "cut"])
def test_a_server_that_does_not_answer_is_not_waited_for(answer, monkeypatch):
    monkeypatch.setattr(run_server, "START_S", 2)
    began = time.monotonic()
    running = run_server.running([sys.executable, "-c", SERVER, answer], health="/")
    with pytest.raises(CCTError, match=f"{answer} has not answered in 2 seconds"), running:
        pass
    assert time.monotonic() - began < 60


def test_a_server_that_ends_says_so():
    words = [sys.executable, "-c", "import sys; sys.exit('no model')"]
    with pytest.raises(CCTError, match=r"ended with 1:\nno model"), run_server.running(words, health="/"):
        pass


def test_connections_stay_open_for_a_turn():
    """The body of an answer is how many connections have been opened; the check of the server's health is the first."""
    with run_server.running([sys.executable, "-c", SERVER, "open"], health="/") as (pid, port):
        requests = [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"] * 3
        bodies, ask = [], load.ask

        def kept(*args, **options):
            answers = ask(*args, **options)
            bodies.extend(answer.body for answer in answers)
            return answers

        load.ask = kept
        try:
            result = serving.turn(pid, port, requests, clients=1, seconds=0.3)
        finally:
            load.ask = ask
    assert len({*bodies}) == 1 and result["requests"] == len(bodies) > len(requests)


@pytest.mark.parametrize("exported", [True, False])
def test_where_onnx_answers_the_keras_file_is_served_alone_too(exported, tmp_path, monkeypatch):
    model, folder = tmp_path / "model.keras", tmp_path / "folder"
    folder.mkdir()
    model.write_bytes(b"model")
    monkeypatch.setattr(onnx_model, "onnx_beside", lambda path: path.with_suffix(".onnx") if exported else None)
    monkeypatch.setattr(serving, "mlflow_serve", lambda path, folder: ["mlflow"])
    servers = serving.servers_of(model, folder)
    served = {"cct": model, **({"cct_keras": folder / "model.keras"} if exported else {})}
    assert {name: server.words for name, server in servers.items()} == {
        **{name: serving.cct_serve(path) for name, path in served.items()},
        "mlflow": ["mlflow"],
    }
    assert [path.read_bytes() for path in folder.iterdir()] == [b"model"] * exported


def test_a_turn_has_at_least_one_request():
    assert list(load.until(0.0, [b"a", b"b"])) == [b"a"]


class MadeUpContender:
    """In place of a process of `contender.py`: its steps take so many seconds, or it fails at its start."""

    def __init__(self, kind, taken):
        self.kind, self.versions, self.taken = kind, {"torch": "2"}, taken

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def start(self):
        if self.kind == "vit-pytorch-compiled":
            raise CCTError("contender.py ended with 1: a log\nno compiler")

    def turn(self):
        self.taken.append(self.kind)
        return {"ours-jax": 0.1, "vit-pytorch": 0.2, "vit-pytorch-channels-last": 0.4}[self.kind] * len(self.taken)


def test_contenders_on_a_gpu_take_turns_and_one_that_fails_is_left_out(monkeypatch):
    taken = []
    monkeypatch.setattr(gpu_steps, "contender_process", lambda kind, *args, **options: MadeUpContender(kind, taken))
    options = type("Options", (), {"rehearse": False, "torch_python": "p"})
    row, failed = gpu_steps.measure("cct_2_3x2", "float32", 8, others=common.TORCH, options=options)
    assert taken == ["ours-jax", "vit-pytorch", "vit-pytorch-channels-last"] * gpu_steps.TURNS
    assert failed == ["vit-pytorch, compiled does not run here (no compiler)"]
    # In the first turn the seconds are 0.1, 0.2 * 2 and 0.4 * 3; in the last 0.1 * 13, 0.2 * 14 and 0.4 * 15.
    assert row["ratio"]["vit-pytorch"][1:] == [round(2 * 14 / 13, 3), 4.0]
    assert row["images_per_second"]["ours"] == round(8 / 0.7) and row["turns"] == 5
    assert statistics.median(row["seconds"]["vit-pytorch"]) == pytest.approx(0.2 * 8)


def test_a_contender_that_stays_times_turns_of_at_least_so_long(capsys):
    asked = []

    def run(steps):
        asked.append(steps)
        return [0.3 if len(asked) == 1 else 0.1] * steps  # the first steps are slow

    contender.answer_turns(run, 1.0, ["\n", "\n"], {"size": 7})
    first, *turns = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert first == {"size": 7} and len(turns) == 2
    assert all(sum(turn["seconds"]) >= 1.0 for turn in turns)
    assert asked == [contender.CALIBRATION, *[4] * 6]


def test_a_contender_that_ends_says_why():
    words = [sys.executable, "-c", "import sys; print('{\"versions\": {}}'); sys.exit('no memory')"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        with pytest.raises(CCTError, match="ended with 1: no memory"):
            gpu_steps.Asked(process, log).start()
        process.communicate()
