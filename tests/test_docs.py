"""The documentation is true: its code runs, its study is valid, its links lead somewhere, names are complete."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import upbringing
from upbringing.base.strict_yaml import parse_yaml
from upbringing.study.loading import study_from

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (f"{page.name}-{number}", code)
        for page in PAGES
        for number, (found, code) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
        if found == language
    ]


@pytest.mark.parametrize(("name", "code"), blocks("python"), ids=lambda value: value if len(value) < 40 else "")
def test_python_blocks_run(name: str, code: str) -> None:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("name", "code"), blocks("yaml"), ids=lambda value: value if len(value) < 40 else "")
def test_studies_in_the_documentation_are_valid(name: str, code: str) -> None:
    study = study_from(parse_yaml(code))
    assert study.resolved_arms()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_public_names_are_sorted_and_load() -> None:
    assert upbringing.__all__ == sorted(upbringing.__all__)
    for name in upbringing.__all__:
        assert getattr(upbringing, name) is not None
    with pytest.raises(AttributeError, match="has no"):
        upbringing.nothing  # noqa: B018


def test_every_command_is_documented_in_its_help() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "from upbringing.cli import main; main()", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for verb in (
        "plan",
        "power",
        "build",
        "measure",
        "attribute",
        "report",
        "gate",
        "run",
        "demo",
        "verify",
        "doctor",
        "schema",
    ):
        assert verb in result.stdout
