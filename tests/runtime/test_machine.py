"""The record of the machine and the backend."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from cct.errors import CCTError
from cct.runtime.backend import (
    _missing_backend_explained,
    choose_precision,
    describe_platform,
    determinism_explained,
    prepare_backend,
)
from cct.runtime.machine import KERNEL_FLAGS, cpu_info, machine_record
from cct.runtime.params import CPU_DEFAULTS


def test_the_processor_is_named_with_the_instructions_that_change_bits():
    cpu = cpu_info()
    assert cpu["model"]
    listed = Path("/proc/cpuinfo").read_text().split()
    assert cpu["flags"] == [flag for flag in KERNEL_FLAGS if flag in listed]
    assert cpu["flags"] or platform.machine() not in ("x86_64", "aarch64")


def test_the_record_is_exact_and_can_be_written():
    record = machine_record({"backend": "tensorflow"})
    assert record["packages"]["numpy"] and record["packages"]["keras"] and record["host"]
    assert json.loads(json.dumps(record)) == record


def test_what_an_operation_cannot_do_deterministically_is_said_clearly():
    """A real refusal of TensorFlow's: random numbers without a seed."""
    import tensorflow as tf

    def unseeded() -> None:
        tf.config.experimental.enable_op_determinism()
        try:
            tf.raw_ops.RandomUniform(shape=[2], dtype=tf.float32)
        finally:
            tf.config.experimental.disable_op_determinism()

    with (
        pytest.raises(CCTError, match=r"cannot compute this deterministically .*: set runtime\.deterministic to false"),
        determinism_explained(CPU_DEFAULTS),
    ):
        unseeded()
    with pytest.raises(ValueError, match="mine"), determinism_explained(CPU_DEFAULTS):
        raise ValueError("mine")


@pytest.mark.parametrize(
    ("precision", "flags", "gpu", "chosen", "slow"),
    [
        ("auto", ["avx2"], False, "float32", False),
        ("auto", ["avx2", "avx512_bf16"], False, "mixed_bfloat16", False),
        ("auto", ["amx_bf16"], False, "mixed_bfloat16", False),
        ("auto", ["asimd", "bf16"], False, "mixed_bfloat16", False),
        ("auto", [], True, "mixed_bfloat16", False),
        ("float32", ["avx512_bf16"], True, "float32", False),
        ("mixed_bfloat16", ["avx512_bf16"], False, "mixed_bfloat16", False),
        ("mixed_bfloat16", ["avx512f"], False, "mixed_bfloat16", True),
        ("mixed_bfloat16", [], True, "mixed_bfloat16", False),
        ("mixed_float16", ["avx512_bf16"], False, "mixed_float16", True),
        ("mixed_float16", ["avx512_fp16"], False, "mixed_float16", False),
    ],
)
def test_sixteen_bits_are_chosen_where_the_machine_has_them(precision, flags, gpu, chosen, slow, caplog):
    assert choose_precision(precision, cpu_flags=flags, gpu=gpu) == chosen
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == slow and all(f"{precision} is several times slower than float32" in line for line in said)


def test_the_fingerprint_names_the_precision_that_is_computed():
    """In another process, because the precision is global."""
    code = "import json, sys; from cct.runtime.backend import configure_backend\n"
    code += "from cct.runtime.params import CPU_DEFAULTS\n"
    code += "auto = CPU_DEFAULTS.model_copy(update={'precision': 'auto'})\n"
    code += "found = configure_backend(auto, seed=0); import keras\n"
    code += "print(json.dumps([found['precision'], found['cpu_flags'], keras.config.dtype_policy().name]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    precision, flags, policy = json.loads(done.stdout.splitlines()[-1])
    assert precision == policy == choose_precision("auto", cpu_flags=flags, gpu=False)


def test_another_backend_in_the_environment_is_refused(monkeypatch):
    """Whatever params.yaml says: a command such as `import-checkpoint` does not read it."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(CCTError, match=r"^KERAS_BACKEND is 'jax', but this command computes with 'tensorflow': unset "):
        prepare_backend(CPU_DEFAULTS)


@pytest.mark.parametrize(
    ("backend", "remedy"),
    [
        ("tensorflow", "^tf is not installed, so the environment is incomplete: run make clean setup$"),
        ("jax", "tf is not installed: make setup EXTRA=jax, or set runtime.backend to tensorflow$"),
    ],
)
def test_an_absent_backend_comes_with_the_command_that_installs_it(backend, remedy):
    with (
        pytest.raises(CCTError, match=remedy),
        _missing_backend_explained(CPU_DEFAULTS.model_copy(update={"backend": backend})),
    ):
        raise ModuleNotFoundError("No module named 'tf'", name="tf")


def test_the_keras_json_of_a_user_changes_nothing(tmp_path):
    (tmp_path / "keras.json").write_text('{"floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first"}')
    code = "from cct.runtime.backend import configure_backend; from cct.runtime.params import CPU_DEFAULTS as d\n"
    code += "configure_backend(d, seed=0); from keras import config as c\n"
    code += "print(c.floatx(), c.epsilon(), c.image_data_format(), c.dtype_policy().name)"
    environment = os.environ | {"KERAS_HOME": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == "float32 1e-07 channels_last float32\n"


@pytest.mark.parametrize("content", ["[]", '{"floatx": "float7"}', '{"epsilon": 1}', '{"epsilon": null}'])
def test_a_keras_json_that_keras_cannot_read_is_named(tmp_path, content):
    (tmp_path / "keras.json").write_text(content)
    code = "from cct.entry import entry_point; from cct.runtime.backend import prepare_backend\n"
    code += "from cct.runtime.params import CPU_DEFAULTS\n"
    code += "raise SystemExit(entry_point(lambda: prepare_backend(CPU_DEFAULTS))())"
    environment = os.environ | {"KERAS_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert last.startswith("error: Keras refuses its settings (")
    assert f"): correct or remove {tmp_path}/keras.json" in last


def test_a_backend_that_cannot_be_loaded_is_explained():
    with (
        pytest.raises(CCTError, match=r"^tensorflow cannot be loaded \(lib\.so: failed to map\): it may have too"),
        _missing_backend_explained(CPU_DEFAULTS),
    ):
        raise ImportError("lib.so: failed to map\nmore")


def test_a_kind_has_what_decides_the_bits():
    """In a process of its own: a backend is configured once."""
    code = (
        "import json; from cct.runtime.backend import configure_backend; from cct.runtime.params import CPU_DEFAULTS; "
    )
    code += "print(json.dumps(configure_backend(CPU_DEFAULTS, seed=0)))"
    bare = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    words = [sys.executable, "-c", code]
    for environment, onednn in ((bare | {"TF_ENABLE_ONEDNN_OPTS": "0"}, 0), (bare, 1)):
        kind = json.loads(subprocess.run(words, env=environment, capture_output=True, check=True).stdout)
        assert f"TF_ENABLE_ONEDNN_OPTS={onednn}" in kind["variables"]
    assert {"backend", "backend_version", "keras", "threads", "cpu_flags", "gpus", "deterministic"} <= kind.keys()
    assert describe_platform(kind).startswith(f"tensorflow {kind['backend_version']}, keras ")
    assert describe_platform(kind | {"gpus": ["H200"]}).endswith("GPU (H200), float32")


def test_keras_is_imported_without_what_it_can_do_without():
    """Where another thread imports the same meanwhile, that thread gets it."""
    code = """
import sys, threading
from cct.runtime.backend import _hidden, prepare_backend
from cct.runtime.params import CPU_DEFAULTS
prepare_backend(CPU_DEFAULTS)
import keras
assert not {"jax", "matplotlib", "pandas", "sklearn"} & sys.modules.keys()
found = []
def other():
    import colorsys
    found.append(colorsys)
with _hidden(["colorsys"]):
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found
    sys.modules.pop("colorsys")
    try:
        import colorsys
        raise SystemExit("not hidden")
    except ModuleNotFoundError:
        pass
import colorsys, numpy, pandas
keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).predict(numpy.ones((1, 2)), verbose=0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
