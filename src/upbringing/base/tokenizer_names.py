"""What errors call a tokenizer: a study has many checkpoints, and each has its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def tokenizer_name(tokenizer: Any) -> str:
    """Return a name with the folder that ``tokenizer`` was opened from; of one that was made in memory none."""
    folder = Path(getattr(tokenizer, "name_or_path", None) or "").name
    return f"the tokenizer of {folder}" if folder else "the tokenizer"
