"""Run the pipeline again in a temporary clone, and compare its files with the files here."""

import argparse
import tempfile
from pathlib import Path

from cct import paths
from cct.commands.arguments import non_empty, tolerance
from cct.dvc import fetch_files, require_up_to_date, run_dvc
from cct.experiments.presets import preset_arguments
from cct.experiments.reproduce import EXIT, compare_outputs, machine_differences, summarize_findings
from cct.experiments.workspace import clone_work_tree
from cct.params import load
from cct.pipeline import pipeline_outputs
from cct.repository import repository_root


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Ends with 0 if all files are identical, 3 if they differ within the tolerance only, 1 otherwise."
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="run the demo twice instead, and compare those")
    how.add_argument(
        "--against", metavar="REV", type=non_empty, help="run nothing: compare with a commit's or experiment's files"
    )
    parser.add_argument(
        "--tolerance", type=tolerance, default=1e-3, help="largest excusable difference of numbers (default: 0.001)"
    )


def main(arguments: argparse.Namespace) -> int:
    top = repository_root()
    names = pipeline_outputs(top)
    load(paths.PARAMS)
    with tempfile.TemporaryDirectory(prefix="cct-verify-") as folder:
        first, second = top, Path(folder, "second")
        if arguments.quick:
            first, second = (clone_work_tree(top, Path(folder, name)) for name in ("first", "second"))
            for clone in (first, second):
                run_dvc("exp", "run", *preset_arguments("demo"), folder=clone)
        elif arguments.against is not None:
            fetch_files(top, arguments.against, names, second)
        else:
            require_up_to_date(top)
            second = clone_work_tree(top, second)
            run_dvc("repro", folder=second)
        findings = compare_outputs(first, second, names, tolerance=arguments.tolerance)
        differences = machine_differences(first / paths.MODEL, second / paths.MODEL)
    width = max(len(finding.name) for finding in findings)
    print(*(f"{finding.name:{width}}  {finding.text}" for finding in findings), sep="\n")
    worst = max(finding.verdict for finding in findings)
    print(summarize_findings(findings, differences, arguments.tolerance))
    return EXIT[worst]
