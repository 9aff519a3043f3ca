"""Writes the source files that each stage imports into `dvc.yaml`, as its dependencies: `make deps`.

    python scripts/dvc_deps.py [--check]

A stage depends on every module that its module imports, directly or indirectly, also inside functions. Imports that
only serve type hints do not count.
"""

import argparse
import re
import sys
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
DVC_YAML = ROOT / "dvc.yaml"


def source_files(stages: list[str]) -> dict[str, list[str]]:
    """The source files of each stage, relative to the repository root, in alphabetical order."""
    graph = grimp.build_graph("cct", cache_dir=None, exclude_type_checking_imports=True)
    found = {}
    for stage in stages:
        module = f"cct.stages.{stage}"
        paths = [Path("src", *name.split(".")) for name in {module, *graph.find_upstream_modules(module)}]
        found[stage] = sorted(f"{path}.py" for path in paths if (ROOT / f"{path}.py").is_file())
    return found


def with_dependencies(text: str) -> str:
    """The text of `dvc.yaml` with the present source files."""
    stages = re.findall(r"^  (\w+):\n    cmd:", text, flags=re.MULTILINE)
    for stage, files in source_files(stages).items():
        listed = "".join(f"      - {file}\n" for file in files)
        pattern = rf"(^  {stage}:\n(?:    .*\n)*?    deps:\n(?:      - (?!src/).*\n)*)(?:      - src/.*\n)*"
        text, count = re.subn(pattern, lambda found, listed=listed: found[1] + listed, text, flags=re.MULTILINE)
        assert count == 1, stage
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if dvc.yaml is stale")
    check = parser.parse_args().check
    before = DVC_YAML.read_text(encoding="utf-8")
    after = with_dependencies(before)
    if check and after != before:
        print("error: the dependencies in dvc.yaml are stale: run make deps", file=sys.stderr)
        return 1
    if not check:
        DVC_YAML.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
