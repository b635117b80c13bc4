"""The faulty server of the endpoint tests, for everything that asks over HTTP, and the order of the files."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what tests compare, to the bit or to numbers, was computed on processors

LONGEST = (
    "test_kill.py",
    "test_quick_settings.py",
    "test_judging.py",
    "test_run.py",
    "test_suite.py",
    "test_corpus_kill.py",
    "test_protocols.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: one stays in one worker, and the others would wait for the last."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def faulty() -> ModuleType:
    """The module of the faulty server."""
    path = Path(__file__).parent / "models" / "faulty_server.py"
    spec = importlib.util.spec_from_file_location("faulty_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
