"""Fixtures of this area."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_fixture import write_results
from report_hostile import write_hostile


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The realistic study."""
    return write_results(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hostile study."""
    return write_hostile(tmp_path_factory.mktemp("hostile"))
