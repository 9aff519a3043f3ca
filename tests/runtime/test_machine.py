"""The record of the machine and the backend."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from cct.errors import CCTError
from cct.runtime.available import import_explained
from cct.runtime.backend import (
    BACKENDS,
    Gpu,
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


@pytest.mark.parametrize(
    ("precision", "capability", "chosen", "warned"),
    [
        ("auto", (7, 5), "float32", False),
        ("auto", (8, 0), "mixed_bfloat16", False),
        ("auto", (12, 0), "mixed_bfloat16", False),
        ("mixed_bfloat16", (7, 5), "mixed_bfloat16", True),
        ("mixed_bfloat16", (8, 6), "mixed_bfloat16", False),
        ("mixed_float16", (7, 5), "mixed_float16", False),
        ("float32", (7, 5), "float32", False),
    ],
)
@pytest.mark.parametrize("flags", [[], ["avx512_bf16"]])
def test_a_gpu_computes_in_bfloat16_from_ampere_on(precision, capability, chosen, warned, flags, caplog):
    """Whatever its CPU computes in."""
    assert choose_precision(precision, cpu_flags=flags, gpu=True, capability=capability) == chosen
    said = ["this GPU has compute capability 7.5, and bfloat16 needs 8.0, so mixed_bfloat16 may be slower than float32"]
    assert [message.split(" or fail: ")[0] for message in caplog.messages] == said * warned


def module(name: str, **attributes) -> ModuleType:
    """A module of this name, in place of one that is not installed or sees no GPU here."""
    made = ModuleType(name)
    vars(made).update(attributes)
    return made


def tensorflow_with(*gpus: Gpu) -> ModuleType:
    def details(device) -> dict:
        gpu = gpus[int(device.name[-1])]
        return {"device_name": gpu.name} | ({"compute_capability": gpu.capability} if gpu.capability else {})

    config = SimpleNamespace(
        list_physical_devices=lambda type_: [SimpleNamespace(name=f"GPU:{place}") for place in range(len(gpus))],
        experimental=SimpleNamespace(
            set_memory_growth=lambda gpu, grows: None,
            enable_op_determinism=lambda: None,
            get_device_details=details,
        ),
        threading=SimpleNamespace(set_intra_op_parallelism_threads=lambda threads: None),
    )
    return module("tensorflow", config=config)


def jax_with(*gpus: Gpu) -> ModuleType:
    """NVIDIA's have a text such as "8.0", AMD's one such as "gfx90a"."""
    devices = [
        SimpleNamespace(
            platform="gpu",
            device_kind=name,
            compute_capability=".".join(map(str, capability)) if capability else "gfx90a",
        )
        for name, capability in gpus
    ]
    return module("jax", devices=lambda: devices or [SimpleNamespace(platform="cpu", device_kind="cpu")])


def torch_with(*gpus: Gpu) -> ModuleType:
    """AMD's GPUs are CUDA's to PyTorch, and have capabilities that mean something else."""
    cuda = SimpleNamespace(
        device_count=lambda: len(gpus),
        get_device_name=lambda place: gpus[place].name,
        get_device_capability=lambda place: gpus[place].capability or (10, 3),
    )
    amd = any(gpu.capability is None for gpu in gpus)
    return module(
        "torch",
        cuda=cuda,
        version=SimpleNamespace(hip="6.4" if amd else None),
        set_num_threads=lambda threads: None,
        use_deterministic_algorithms=lambda on: None,
    )


@pytest.mark.parametrize("make", [tensorflow_with, jax_with, torch_with])
@pytest.mark.parametrize(
    "gpus", [(), (Gpu("T4", (7, 5)),), (Gpu("H100", (9, 0)), Gpu("T4", (7, 5))), (Gpu("MI", None),)]
)
def test_the_first_gpu_computes_and_tells_its_capability(make, gpus, monkeypatch):
    """The others of the machine are idle, so they are no part of what decides the bits."""
    backend = make(*gpus)
    monkeypatch.setitem(sys.modules, backend.__name__, backend)
    assert BACKENDS[backend.__name__](CPU_DEFAULTS, 1) == (gpus[0] if gpus else None)


def test_the_fingerprint_of_a_gpu_has_its_name_and_precision():
    """In another process, because the precision is global."""
    code = "import json; from cct.runtime import backend; from cct.runtime.params import CPU_DEFAULTS\n"
    code += "backend.BACKENDS['tensorflow'] = lambda runtime, threads: backend.Gpu('T4', (7, 5))\n"
    code += "auto = CPU_DEFAULTS.model_copy(update={'precision': 'auto', 'device': 'gpu'})\n"
    code += "print(json.dumps(backend.configure_backend(auto, seed=0)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    fingerprint = json.loads(done.stdout.splitlines()[-1])
    assert fingerprint["gpus"] == ["T4"] and fingerprint["precision"] == "float32"


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


@pytest.mark.parametrize(("device", "expected"), [("cpu", ["-1", "cpu", "cpu"]), ("auto", [None, None, None])])
def test_each_backend_is_told_to_compute_on_the_cpu_before_keras_is_imported(device, expected, tmp_path):
    """Also PyTorch on Apple's chips and Intel's GPUs, which CUDA's variable does not hide."""
    names = ["CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS", "KERAS_TORCH_DEVICE"]
    (tmp_path / "keras.py").write_text(f"import json, os; print(json.dumps([os.environ.get(n) for n in {names}]))")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from cct.runtime.backend import prepare_backend\n"
    code += "from cct.runtime.params import CPU_DEFAULTS\n"
    code += f"prepare_backend(CPU_DEFAULTS.model_copy(update={{'device': {device!r}}}))"
    bare = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == expected


@pytest.mark.parametrize(
    ("backend", "setting", "remedy"),
    [
        ("tensorflow", "runtime.backend", "^tf is not installed, so the environment is incomplete: run make clean set"),
        ("jax", "runtime.backend", "tf is not installed: make setup EXTRA=jax, or set runtime.backend to tensorflow$"),
        ("jax", "KERAS_BACKEND", "^KERAS_BACKEND = 'jax', but tf is not .*, or set KERAS_BACKEND to tensorflow$"),
    ],
)
def test_an_absent_backend_comes_with_the_command_that_installs_it(backend, setting, remedy):
    with pytest.raises(CCTError, match=remedy), import_explained(backend, setting=setting):
        raise ModuleNotFoundError("No module named 'tf'", name="tf")


def test_the_keras_json_of_a_user_changes_nothing(tmp_path):
    (tmp_path / "keras.json").write_text('{"floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first"}')
    code = "from cct.runtime.backend import configure_backend; from cct.runtime.params import CPU_DEFAULTS as d\n"
    code += "configure_backend(d, seed=0); from keras import config as c\n"
    code += "print(c.floatx(), c.epsilon(), c.image_data_format(), c.dtype_policy().name)"
    environment = os.environ | {"KERAS_HOME": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == "float32 1e-07 channels_last float32\n"


USES = {"in a stage": "prepare_backend(CPU_DEFAULTS)", "elsewhere": "import_keras('tensorflow')"}


def ended(use: str, *, hidden: str = "", **variables: str) -> str:
    """The last line on stderr of a command that imports Keras for a use, and ends with code 1 without a traceback."""
    code = "from cct.entry import entry_point; from cct.runtime.backend import _hidden, import_keras, prepare_backend\n"
    code += f"from cct.runtime.params import CPU_DEFAULTS\nwith _hidden([{hidden!r}]):\n"
    code += f"    raise SystemExit(entry_point(lambda: {USES[use]})())"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("content", ["[]", '{"floatx": "float7"}', '{"epsilon": 1}', '{"epsilon": null}'])
def test_a_keras_json_that_keras_cannot_read_is_named(tmp_path, content, use):
    (tmp_path / "keras.json").write_text(content)
    last = ended(use, KERAS_HOME=str(tmp_path))
    assert last.startswith("error: Keras refuses its settings (")
    assert f"): correct or remove {tmp_path}/keras.json" in last


@pytest.mark.parametrize(
    ("backend", "hidden", "said"),
    [
        ("theano", "", "KERAS_BACKEND = 'theano': must be one of tensorflow, jax, torch, or be unset"),
        ("numpy", "", "KERAS_BACKEND = 'numpy': must be one of tensorflow, jax, torch, or be unset"),
        (
            "torch",
            "torch",
            "KERAS_BACKEND = 'torch', but torch is not installed: make setup EXTRA=torch, or set KERAS_BACKEND to "
            "tensorflow",
        ),
        (
            "tensorflow",
            "tensorflow",
            "tensorflow is not installed, so the environment is incomplete: run make clean setup",
        ),
    ],
)
def test_a_backend_in_the_environment_that_cannot_be_used_is_refused(backend, hidden, said):
    assert ended("elsewhere", hidden=hidden, KERAS_BACKEND=backend) == f"error: {said}"


def test_a_backend_that_cannot_be_loaded_is_explained():
    with (
        pytest.raises(CCTError, match=r"^tensorflow cannot be loaded \(lib\.so: failed to map\): it may have too"),
        import_explained("tensorflow"),
    ):
        raise ImportError("lib.so: failed to map\nmore")


def test_a_fingerprint_has_what_decides_the_bits():
    """In a process of its own: a backend is configured once."""
    code = (
        "import json; from cct.runtime.backend import configure_backend; from cct.runtime.params import CPU_DEFAULTS; "
    )
    code += "print(json.dumps(configure_backend(CPU_DEFAULTS, seed=0)))"
    bare = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    words = [sys.executable, "-c", code]
    for environment, onednn in ((bare | {"TF_ENABLE_ONEDNN_OPTS": "0"}, 0), (bare, 1)):
        fingerprint = json.loads(subprocess.run(words, env=environment, capture_output=True, check=True).stdout)
        assert f"TF_ENABLE_ONEDNN_OPTS={onednn}" in fingerprint["variables"]
    decisive = {"backend", "backend_version", "keras", "threads", "cpu_flags", "gpus", "deterministic"}
    assert decisive <= fingerprint.keys()
    assert describe_platform(fingerprint).startswith(f"tensorflow {fingerprint['backend_version']}, keras ")
    assert describe_platform(fingerprint | {"gpus": ["H200"]}).endswith("GPU (H200), float32")


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
