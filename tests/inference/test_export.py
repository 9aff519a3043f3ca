"""`cct export`: what it writes, compares, reports and logs."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import mlflow
import numpy as np
import onnx
import pytest
from brightness import CLASSES, FACTS, bright_probability, brightness_model
from exports import export, images_of, overflowing_model, write_data

import cct
from cct.cli import main
from cct.errors import CCTError
from cct.files import sha256_of_file
from cct.inference.exported import ExportFacts
from cct.inference.exporters.base import ExportError, ExportJob
from cct.inference.exporters.comparison import Reference, compare, repeated, require_batches
from cct.inference.exporters.graph import in_float32, probability_model
from cct.inference.exporters.registry import EXPORTERS, require_precision
from cct.inference.exporters.report import write_report
from cct.inference.exporters.run import Data, _samples
from cct.inference.runtimes.registry import open_model
from cct.models.metadata import model_metadata
from cct.models.saving import load_model, save_model

GREYS = np.arange(0, 256, 5)
TRUE = (GREYS > 128).astype(np.uint8)
# The model says "bright" from a mean of 128 on; two labels are made wrong.
WRONG = [3, 40]


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A folder that looks like a clone, with a model and the data that could have trained it."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / ".dvc").mkdir()
    (folder / "dvc.yaml").touch()
    brightness_model(folder / "models/model.keras")
    labels = TRUE.copy()
    labels[WRONG] = 1 - labels[WRONG]
    write_data(folder / "data/processed", test=GREYS, labels=labels)
    return folder


@pytest.fixture
def here(repository, tmp_path, monkeypatch):
    """A copy of it as the current folder, without a store of MLflow."""
    shutil.copytree(repository, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("cct.inference.exporters.comparison.MOST_SECONDS", 0.0)  # five turns of each latency
    return tmp_path / "here"


def test_all_formats_and_precisions_are_compared_with_keras(here, capsys):
    words = ["export", "--format", "onnx", "litert", "--precision", "float32", "float16", "int8"]
    assert main(words) == 0
    printed = capsys.readouterr()
    report = json.loads((here / "reports/export.json").read_text())
    right = 1 - len(WRONG) / len(GREYS)
    assert report["model"]["sha256"] == sha256_of_file(here / "models/model.keras")
    assert report["data"] == {"name": "made-up", "digest": FACTS["data"]["digest"], "examples": len(GREYS)}
    assert report["rows"]["keras"]["accuracy"] == pytest.approx(right)
    names = [f"{name}_{precision}" for name in ("onnx", "litert") for precision in ("float32", "float16", "int8")]
    assert list(report["rows"]) == ["keras", *names]
    for name in names:
        row, path = report["rows"][name], here / "models" / report["rows"][name]["file"]
        found = cct.load(path).predict_arrays(images_of(GREYS)).probabilities[:, 1]
        difference = np.abs(found - [bright_probability(mean) for mean in GREYS]).max()
        assert row["largest_difference"] == pytest.approx(difference, abs=1e-6)
        assert row["bytes"] == path.stat().st_size and row["latency_1_ms"] > 0 and row["latency_128_ms"] > 0
        assert f"{name} " in printed.out and cct.load(path).runtime.facts.precision == name.split("_")[1]
        if name.endswith("float32"):
            assert row["labels_differ"] == 0 and row["largest_difference"] < 1e-6
            assert row["accuracy"] == pytest.approx(right)
    assert "wrote models/model.onnx, models/model.float16.onnx, models/model.int8.onnx, models/model.tfl" in printed.out
    assert "there is no MLflow store at" in printed.err and not (here / "mlflow.db").exists()


def test_a_later_export_adds_its_rows_to_the_report(tmp_path):
    report = {"model": {"sha256": "a"}, "data": None, "machine": {}, "versions": {}, "rows": {"keras": {}, "one": {}}}
    path = tmp_path / "reports/export.json"
    write_report(path, report)
    write_report(path, report | {"rows": {"keras": {"bytes": 1}, "two": {}}})
    assert json.loads(path.read_text())["rows"] == {"keras": {"bytes": 1}, "one": {}, "two": {}}
    write_report(path, report | {"model": {"sha256": "b"}, "rows": {"keras": {}}})
    assert json.loads(path.read_text())["rows"] == {"keras": {}}
    for damaged in ("[]", "{", '{"rows": 3}'):
        path.write_text(damaged)
        write_report(path, report)
        assert json.loads(path.read_text()) == report


def test_the_export_is_logged_into_the_run_of_the_model(here, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{here}/mlflow.db")
    client = mlflow.MlflowClient(f"sqlite:///{here}/mlflow.db")
    experiment = client.create_experiment("cct", artifact_location=(here / "mlartifacts").as_uri())
    assert main(["export", "--format", "saved_model"]) == 0
    assert "no run in MLflow has this model, so the export is not logged" in capsys.readouterr().err
    sha256 = sha256_of_file(here / "models/model.keras")
    run = client.create_run(experiment, tags={"cct.model_sha256": sha256}).info.run_id
    assert main(["export", "--format", "saved_model"]) == 0
    assert f"logged into the MLflow run {run}" in capsys.readouterr().out
    logged = client.get_run(run).data.metrics
    row = json.loads((here / "reports/export.json").read_text())["rows"]["saved_model_float32"]
    assert logged["export/saved_model_float32/latency_1_ms"] == row["latency_1_ms"]
    assert logged["export/keras/accuracy"] == row["accuracy"]
    top = {file.path for file in client.list_artifacts(run, "export")}
    assert top == {"export/export.json", "export/model.savedmodel"}
    assert "export/model.savedmodel/saved_model.pb" in {
        file.path for file in client.list_artifacts(run, "export/model.savedmodel")
    }
    monkeypatch.setenv("CCT_TRACKER", "none")
    assert main(["export", "--format", "saved_model"]) == 0
    assert "nothing is logged: the tracker is none" in capsys.readouterr().out


def test_without_data_random_inputs_are_compared_and_it_is_said(here, capsys):
    shutil.rmtree(here / "data")
    assert main(["export", "--format", "saved_model"]) == 0
    assert (
        "data/processed is not there: the export is compared with Keras on random inputs only"
        in capsys.readouterr().out
    )
    report = json.loads((here / "reports/export.json").read_text())
    row = report["rows"]["saved_model_float32"]
    assert report["data"] is None and row["accuracy"] is None and row["labels_differ"] == 0
    assert main(["export", "--format", "litert", "--precision", "float32", "int8"]) == 1
    printed = capsys.readouterr()
    assert "litert in int8 needs examples of the train split" in printed.err
    assert "litert_float32" not in printed.out and not (here / "models/model.tflite").exists(), "before any work"


def test_other_data_are_said_or_refused(here, capsys):
    write_data(here / "data/processed", test=GREYS, labels=TRUE, digest="e" * 64, name="other")
    assert main(["export", "--format", "saved_model"]) == 0
    assert "has the data 'other', and the model was trained on 'made-up'" in capsys.readouterr().out
    assert main(["export", "--format", "saved_model", "--data", "data/processed"]) == 1
    assert "or on another version of them: give --data the folder of its own data" in capsys.readouterr().err
    write_data(here / "empty", test=GREYS[:0], labels=TRUE[:0])
    assert main(["export", "--format", "saved_model", "--data", "empty"]) == 1
    assert "empty: its test split is empty, so nothing can be compared" in capsys.readouterr().err
    assert main(["export", "--format", "saved_model", "--data", "none"]) == 1
    assert "--data none: it has no meta.json, so it is no folder as data/processed" in capsys.readouterr().err


def test_it_works_in_any_folder_whatever_backend_is_asked_for(repository, tmp_path, tmp_path_factory):
    """Keras exports from TensorFlow; a variable for another backend does not matter. No report without a clone."""
    shutil.copy(repository / "models/model.keras", tmp_path / "best.keras")
    home = tmp_path_factory.mktemp("home")
    words = [sys.executable, "-m", "cct.cli", "export", "--model", "best.keras", "--format", "litert"]
    environment = {"KERAS_BACKEND": "jax", "PATH": "/usr/bin:/bin", "HOME": str(home)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.keras", "best.tflite"]
    assert cct.load(tmp_path / "best.tflite").predict_arrays(images_of([250])).labels == ["bright"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "saved_model", "--precision", "int8"], "saved_model has no precision int8: it has float32"),
        (["--format", "onnx", "litert", "--out", "a.onnx"], "a.onnx is one file, and 2 are to be written: omit it"),
        (["--format", "onnx", "--out", "a.tflite"], "the name of a file of onnx must end in .onnx"),
        (["--format", "onnx", "--model", "none.keras"], "none.keras is not there"),
        (["--format", "onnx", "--model", "dvc.yaml"], "dvc.yaml is not a model of this project"),
        (["--format", "onnx", "--model", "a.onnx"], "a.onnx is an exported file, which has no layers: give the .keras"),
        (["--format", "onnx", "--model", "http://x/y.keras"], "http://x/y.keras is an address, and a model is a file"),
        (["--format", "onnx", "--data", "."], "--data .: it has no meta.json, so it is no folder as data/processed"),
        (["--format", "onnx", "--model", "models:/x@champion"], "is in MLflow, and there is no store at"),
        (["--format", "saved_model", "--out", "data"], "data is there, and is no earlier export in the format saved_m"),
        (["--format", "saved_model", "--out", "a.onnx"], "a.onnx is there, and is no earlier export in the format sav"),
        (
            ["--format", "onnx", "--out", "folder.onnx"],
            "folder.onnx is there, and is no earlier export in the format o",
        ),
    ],
)
def test_mistakes_are_one_sentence(words, said, here, capsys):
    (here / "a.onnx").write_bytes(b"an exported file")
    (here / "folder.onnx").mkdir()
    assert main(["export", *words]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--format", "tensorrt"], ["--format", "onnx", "--precision", "int4"]])
def test_unknown_formats_and_precisions_are_refused_with_the_list(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["export", *words])
    assert caught.value.code == 2
    assert re.search(
        r"required: --format|choose from '?onnx'?, '?litert|choose from '?float32", capsys.readouterr().err
    )


def test_a_library_that_is_missing_is_one_sentence(here, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    assert main(["export", "--format", "onnx"]) == 1
    assert re.search(r"model\.onnx needs tf2onnx, which is not installed: .*extra export", capsys.readouterr().err)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_model_of_mixed_precision_is_exported_in_float32(policy, tmp_path, exported):
    """The weights are float32 in both, so the answers are those of the float32 model."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        path = brightness_model(tmp_path / "model.keras")
    finally:
        keras.config.set_dtype_policy(before)
    assert load_model(path).layers[-1].compute_dtype == policy.removeprefix("mixed_")
    assert {layer.compute_dtype for layer in in_float32(load_model(path)).layers if layer.weights} == {"float32"}
    found = cct.load(export(path, "litert")).predict_arrays(images_of(GREYS)).probabilities[:, 1]
    np.testing.assert_allclose(found, [bright_probability(mean) for mean in GREYS], atol=1e-6)


def test_a_float32_file_that_answers_otherwise_is_refused(exported, tmp_path):
    """Keras's answers are changed here, in place of a wrong export."""
    inputs = images_of(GREYS)
    true_nk = open_model(exported / "model.onnx").probabilities(inputs)
    assert compare(exported / "model.onnx", Reference(inputs, None, true_nk), precision="float32")["labels_differ"] == 0
    for other_nk, said in ((true_nk[:, ::-1], "52 of 52 labels differ"), (true_nk + 0.01, "0 of 52 labels differ")):
        with pytest.raises(CCTError, match=rf"does not compute what Keras does: {said}"):
            compare(exported / "model.onnx", Reference(inputs, None, other_nk), precision="float32")
        row = compare(exported / "model.onnx", Reference(inputs, TRUE, other_nk), precision="int8")
        assert row["labels_differ"] == int(said.split()[0]) and row["accuracy"] == 1
    tied_nk = np.full_like(true_nk, 0.5)
    tied_nk[:, 0] += np.where(true_nk.argmax(axis=1) == 1, 1e-7, -1e-7)
    row = compare(exported / "model.onnx", Reference(inputs, None, tied_nk), precision="int8")
    assert row["ties"] == row["labels_differ"] == len(GREYS)


@pytest.mark.parametrize("format_name", ["onnx", "saved_model"])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_wrong_file_is_not_kept_and_an_earlier_one_stays(earlier, format_name, here, monkeypatch, capsys):
    """The tolerance is so small here that rounding is a mistake."""
    out = EXPORTERS[format_name].path(here / "models/model.keras", "float32")
    if earlier:
        export(here / "models/model.keras", format_name)
    before = files_of(here / "models")
    monkeypatch.setattr("cct.inference.exporters.comparison.LARGEST_DIFFERENCE", -1.0)
    monkeypatch.setattr("cct.inference.exporters.comparison.require_batches", lambda *given: None)
    assert main(["export", "--format", format_name]) == 1
    said = f"models/{out.name} does not compute what Keras does: 0 of 52 labels differ"
    assert said in capsys.readouterr().err
    assert files_of(here / "models") == before and out.exists() == earlier
    assert not (here / "reports").exists()


def files_of(folder: Path) -> dict[str, bytes]:
    """The content of each file in a folder and in those in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_float16_file_that_overflows_is_not_kept_and_an_earlier_one_stays(here, capsys):
    words = ["export", "--format", "onnx", "--precision", "float16"]
    assert main(words) == 0
    overflowing_model(here / "models/model.keras")
    before = files_of(here / "models")
    assert {*before} == {"model.keras", "model.float16.onnx"}
    capsys.readouterr()
    assert main(words) == 1
    assert re.search(
        r"models/model\.float16\.onnx in float16 gives infinite or undefined outputs for \d+ of 129 inputs: export the "
        r"\.keras file in float32$",
        capsys.readouterr().err.strip(),
    )
    assert files_of(here / "models") == before
    assert main(["export", "--format", "onnx"]) == 0  # the remedy


def test_a_later_file_that_fails_leaves_the_report_and_the_tracking_of_those_before(here, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{here}/mlflow.db")
    client = mlflow.MlflowClient(f"sqlite:///{here}/mlflow.db")
    experiment = client.create_experiment("cct", artifact_location=(here / "mlartifacts").as_uri())
    overflowing_model(here / "models/model.keras")
    sha256 = sha256_of_file(here / "models/model.keras")
    run = client.create_run(experiment, tags={"cct.model_sha256": sha256}).info.run_id
    assert main(["export", "--format", "onnx", "--precision", "float32", "float16", "int8"]) == 1
    printed = capsys.readouterr()
    assert printed.err.strip().endswith("export the .keras file in float32")
    assert "wrote models/model.onnx\n" in printed.out
    assert {*files_of(here / "models")} == {"model.keras", "model.onnx"}
    report = json.loads((here / "reports/export.json").read_text())
    assert report["model"]["sha256"] == sha256 and [*report["rows"]] == ["keras", "onnx_float32"]
    assert "export/onnx_float32/bytes" in client.get_run(run).data.metrics
    assert {file.path for file in client.list_artifacts(run, "export")} == {"export/export.json", "export/model.onnx"}


@pytest.mark.parametrize(("shape", "most"), [((8, 6, 1), 128), ((1024, 1024, 1), 1)])
def test_an_export_that_takes_one_input_at_a_time_is_refused(shape, most, tmp_path):
    """Also where images are so large that `predict` gives one at a time."""
    images = keras.Input(shape, dtype="uint8")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(images))
    facts = FACTS | {"input": FACTS["input"] | {"shape": list(shape)}}
    save_model(keras.Model(images, keras.layers.Dense(2)(pooled)), tmp_path / "model.keras", facts=facts)
    path = export(tmp_path / "model.keras", "onnx")
    inputs = np.zeros((1, *shape), np.uint8)
    require_batches(open_model(path), inputs)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    path.write_bytes(model.SerializeToString())
    with pytest.raises(
        CCTError, match=rf"model\.onnx takes no batch of {max(most, 3)} inputs \(.*\)\. The new file is removed: "
    ):
        require_batches(open_model(path), inputs)


def test_an_export_whose_answers_depend_on_the_batch_is_refused(tmp_path):
    path = export(brightness_model(tmp_path / "model.keras"), "onnx")
    model = onnx.load(path)
    (softmax,) = (node for node in model.graph.node if node.op_type == "Softmax")
    del softmax.attribute[:]
    softmax.attribute.append(onnx.helper.make_attribute("axis", 0))  # over the images
    path.write_bytes(model.SerializeToString())
    with pytest.raises(
        CCTError, match=r"model\.onnx gives other probabilities in a batch of 1 inputs\. The new file is"
    ):
        require_batches(open_model(path), images_of(GREYS))


def test_only_the_inputs_that_are_needed_are_read():
    """A copy of this array would take 144 TB."""
    inputs = np.broadcast_to(np.uint8(7), (10**12, 8, 6, 3))
    assert repeated(inputs, 3).tolist() == np.full((3, 8, 6, 3), 7).tolist()
    np.testing.assert_array_equal(repeated(np.arange(3), 8), [0, 1, 2, 0, 1, 2, 0, 1])


class Unknown(keras.layers.Layer):
    """A layer of an operator that neither ONNX nor LiteRT has."""

    def call(self, logits_bk):
        return keras.ops.erfinv(keras.ops.tanh(logits_bk))

    def compute_output_shape(self, input_shape):
        return input_shape


def model_with(exported: Path, layer: keras.layers.Layer) -> tuple[keras.Model, ExportFacts]:
    """A model with this layer."""
    images = keras.Input((8, 6, 3), dtype="uint8")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1.0)(images))
    model = keras.Model(images, keras.layers.Softmax()(layer(keras.layers.Dense(2)(pooled))))
    metadata = model_metadata(exported / "model.keras")
    return model, ExportFacts(model=metadata, model_sha256="0" * 64, precision="float32", version="0")


class Failing(keras.layers.Layer):
    """A layer that no converter can trace."""

    def call(self, logits_bk):
        raise ZeroDivisionError("the layer\nfailed")

    def compute_output_shape(self, input_shape):
        return input_shape


LIBRARIES = {"onnx": "tf2onnx with ONNX Runtime", "litert": "TensorFlow", "saved_model": "TensorFlow"}


@pytest.mark.parametrize("format_name", EXPORTERS)
def test_a_failure_of_a_converter_is_one_sentence(format_name, exported, tmp_path):
    model, facts = model_with(exported, Failing())
    out = EXPORTERS[format_name].path(tmp_path / "model.keras", "float32")
    with pytest.raises(ExportError) as caught:
        EXPORTERS[format_name].write(ExportJob(model, facts, images_of([]), out))
    said = rf"{LIBRARIES[format_name]} cannot convert this model to {format_name}: .+"
    assert re.fullmatch(said, str(caught.value))


def test_a_path_that_cannot_be_written_is_no_failure_of_a_converter(exported, tmp_path):
    model, facts = model_with(exported, keras.layers.Activation("linear"))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        EXPORTERS["onnx"].write(ExportJob(model, facts, images_of([]), tmp_path / "file/model.onnx"))


@pytest.mark.parametrize(("format_name", "suffix"), [("onnx", ".onnx"), ("litert", ".tflite")])
def test_an_operator_that_a_format_lacks_is_named(format_name, suffix, exported, tmp_path):
    model, facts = model_with(exported, Unknown())
    out = tmp_path / f"model{suffix}"
    with pytest.raises(CCTError) as caught:
        EXPORTERS[format_name].write(ExportJob(model, facts, images_of([]), out))
    assert str(caught.value) == (
        f"the format {format_name} has no operator for TensorFlow's Erfinv, which this model needs: choose another "
        "format, or a model without the operator"
    )
    assert not out.exists()


def test_an_operator_that_no_model_of_ours_has_is_named_in_a_saved_model(exported, tmp_path):
    """TensorFlow could compute it. The check that no program of others runs refuses it."""
    model, facts = model_with(exported, Unknown())
    out = tmp_path / "model.savedmodel"
    EXPORTERS["saved_model"].write(ExportJob(model, facts, images_of([]), out))
    with pytest.raises(CCTError, match=r"has operators that no model of this project has \(Erfinv, .*Tanh\)"):
        cct.load(out)


def test_a_model_without_names_of_classes_is_refused(here, capsys):
    save_model(load_model(here / "models/model.keras"), here / "bare.keras")
    assert main(["export", "--format", "onnx", "--model", "bare.keras"]) == 1
    assert "does not say what its outputs mean, as an imported checkpoint" in capsys.readouterr().err


def test_a_second_saved_model_replaces_the_first(tmp_path):
    path = brightness_model(tmp_path / "model.keras")
    first = export(path, "saved_model")
    (first / "left").touch()
    brightness_model(path, temperature=4.0)
    assert export(path, "saved_model") == first and not (first / "left").exists()
    found = cct.load(first).predict_arrays(images_of([200])).probabilities[0, 1]
    assert found == pytest.approx(bright_probability(200, temperature=4.0), abs=1e-6)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["model.keras", "model.savedmodel"]


def test_every_format_and_precision_has_a_path_of_its_own():
    model = Path("models/model.keras")
    paths = {one.path(model, precision) for one in EXPORTERS.values() for precision in one.precisions}
    assert {str(path) for path in paths} == {
        "models/model.onnx", "models/model.float16.onnx", "models/model.int8.onnx",
        "models/model.tflite", "models/model.float16.tflite", "models/model.int8.tflite", "models/model.savedmodel",
    }  # fmt: skip
    for name, exporter in EXPORTERS.items():
        for precision in exporter.precisions:
            require_precision(name, precision)


def test_many_classes_with_any_names_travel_whole(tmp_path):
    classes = [f'класс {k}, "quoted"' for k in range(300)]
    images = keras.Input((8, 6, 3), dtype="uint8")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(images))
    save_model(
        keras.Model(images, keras.layers.Dense(300)(pooled)), tmp_path / "m.keras", facts=FACTS | {"classes": classes}
    )
    expected = cct.load(tmp_path / "m.keras").predict_arrays(images_of([90]))
    for name in ("onnx", "litert"):
        found = cct.load(export(tmp_path / "m.keras", name)).predict_arrays(images_of([90]))
        assert found.classes == classes and found.labels == expected.labels and classes != CLASSES
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    assert probability_model(tmp_path / "m.keras", model_metadata(tmp_path / "m.keras")).output_shape == (None, 300)


def test_the_ranges_of_int8_come_from_all_of_the_train_split(tmp_path):
    """Folders of images are sorted by class, so the first 256 of 300 may lack one."""
    np.save(tmp_path / "train_inputs.npy", np.arange(300).reshape(300, 1))
    np.save(tmp_path / "train_labels.npy", np.zeros(300, np.uint8))
    found = _samples(Data(tmp_path, {})).ravel()
    assert len(found) == 256 and (found[0], found[-1]) == (0, 299) and (np.diff(found) > 0).all()
