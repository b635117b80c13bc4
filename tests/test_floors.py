"""The floors of the architecture, as a table that is checked."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "upbringing"

MAY_IMPORT = {
    "base": set(),
    "formats": {"base"},
    "data": {"base", "formats"},
    "models": {"base", "formats"},
    "synthesis": {"base", "formats", "data", "models"},
    "training": {"base", "formats", "data", "models"},
    "battery": {"base", "formats", "data", "models"},
    "study": {"base", "formats", "data", "models", "synthesis", "training", "battery"},
    "attribution": {"base", "formats"},
    "reporting": {"base", "formats", "attribution"},
}
MAY_IMPORT["lab"] = set(MAY_IMPORT)
MAY_IMPORT["validation"] = {"base", "formats", "attribution"}
ROOMS = (
    "statistics",
    "evidence",
    "words",
    "contrasts",
    "judges",
    "validity",
    "effects",
    "claims",
    "protocols",
    "power",
)
"""The rooms of the attribution floor: each may import from those before it."""
HEAVY = {
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "safetensors",
    "tokenizers",
    "httpx",
    "inspect_ai",
    "sklearn",
}

OPERATIONS = {"upbringing.models.varlen", "upbringing.models.document_attention"}
"""Modules that register an operation with torch when they are imported; only functions of others may import them."""


def imported_modules(path: Path) -> list[str]:
    """Every module that a file imports, wherever the import stands."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the floor"
            names.append(node.module or "")
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_imports_only_from_the_floors_below_it(path: Path) -> None:
    floor = path.relative_to(SOURCE).parts[0]
    if floor not in MAY_IMPORT:  # cli.py and __init__.py join everything
        return
    for name in imported_modules(path):
        parts = name.split(".")
        if parts[0] == "upbringing" and len(parts) > 1:
            assert parts[1] in MAY_IMPORT[floor] | {floor}, f"{floor} may not import {name}"


def rooms() -> list[Path]:
    return sorted((SOURCE / "attribution").glob("*/*.py"))


@pytest.mark.parametrize("path", rooms(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_of_attribution_imports_only_from_those_before_it(path: Path) -> None:
    room = path.parent.name
    allowed = ROOMS[: ROOMS.index(room) + 1]
    for name in imported_modules(path):
        parts = name.split(".")
        if parts[:2] == ["upbringing", "attribution"] and len(parts) > 2:
            assert parts[2] in allowed, f"{room} may not import {name}"


def imported_at_the_top(path: Path) -> set[str]:
    """Every module that importing a file imports first."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_heavy_libraries_are_imported_where_they_compute(path: Path) -> None:
    name = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
    heavy = HEAVY - {"torch"} if name in OPERATIONS else HEAVY
    found = imported_at_the_top(path)
    assert not {each.split(".")[0] for each in found} & heavy, f"{path.name} imports {sorted(found)} at its top"
    assert name in OPERATIONS or not found & OPERATIONS, f"{path.name} imports at its top what imports torch"


@pytest.mark.parametrize(
    "code",
    [
        "import upbringing",
        "import upbringing.cli",
        "import upbringing.study.loading",
        "import upbringing.lab.logs",
        "import upbringing.lab.planning.plan",
        "import upbringing.lab.templates",
        "import upbringing.attribution.attribute",
        "import upbringing.reporting.build",
        "import upbringing.validation.run",
        "import upbringing.attribution.pipeline_gate",
        "import upbringing.reporting.exports.folder",
    ],
)
def test_the_light_half_loads_no_torch(code: str) -> None:
    check = f"{code}\nimport sys\nheavy = {sorted(HEAVY)!r}\nprint([name for name in heavy if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


FORBIDDEN_CALLS = {"eval", "exec", "compile"}


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_untrusted_is_executed_or_unpickled(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = {name.split(".")[0] for name in imported_modules(path)}
    assert not imports & {"pickle", "dill", "marshal", "shelve", "yaml"}, imports
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            assert node.func.id not in FORBIDDEN_CALLS, f"line {node.lineno}: {node.func.id}"
        for keyword in node.keywords:
            value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
            assert not (keyword.arg == "shell" and value is True), f"line {node.lineno}"
            assert not (keyword.arg == "weights_only" and value is False), f"line {node.lineno}"
            assert not (keyword.arg == "trust_remote_code" and value is True), f"line {node.lineno}"
            assert not (keyword.arg == "allow_pickle" and value is True), f"line {node.lineno}"


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_stay_small(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 400, f"{path.name} has {lines} lines: a file has one idea"
