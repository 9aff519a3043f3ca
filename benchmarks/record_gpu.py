"""Writes reports of `gpu.py` as one result, as `record.py` writes experiments.

    python benchmarks/record_gpu.py OUT/gpu.json... --out benchmarks/results/X.json

Reports of trainings are seeds of one recipe and become a result of the README's table. Other reports become one table
of training steps. The source code of the work tree must be that of the measurements: both have a digest. A report of an
older `gpu.py` has none and is refused, because nothing shows which commit it measured.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import source_digest
from record import CODE, Run, Times, add_result_options, must_be_seeds, result, write_result

from cct.dvc import Experiment
from cct.entry import entry_point
from cct.errors import CCTError
from cct.files import write_atomically
from cct.params import flatten, read_yaml
from cct.repository import git, repository_root


def read_report(path: Path) -> dict[str, Any]:
    """The content of a gpu.json.

    Raises:
        CCTError: it is no report of `gpu.py`, one of a rehearsal, or of other source code than that of the work tree.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CCTError(f"{path} is not a report of benchmarks/gpu.py: {error}") from error
    if not isinstance(report, dict) or report.get("kind") != "gpu":
        raise CCTError(f"{path} is not a report of benchmarks/gpu.py")
    if report["rehearsal"]:
        raise CCTError(f"{path} is of a rehearsal: measure on a GPU, without --rehearse")
    if report.get("source") != source_digest():
        measured = f"commit {report['commit'][:12]}" if report.get("commit") else "an unknown commit"
        raise CCTError(
            f"{path} measured another src/ ({measured}) than that of the work tree: check out its commit, or measure "
            "again"
        )
    return report


def trained_run(path: Path, report: dict[str, Any]) -> tuple[Run, Times, str]:
    """The finished training of a report, its times, and its command.

    Raises:
        CCTError: the report does not have exactly one finished training.
    """
    trained = [entry for entry in report.get("trained", {}).values() if "test" in entry]
    if len(trained) != 1:
        raise CCTError(f"{path} must have one finished training, but it has {len(trained)}")
    (entry,), head = trained, git(repository_root(), "rev-parse", "HEAD")
    sections = {name: values for name, values in entry["parameters"].items() if name != "data"}
    run = Run(
        experiment=Experiment(path.parent.name, head, head),
        parameters=flatten(read_yaml(repository_root() / "params.yaml") | sections),
        dependencies={"data": report["data"]["digest"], "src": report["source"]},
        meta=report["data"] | {"examples": report["data"]["images"]},
        metrics={"test": entry["test"], "model": {"parameters": entry["model_parameters"]}},
        history=entry["epochs"],
        kinds=[entry["machine"]],
    )
    ends = [row["seconds"] for row in entry["epochs"]]  # of all calls; the first epoch compiles the model
    seconds = [after - before for before, after in itertools.pairwise(ends)]
    return run, Times(seconds, ends[-1], report["cpu"], report["cores"]), entry["command"]


def steps_of(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The check and the training steps of several reports from one kind of machine, as one.

    Raises:
        CCTError: the machines or packages differ, or nothing was measured.
    """
    same = ("kind", "data", "commit", "source", "cpu", "cores", "gpus", "packages")
    first = reports[0]
    for other in reports[1:]:
        differing = [name for name in same if other.get(name) != first.get(name)]
        if differing:
            raise CCTError(f"the reports differ in {', '.join(differing)}: give those of one machine")
    check = [report["check"] for report in reports if "check" in report]
    rows = [row for report in reports for row in report.get("steps", [])]
    if not rows:
        raise CCTError("no report has steps: run benchmarks/gpu.py steps")
    notes = [note for report in reports for note in report.get("steps_notes", [])]
    found = {"check": check[-1] if check else None, "steps": rows, "steps_notes": notes}
    return {name: first.get(name) for name in same} | found


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT", help="a gpu.json")
    add_result_options(parser)
    options = parser.parse_args()
    reports = [read_report(path) for path in options.reports]
    if not any("trained" in report for report in reports):
        write_atomically(options.out, (json.dumps(steps_of(reports), indent=2) + "\n").encode())
        return
    found, timed, commands = zip(*map(trained_run, options.reports, reports), strict=True)
    must_be_seeds(found)
    content = result(found, timed, repository_root(), title=options.title, data=options.data)
    content["command"] = " && ".join([f"git checkout {found[0].experiment.baseline[:12]}", *commands])
    # The work tree may differ from HEAD, and it is what was measured.
    content["changed_code"] = git(repository_root(), "diff", "--name-only", "HEAD", *CODE).splitlines()
    write_result(content, options)


if __name__ == "__main__":
    sys.exit(main())
