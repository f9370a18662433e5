"""The house: sizes, trails, layers, roles on every route, and documents that are what they say."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("hone", "serve", "feedback", "tuner")
SOURCES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
MODULES = [path for path in SOURCES if path.read_text("utf-8").strip()]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_small_says_what_it_is_for_and_has_short_functions(path: Path) -> None:
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    assert text.count("\n") <= 300, "split on the noun that grew"
    assert ast.get_docstring(tree), "a module begins by saying what it does"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _declares(node):
            assert (node.end_lineno or 0) - node.lineno <= 60, f"{node.name} is too long"


def _declares(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Functions that only hold others (an API's `routes`, a page's layout) are measured by their parts."""
    return any(isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) for inner in node.body)


def trails() -> Iterator[tuple[Path, str]]:
    for path in MODULES:
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        for line in re.findall(r"^Trail: .*(?:\n.+)*", docstring, re.M):
            for name in re.findall(r"[\w/]+\.py", line):
                yield path, name


def test_every_trail_leads_to_a_file_that_is_there() -> None:
    found = list(trails())
    assert len(found) > 10
    missing = [f"{path.relative_to(ROOT)} -> {name}" for path, name in found if not (ROOT / name).exists()]
    assert not missing


def test_no_file_is_called_by_what_it_is_not() -> None:
    vague = {"utils", "helpers", "manager", "common", "misc"}
    assert not [path for path in SOURCES if path.stem in vague]


def test_imports_keep_to_the_layers() -> None:
    checked = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_the_command_starts_without_the_heavy_libraries() -> None:
    code = (
        "import sys, hone.command; "
        "print([m for m in ('torch', 'gradio', 'transformers', 'duckdb', 'peft') if m in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert said.strip() == "[]"


def test_the_lock_names_no_registry_and_pins_everything() -> None:
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    assert not [line for line in lines if "://" in line or line.startswith("-")]
    assert all("==" in line for line in lines if line and not line.startswith("#"))


def test_every_link_in_the_docs_leads_somewhere() -> None:
    broken = []
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken
