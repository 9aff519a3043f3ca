"""The summary of an ablation's results."""

import json
from pathlib import Path

import numpy as np
import pytest

from cct.dvc import Experiment
from cct.errors import CCTError
from cct.evaluation.figures.style import save_figure
from cct.experiments.ablation.figure import plot_ablation
from cct.experiments.ablation.plan import make_plan
from cct.experiments.ablation.reports import FOLDER, write_reports
from cct.experiments.ablation.results import Result, summarize
from cct.experiments.ablation.statistics import difference, seed_deviation
from cct.experiments.ablation.table import ablation_table


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
    names = [name for name in make_plan(Path("small.yaml")).experiments() if "label-smoothing" not in name]
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
    whole = make_plan(Path("small.yaml"))
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
    with pytest.raises(CCTError, match=r"have different test examples: use one data\.source for all"):
        summarize(whole, {**results, other.experiment.name: other._replace(example_n=np.arange(1000))}, seconds={})


def test_table_and_figure_show_every_change(results, tmp_path):
    summary = summarize(make_plan(Path("small.yaml")), results, seconds={})
    text = ablation_table(summary)
    rows = [line for line in text.splitlines() if line.startswith(("| training", "| model"))]
    assert len(rows) == 2 and rows[0].startswith("| training | constant rate | 60.00 % | **+9.50 (")
    assert rows[1].startswith("| model | 1 layer | 50.00 % | -0.50 (")
    assert "**50.50 %** of 1,000 test examples" in text and "Missing: without-label-smoothing." in text
    drawn = plot_ablation(summary)
    (axes,) = drawn.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["constant rate", "1 layer"]
    assert [bar.get_width() for bar in axes.patches] == [9.5, -0.5]
    assert "50.50 %" in axes.get_title()
    for name in ("a.png", "b.png"):
        save_figure(plot_ablation(summary), tmp_path / name, dpi=100)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_without_a_finished_change_there_is_a_table_and_no_figure(results):
    whole = make_plan(Path("small.yaml"))
    files = write_reports(summarize(whole, results, seconds={}), "small")
    assert [path.name for path in files] == ["small.md", "small.png", "small.json"] and all(map(Path.exists, files))
    alone = {name: result for name, result in results.items() if name in whole.base.experiments}
    files = write_reports(summarize(whole, alone, seconds={}), "small")
    assert [path.name for path in files] == ["small.md", "small.json"] and all(map(Path.exists, files))
    assert "Missing: constant-rate, without-label-smoothing, 1-layer." in files[0].read_text()
    assert not (FOLDER / "small.png").exists()
