"""`cct.params` on files that people write: the committed file, the presets, and files with every known mistake."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from clones import DEFAULTS, ROOT
from dvc.utils.serialize import load_yaml
from pydantic import ValidationError

from cct import entry, errors, params
from cct.params import SECTIONS, ParamsError, flatten, load, read_yaml
from cct.strict_yaml import dumps

GOOD = (DEFAULTS).read_text(encoding="utf-8")
# The file with every comment gone, so that a test names exactly the text it changes.
BARE = re.sub(r"^ *#.*\n| *#.*", "", GOOD, flags=re.M)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(path: Path) -> list[str]:
    """The lines below the first one of the message, which counts them."""
    with pytest.raises(ParamsError) as caught:
        load(path)
    head, *lines = str(caught.value).split("\n  ")
    assert head == f"{path} has {len(lines)} mistake{'s' * (len(lines) > 1)}:"
    return lines


def changed(tmp_path: Path, old: str, new: str) -> Path:
    assert BARE.count(f"  {old}\n") == 1, f"{old!r} is not one line of params.yaml"
    return write(tmp_path, BARE.replace(f"  {old}\n", f"  {new}\n"))


def set_(tmp_path: Path, key: str, value: str) -> Path:
    """params.yaml with one value of `section.key` replaced, or added."""
    section, name = key.split(".")
    before, lines, after = re.fullmatch(rf"(.*^{section}:\n)((?:  [^\n]*\n)+)(.*)", BARE, re.M | re.S).groups()
    lines = re.sub(rf"^  {name}: .*\n", "", lines, flags=re.M)
    return write(tmp_path, f"{before}{lines}  {name}: {value}\n{after}")


def test_the_committed_file_loads():
    sections = load(ROOT / "params.yaml")
    assert list(sections) == list(SECTIONS) == list(read_yaml(ROOT / "params.yaml"))


def test_sections_come_in_the_order_asked():
    path = DEFAULTS
    plot, train = load(path, "plot", "train")
    assert (type(plot).__name__, type(train).__name__) == ("PlotParams", "TrainParams")
    assert load(path, "train") == train


def test_sections_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        load(DEFAULTS, "train").epochs = 3


@pytest.mark.parametrize("preset", sorted((ROOT / "presets").glob("*.yaml")), ids=lambda path: path.stem)
def test_presets_fit_over_the_committed_file(preset, tmp_path):
    content, overlay = read_yaml(DEFAULTS), read_yaml(preset)
    for section, values in overlay.items():
        content[section] |= values
    (tmp_path / "params.yaml").write_text(dumps(content))
    sections = load(tmp_path / "params.yaml")
    for section, values in overlay.items():
        for key, value in values.items():
            assert getattr(sections[section], key) == value


@pytest.mark.parametrize(("text", "value"), [("1e-3", 1e-3), ("55e-5", 55e-5), ("0.001", 0.001), ("1", 1.0)])
def test_numbers_are_numbers(text, value, tmp_path):
    rate = load(set_(tmp_path, "train.learning_rate", text), "train").learning_rate
    assert (rate, type(rate)) == (value, float)


TRAIN = (
    "epochs, batch_size, optimizer, learning_rate, schedule, min_learning_rate, warmup_epochs, cooldown_epochs, "
    "step_epochs, step_factor, weight_decay, decay_norm_and_bias, clip_norm, gradient_accumulation_steps, ema_decay, "
    "label_smoothing, class_weights, early_stopping_patience, init_from, freeze, layer_decay, "
    "seed"
)


# key, value as written, line of the message
@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("train.epohcs", "3", "train.epohcs = 3: unknown name; did you mean train.epochs?"),
        ("train.zzzz", "3", f"train.zzzz = 3: unknown name; valid: {TRAIN}"),
        ("train.epochs", "30.0", "train.epochs = 30.0: must be an integer"),
        ("train.epochs", "true", "train.epochs = true: must be an integer"),
        ("train.epochs", '"30"', "train.epochs = '30': must be an integer"),
        ("train.epochs", "", "train.epochs = null: must be an integer"),
        ("train.epochs", "[1, 2]", "train.epochs = [1, 2]: must be an integer"),
        ("train.epochs", "{a: 1}", "train.epochs = {'a': 1}: must be an integer"),
        ("train.epochs", "100001", "train.epochs = 100001: must be less than or equal to 100000"),
        ("train.batch_size", "0", "train.batch_size = 0: must be greater than or equal to 1"),
        ("train.seed", "4294967296", "train.seed = 4294967296: must be less than 4294967296"),
        ("train.seed", "-1", "train.seed = -1: must be greater than or equal to 0"),
        ("train.learning_rate", '"1e-3"', "train.learning_rate = '1e-3': must be a number"),
        ("train.learning_rate", "1e-3x", "train.learning_rate = '1e-3x': must be a number"),
        ("train.learning_rate", "true", "train.learning_rate = true: must be a number"),
        ("train.learning_rate", ".nan", "train.learning_rate = nan: must be a finite number"),
        ("train.learning_rate", "1e999", "train.learning_rate = inf: must be a finite number"),
        ("train.learning_rate", "0", "train.learning_rate = 0: must be greater than or equal to 0.000000000001"),
        ("train.weight_decay", "1", "train.weight_decay = 1: must be less than 1"),
        ("train.schedule", "cosin", "train.schedule = 'cosin': must be 'constant', 'cosine', 'linear' or 'step'"),
        (
            "train.early_stopping_patience",
            "0",
            "train.early_stopping_patience = 0: must be greater than or equal to 1, or null",
        ),
        (
            "train.early_stopping_patience",
            "never",
            "train.early_stopping_patience = 'never': must be an integer, or null",
        ),
        (
            "train.warmup_epochs",
            "30",
            "train.warmup_epochs = 30: must be below train.epochs = 30 (null: epochs / 15, at most 10)",
        ),
        (
            "train.min_learning_rate",
            "0.1",
            "train.min_learning_rate = 0.1: must be at most train.learning_rate = 0.001",
        ),
        ("augment.horizontal_flip", "yes", "augment.horizontal_flip = 'yes': must be a boolean"),
        ("augment.horizontal_flip", "1", "augment.horizontal_flip = 1: must be a boolean"),
        ("augment.crop_padding", "65", "augment.crop_padding = 65: must be less than or equal to 64"),
        ("data.source", '""', "data.source = '': must have at least 1 character"),
        ("preprocess.validation_fraction", "1", "preprocess.validation_fraction = 1: must be less than 1"),
        ("model.kernel_size", "4", "model.kernel_size = 4: must be odd"),
        (
            "preprocess.background",
            "redd",
            "preprocess.background = 'redd': must be white, grey, black or '#rrggbb'",
        ),
        ("preprocess.embeddings", "x.txt", "preprocess.embeddings = 'x.txt': must be data/vectors/NAME or null"),
        (
            "train.init_from",
            "/etc/passwd",
            "train.init_from = '/etc/passwd': must be pretrained/NAME.keras or null",
        ),
        (
            "model.num_heads",
            "3",
            "model: num_heads 3 does not divide embed_dim 128: choose a num_heads that does, or give head_dim",
        ),
    ],
)
def test_one_mistake_is_one_line(key, value, line, tmp_path):
    assert mistakes(set_(tmp_path, key, value)) == [line]


RENAMED = {
    "model": "layers num_layers, heads num_heads, width embed_dim, head_width head_dim, patch patch_size, "
    "kernel kernel_size, convolutions num_conv_layers, convolution_width conv_channels, convolution_bias conv_bias, "
    "positions positional_embedding, epsilon layer_norm_epsilon, mlp mlp_output, "
    "num_pool_layers pool_after",
    "augment": "erasing random_erasing_prob, mixup mixup_alpha, cutmix cutmix_alpha, mix_probability mix_prob, "
    "mix_switch mix_switch_prob, randaugment_layers randaugment_num_ops, randaugment_probability randaugment_prob, "
    "randaugment_noise randaugment_magnitude_std",
    "train": "minimum_learning_rate min_learning_rate, decay_everything decay_norm_and_bias, "
    "accumulation_steps gradient_accumulation_steps, early_stopping early_stopping_patience",
    "evaluate": "confidence confidence_level",
    "plot": "mistakes top_errors",
}


@pytest.mark.parametrize(
    ("section", "old", "new"),
    [(section, *pair.split()) for section, pairs in RENAMED.items() for pair in pairs.split(", ")],
)
def test_a_former_name_is_refused_with_the_present_one(section, old, new, tmp_path):
    value = flatten(read_yaml(DEFAULTS))[f"{section}.{new}"]
    (line,) = mistakes(set_(tmp_path, f"{section}.{old}", "null"))
    assert line == f"{section}.{old} = null: unknown name; did you mean {section}.{new}?", value


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (
            "epochs: 30",
            "epoch: 30",
            [
                "train.epochs is missing: passes over the training split",
                "train.epoch = 30: unknown name; did you mean train.epochs?",
            ],
        ),
        ("early_stopping_patience: null", "", ["train.early_stopping_patience is missing: "]),
        ("epochs: 30", "epochs: 30\n  3: 4", [f"train.3: a name must be a string; valid: {TRAIN}"]),
        ("epochs: 30", "epochs: 30\n  null: 4", [f"train.null: a name must be a string; valid: {TRAIN}"]),
        ("epochs: 30", "epochs: 30\n  true: 4", [f"train.true: a name must be a string; valid: {TRAIN}"]),
        ("dpi: 120\n  top_errors: 25", "", ["plot = null: must be a mapping of names to values"]),
        ("dpi: 120\n  top_errors: 25", "- dpi", ["plot = ['dpi']: must be a mapping of names to values"]),
    ],
)
def test_names(old, new, lines, tmp_path):
    found = mistakes(changed(tmp_path, old, new))
    assert len(found) == len(lines)
    assert all(one.startswith(line) for one, line in zip(found, lines, strict=True))


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (
            "plot:",
            "plots:",
            ["plots: unknown section; did you mean plot?", "plot: the section is missing; it has: "],
        ),
        ("plot:", "zzz: 1\nplot:", [f"zzz: unknown section; valid: {', '.join(SECTIONS)}"]),
        ("plot:", "1: 1\nplot:", [f"1: unknown section; valid: {', '.join(SECTIONS)}"]),
        ("plot:", "~: 1\nplot:", [f"null: unknown section; valid: {', '.join(SECTIONS)}"]),
        ("plot:", "plot: 3\nzzz:", ["zzz: unknown section; valid: data, ", "plot = 3: must be a mapping of names"]),
    ],
)
def test_sections(old, new, lines, tmp_path):
    found = mistakes(write(tmp_path, BARE.replace(f"{old}\n", f"{new}\n")))
    assert len(found) == len(lines)
    assert all(one.startswith(line) for one, line in zip(found, lines, strict=True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": expected a mapping of names to values, found nothing"),
        ("# only a comment\n", ": expected a mapping of names to values, found nothing"),
        ("- data\n- train\n", ": expected a mapping of names to values, found a list"),
        ("train", ": expected a mapping of names to values, found a str"),
        ("a: 1\nb: [1\n", ", line 3, column 1: not valid YAML: "),
        ("a: 1\n\tb: 2\n", ", line 2, column 1: not valid YAML: "),
        ("a:\n  b: 1\n  b: 2\n", ", line 3, column 3: not valid YAML: duplicate name b"),
        ("a: 1\na: 1\n", ", line 2, column 1: not valid YAML: duplicate name a"),
        ("a: *b\n", ", line 1, column 4: not valid YAML: anchors and aliases"),
        ("{[a, {}]: 1}\n", ", line 1, column 2: not valid YAML: a name must be a single value"),
        ("a: !!python/object/apply:os.getcwd []\n", ", line 1, column 4: not valid YAML: tags (!) are not allowed"),
        ("a: 1\n---\nb: 2\n", ", line 2, column 1: not valid YAML: "),
        ("a: \0\n", ": not valid YAML: the character '\\x00' is not allowed"),
        ("a: 2026-02-30\n", ", line 1, column 4: not valid YAML: 2026-02-30 means different things"),
        ("a: !!int x\n", ", line 1, column 4: not valid YAML: tags (!) are not allowed"),
        ("a: !!bool x\n", ", line 1, column 4: not valid YAML: tags"),
        ("[" * 1000, ": not valid YAML: it is nested too deeply"),
    ],
)
def test_what_is_not_a_mapping_is_refused_in_one_line(text, message, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(ParamsError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_skipped_as_dvc_does(tmp_path):
    """Editors of Windows write it."""
    (tmp_path / "params.yaml").write_bytes(b"\xef\xbb\xbf" + BARE.encode())
    assert read_yaml(tmp_path / "params.yaml") == load_yaml(tmp_path / "params.yaml") == read_yaml(DEFAULTS)


def test_unreadable_files_are_refused(tmp_path):
    (tmp_path / "latin1.yaml").write_bytes("a: é".encode("latin-1"))
    for path in (tmp_path / "absent.yaml", tmp_path / "latin1.yaml", tmp_path / "n\0l.yaml", tmp_path / "half\ud800"):
        with pytest.raises(ParamsError, match=r"^cannot read "):
            read_yaml(path)


@pytest.mark.parametrize("epochs", [1, 2, 1000])
def test_the_first_thing_that_is_changed_needs_no_other_change(tmp_path, epochs):
    assert load(set_(tmp_path, "train.epochs", str(epochs)), "train").epochs == epochs


def test_only_plain_files_of_some_size_are_read(tmp_path):
    """A device has no end, and a pipe waits for ever."""
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path, Path("/dev/zero"), tmp_path / "pipe.yaml"):
        with pytest.raises(ParamsError, match=r"is not a plain file: give the path of a YAML file$"):
            read_yaml(path)
    (tmp_path / "large.yaml").write_text("a: 1\n" + "#" * 1_000_000)
    with pytest.raises(ParamsError, match=r"has more than 1,000,000 bytes: .*, so check the path$"):
        read_yaml(tmp_path / "large.yaml")


def test_a_message_shows_little_of_a_long_value_and_no_control_characters(tmp_path):
    text = BARE.replace("name: cct_2_3x2", f"name: {'x' * 100_000}").replace("dpi: 120", '"d\\e[31m": 1')
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError) as caught:
        load(tmp_path / "params.yaml")
    said = str(caught.value)
    assert "xxx..." in said and len(said) < 3000 and "'plot.d\\x1b[31m' = 1: unknown name" in said
    (tmp_path / "params.yaml").write_text(BARE.replace("source: data/sources", 'source: "data\\0/sources').replace(
        "cifar10.yaml", 'cifar10.yaml"'))  # fmt: skip
    with pytest.raises(
        ParamsError, match=r"data\.source = .*: must be text without control characters and line breaks"
    ):
        load(tmp_path / "params.yaml")


def test_all_mistakes_at_once(tmp_path):
    """Those between two fields too, beside others of the same section."""
    text = BARE
    for old, new in [
        ("warmup_epochs: null", "warmup_epochs: 99"),
        ("min_learning_rate: 1e-5", "min_learning_rate: 1"),
        ("label_smoothing: 0.1", "label_smoothing: 2"),
        ("num_heads: null", "num_heads: 3"),
        ("mlp_ratio: null", "mlp_ratio: 1e-9"),
        ("kernel_size: null", "kernel_size: 2"),
        ("num_layers: null", "num_layers: 0"),
        ("dpi: 120", "dpi: low"),
        ("source: data", "sauce: data"),
    ]:
        assert text.count(f"  {old}") == 1
        text = text.replace(f"  {old}", f"  {new}")
    found = mistakes(write(tmp_path, text))
    assert [re.split(" |:", line)[0] for line in found] == [
        "data.source",
        "data.sauce",
        "model.num_layers",
        "model",
        "model.mlp_ratio",
        "model.kernel_size",
        "train.min_learning_rate",
        "train.warmup_epochs",
        "train.label_smoothing",
        "plot.dpi",
    ]


def test_a_field_that_is_wrong_is_not_compared_with_others(tmp_path):
    path = changed(tmp_path, "epochs: 30", "epochs: many")
    assert mistakes(path) == ["train.epochs = 'many': must be an integer"]


@pytest.mark.parametrize("key", flatten(read_yaml(DEFAULTS)))
def test_every_value_is_checked(key, tmp_path):
    """Nothing in the file accepts a list in a list; the line has path, value and what is allowed."""
    (line,) = mistakes(set_(tmp_path, key, "[[7]]"))
    assert re.fullmatch(rf"{re.escape(key)}(\.0)? = \[+7\]+: must be .+", line)


def test_every_field_is_described():
    for name, section in load(DEFAULTS).items():
        for key, field in type(section).model_fields.items():
            assert field.description, f"{name}.{key}"


def test_flatten():
    assert flatten({"a": 1, "b": {"c": 2, "d": {"e": None}}}) == {"a": 1, "b.c": 2, "b.d.e": None}


def test_checking_the_file_loads_nothing_heavy():
    code = "import sys, pathlib, cct.params as p; p.load(pathlib.Path('params.yaml')); print(*sys.modules)"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    loaded = subprocess.check_output([sys.executable, "-c", code], env=env, text=True, cwd=ROOT).split()
    assert "cct.evaluation.figures.params" in loaded
    assert not {"keras", "tensorflow", "mlflow", "matplotlib", "sklearn"} & set(loaded)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (None, 0, ""),
        (ParamsError("two\n  lines"), 1, "error: two\n  lines\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_command_turns_mistakes_into_exit_codes(error, code, message, capsys):
    @entry.entry_point
    def main(*, raised: BaseException | None) -> None:
        if raised:
            raise raised

    assert main(raised=error) == code
    assert capsys.readouterr() == ("", message)


def test_command_hides_no_bug():
    with pytest.raises(ZeroDivisionError):
        entry.entry_point(lambda: 1 // 0)()
    assert entry.entry_point(lambda: 3)() == 3
    assert issubclass(params.ParamsError, errors.CCTError)
