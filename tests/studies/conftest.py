"""The folder of real wheels, where somebody fetched them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_packages() -> Path:
    """The folder of the real wheels; tests that need them are skipped where it is not named."""
    folder = os.environ.get("UPBRINGING_PACKAGES")
    if not folder:
        pytest.skip("set UPBRINGING_PACKAGES to a folder filled by `upbringing data fetch` to run this test")
    return Path(folder)
