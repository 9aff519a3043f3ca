"""Exported files as models: the answers of the `.keras` file, without Keras, or one sentence."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import tensorflow as tf
from brightness import CLASSES, FACTS, bright_probability, brightness_model
from exports import digest_of, export, images_of, overflowing_model
from PIL import Image

import cct
from cct.cli import main
from cct.errors import CCTError
from cct.evaluation.softmax import MetricsError
from cct.files import sha256_of_file
from cct.inference.runtimes.onnx_model import onnx_beside
from cct.models.metadata import model_metadata
from cct.models.saving import load_model, save_model

EXPORTS = ("model.onnx", "model.tflite", "model.savedmodel")


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("count", [0, 1, 3, 257])
def test_an_export_has_the_answers_of_the_model(exported, name, count):
    model, images = cct.load(exported / name), np.random.default_rng(count).integers(0, 256, (count, 8, 6, 3), np.uint8)
    found = model.predict_arrays(images)
    assert found.classes == CLASSES and found.probabilities.dtype == np.float64
    expected = [bright_probability(image.mean()) for image in images]
    np.testing.assert_allclose(found.probabilities[:, 1], expected, atol=1e-6)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("size", [1, 3, 257])
def test_an_export_takes_a_batch_of_any_size_at_once(exported, name, size):
    """As other programs give it: `predict_arrays` splits a large one."""
    runtime, images = cct.load(exported / name).runtime, images_of(range(256))[np.arange(size) % 256]
    batch = runtime.compute(images)
    assert batch.shape == (size, 2)
    np.testing.assert_allclose(batch[:, 1], [bright_probability(image.mean()) for image in images], atol=1e-6)
    np.testing.assert_allclose(runtime.in_batches(images, size=size)[:, 1], batch[:, 1], atol=1e-6)


def test_undefined_outputs_name_the_file_its_precision_and_the_remedy(tmp_path):
    path = export(overflowing_model(tmp_path / "model.keras"), "onnx", precision="float16")
    with pytest.raises(MetricsError) as caught:
        cct.load(path).predict_arrays(images_of([0, 10, 100, 255]))
    assert str(caught.value) == (
        f"{path} in float16 gives infinite or undefined outputs for 2 of 4 inputs: export the .keras file in float32"
    )
    model = load_model(brightness_model(tmp_path / "model.keras"))
    model.layers[-1].set_weights([np.full((3, 2), np.nan), np.zeros(2)])
    save_model(model, tmp_path / "model.keras", facts=FACTS)
    path = export(tmp_path / "model.keras", "onnx")
    with pytest.raises(MetricsError) as caught:
        cct.load(path).predict_arrays(images_of([0, 255]))
    assert str(caught.value) == (
        f"{path} in float32 gives infinite or undefined outputs for 2 of 2 inputs: train the model again with a lower "
        "learning rate"
    )


@pytest.mark.parametrize("name", EXPORTS)
def test_raw_images_are_read_as_for_the_keras_file(exported, name, tmp_path):
    """Of another size, transparent and turned: one reader serves all formats."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    expected = cct.load(exported / "model.keras").predict(tmp_path / "a.png")
    found = cct.load(exported / name).predict([tmp_path / "a.png"])
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    assert found.labels == expected.labels


@pytest.mark.parametrize("name", EXPORTS)
def test_the_file_has_all_metadata_and_names_the_file_it_was_made_of(exported, name):
    model = cct.load(exported / name)
    assert model.metadata == model_metadata(exported / "model.keras")
    assert model.runtime.facts.model_sha256 == sha256_of_file(exported / "model.keras")
    assert (model.runtime.facts.precision, model.runtime.facts.version) == ("float32", cct.__version__)
    with pytest.raises(CCTError, match=r"has no layers to look at: load the \.keras file"):
        model.model  # noqa: B018


def test_other_programs_find_what_they_expect(exported):
    """Raw bytes in, a free batch; the class names where each format has them."""
    graph = onnx.load(exported / "model.onnx").graph
    (taken,), (given,) = graph.input, graph.output
    assert [dim.dim_param or dim.dim_value for dim in taken.type.tensor_type.shape.dim] == ["batch", 8, 6, 3]
    assert taken.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert (given.name, given.type.tensor_type.elem_type) == ("probabilities", onnx.TensorProto.FLOAT)
    onnx.checker.check_model(onnx.load(exported / "model.onnx"), full_check=True)
    with zipfile.ZipFile(exported / "model.tflite") as archive:
        assert archive.read("labels.txt").decode().split("\n") == [*CLASSES, ""]
    assert (exported / "model.savedmodel/assets.extra/labels.txt").read_text().split("\n") == [*CLASSES, ""]
    loaded = tf.saved_model.load(str(exported / "model.savedmodel"))
    assert float(loaded.serve([images_of([200])])[0, 1]) == pytest.approx(bright_probability(200), abs=1e-6)


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite"])
def test_neither_keras_nor_tensorflow_is_imported(exported, name, tmp_path):
    Image.new("L", (9, 9), 200).save(tmp_path / "a.png")
    code = (
        f"import cct, sys; found = cct.load({str(exported / name)!r}).predict('a.png'); print(found.labels, sorted("
        "{'keras', 'tensorflow', 'jax', 'torch', 'mlflow'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("['bright'] []\n", "")


@pytest.mark.parametrize("name", EXPORTS)
def test_cct_predict_takes_it(exported, name, tmp_path, capsys):
    for value in (10, 250):
        Image.new("L", (20, 20), value).save(tmp_path / f"{value}.png")
    assert main(["predict", "--model", str(exported / name), str(tmp_path), "--jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["label"] for row in rows] == ["dark", "bright"]
    assert rows[1]["probability"] == pytest.approx(bright_probability(250), abs=1e-5)


@pytest.mark.parametrize("name", EXPORTS)
def test_several_threads_ask_one_model(exported, name):
    """As a server does, with batches of different sizes."""
    model = cct.load(exported / name)
    batches = [images_of(range(count)) for count in range(1, 30)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(model.predict_arrays, batches))
    for batch, predictions in zip(batches, found, strict=True):
        np.testing.assert_allclose(
            predictions.probabilities[:, 1], [bright_probability(mean) for mean in range(len(batch))], atol=1e-6
        )


# The library of a format, by its file.
LIBRARIES = {
    "model.onnx": ("onnxruntime", "ONNX Runtime"),
    "model.tflite": ("ai_edge_litert.interpreter", "LiteRT"),
    "model.savedmodel": ("tensorflow", "TensorFlow"),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_a_missing_library_is_one_sentence_with_its_extra(exported, name, monkeypatch):
    module, package = LIBRARIES[name]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(CCTError, match=rf"{name} needs {package}, which is not installed: .*extra export"):
        cct.load(exported / name)


def edit(path: Path, change) -> None:
    """Change an ONNX file."""
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())


def external(model) -> None:
    """A weight in another file."""
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def external_in_a_branch(model) -> None:
    """The same, in the constant of a branch, where ONNX Runtime reads it too."""
    tensor = onnx.helper.make_tensor("x", onnx.TensorProto.FLOAT, [1], [0.0])
    external_tensor = onnx.TensorProto()
    external_tensor.CopyFrom(tensor)
    external_tensor.ClearField("float_data")
    external_tensor.data_location = onnx.TensorProto.EXTERNAL
    external_tensor.external_data.add(key="location", value="/etc/passwd")
    inner = onnx.helper.make_graph([onnx.helper.make_node("Constant", [], ["x"], value=external_tensor)], "g", [], [])
    model.graph.node.append(onnx.helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner))


def foreign_operators(model) -> None:
    model.opset_import.add(domain="evil.example", version=1)


def facts(**changes):
    """A change of the facts in an ONNX file."""

    def change(model) -> None:
        content = json.loads(model.metadata_props[0].value)
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, {"cct": json.dumps(content | changes)})

    return change


HOSTILE_ONNX = [
    (lambda path: path.write_bytes(b""), "was not made by cct export"),
    (lambda path: path.write_bytes(b"no onnx" * 100), "is not an ONNX file, or is cut off"),
    (lambda path: path.write_bytes(path.read_bytes()[:-200]), "is not an ONNX file, or is cut off|not made by cct exp"),
    (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "cut off|not made by cct export"),
    (lambda path: edit(path, lambda model: model.ClearField("metadata_props")), "was not made by cct export"),
    (lambda path: edit(path, facts(model_sha256="../x")), "made by another version of this project, so export it"),
    (lambda path: edit(path, facts(model={})), "made by another version of this project, so export it"),
    (lambda path: edit(path, facts(model=FACTS | {"classes": ["a"]})), r"its model maps \(8, 6, 3\) to \(2,\)"),
    (lambda path: edit(path, external), "names other files for its weights"),
    (lambda path: edit(path, external_in_a_branch), "names other files for its weights"),
    (
        lambda path: edit(path, foreign_operators),
        "of evil.example, which are not ONNX's own: export the .keras file again$",
    ),
    (
        lambda path: edit(path, lambda model: model.graph.node.pop()),
        "be computed by ONNX Runtime, so export the .keras",
    ),
    (lambda path: edit(path, lambda model: model.graph.ClearField("output")), "cannot be computed by ONNX Runtime, so"),
    (
        lambda path: brightness_model(path.with_suffix(".keras")).replace(path),
        "is a zip archive, as .keras",
    ),
    (lambda path: path.unlink(), "is not there: make it with cct export"),
    (lambda path: (path.unlink(), os.mkfifo(path)), "is not a plain file, and an exported model is one"),
    (lambda path: (path.unlink(), path.symlink_to("/dev/zero")), "is not a plain file, and an exported model is one"),
]


def refused(path: Path, said: str) -> None:
    with pytest.raises(CCTError, match=said) as caught:
        cct.load(path)
    assert str(caught.value).startswith(str(path)) and len(str(caught.value)) < 600


def repack(path: Path, facts_text: str) -> None:
    """Give the flatbuffer of a LiteRT file another archive."""
    with zipfile.ZipFile(path) as archive:
        start = min(member.header_offset for member in archive.infolist())
    path.write_bytes(path.read_bytes()[:start])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cct.json", facts_text)


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)


def foreign_flatbuffer(path: Path) -> None:
    """Facts that fit, behind something that is no model."""
    with zipfile.ZipFile(path) as archive:
        content = json.loads(archive.read("cct.json")) | {"content_sha256": digest_of(b"no model")}
    path.write_bytes(b"no model")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("cct.json", json.dumps(content))


HOSTILE_LITERT = [
    (lambda path: path.write_bytes(b""), "was not made by cct export"),
    (lambda path: path.write_bytes(path.read_bytes()[:-1]), "was not made by cct export"),
    (lambda path: path.write_bytes(path.read_bytes()[:1000]), "was not made by cct export"),
    (lambda path: flip(path, 40), "is damaged: it is not the file that cct export wrote"),
    (lambda path: repack(path, "{}"), "was made by another version of this project"),
    (lambda path: repack(path, "[" * 10_000), "was made by another version of this project"),
    (lambda path: repack(path, " " * (1 << 25)), "its cct.json unpacks to more than 16,777,216 bytes"),
    (foreign_flatbuffer, "cannot be computed by LiteRT, so export the .keras file again: "),
]


def files_written(path: Path) -> None:
    """A SavedModel whose function writes a file when it is asked."""
    module = tf.Module()
    target = str(path.parent / "written")

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 6, 3), tf.uint8)])
    def serve(images):
        tf.io.write_file(target, "x")
        return tf.ones((tf.shape(images)[0], 2)) / 2

    keep = (path / "assets.extra/cct.json").read_text()
    shutil.rmtree(path)
    tf.saved_model.save(module, str(path), signatures=serve)
    (path / "assets.extra").mkdir()
    (path / "assets.extra/cct.json").write_text(keep)


def files_written_as_savers(path: Path) -> None:
    """The same, with its functions under the names of those that save weights, which nothing but its objects names."""
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    files_written(path)
    model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    names = [function.signature.name for function in model.meta_graphs[0].graph_def.library.function]
    text = text_format.MessageToString(model)
    for place, name in enumerate(sorted(names, key=len, reverse=True)):
        text = text.replace(f'"{name}"', f'"__inference__traced_save_{place}"')
    (path / "saved_model.pb").write_bytes(text_format.Parse(text, saved_model_pb2.SavedModel()).SerializeToString())


def of_tensorflow_1(path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    model.meta_graphs[0].ClearField("object_graph_def")
    (path / "saved_model.pb").write_bytes(model.SerializeToString())


def only_a_pickle(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()
    (path / "model.pkl").write_bytes(pickle.dumps(FACTS))


def pickle_as_facts(path: Path) -> None:
    (path / "assets.extra/cct.json").write_bytes(pickle.dumps(FACTS))


HOSTILE_SAVED_MODEL = [
    (only_a_pickle, r"is a folder without saved_model\.pb, so it is no SavedModel"),
    (pickle_as_facts, "was made by another version of this project"),
    (lambda path: shutil.rmtree(path / "assets.extra"), "was not made by cct export"),
    (lambda path: (path / "saved_model.pb").write_bytes(b"\xff" * 100), "is no SavedModel, or is cut off"),
    (lambda path: (path / "saved_model.pb").write_bytes(b""), "is a SavedModel of TensorFlow 1, or has several graphs"),
    (of_tensorflow_1, "is a SavedModel of TensorFlow 1, or has several graphs"),
    (files_written_as_savers, r"has operators that no model of this project has \(a function that saves"),
    (files_written, r"has operators that no model of this project has \(.*WriteFile\), and a SavedModel is a program"),
]


HOSTILE = {"model.onnx": HOSTILE_ONNX, "model.tflite": HOSTILE_LITERT, "model.savedmodel": HOSTILE_SAVED_MODEL}


@pytest.mark.parametrize(
    ("name", "change", "said"), [(name, *case) for name, cases in HOSTILE.items() for case in cases]
)
def test_what_is_no_exported_model_of_this_project_is_one_sentence(exported, name, change, said, tmp_path):
    path = tmp_path / name
    (shutil.copytree if (exported / name).is_dir() else shutil.copy)(exported / name, path)
    change(path)
    refused(path, said)
    assert not (tmp_path / "written").exists()


def test_a_saved_model_without_its_weights_is_one_sentence(exported, tmp_path):
    path = tmp_path / "model.savedmodel"
    shutil.copytree(exported / "model.savedmodel", path)
    shutil.rmtree(path / "variables")
    refused(path, "cannot be computed by TensorFlow, so export the .keras file again: ")


def test_other_files_are_refused_with_the_suffixes(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"x")
    refused(tmp_path / "model.pt", r"is not a model of this project: its name must end in \.keras, \.onnx, \.tflite")


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_of_another_model_than_the_one_beside_it_says_so(exported, name, tmp_path, caplog):
    for one in ("model.keras", name):
        (shutil.copytree if (exported / one).is_dir() else shutil.copy)(exported / one, tmp_path / one)
    cct.load(tmp_path / name)
    assert not caplog.records
    brightness_model(tmp_path / "model.keras", temperature=3.0)
    assert cct.load(tmp_path / name).classes  # it still answers
    assert f"{name} was made of another model.keras than the one beside it: cct export makes it again" in caplog.text
    caplog.clear()
    (tmp_path / "model.keras").unlink()
    cct.load(tmp_path / name)
    assert not caplog.records


def test_a_saved_model_may_be_the_current_folder(exported, tmp_path, monkeypatch, caplog, capsys):
    shutil.copytree(exported / "model.savedmodel", tmp_path / "model.savedmodel")
    brightness_model(tmp_path / "model.keras", temperature=3.0)
    Image.new("L", (20, 20), 250).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path / "model.savedmodel")
    assert main(["predict", "--model", ".", "../a.png", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["label"] == "bright"
    assert cct.load(".").classes == CLASSES and "was made of another model.keras" in caplog.text
    assert onnx_beside(Path(".")) is None


def test_the_precision_in_an_exports_name_is_no_part_of_its_models(exported, tmp_path, caplog):
    keras_file = tmp_path / "model.keras"
    shutil.copy(exported / "model.keras", keras_file)
    path = export(keras_file, "onnx", precision="float16")
    assert path.name == "model.float16.onnx"
    cct.load(path)
    assert not caplog.records
    brightness_model(keras_file, temperature=3.0)
    cct.load(path)
    assert "model.float16.onnx was made of another model.keras" in caplog.text


def test_the_onnx_file_beside_a_model_is_used_if_it_was_made_of_it(exported, tmp_path, caplog):
    keras_file, path = tmp_path / "model.keras", tmp_path / "model.onnx"
    shutil.copy(exported / "model.keras", keras_file)
    assert onnx_beside(keras_file) is None and not caplog.records  # nothing to say where there is none
    shutil.copy(exported / "model.onnx", path)
    assert onnx_beside(keras_file) == path and not caplog.records
    assert onnx_beside(path) is None
    for make, said in (
        (lambda: brightness_model(keras_file, temperature=3.0), "model.onnx was made of another"),
        (lambda: export(keras_file, "onnx", out=path, precision="float16"), "model.onnx is float16"),
        (lambda: path.write_bytes(b"x" * 100), "was not made by cct export"),
    ):
        make()
        caplog.clear()
        assert onnx_beside(keras_file) is None
        assert said in caplog.text and caplog.text.count("is not used") == 1
