"""The findings of `cct verify` on different files, for every kind of file that the stages write."""

import json
import shutil
import zipfile

import h5py
import numpy as np
import pytest
from PIL import Image

from cct.errors import CCTError
from cct.experiments.reproduce import (
    EXPLAIN,
    Finding,
    Verdict,
    compare_outputs,
    machine_differences,
    summarize_findings,
)
from cct.models.metadata import KEY
from cct.pipeline import pipeline_outputs

HISTORY = "epoch,train_loss,chosen\n1,2.5,0\n2,1.5,1\n"
METRICS = {"test": {"accuracy": 0.75, "examples": 359}, "model": {"sha256": "a" * 64}}
KIND = {"backend": "tensorflow", "threads": 2, "cpu_flags": ["avx2", "fma"], "gpus": []}


def write_model(path, weights: float = 1.0, kinds=(KIND,)) -> None:
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["layers/head/vars/0"] = np.array([[1.0, weights]], np.float32)
        file["layers/head/vars/1"] = np.array([7], np.int64)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps({"config": {"name": "cct"}}))
        file.writestr("metadata.json", json.dumps({"keras_version": "3", KEY: {"trained_on": list(kinds)}}))
        file.write(path.with_suffix(".h5"), "model.weights.h5")
    path.with_suffix(".h5").unlink()


@pytest.fixture
def folders(tmp_path):
    """Two folders with the same files."""
    first = tmp_path / "first"
    (first / "figures").mkdir(parents=True)
    np.save(first / "labels.npy", np.arange(10, dtype=np.uint8))
    (first / "history.csv").write_text(HISTORY)
    (first / "metrics.json").write_text(json.dumps(METRICS))
    (first / "raw.bin").write_bytes(bytes(100))
    write_model(first / "model.keras")
    Image.fromarray(np.zeros((10, 20, 3), np.uint8)).save(first / "figures/curve.png")
    shutil.copytree(first, tmp_path / "second")
    return first, tmp_path / "second"


def compare(folders, name: str, tolerance: float = 1e-3) -> Finding:
    (finding,) = compare_outputs(*folders, [name], tolerance=tolerance)
    return finding


def test_equal_files_are_identical(folders):
    names = ["labels.npy", "history.csv", "metrics.json", "raw.bin", "model.keras", "figures"]
    findings = compare_outputs(*folders, names, tolerance=0)
    assert [finding.name for finding in findings] == [*names[:-1], "figures/curve.png"]
    assert {finding.verdict for finding in findings} == {Verdict.IDENTICAL}
    assert summarize_findings(findings, [], 0) == "all 6 files are identical"


def test_weights_differ_by_their_largest_difference(folders):
    write_model(folders[1] / "model.keras", weights=1.0005)
    finding = compare(folders, "model.keras")
    assert finding.text == "weights layers/head/vars/0: 1 of 2 numbers differ; largest difference 0.0005"
    assert finding.verdict is Verdict.WITHIN
    assert compare(folders, "model.keras", tolerance=1e-4).verdict is Verdict.DIFFERENT


def test_weights_that_are_no_number_are_beyond_any_tolerance(folders):
    write_model(folders[1] / "model.keras", weights=np.nan)
    assert compare(folders, "model.keras", tolerance=1e9).verdict is Verdict.DIFFERENT


def test_the_same_weights_of_another_machine_are_other_bytes(folders):
    write_model(folders[1] / "model.keras", kinds=[KIND | {"threads": 8, "cpu_flags": ["avx2", "avx512f"]}])
    finding = compare(folders, "model.keras")
    assert finding.verdict is Verdict.WITHIN and finding.text == "other bytes, the same content"
    differences = machine_differences(*(folder / "model.keras" for folder in folders))
    assert differences == ["cpu flags: fma / avx512f", "threads: 2 / 8"]
    said = summarize_findings([finding], differences, 1e-3)
    assert "0 of 1 files are identical, 1 differ within the tolerance of 0.001, 0 beyond it" in said
    assert "the machines differ, which excuses other bits:\n  cpu flags" in said
    assert "equal bits were to be expected" in summarize_findings([finding], [], 1e-3)


def test_a_model_of_two_machines_excuses_nothing_by_name(folders):
    write_model(folders[1] / "model.keras", kinds=[KIND, KIND | {"threads": 8}])
    (said,) = machine_differences(*(folder / "model.keras" for folder in folders))
    assert "more than one kind of machine" in said
    (folders[1] / "model.keras").write_bytes(b"no zip")
    with pytest.raises(CCTError, match="is not a model of this project"):
        machine_differences(*(folder / "model.keras" for folder in folders))


def test_a_missing_model_says_nothing_about_the_machines(folders):
    (folders[1] / "model.keras").unlink()
    differences = machine_differences(*(folder / "model.keras" for folder in folders))
    assert summarize_findings([compare(folders, "model.keras")], differences, 1e-3) == (
        "0 of 1 files are identical, 0 differ within the tolerance of 0.001, 1 beyond it"
    )


@pytest.mark.parametrize(
    ("name", "content", "text", "verdict"),
    [
        ("history.csv", HISTORY.replace("1.5", "1.5001"), "line 3, train_loss: 1.5 / 1.5001", Verdict.WITHIN),
        ("history.csv", HISTORY.replace("1.5,1", "1.5,0"), "line 3, chosen: 1 / 0", Verdict.DIFFERENT),
        ("history.csv", HISTORY.replace("1.5,1", "cat,1"), "line 3, train_loss: 1.5 / cat", Verdict.DIFFERENT),
        (
            "history.csv",
            HISTORY.replace("2.5", "2.5001").replace("1.5", "nan"),
            "line 3, train_loss: 1.5 / nan",
            Verdict.DIFFERENT,
        ),
        ("metrics.json", '{"test": {"accuracy": NaN, "examples": 359}, "model": 1}', "0.75 / nan", Verdict.DIFFERENT),
        ("labels.npy", "", "cannot be read", Verdict.DIFFERENT),
        ("history.csv", HISTORY + "3,1,0\n", "3 / 4 lines", Verdict.DIFFERENT),
        ("history.csv", HISTORY.replace("loss", "los"), "3 / 3 lines, or other columns", Verdict.DIFFERENT),
        ("history.csv", HISTORY.replace("2.5", "2.50"), "line 2, train_loss: 2.5 / 2.50", Verdict.WITHIN),
        ("metrics.json", {"test": {"accuracy": 0.7504, "examples": 359}}, "only in one", Verdict.DIFFERENT),
        (
            "metrics.json",
            {"test": {"accuracy": 0.7504, "examples": 359}, "model": {"sha256": "b" * 64}},
            "test.accuracy: 0.75 / 0.7504; largest difference 0.0004",
            Verdict.WITHIN,
        ),
        ("metrics.json", METRICS | {"model": {"sha256": 7}}, "model.sha256", Verdict.WITHIN),
        ("metrics.json", "{", "cannot be read", Verdict.DIFFERENT),
        ("raw.bin", bytes(50) + b"x" + bytes(49), "differs from byte 50 on", Verdict.DIFFERENT),
        ("raw.bin", bytes(99), "differs from byte 99 on", Verdict.DIFFERENT),
        ("model.keras", b"PK", "cannot be read", Verdict.DIFFERENT),
    ],
)
def test_the_first_differing_field_is_named(folders, name, content, text, verdict):
    content = json.dumps(content) if isinstance(content, dict) else content
    (folders[1] / name).write_bytes(content.encode() if isinstance(content, str) else content)
    finding = compare(folders, name)
    assert text in finding.text
    assert finding.verdict is verdict


def test_arrays_of_data_have_no_tolerance(folders):
    np.save(folders[1] / "labels.npy", np.array([*range(9), 8], np.uint8))
    finding = compare(folders, "labels.npy", tolerance=10)
    assert finding.text == "array: 1 of 10 numbers differ; largest difference 1"
    assert finding.verdict is Verdict.DIFFERENT
    np.save(folders[1] / "labels.npy", np.arange(10, dtype=np.int64))
    assert "uint8 (10,) / int64 (10,)" in compare(folders, "labels.npy").text


def test_figures_differ_by_their_pixels(folders):
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[0, :10] = 255
    Image.fromarray(pixels).save(folders[1] / "figures/curve.png")
    finding = compare(folders, "figures")
    assert finding.text == "5.00% of the pixels differ"
    assert finding.verdict is Verdict.DIFFERENT, "its tables are the same"
    (folders[1] / "history.csv").write_text(HISTORY.replace("1.5", "1.5001"))
    both = compare_outputs(*folders, ["history.csv", "figures"], tolerance=1e-3)
    assert [f.verdict for f in both] == [Verdict.WITHIN, Verdict.WITHIN]
    Image.fromarray(255 - pixels).save(folders[1] / "figures/curve.png")
    both = compare_outputs(*folders, ["history.csv", "figures"], tolerance=1e-3)
    assert [f.verdict for f in both] == [Verdict.WITHIN, Verdict.DIFFERENT]
    Image.fromarray(pixels[:5]).save(folders[1] / "figures/curve.png")
    assert compare(folders, "figures").verdict is Verdict.DIFFERENT


def test_a_file_on_one_side_only_is_a_difference(folders):
    (folders[1] / "history.csv").unlink()
    (folders[1] / "figures/more.png").touch()
    found = compare_outputs(*folders, ["history.csv", "figures"], tolerance=1)
    assert [(f.name, f.text) for f in found] == [
        ("history.csv", "only in the first"),
        ("figures/curve.png", "identical"),
        ("figures/more.png", "only in the second"),
    ]


def test_every_output_has_a_comparison():
    """A stage that writes a new kind of file must say how two of them differ; raw archives are bytes."""
    from clones import ROOT

    suffixes = {name.rpartition(".")[2] for name in pipeline_outputs(ROOT) if "." in name}
    assert {f".{suffix}" for suffix in suffixes} <= EXPLAIN.keys()
