"""The answers of all checkpoints as one compact block: strings once, deflated, in letters that no markup knows."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from upbringing.base.terminal import visible
from upbringing.report.inputs import Inputs

COMPRESSION = 9


def answers_block(inputs: Inputs) -> str:
    """Return base64 of the deflated JSON ``{strings, items: [{prompt, request, split, condition, answers}]}``.

    An answer is ``[checkpoint's cells, text, outcome]``; all texts are indices into ``strings``. Control and
    reordering characters are shown escaped, so that an answer cannot hide what it says.
    """
    strings: dict[str, int] = {}

    def index(text: str) -> int:
        return strings.setdefault(visible(text), len(strings))

    items: dict[tuple[str, str], dict[str, Any]] = {}
    places = cells_of_checkpoints(inputs)
    splits = {item.id: item.split or "" for item in inputs.tree.items}
    table = inputs.answers
    assert table is not None
    rows = sorted(table.to_pylist(), key=lambda row: (row["item"], row["condition"], row["checkpoint"], row["sample"]))
    for row in rows:
        entry = items.setdefault(
            (row["item"], row["condition"]),
            {
                "prompt": index(row["prompt"]),
                "request": index(row["request"]),
                "split": index(splits.get(row["item"], "")),
                "condition": index(row["condition"]),
                "answers": [],
            },
        )
        outcome = inputs.outcomes.get(row["response"], "unscored")
        who = places.get(row["checkpoint"], row["checkpoint"])
        entry["answers"].append([index(who), index(row["answer"]), index(outcome)])
    plain = json.dumps(
        {"strings": list(strings), "items": list(items.values())}, ensure_ascii=True, separators=(",", ":")
    )
    return base64.b64encode(zlib.compress(plain.encode("ascii"), COMPRESSION)).decode("ascii")


def cells_of_checkpoints(inputs: Inputs) -> dict[str, str]:
    """Return for each checkpoint the names of the cells it fills, with its seed."""
    found: dict[str, list[str]] = {}
    for cell in inputs.tree.cells:
        seeds = [seed for seed in cell.seeds.model_dump().values() if isinstance(seed, int)]
        label = f"{cell.name}, seed {max(seeds)}" if seeds else cell.name
        if label not in found.setdefault(cell.checkpoint, []):
            found[cell.checkpoint].append(label)
    return {checkpoint: " = ".join(labels) for checkpoint, labels in found.items()}
