"""README and docs name existing things in short sentences, and every message of the code has its remedy."""

import ast
import re

import grimp
import pytest
from clones import ROOT
from pages import PAGES, blocks, sentences

from cct.data.texts.formats import COLUMNS

README = ROOT / "README.md"
MOST_WORDS = 25
# Raised by wrong calls of functions, never by what a user gives.
NOT_OF_USERS = (
    "serving/images.py",
    "evaluation/metrics.py",
    "models/layers/base.py",
    "runtime/backend.py: f'{name} is hidden",
)


def name(path) -> str:
    return str(path.relative_to(ROOT))


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 150


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_sentences_are_short(path):
    long = [sentence for sentence in sentences(path) if len(sentence.split()) > MOST_WORDS]
    assert not long, f"over {MOST_WORDS} words: {long}"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_what_a_page_names_is_there(path):
    text = path.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:`|[$] )make ([a-z-]+)", text)) <= targets
    if path.name != "contributing.md":  # which adds files
        for found in re.findall(r"`((?:src|tests|presets|data/sources|docs|scripts|benchmarks)/[\w./-]*\w)`", text):
            assert (ROOT / found).exists() or found == "data/sources/mine.yaml", found
    commands = [word for block in blocks(path) for word in block.commands]
    assert set(re.findall(r"(?m)^cct (?:-\S+ )*([a-z-]+)", "\n".join(commands))) <= set(known_commands())


def known_commands() -> list[str]:
    from cct.cli import COMMANDS

    return [*COMMANDS, "--help"]


@pytest.mark.parametrize("path", [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=name)
def test_links_lead_somewhere(path):
    """Those of docs/ are checked by MkDocs."""
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", path.read_text()):
        assert (ROOT / target).is_file(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)", (ROOT / target).read_text(), flags=re.MULTILINE)
            assert anchor in [re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in headings]


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_images_have_alternative_text(path):
    for text, target in re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", path.read_text()):
        assert len(text) > 20 and (path.parent / target).is_file(), target


def test_all_names_of_columns_are_listed():
    """A row of a table lists those of each column, in their order."""
    rows = re.findall(r"^\| (\w+) \| (`.*?) \|", (ROOT / "docs/text.md").read_text(), flags=re.MULTILINE)
    assert {column: tuple(re.findall(r"`(\w+)`", names)) for column, names in rows if column in COLUMNS} == COLUMNS


def test_packages_import_what_the_page_says():
    text = (ROOT / "docs/how-it-works.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|$", text, flags=re.MULTILINE)
    said = {package: set(re.findall(r"`(\w+)`", imported)) for package, imported in rows}
    graph = grimp.build_graph("cct", cache_dir=None, exclude_type_checking_imports=True)
    found: dict[str, set[str]] = {package: set() for package in said}
    floor = set()
    for module in graph.modules - {"cct"}:
        package = module.split(".")[1]
        for imported in graph.find_modules_directly_imported_by(module) - {"cct"}:
            found.setdefault(package, set()).add(imported.split(".")[1])
        if len(list((ROOT / "src/cct").glob(f"{package}.py"))):
            floor.add(package)
    assert set(re.findall(r"`(\w+)`", re.search(r"All packages import them: (.*?)\n\n", text, re.S)[1])) == floor - {
        "cli"
    }
    assert said == {package: found[package] - floor - {package} for package in found if package not in floor}


def fragments() -> dict[str, str]:
    """Of each message that is raised its longest fixed part, by where it is."""
    found = {}
    for path in sorted((ROOT / "src/cct").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                texts = [
                    part.strip()
                    for constant in ast.walk(node.exc.args[0])
                    if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
                    for part in constant.value.split("\n")
                ]
                where = f"{path.relative_to(ROOT / 'src/cct')}: {ast.unparse(node.exc.args[0])}"
                found[where] = max(texts, key=len, default="")
    return found


def test_every_message_is_explained():
    page = " ".join((ROOT / "docs/troubleshooting.md").read_text().split())
    absent = {
        where: fragment
        for where, fragment in fragments().items()
        if len(fragment) >= 12 and fragment not in page and not where.startswith(NOT_OF_USERS)
    }
    assert not absent, f"not in docs/troubleshooting.md: {absent}"
    assert len(fragments()) > 150
