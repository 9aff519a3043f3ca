"""The authors' checkpoints: their layout, and their function, written again in NumPy from its description."""

import math
import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from networks import array

from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.build import build_model
from cct.models.cost import token_grid
from cct.models.saving import load_model, predict_logits
from cct.models.torch_import import import_weights, read_torch, torch_keys
from cct.models.transfer import WeightsError, interpolate_positions

MEAN, STD = [0.4914, 0.4822, 0.4465], [0.247, 0.2435, 0.2616]


def official(name: str, *, side: int = 32, classes: int = 10, seed: int = 0, **fields) -> dict[str, np.ndarray]:
    """Random tensors under the authors' keys, of the shapes that their code makes."""
    a, generator, tensors = resolve_architecture(ModelParams(name=name, **fields)), np.random.default_rng(seed), {}

    def add(key: str, *shape: int) -> None:
        tensors[key] = (generator.normal(size=shape) / math.sqrt(shape[-1])).astype("float32")

    def linear(key: str, inputs: int, outputs: int, bias: bool = True) -> None:
        add(f"{key}.weight", outputs, inputs)
        if bias:
            add(f"{key}.bias", outputs)

    def norm(key: str) -> None:
        tensors[f"{key}.weight"] = generator.normal(1, 0.1, a.embed_dim).astype("float32")
        tensors[f"{key}.bias"] = generator.normal(0, 0.1, a.embed_dim).astype("float32")

    if a.tokenizer == "patch":
        add("tokenizer.conv_layers.0.0.weight", a.embed_dim, 3, a.patch_size, a.patch_size)
        add("tokenizer.conv_layers.0.0.bias", a.embed_dim)
    else:
        widths = [3, *[64] * (a.num_conv_layers - 1), a.embed_dim]
        for i in range(a.num_conv_layers):
            add(f"tokenizer.conv_layers.{i}.0.weight", widths[i + 1], widths[i], a.kernel_size, a.kernel_size)
    rows, columns = token_grid(a, side, side)[-1]
    if a.pooling == "class_token":
        add("classifier.class_emb", 1, 1, a.embed_dim)
    else:
        linear("classifier.attention_pool", a.embed_dim, 1)
    add("classifier.positional_emb", 1, rows * columns + (a.pooling == "class_token"), a.embed_dim)
    for i in range(a.num_layers):
        block = f"classifier.blocks.{i}"
        norm(f"{block}.pre_norm")
        linear(f"{block}.self_attn.qkv", a.embed_dim, 3 * a.embed_dim, bias=False)
        linear(f"{block}.self_attn.proj", a.embed_dim, a.embed_dim)
        linear(f"{block}.linear1", a.embed_dim, int(a.embed_dim * a.mlp_ratio))
        norm(f"{block}.norm1")
        linear(f"{block}.linear2", int(a.embed_dim * a.mlp_ratio), a.embed_dim)
    norm("classifier.norm")
    linear("classifier.fc", a.embed_dim, classes)
    return tensors


def reference(
    tensors: dict[str, np.ndarray], images: np.ndarray, *, num_heads: int, stride: int, patches: bool
) -> np.ndarray:
    """Logits of the authors' model, in float64, from tensors in PyTorch's layout (NCHW, out x in)."""
    t = {key: value.astype("float64") for key, value in tensors.items()}

    def convolve(x, weight, bias, step, margin):
        x = np.pad(x, ((0, 0), (0, 0), (margin, margin), (margin, margin)))
        size = weight.shape[-1]
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))[:, :, ::step, ::step]
        return np.einsum("bcijhw,ochw->boij", windows, weight, optimize=True) + bias[:, None, None]

    def norm(x, key):
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * t[f"{key}.weight"] + t[f"{key}.bias"]

    def linear(x, key):
        return x @ t[f"{key}.weight"].T + t.get(f"{key}.bias", 0)

    def softmax(x, axis):
        e = np.exp(x - x.max(axis, keepdims=True))
        return e / e.sum(axis, keepdims=True)

    x = (images.transpose(0, 3, 1, 2) / 255 - np.array(MEAN)[:, None, None]) / np.array(STD)[:, None, None]
    layer = 0
    while f"tokenizer.conv_layers.{layer}.0.weight" in t:
        weight = t[f"tokenizer.conv_layers.{layer}.0.weight"]
        bias = t.get(f"tokenizer.conv_layers.{layer}.0.bias", np.zeros(len(weight)))
        if patches:
            x = convolve(x, weight, bias, weight.shape[-1], 0)
        else:
            x = np.maximum(convolve(x, weight, bias, stride, max(1, weight.shape[-1] // 2)), 0)
            x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
            x = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))[:, :, ::2, ::2].max((-1, -2))
        layer += 1
    x = x.reshape(*x.shape[:2], -1).transpose(0, 2, 1)
    if "classifier.class_emb" in t:
        x = np.concatenate([np.repeat(t["classifier.class_emb"], len(x), 0), x], 1)
    x = x + t["classifier.positional_emb"]
    erf = np.vectorize(math.erf)
    block = 0
    while f"classifier.blocks.{block}.linear1.weight" in t:
        key = f"classifier.blocks.{block}"
        b, n, d = x.shape
        qkv = linear(norm(x, f"{key}.pre_norm"), f"{key}.self_attn.qkv")
        q, k, v = qkv.reshape(b, n, 3, num_heads, d // num_heads).transpose(2, 0, 3, 1, 4)
        weights = softmax(q @ k.transpose(0, 1, 3, 2) / math.sqrt(d // num_heads), -1)
        x = x + linear((weights @ v).transpose(0, 2, 1, 3).reshape(b, n, d), f"{key}.self_attn.proj")
        x = norm(x, f"{key}.norm1")
        hidden = linear(x, f"{key}.linear1")
        x = x + linear(hidden * 0.5 * (1 + erf(hidden / math.sqrt(2))), f"{key}.linear2")
        block += 1
    x = norm(x, "classifier.norm")
    if "classifier.class_emb" in t:
        return linear(x[:, 0], "classifier.fc")
    pooled = (softmax(linear(x, "classifier.attention_pool"), 1) * x).sum(1)
    return linear(pooled, "classifier.fc")


def network(name: str, *, side: int = 32, classes: int = 10, **fields):
    architecture = resolve_architecture(ModelParams(name=name, **fields))
    built = build_model(architecture, image_shape=(side, side, 3), classes=classes, mean=MEAN, std=STD)
    return built, architecture


def random_images(count: int, side: int = 32) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "side", "classes"),
    [
        ("cct_2_3x2", 32, 10),
        ("cct_6_3x1", 32, 10),
        ("cct_7_7x2", 64, 102),
        ("cvt_4_4", 32, 10),
        ("vit_lite_2_4", 32, 100),
    ],
)
def test_a_converted_checkpoint_computes_the_authors_function(name, side, classes):
    tensors = official(name, side=side, classes=classes)
    built, a = network(name, side=side, classes=classes)
    import_weights(tensors, built, a, image_shape=(side, side, 3))
    images = random_images(2, side)
    expected = reference(tensors, images, num_heads=a.num_heads, stride=a.stride, patches=a.tokenizer == "patch")
    np.testing.assert_allclose(predict_logits(built, images, batch_size=2), expected, atol=1e-4)
    assert np.abs(expected).max() > 0.1


def test_every_weight_has_a_key_and_every_key_a_weight():
    for name in ("cct_14_7x2", "cct_2_3x1", "cvt_7_8", "vit_lite_6_2"):
        built, a = network(name)
        paths = {variable.path.removeprefix("cct/") for variable in built.trainable_variables}
        assert set(torch_keys(a)) == paths
        assert set(torch_keys(a).values()) == set(official(name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("classifier.fc.bias"), "missing in the checkpoint: classifier.fc.bias"),
        (lambda t: t.update(extra=np.zeros((2, 3))), r"left over in the checkpoint: extra \(2, 3\)"),
        (lambda t: t.update({"classifier.fc.bias": np.zeros(7)}), r"shapes differ: classifier.fc.bias \(7,\)"),
        (
            lambda t: t.update({"classifier.positional_emb": np.zeros((1, 60, 128))}),
            "not a square grid .*: the checkpoint is of another model, or of images that are not square",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_changed(change, message):
    tensors = official("cct_2_3x2")
    change(tensors)
    built, a = network("cct_2_3x2")
    before = built.get_weights()
    with pytest.raises(WeightsError, match=message):
        import_weights(tensors, built, a, image_shape=(32, 32, 3))
    for old, new in zip(before, built.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_positions_of_another_size_are_interpolated():
    tensors = official("vit_lite_2_4", side=32)
    built, a = network("vit_lite_2_4", side=64)
    import_weights(tensors, built, a, image_shape=(64, 64, 3))
    table = keras.ops.convert_to_numpy(built.get_layer("positional_embedding").table)
    np.testing.assert_array_equal(table[:, 0], tensors["classifier.positional_emb"][:, 0])
    assert table.shape == (1, 1 + 16 * 16, 128)


def test_positions_of_square_images_are_interpolated_for_as_many_tokens_in_another_grid():
    """8x8 tokens of 32x32 images become 4x16 of 16x64 images: the shape of the table stays."""
    tensors, a = official("vit_lite_2_4", side=32), resolve_architecture(ModelParams(name="vit_lite_2_4"))
    built = build_model(a, image_shape=(16, 64, 3), classes=10)
    import_weights(tensors, built, a, image_shape=(16, 64, 3))
    old, new = tensors["classifier.positional_emb"], array(built.get_layer("positional_embedding").table)
    np.testing.assert_array_equal(new, interpolate_positions(old, (4, 16), class_tokens=1))
    assert np.abs(new - old).max() > 0.1


def test_positions_whose_number_is_no_square_are_those_of_the_images():
    a = resolve_architecture(ModelParams(name="vit_lite_2_4"))
    positions = np.random.default_rng(1).normal(size=(1, 1 + 5 * 12, a.embed_dim)).astype("float32")
    tensors = official("vit_lite_2_4") | {"classifier.positional_emb": positions}
    built = build_model(a, image_shape=(20, 48, 3), classes=10)
    import_weights(tensors, built, a, image_shape=(20, 48, 3))
    np.testing.assert_array_equal(array(built.get_layer("positional_embedding").table), positions)


@pytest.mark.parametrize("kind", ["learnable", "sinusoidal"])
@pytest.mark.parametrize("shape", [(65, 128), (2, 65, 128), (1, 0, 128), (65,), (1, 1, 65, 128), (1, 65, 64)])
def test_positions_of_another_shape_are_named(shape, kind):
    tensors = official("vit_lite_2_4") | {"classifier.positional_emb": np.ones(shape, np.float32)}
    built, a = network("vit_lite_2_4", positional_embedding=kind)
    with pytest.raises(WeightsError, match=r"shapes differ: classifier.positional_emb \(|has learned positions"):
        import_weights(tensors, built, a, image_shape=(32, 32, 3))


def test_a_class_tokens_position_alone_is_named():
    tensors = official("vit_lite_2_4") | {"classifier.positional_emb": np.ones((1, 1, 128), np.float32)}
    built, a = network("vit_lite_2_4")
    with pytest.raises(WeightsError, match=r"shapes differ: classifier.positional_emb \(1, 1, 128\)"):
        import_weights(tensors, built, a, image_shape=(32, 32, 3))


def test_layers_that_the_authors_have_not_are_named():
    built, a = network("cct_2_3x2", conv_norm="batch")
    with pytest.raises(WeightsError, match=r"not in the authors' models: tokenizer/norm_0/gamma \(64,\)"):
        import_weights(official("cct_2_3x2"), built, a, image_shape=(32, 32, 3))


def test_sinusoidal_tables_are_checked_not_taken():
    from cct.models.layers.tokens import sinusoidal_table

    tensors = official("cct_2_3x2")
    built, a = network("cct_2_3x2", positional_embedding="sinusoidal")
    tensors["classifier.positional_emb"] = sinusoidal_table(64, 128)
    import_weights(tensors, built, a, image_shape=(32, 32, 3))
    with pytest.raises(WeightsError, match="has learned positions: use --positional-embedding learnable"):
        import_weights(
            tensors | {"classifier.positional_emb": sinusoidal_table(64, 128) + 1}, built, a, image_shape=(32, 32, 3)
        )


class TestFiles:
    """Real `.pth` files, where PyTorch is installed."""

    torch = None

    @pytest.fixture(autouse=True)
    def _torch(self):
        TestFiles.torch = pytest.importorskip("torch", reason="PyTorch is an extra: make setup EXTRA=torch")

    @pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
    def test_a_checkpoint_is_read(self, tmp_path, wrapper):
        tensors = official("cct_2_3x2")
        content = {f"module.{key}": self.torch.tensor(value) for key, value in tensors.items()}
        self.torch.save({wrapper: content} if wrapper else content, tmp_path / "a.pth")
        found = read_torch(tmp_path / "a.pth")
        assert found.keys() == tensors.keys()
        for key, value in tensors.items():
            np.testing.assert_array_equal(found[key], value)

    def test_parameters_are_tensors_too(self, tmp_path):
        tensors = {"a.weight": self.torch.nn.Parameter(self.torch.ones(2, 3, dtype=self.torch.float16))}
        self.torch.save(tensors, tmp_path / "a.pth")
        found = read_torch(tmp_path / "a.pth")
        np.testing.assert_array_equal(found["a.weight"], np.ones((2, 3), np.float32))

    @pytest.mark.parametrize("kind", ["int key", "sparse", "meta", "quantized", "number"])
    def test_what_is_no_dense_tensor_under_a_name_is_named(self, tmp_path, kind):
        dense = self.torch.ones(2, 3)
        key, value = {
            "int key": (7, dense),
            "sparse": ("s", dense.to_sparse()),
            "meta": ("m", dense.to("meta")),
            "quantized": ("q", self.torch.quantize_per_tensor(dense, 0.1, 0, self.torch.qint8)),
            "number": ("n", 1.5),
        }[kind]
        self.torch.save({"good": dense, key: value}, tmp_path / "a.pth")
        with pytest.raises(WeightsError, match=rf"a\.pth: not dense tensors under names: {key!r}$"):
            read_torch(tmp_path / "a.pth")

    def test_nothing_in_a_file_is_executed(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "executed"),)

        self.torch.save({"a": Evil()}, tmp_path / "evil.pth")
        with pytest.raises(WeightsError, match=r"holds more than tensors: save model\.state_dict\(\)\. "):
            read_torch(tmp_path / "evil.pth")
        assert not (tmp_path / "executed").exists()

    @pytest.mark.parametrize("content", [None, b"", b"nonsense", "zip"])
    def test_other_files_are_refused_in_words(self, tmp_path, content):
        path = tmp_path / "a.pth"
        if content == "zip":
            with zipfile.ZipFile(path, "w") as file:
                file.writestr("a", "b")
        elif content is not None:
            path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"pth (cannot be read safely|is damaged or holds more than tensors): "):
            read_torch(path)

    def test_the_command_makes_a_model_of_a_file(self, tmp_path):
        tensors = official("cct_2_3x2", classes=7)
        self.torch.save({key: self.torch.tensor(value) for key, value in tensors.items()}, tmp_path / "a.pth")
        words = [sys.executable, "-m", "cct.cli", "import-checkpoint", str(tmp_path / "a.pth"), "--model", "cct_2_3x2"]
        done = subprocess.run([*words, "--classes", "7"], capture_output=True, text=True, check=True)
        assert "283,336 parameters" in done.stdout
        images = random_images(2)
        expected = reference(tensors, images, num_heads=2, stride=1, patches=False)
        found = predict_logits(load_model(tmp_path / "a.keras"), images, batch_size=2)
        np.testing.assert_allclose(found, expected, atol=1e-4)
        refused = subprocess.run(words, capture_output=True, text=True, check=False)
        assert refused.returncode == 1 and "shapes differ: classifier.fc.weight" in refused.stderr
