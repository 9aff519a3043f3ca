"""The experiments of an ablation."""

import subprocess
from pathlib import Path

import pytest
from clones import ROOT
from phone_photos import write_photos

from cct import cli
from cct.errors import CCTError
from cct.experiments.ablation.plan import Plan, make_plan, training_work
from cct.experiments.ablation.run import require_fit
from cct.models.architectures import resolve_architecture
from cct.models.build import build_model
from cct.models.saving import save_model
from cct.params import ParamsError, flatten, load
from cct.runtime.machine import installed_packages

COMMIT = ("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "a commit")


def git(*words: str) -> None:
    subprocess.run(["git", *words], check=True)


def commit_all() -> None:
    git("add", "-A")
    git(*COMMIT)


def plan(*settings: str) -> Plan:
    return make_plan(Path("small.yaml"), settings)


def test_the_ablation_that_is_committed_has_no_mistake(monkeypatch):
    monkeypatch.chdir(ROOT)
    whole = make_plan(Path("benchmarks/ablation.yaml"))
    changed = {name for change in whole.changes for name in change.overrides}
    assert {"model.num_conv_layers", "model.num_layers", "augment.policy", "train.schedule"} <= changed
    assert {change.group for change in whole.changes} == {"augmentation", "optimisation", "model"}
    assert len(whole.experiments()) == len(whole.changes) + len(whole.base.experiments)
    more = make_plan(Path("benchmarks/ablation.yaml"), seeds=[0, 1])
    assert len(more.experiments().keys() - whole.experiments().keys()) == len(whole.changes)
    assert more.experiments().items() >= whole.experiments().items()
    with pytest.raises(ParamsError, match="a seed is a duplicate"):
        make_plan(Path("benchmarks/ablation.yaml"), seeds=[1, 1])
    assert all(training_work(content) > 0 for content in whole.experiments().values())


def test_every_experiment_is_the_base_with_one_change_and_a_seed(repository):
    whole = plan("train.learning_rate=2e-3")
    base = flatten(next(iter(whole.base.experiments.values())))
    assert (base["train.epochs"], base["train.learning_rate"]) == (4, 2e-3)
    assert [flatten(content)["train.seed"] for content in whole.base.experiments.values()] == [0, 1]
    for change in whole.changes:
        (content,) = change.experiments.values()
        differs = {name: value for name, value in flatten(content).items() if base[name] != value}
        assert differs == change.overrides
    assert [change.group for change in whole.changes] == ["training", "training", "model"]
    assert len(whole.experiments(["1-layer"])) == 3


def test_a_folder_of_images_is_a_source(repository):
    """Its content decides the names; one that is absent is a mistake before any work."""
    folder = Path("photos")
    write_photos(folder, count=3)
    before = list(plan("data.source=photos/").experiments())
    assert before == list(plan("data.source=photos/").experiments())
    assert not set(before) & set(plan().experiments())
    with pytest.raises(CCTError, match=r"data.source = 'photo': there is no such file or folder here"):
        plan("data.source=photo/")


def test_a_folder_may_have_the_name_of_a_section(repository):
    """The section still decides the names."""
    write_photos(Path("train"), count=3)
    names = [set(plan("data.source=train/", f"train.epochs={epochs}").experiments()) for epochs in (4, 5)]
    assert not names[0] & names[1]


def test_another_version_of_a_package_makes_other_experiments(repository, monkeypatch):
    installed = installed_packages()
    before = set(plan().experiments())
    for name in ("tensorflow", "keras", "numpy"):
        monkeypatch.setattr("cct.experiments.ablation.plan._installed", lambda n=name: installed | {n: "0.1"})
        assert not set(plan().experiments()) & before
    monkeypatch.setattr("cct.experiments.ablation.plan._installed", lambda: installed | {"jax": "0.1"})
    assert set(plan().experiments()) == before


def test_a_folder_that_dvc_has_is_one_that_experiments_find(repository):
    """Written with a slash at its end, as a shell completes it."""
    write_photos(Path("photos"), count=3)
    write_photos(Path("photos/inner"), count=3)
    Path(".gitignore").write_text("/photos\n")
    git("init", "-q")
    commit_all()
    contents = plan("data.source=photos/").experiments().values()
    with pytest.raises(CCTError, match=r"not in git.*: photos: git add and commit them first"):
        require_fit(contents)
    Path("photos.dvc").touch()
    commit_all()
    require_fit(contents)
    require_fit(plan("data.source=photos/inner").experiments().values())


def test_a_name_stays_as_long_as_the_result_is_valid(repository):
    before = list(plan().experiments())
    for name, text in (("src/cct/plots.py", "\n"), ("src/cct/cli.py", "\n"), ("small.yaml", "# said otherwise\n")):
        with Path(name).open("a") as file:
            file.write(text)
    assert list(plan("plot.dpi=90").experiments()) == before
    assert not set(plan("train.epochs=5").experiments()) & set(before)
    for name in ("src/cct/models/layers/encoder.py", "data/sources/cifar10.yaml"):
        with Path(name).open("a") as file:
            file.write("\n")
        after = list(plan().experiments())
        assert not set(after) & set(before)
        before = after


def test_all_mistakes_are_said_at_once(repository):
    text = (
        Path("small.yaml")
        .read_text()
        .replace("schedule: constant", "schedul: constant")
        .replace("{model: {num_layers: 1}}", "{modle: {num_layers: 1}}")
    )
    Path("small.yaml").write_text(text.replace("label_smoothing: 0.0", "label_smoothing: 1.0"))
    with pytest.raises(ParamsError) as caught:
        plan("train.epochs=0", "train.seed=1")
    said = str(caught.value)
    for mistake in (
        "small.yaml with -S train.epochs=0 -S train.seed=1 has 5 mistakes",
        "base: train.epochs = 0: must be",
        "constant-rate: train.schedul = 'constant': unknown name; did you mean train.schedule?",
        "without-label-smoothing: train.label_smoothing = 1.0: must be",
        "1-layer: modle: unknown section; did you mean model?",
        "base: train.seed cannot be changed here; use seeds and base_seeds",
    ):
        assert mistake in said


def test_what_does_not_fit_the_data_is_said_before_any_experiment(repository, capsys):
    Path("small.yaml").write_text(Path("small.yaml").read_text().replace("num_layers: 1", "name: text_cct_2_1"))
    settings = ["train.init_from=pretrained/none.keras", "augment.word_dropout=0.1"]
    assert cli.main(["ablate", "--file", "small.yaml", *(word for one in settings for word in ("-S", one))]) == 1
    said = capsys.readouterr().err
    for mistake in (
        "has 3 mistakes",
        "base: augment.word_dropout = 0.1: this changes",
        "base: train.init_from = 'pretrained/none.keras': there is no such file",
        "1-layer: model.name = text_cct_2_1 takes texts",
    ):
        assert mistake in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seeds: [0]\n", "seeds: []\n", "seeds = []: must have"),
        ("base_seeds: [0, 1]", "base_seeds: [0, 0]", "a seed is a duplicate"),
        ("constant-rate", "constant rate", "constant rate"),
        ("1-layer", "constant-rate", "constant-rate: a change has this name already, or it is 'base': rename it"),
        ("{num_layers: 1}", "{}", "changes.model.1-layer.model = {}: must have"),
        ("base_seeds", "base_seed", "did you mean base_seeds?"),
    ],
)
def test_a_wrong_file_is_refused(repository, old, new, said):
    Path("small.yaml").write_text(Path("small.yaml").read_text().replace(old, new, 1))
    with pytest.raises(ParamsError) as caught:
        plan()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "setting",
    ["train.epochs", "epochs=3", "train.epochs=[1", "train.epochs=2026-02-30", "preprocess.background=#ff0000"],
)
def test_a_wrong_setting_is_refused(repository, setting):
    with pytest.raises(ParamsError, match="-S "):
        plan(setting)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("train.epochs=2026-01-01", "-S train.epochs=2026-01-01: '2026-01-01' is not a YAML value: 2026-01-01 means"),
        ("train.learning_rate=.nan", "base: train.learning_rate = nan: must be"),
    ],
)
def test_what_json_has_no_word_for_is_refused_all_the_same(repository, setting, said):
    with pytest.raises(ParamsError) as caught:
        plan(setting)
    assert said in str(caught.value)


def test_a_file_whose_name_no_experiment_can_have_is_refused(repository):
    Path("small.yaml").rename("my file.yaml")
    with pytest.raises(ParamsError, match=r"my file.yaml: its name is a part of every experiment's"):
        make_plan(Path("my file.yaml"))


def test_a_folder_without_a_commit_is_refused(repository):
    with pytest.raises(CCTError, match=rf"^git finds no commit in {repository}: commit the files first, or see git st"):
        require_fit(plan().experiments().values())


def test_a_model_that_experiments_would_not_find_is_refused(repository):
    small = Path("small.yaml")
    small.write_text(small.read_text().replace("num_layers: 1", "dropout: 0.2"))  # the model would not fit
    git("init", "-q")
    commit_all()
    Path("pretrained").mkdir()
    architecture = resolve_architecture(load(Path("params.yaml"), "model"))
    model = build_model(architecture, image_shape=(32, 32, 3), classes=10, mean=[0.5] * 3, std=[0.25] * 3)
    save_model(model, Path("pretrained/mine.keras"))
    contents = plan("train.init_from=pretrained/mine.keras").experiments().values()
    with pytest.raises(CCTError, match=r"not in git.*: pretrained/mine.keras: git add and commit them first"):
        require_fit(contents)
    Path("pretrained/mine.keras.dvc").touch()  # as cct import-model leaves it
    commit_all()
    git("rm", "-q", "--cached", "pretrained/mine.keras")
    git(*COMMIT)
    require_fit(contents)


@pytest.mark.parametrize("changes", ["{a: {}}", "{a: {b: {train: {label_smoothing: 0.1}}}}"])
def test_an_ablation_with_nothing_to_compare_is_refused(repository, changes):
    Path("small.yaml").write_text(Path("small.yaml").read_text().partition("changes:")[0] + f"changes: {changes}\n")
    with pytest.raises(ParamsError, match="there is nothing to compare"):
        plan()


def test_what_the_base_is_already_is_left_out(repository):
    whole = plan("train.label_smoothing=0.0")
    assert whole.idle == ["without-label-smoothing"]
    assert [change.name for change in whole.changes] == ["constant-rate", "1-layer"]
    assert whole.experiments(["without-label-smoothing"]).keys() == whole.base.experiments.keys()


def test_an_unknown_change_is_refused(repository, capsys):
    assert cli.main(["ablate", "--file", "small.yaml", "--only", "1-layers"]) == 1
    assert "no change '1-layers' in this ablation; " in capsys.readouterr().err
