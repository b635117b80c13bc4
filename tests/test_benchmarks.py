"""Every benchmark is run by ``scripts/bench``, and nothing is named there that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SIDES = {"corpus_peer"}  # run by corpus_speed, in the environment of its peer


def test_the_script_names_every_benchmark() -> None:
    script = (ROOT / "scripts" / "bench").read_text(encoding="utf-8")
    listed = re.search(r"  names=\(\n(.*?)\n  \)", script, re.DOTALL)
    assert listed is not None
    found = {
        path.stem
        for path in (ROOT / "benchmarks").glob("*.py")
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    }
    assert sorted(listed[1].split()) == sorted(found - SIDES)
    assert found >= SIDES
