"""Fixtures of this area."""

from __future__ import annotations

import pytest
from training_bench import Bench, make_bench


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bench with a two-layer model of width 32."""
    return make_bench(tmp_path_factory.mktemp("bench"))
