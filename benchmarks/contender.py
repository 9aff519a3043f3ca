"""Times the training steps of one contender and prints JSON. `speed.py` starts one process for each turn.

    python benchmarks/contender.py KIND MODEL PRECISION BATCH STEPS [--size PIXELS] [--layers N] [--turn-seconds S]

KIND: ours-tensorflow, ours-jax; example-tensorflow; vit-pytorch, vit-pytorch-channels-last, vit-pytorch-compiled;
vit-pytorch-predict (calls of BATCH images); matmul (GFLOP and seconds); augmentation-tensorflow (the cost of making a
batch, and steps with one repeated batch and real batches).

With --turn-seconds the process stays: it times a turn of at least so many seconds for each line of standard input.
"""

import argparse
import contextlib
import importlib.util
import itertools
import json
import math
import os
import statistics
import sys
import time
import types
from importlib.metadata import version
from pathlib import Path

KINDS = (
    "ours-tensorflow", "ours-jax", "example-tensorflow",
    "vit-pytorch", "vit-pytorch-channels-last", "vit-pytorch-compiled", "vit-pytorch-predict",
    "matmul", "augmentation-tensorflow",
)  # fmt: skip
WARMUP, CALIBRATION = 4, 3  # steps before those that are timed; timed to learn how many fill a turn
PACKAGES = ("tensorflow", "keras", "jax", "torch", "vit_pytorch", "numpy")
IMAGES, MADE = 45_000, 60  # images in CIFAR-10's training split; timed batches
# Changes to the section `augment` of params.yaml.
AUGMENTATIONS = {
    "default": {},
    "randaugment": {"policy": "randaugment"},
    "all": {
        "crop_padding": 0,
        "resized_crop": 0.8,
        "policy": "randaugment",
        "random_erasing_prob": 0.25,
        "mixup_alpha": 0.8,
        "cutmix_alpha": 1.0,
    },
}


class Memory:
    """The most memory that this process held at once, in bytes, beyond what it held when this object was made.

    Only Linux tells it: elsewhere `most` is None.
    """

    def __init__(self):
        self.before = None
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the highest mark becomes what is held now
            self.before = self._status("VmRSS")

    def most(self):
        return None if self.before is None else self._status("VmHWM") - self.before

    def _status(self, field):
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines[field].split()[0]) * 1024


def configure(backend, precision):
    """Set up a backend as the stages do, with oneDNN on every CPU. Returns its options."""
    from cct.runtime.backend import configure_backend
    from cct.runtime.params import RuntimeParams

    options = RuntimeParams(backend=backend, device="auto", precision=precision, deterministic=False, threads=None)
    configure_backend(options, seed=0)
    return options


def build(kind, name, precision, size=32, **fields):
    """A compiled network on the backend at the end of `kind`. The fields change a model of this project."""
    options = configure(kind.split("-")[1], precision)
    import keras

    from cct.runtime.backend import jit_compile

    if kind.startswith("example"):
        sys.path.insert(0, str(Path(__file__).parent))
        import keras_example

        network = keras_example.build()
    else:
        from cct.models.architectures import ModelParams, resolve_architecture
        from cct.models.build import build_model

        architecture = resolve_architecture(ModelParams(name=name, **fields))
        network = build_model(architecture, image_shape=(size, size, 3), classes=10, mean=[0.5] * 3, std=[0.25] * 3)
    network.compile(
        keras.optimizers.AdamW(1e-3, weight_decay=1e-4),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        jit_compile=jit_compile(options),
    )
    return network


def fit(network, stream, steps, *, warmup=WARMUP):
    """Seconds of each step of `fit`. Users train with `fit`, so Keras's own work around a step counts, too."""
    import keras

    ends = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, step, logs=None):
            float(logs["loss"])  # waits for the device
            ends.append(time.perf_counter())

    network.fit(stream, steps_per_epoch=warmup + steps, callbacks=[Clock()], verbose=0, shuffle=False)
    return [b - a for a, b in itertools.pairwise(ends[warmup - 1 :])]


def random_images(count, size=32):
    import numpy as np

    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (count, size, size, 3), dtype=np.uint8), generator.integers(0, 10, count)


def keras_stepper(kind, name, precision, batch, *, size=32, layers=None):
    """The parameters of a network, and a function that returns the seconds of so many steps."""
    import numpy as np

    network = build(kind, name, precision, size, num_layers=layers)
    images, labels = random_images(batch, size)
    data = images, np.eye(10, dtype="float32")[labels]
    return network.count_params(), lambda steps: fit(network, again(data), steps)


def again(batch):
    """Yield the same batch for ever. This is a generator, because `fit` takes no other iterator."""
    while True:
        yield batch


def augmentation(kind, name, precision, batch, steps):
    """For each of `AUGMENTATIONS`: processor seconds to make a batch, seconds of steps with one batch and real ones.

    The sampling at the start of an epoch is spread over its steps.
    """
    from cct import params

    network = build(kind, name, precision)
    from cct.tasks.image_classification.training import transforms
    from cct.training.batches import Examples, train_batches

    said = params.load(Path(__file__).parents[1] / "params.yaml", "augment")
    split = Examples(*random_images(IMAGES))
    results = {}
    for which, changes in AUGMENTATIONS.items():
        augment = said.model_copy(update=changes)
        stream = train_batches(
            split, batch_size=batch, classes=10, seed=0, epochs=range(1000), transform_of=transforms(split, augment, 0)
        )
        made = []
        for _ in range(MADE):
            start = time.process_time()
            ready = next(stream)
            made.append(time.process_time() - start)
        usual = statistics.median(made)
        results[which] = {
            "making": usual + (made[0] - usual) / math.ceil(IMAGES / batch),
            "constant": fit(network, again(ready), steps),
            "real": fit(network, stream, steps),
        }
    return results


def torch_network(name, *, size=32, layers=None):
    """vit-pytorch's model of this name and the device that it is on."""
    import torch

    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")  # TF32, as JAX and TensorFlow compute float32 on a GPU

    # The package imports torchvision, which lacks a CPU build on some platforms. Its cct.py does not need torchvision.
    folder = Path(importlib.util.find_spec("vit_pytorch").submodule_search_locations[0])
    package = types.ModuleType("vit_pytorch")
    package.__path__ = [str(folder)]
    sys.modules["vit_pytorch"] = package
    from vit_pytorch.cct import CCT

    sizes = {"cct_2_3x2": (2, 2, 128, 1, 2), "cct_7_3x1": (7, 4, 256, 2, 1)}
    usual, heads, width, ratio, convolutions = sizes[name]
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = CCT(
        img_size=size, embedding_dim=width, n_conv_layers=convolutions, kernel_size=3, stride=1, padding=1,
        pooling_kernel_size=3, pooling_stride=2, pooling_padding=1, num_layers=layers or usual, num_heads=heads,
        mlp_ratio=ratio, num_classes=10, positional_embedding="learnable",
    ).to(device)  # fmt: skip
    return network, device


def torch_stepper(kind, name, precision, batch, *, size=32, layers=None):
    """As `keras_stepper`."""
    import torch

    network, device = torch_network(name, size=size, layers=layers)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-4)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    images = torch.randn(batch, 3, size, size, device=device)
    if kind == "vit-pytorch-channels-last":
        network, images = (one.to(memory_format=torch.channels_last) for one in (network, images))
    labels = torch.randint(0, 10, (batch,), device=device)

    def forward(images, labels):
        with torch.autocast(device, torch.bfloat16, enabled=precision == "mixed_bfloat16"):
            return loss_of(network(images), labels)

    if kind == "vit-pytorch-compiled":
        forward = torch.compile(forward)

    def run(steps):
        times = []
        for _ in range(WARMUP + steps):
            start = time.perf_counter()
            optimizer.zero_grad()
            loss = forward(images, labels)
            loss.backward()
            optimizer.step()
            loss.item()
            times.append(time.perf_counter() - start)
        return times[WARMUP:]

    return sum(p.numel() for p in network.parameters()), run


def torch_predictions(name, batch):
    """What `timed_calls` finds of vit-pytorch, from raw images to probabilities."""
    import torch

    network, device = torch_network(name)
    network = network.eval().to(memory_format=torch.channels_last)

    def predict(images):
        x = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)  # stays channels last
        with torch.inference_mode():
            return network((x.float() / 255 - 0.5) / 0.25).softmax(-1).cpu().numpy()

    return timed_calls(predict, random_images(batch)[0])


def timed_calls(predict, images, seconds=3.0):
    """Median seconds of a call, and seconds of processor time of a call, over some seconds of calls."""
    for _ in range(3):
        predict(images)
    taken = []
    busy = time.process_time()
    while sum(taken) < seconds or len(taken) < 5:
        start = time.perf_counter()
        predict(images)
        taken.append(time.perf_counter() - start)
    return [statistics.median(taken), (time.process_time() - busy) / len(taken)]


def matmul_rate(precision):
    """GFLOP of a 2048-cubed product in TensorFlow, and its seconds: the machine's practical ceiling."""
    import tensorflow as tf

    dtype = tf.bfloat16 if precision == "mixed_bfloat16" else tf.float32
    a = tf.cast(tf.random.normal((2048, 2048)), dtype)
    product = tf.function(lambda x: tf.matmul(x, x))
    product(a)
    times = []
    for _ in range(12):
        start = time.perf_counter()
        product(a)
        tf.test.experimental.sync_devices()  # waits for a GPU; the product stays where it is
        times.append(time.perf_counter() - start)
    return 2 * 2048**3 / 1e9, times[2:]


def answer_turns(run, seconds, lines, said):
    """Print `said`. Then time a turn of at least so many seconds for each line, and print the seconds of its steps.

    The first turn also compiles, and its first steps say how many fill a turn.
    """
    print(json.dumps(said), flush=True)
    count = None
    for _ in lines:
        count = count or math.ceil(seconds / statistics.median(run(CALIBRATION)))
        times = run(count)
        while sum(times) < seconds:  # the first steps may have been slow ones
            times += run(count)
        print(json.dumps({"seconds": times}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS, metavar="KIND")
    for name, kind in {"model": str, "precision": str, "batch": int, "steps": int}.items():
        parser.add_argument(name, type=kind)
    parser.add_argument("--size", type=int, default=32, help="side of the images in pixels")
    parser.add_argument("--layers", type=int, help="encoder layers in place of the model's")
    parser.add_argument("--turn-seconds", type=float, help="time a turn for each line of standard input")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    said = {"versions": {package: version(package) for package in PACKAGES if importlib.util.find_spec(package)}}
    kind, fixed = arguments.kind, (arguments.kind, arguments.model, arguments.precision)
    if kind.startswith("augmentation"):
        print(json.dumps(said | {"augmentations": augmentation(*fixed, arguments.batch, arguments.steps)}))
        return
    if kind == "vit-pytorch-predict":
        print(json.dumps(said | {"calls": torch_predictions(arguments.model, arguments.batch)}))
        return
    if kind == "matmul":
        configure("tensorflow", arguments.precision)
        size, times = matmul_rate(arguments.precision)
        print(json.dumps(said | {"size": size, "seconds": times}))
        return
    stepper_of = torch_stepper if kind.startswith("vit-pytorch") else keras_stepper
    size, run = stepper_of(*fixed, arguments.batch, size=arguments.size, layers=arguments.layers)
    if arguments.turn_seconds is not None:
        answer_turns(run, arguments.turn_seconds, sys.stdin, said | {"size": size})
        return
    memory = Memory()
    times = run(arguments.steps)
    print(json.dumps(said | {"size": size, "seconds": times, "memory": memory.most()}))


if __name__ == "__main__":
    main()
