"""The built-in demo study: its file is part of the package."""

from __future__ import annotations

from pathlib import Path

DEMO = Path(__file__).parent / "studies" / "demo.yaml"
