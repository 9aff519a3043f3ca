"""Ablations: what is planned, what is made of the results, and one through DVC's queue into MLflow, interrupted."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import mlflow
import numpy as np
import pytest
from conftest import ROOT
from runs import SEED_SHIFT, SETTINGS

from cct import cli
from cct.dvc import Experiment
from cct.errors import CCTError
from cct.evaluation.figures.style import save_figure
from cct.experiments.ablation.figure import plot_ablation
from cct.experiments.ablation.plan import Plan, make_plan, training_work
from cct.experiments.ablation.results import Result, summarize
from cct.experiments.ablation.run import FOLDER, require_fit
from cct.experiments.ablation.statistics import difference, seed_deviation
from cct.experiments.ablation.table import ablation_table
from cct.params import ParamsError, flatten

SMALL = """\
base:
  train: {epochs: 4}
base_seeds: [0, 1]
seeds: [0]
changes:
  training:
    constant-rate: {train: {schedule: constant}}
    without-label-smoothing: {train: {label_smoothing: 0.0}}
  model:
    1-layer: {model: {num_layers: 1}}
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """What a plan is made from: parameters, pipeline, sources and descriptors."""
    for name in ("params.yaml", "dvc.yaml", "src", "data/sources"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "small.yaml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
    with pytest.raises(ParamsError, match="a seed is there twice"):
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
    text = SMALL.replace("schedule: constant", "schedul: constant").replace(
        "{model: {num_layers: 1}}", "{modle: {num_layers: 1}}"
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


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seeds: [0]\n", "seeds: []\n", "seeds = []: must have"),
        ("base_seeds: [0, 1]", "base_seeds: [0, 0]", "a seed is there twice"),
        ("constant-rate", "constant rate", "constant rate"),
        ("1-layer", "constant-rate", "constant-rate: a duplicate"),
        ("{num_layers: 1}", "{}", "changes.model.1-layer.model = {}: must have"),
        ("base_seeds", "base_seed", "did you mean base_seeds?"),
    ],
)
def test_a_wrong_file_is_refused(repository, old, new, said):
    Path("small.yaml").write_text(SMALL.replace(old, new, 1))
    with pytest.raises(ParamsError) as caught:
        plan()
    assert said in str(caught.value)


@pytest.mark.parametrize("setting", ["train.epochs", "epochs=3", "train.epochs=[1", "train.epochs=2026-02-30"])
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


def test_a_model_that_experiments_would_not_find_is_refused(repository):
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "one"]):
        subprocess.run(["git", *words], check=True)
    Path("pretrained").mkdir()
    Path("pretrained/mine.keras").write_bytes(b"model")
    contents = plan("train.init_from=pretrained/mine.keras").experiments().values()
    with pytest.raises(CCTError, match=r"not in git.*: pretrained/mine.keras: git add and commit them first"):
        require_fit(contents)


@pytest.mark.parametrize("changes", ["{a: {}}", "{a: {b: {train: {label_smoothing: 0.1}}}}"])
def test_an_ablation_with_nothing_to_compare_is_refused(repository, changes):
    Path("small.yaml").write_text(SMALL.partition("changes:")[0] + f"changes: {changes}\n")
    with pytest.raises(ParamsError, match="there is nothing to compare"):
        plan()


def test_what_the_base_is_already_is_left_out(repository):
    whole = plan("train.label_smoothing=0.0")
    assert whole.idle == ["without-label-smoothing"]
    assert [change.name for change in whole.changes] == ["constant-rate", "1-layer"]
    assert whole.experiments(["without-label-smoothing"]).keys() == whole.base.experiments.keys()


def test_an_unknown_change_is_refused(repository, capsys):
    assert cli.main(["ablate", "--file", "small.yaml", "--only", "1-layers"]) == 1
    assert "no change '1-layers' in this ablation; there are: constant-rate, " in capsys.readouterr().err


def test_what_both_get_right_or_wrong_is_no_noise():
    base_n, changed_n = np.zeros((2, 400), bool)
    base_n[:200] = changed_n[:210] = True  # 10 images of 400 more
    found = difference(changed_n[None], base_n[None], None)
    assert found.points == pytest.approx(2.5) and found.seeds is None
    share = 10 / 400  # McNemar's: n01 + n10 - (n01 - n10)^2 / n, over n^2
    assert found.examples == pytest.approx(100 * np.sqrt((share - share**2) / 399))
    apart = 100 * np.sqrt((0.25 + 0.525 * 0.475) / 399)
    assert found.error < apart / 3
    assert difference(base_n[None], base_n[None], None) == (0.0, 0.0, None)


@pytest.mark.parametrize(("changed", "base"), [(8, 8), (1, 4)])
def test_the_interval_covers_the_truth_as_often_as_it_says(changed, base):
    """Of runs whose seeds and images are both random."""
    random, covered, trials = np.random.default_rng(0), 0, 400
    for _ in range(trials):
        hard_n = random.normal(size=300)

        def run(level, hard_n=hard_n):  # a seed moves the accuracy as a whole, and each image by itself
            return hard_n + random.normal(size=300) < level + random.normal(scale=0.1)

        pairs = ((0.0, base), (0.3, changed))
        base_sn, changed_sn = (np.array([run(level) for _ in range(seeds)]) for level, seeds in pairs)
        deviation = seed_deviation([a.mean(axis=1).tolist() for a in (base_sn, changed_sn)])
        found = difference(changed_sn, base_sn, deviation)
        truth = 100 * (0.5843 - 0.5)  # P(N(0, 2.01) < 0.3)
        covered += abs(found.points - truth) < found.half_width(0.95, base + changed - 2)
    assert 0.92 < covered / trials < 0.985


def test_the_deviation_of_seeds_is_pooled():
    assert seed_deviation([[0.5], [0.7]]) is None
    assert seed_deviation([[0.5, 0.6], [0.9]]) == pytest.approx(np.std([0.5, 0.6], ddof=1))
    assert seed_deviation([[0.5, 0.6], [0.8, 0.8]]) == pytest.approx(np.std([0.5, 0.6], ddof=1) / np.sqrt(2))


@pytest.fixture
def results(repository, monkeypatch):
    """Of all experiments but that of one change: 50 % and 51 % for the base, 60 % and 50 % for the changes."""
    monkeypatch.setattr("cct.experiments.ablation.results.platforms", lambda experiment: [{"threads": 1}])
    names = [name for name in plan().experiments() if "label-smoothing" not in name]
    found = {}
    for name, right in zip(names, (500, 510, 600, 500), strict=True):
        found[name] = Result(
            experiment=Experiment(name, "b" * 40, "c" * 40),
            example_n=np.arange(1000).astype(str),
            correct_n=np.arange(1000) < right,
            test={"accuracy": right / 1000},
            val_accuracy=0.4,
        )
    return found


def test_the_summary_has_every_number_and_says_what_is_missing(results):
    whole = plan()
    summary = summarize(whole, results, seconds={next(iter(whole.base.experiments)): 12.0})
    base = summary["base"]
    assert (base["test_accuracy"], base["train_seconds"]) == (0.505, 12.0)
    assert base["overrides"] == {"train.epochs": 4} and len(base["experiments"]) == 2
    assert summary["missing"] == ["without-label-smoothing"]
    first, second = summary["changes"]
    assert (first["name"], first["points"]) == ("constant-rate", 9.5)
    assert first["points_low"] < 9.5 < first["points_high"] and first["train_seconds"] is None
    assert first["standard_error_of_seeds"] == pytest.approx(100 * np.std([0.5, 0.51], ddof=1) * np.sqrt(1.5), abs=1e-4)
    assert second["points"] == -0.5
    assert json.loads(json.dumps(summary)) == summary
    other = list(results.values())[-1]
    with pytest.raises(CCTError, match="have different test examples"):
        summarize(whole, {**results, other.experiment.name: other._replace(example_n=np.arange(1000))}, seconds={})


def test_table_and_figure_show_every_change(results, tmp_path):
    summary = summarize(plan(), results, seconds={})
    text = ablation_table(summary)
    rows = [line for line in text.splitlines() if line.startswith(("| training", "| model"))]
    assert len(rows) == 2 and rows[0].startswith("| training | constant rate | 60.00 % | **+9.50 (")
    assert rows[1].startswith("| model | 1 layer | 50.00 % | -0.50 (")
    assert "**50.50 %** of 1,000 test images" in text and "Missing: without-label-smoothing." in text
    drawn = plot_ablation(summary)
    (axes,) = drawn.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["constant rate", "1 layer"]
    assert [bar.get_width() for bar in axes.patches] == [9.5, -0.5]
    assert "50.50 %" in axes.get_title()
    for name in ("a.png", "b.png"):
        save_figure(plot_ablation(summary), tmp_path / name, dpi=100)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


SECTIONS = {section: {} for section in ("data", "model", "train", "runtime")}
for path, value in SETTINGS.items():
    SECTIONS[path.partition(".")[0]][path.partition(".")[2]] = value
QUEUED = f"""\
base: {json.dumps(SECTIONS)}
base_seeds: [{SEED_SHIFT}]
seeds: [{SEED_SHIFT}]
changes:
  model:
    without-dropout: {{model: {{dropout: 0.0}}}}
"""
UNFIT = "    unfit: {model: {tokenizer: patch, patch_size: 7}}\n"


def experiments(clone) -> dict[str, str]:
    """Commits of DVC's experiments by name."""
    form = "--format=%(refname:lstrip=4) %(objectname)"
    return dict(line.split() for line in clone.run("git", "for-each-ref", form, "refs/exps/*/*/*").splitlines())


def test_an_interrupted_ablation_resumes_and_a_finished_one_does_nothing(make_clone):
    clone = make_clone()
    (clone.path / "queued.yaml").write_text(QUEUED)
    words = ["cct", "ablate", "--file", "queued.yaml"]
    # What others have in the queue is not touched.
    clone.run("dvc", "exp", "run", "--queue", "-n", "mine", "-S", "train.epochs=1")
    assert "tasks that are not of this ablation (mine)" in clone.run(*words, code=1)
    clone.run("dvc", "queue", "remove", "mine")
    with (clone.path / "src/cct/models/layers/encoder.py").open("a") as file:
        file.write("\n")
    assert "changes that are not committed (src/cct/models/layers/encoder.py)" in clone.run(*words, code=1)
    clone.run("git", "checkout", "-q", "src/cct/models/layers/encoder.py")

    pipe = {"stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*words, "--jobs", "1"], cwd=clone.path, env=clone.environment, **pipe) as process:
        said = ""
        while "[1/2]" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        until = time.monotonic() + 60
        while len(list(clone.path.glob(".dvc/tmp/exps/run/*/*.out"))) < 2:  # the second has not begun
            assert time.monotonic() < until
            time.sleep(0.2)
        # Ends it as Ctrl-C does, which is ignored by what a shell has started in the background.
        process.send_signal(signal.SIGTERM)
        assert process.wait(100) == 130, process.stdout.read()
    first = experiments(clone)
    assert len(first) == 1 and next(iter(first)).startswith(f"queued-base-s{SEED_SHIFT}-")
    assert not {"Queued", "Running", "Failed"} & set(clone.run("dvc", "queue", "status").split())
    clone.run("git", "diff", "--exit-code", "HEAD")

    # What fails is named, and the others are in the table all the same.
    (clone.path / "queued.yaml").write_text(QUEUED + UNFIT)
    said = clone.run(*words, code=1)
    assert "3 experiments, 1 of them are finished" in said and "2 to run" in said
    assert f"failed: dvc queue logs queued-unfit-s{SEED_SHIFT}-" in said and "Missing: unfit." in said
    second = experiments(clone)
    assert len(second) == 2 and second.items() >= first.items()

    (clone.path / "queued.yaml").write_text(QUEUED)
    found = []
    for _ in range(2):
        begun = time.monotonic()
        said = clone.run(*words)
        assert "2 experiments, 2 of them are finished" in said and "to run" not in said
        assert time.monotonic() - begun < 60 and experiments(clone) == second
        reports = {path.name: path.read_bytes() for path in (clone.path / FOLDER).iterdir()}
        assert reports.keys() == {"queued.json", "queued.md", "queued.png"}
        summary = json.loads(reports["queued.json"])
        assert [row["name"] for row in summary["changes"]] == ["without-dropout"] and not summary["missing"]
        found.append((reports, _tracked(clone, summary)))
    assert found[0] == found[1]
    assert summary["base"]["train_seconds"] > 0 and summary["commit"] == clone.run("git", "rev-parse", "HEAD").strip()
    assert clone.run("git", "status", "--porcelain") == "?? queued.yaml\n"


def _tracked(clone, summary) -> tuple:
    """The parent, and what the runs are, of MLflow."""
    client = mlflow.MlflowClient(f"sqlite:///{clone.path}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("cct").experiment_id])
    (parent,) = [run for run in found if run.info.run_name == summary["ablation"]]
    assert parent.data.metrics["changes"] == 1 and parent.info.status == "FINISHED"
    assert parent.data.metrics["base/test_accuracy"] == summary["base"]["test_accuracy"]
    artifacts = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert artifacts == {"queued.json", "queued.md", "queued.png"}
    children = [run for run in found if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    names = {e["name"] for row in (summary["base"], *summary["changes"]) for e in row["experiments"]}
    assert sorted(run.info.run_name for run in children) == sorted(names)
    return parent.info.run_id, sorted(run.info.run_id for run in found)
