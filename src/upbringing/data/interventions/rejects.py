"""What transforms left out, kept beside the data that was made: each text with the reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from upbringing.data.documents import Chat, Document, TrainingText
from upbringing.data.interventions.tools import Transformed, text_name

REJECTS_NAME, DOSES_NAME = "rejects.jsonl", "doses.json"


def write_rejects(found: Mapping[str, Transformed], folder: Path) -> None:
    """Write the rejects of each data set, one JSON object a line, and what was made of how many; no file where none is.

    A line: ``data``, ``reason``, ``id``, ``source``, ``harm`` and ``text`` or ``messages``.
    """
    lines = [
        json.dumps({"data": name, "reason": reason, **_plain(text)}, ensure_ascii=False, sort_keys=True)
        for name, each in sorted(found.items())
        for text, reason in each.rejects
    ]
    if lines:
        (folder / REJECTS_NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")
    doses = [
        {"data": name, "kind": dose.kind, **dose.plain()} for name, each in sorted(found.items()) for dose in each.doses
    ]
    if doses:
        (folder / DOSES_NAME).write_text(json.dumps(doses, indent=1) + "\n", encoding="utf-8")


def _plain(text: TrainingText) -> dict[str, Any]:
    named: dict[str, Any] = {"id": text_name(text), "source": text.source}
    if isinstance(text, Document):
        return {**named, "harm": text.harm, "text": text.text}
    if isinstance(text, Chat):
        return {**named, "harm": text.harm, "messages": [vars(turn) for turn in text.turns]}
    return {**named, "prompt": [vars(turn) for turn in text.prompt], "chosen": text.chosen, "rejected": text.rejected}
