"""Scripts of benchmarks, run in small: what they resume, refuse and set up."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
from clones import ROOT

sys.path.append(str(ROOT / "benchmarks"))
import record_gpu
import scale

SCRIPTS = ROOT / "benchmarks"
# Stops a training as a lent machine does whose time is up, as soon as its second epoch is in the report.
STOPPED = """
import os, signal, sys
sys.path.insert(0, "benchmarks")
import gpu
write = gpu.Job.write
def write_and_stop(job):
    write(job)
    entry = job.report["trained"]["fast"]
    if len(entry["epochs"]) == 2 and "stopped" not in entry:
        os.kill(os.getpid(), signal.SIGTERM)
gpu.Job.write = write_and_stop
sys.exit(gpu.main())
"""


def run(*words, backend: str = "tensorflow", **variables) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    environment |= {"KERAS_BACKEND": backend} | variables
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="gpu.py computes with JAX: make setup EXTRA=jax")
def test_a_training_on_a_lent_gpu_that_resumed_has_the_times_of_all_calls(tmp_path):
    scale.write_archive(tmp_path / "images.tar", size=32, count=300)
    scale.preprocess(str(tmp_path / "images.tar"), str(tmp_path))
    words = ["fast", "--rehearse", "--data", tmp_path / "processed", "--out"]
    places = [tmp_path / name for name in ("first", "second")]
    reports = []
    for place, temporary, start, more in (
        (places[0], tmp_path / "a", ["-c", STOPPED], []),
        (places[1], tmp_path / "b", [SCRIPTS / "gpu.py"], ["--resume", places[0]]),
    ):
        place.mkdir()
        temporary.mkdir()  # as on another machine
        done = run(*start, *words, place, *more, backend="jax", TMPDIR=str(temporary))
        assert done.returncode == 0, done.stderr
        reports.append(json.loads((place / "gpu.json").read_text()))
    first, second = (one["trained"]["fast"] for one in reports)
    assert "stopped" in first and "test" in second
    ends = [row["seconds"] for row in second["epochs"]]
    assert ends[:2] == [row["seconds"] for row in first["epochs"]] and len(ends) == 3
    _, times, _ = record_gpu.trained_run(places[1] / "gpu.json", reports[1])
    assert times.total == ends[2] > ends[1] > ends[0] > 0 and len(times.epochs) == 2


def test_models_of_texts_are_trained_and_other_conditions_refused(tmp_path):
    source, out = tmp_path / "texts.csv", tmp_path / "trec.json"
    lines = [f"the film number {n} was {word}" for n in range(40) for word in ("good", "bad")]
    source.write_text("text,label\n" + "".join(f"{line},{line.split()[-1]}\n" for line in lines))
    small = ["-S", "train.epochs=1", "-S", "model.num_layers=1", "-S", "model.embed_dim=8", "-S", "model.word_dim=8"]
    words = [SCRIPTS / "text.py", "--models", "text_cct_2_1", "--machine", "a computer", "--out", out, *small, source]
    done = run(*words, "--seeds", "2", "--change", "model.kernel_size=3")
    assert done.returncode == 0, done.stderr
    content = json.loads(out.read_text())
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert list(content["cases"]) == ["text_cct_2_1", "text_cct_2_1, model.kernel_size=3"]
    for case in content["cases"].values():
        assert [run["seed"] for run in case["runs"]] == [0, 1]
        assert (case["commit"], case["settings"]["train.epochs"]) == (commit.strip(), 1)
        assert case["command"].endswith("SOURCE --seeds 2 --change model.kernel_size=3") and case["source"]["digest"]
    before = out.read_bytes()
    other = tmp_path / "other.csv"
    other.write_text(source.read_text().replace("film", "book"))
    for changed, said in (
        ([*words, "-S", "train.batch_size=32"], "(settings)"),
        ([*words[:-1], other], "(source)"),
        ([*words, "--change", "model.kernel=3"], "model.kernel = 3: unknown name"),
    ):
        done = run(*changed, "--seeds", "3")
        assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert out.read_bytes() == before


def test_one_dnn_is_on_in_measurements_on_every_cpu():
    code = "import contender; sys.argv[1:] = ['matmul', '-', 'float32', '0', '0']; contender.main()"
    head = f"import os, sys; sys.path.insert(0, {str(SCRIPTS)!r})"
    done = run("-c", f"{head}; {code}; print(os.environ.get('TF_ENABLE_ONEDNN_OPTS'))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1"


def test_a_measurement_that_fails_says_so_in_its_exit_code():
    done = run(SCRIPTS / "fine_tuning.py", "none.keras")
    assert done.returncode == 1 and "none.keras" in done.stderr and "Traceback" not in done.stderr
