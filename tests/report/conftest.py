"""Fixtures of this area."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_fixture import write_results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("results"))
