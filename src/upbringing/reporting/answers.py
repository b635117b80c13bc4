"""The answers of all checkpoints as one compact block: strings once, deflated, in letters that no markup knows."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pyarrow as pa

from upbringing.attribution.evidence.sources import JUDGE_ORDER
from upbringing.formats.tree import Cell
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.lineage import positions_of
from upbringing.reporting.words import OUTCOMES, shown

COMPRESSION = 9
UNSCORED = "unscored"
NO_JUDGE = "none"


class Strings:
    """Distinct texts in order of first use."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}

    def index(self, text: str) -> int:
        """Return the place of ``text``, with its control characters made visible."""
        return self.places.setdefault(shown(text), len(self.places))


def answers_block(inputs: Inputs, *, with_text: bool) -> str:
    """Return base64 of the deflated JSON that the page's script reads; empty if there are no answers.

    ``{strings, places, items}``; a place is ``[arm, position, seed]``; an item is ``{id, prompt, request, split,
    condition, answers}``; an answer is ``[place, outcome, text, characters, cut]``, then, where there are any, the
    thought and ``[judge, reason]`` pairs. Texts are indices into ``strings``; -1 = left out. Without text there
    is no prompt, answer, thought or reason.
    Items on which checkpoints disagree most come first.
    """
    if inputs.answers is None or inputs.answers.num_rows == 0:
        return ""
    strings = Strings()
    order, places = _places(inputs, strings)
    outcomes = outcomes_of(inputs.rows)
    splits = {item.id: item.split or "" for item in inputs.tree.items}
    items: dict[tuple[str, str], dict[str, Any]] = {}
    for row in _sorted_rows(inputs.answers):
        entry = items.setdefault(
            (row["item"], row["condition"]),
            {
                "id": strings.index(row["item"]),
                "prompt": strings.index(row["prompt"]) if with_text else -1,
                "request": strings.index(row["request"]),
                "split": strings.index(splits.get(row["item"], "")),
                "condition": strings.index(row["condition"]),
                "answers": [],
            },
        )
        answer = _answer(row, strings, outcomes, with_text=with_text)
        for place in order.get(row["checkpoint"]) or [_unknown(row["checkpoint"], order, places, strings)]:
            entry["answers"].append([place, *answer])
    for entry in items.values():
        entry["answers"].sort(key=lambda answer: answer[0])
    ranked = sorted(items.values(), key=lambda entry: -len({answer[1] for answer in entry["answers"]}))
    plain = json.dumps(
        {"strings": list(strings.places), "places": places, "items": ranked}, ensure_ascii=True, separators=(",", ":")
    )
    return base64.b64encode(zlib.compress(plain.encode("ascii"), COMPRESSION)).decode("ascii")


def _sorted_rows(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return sorted(rows, key=lambda row: (row["item"], row["condition"], row["checkpoint"], row["sample"]))


def _answer(row: dict[str, Any], strings: Strings, outcomes: dict[str, str], *, with_text: bool) -> list[Any]:
    outcome = outcomes.get(row["response"], UNSCORED)
    fields: list[Any] = [
        strings.index(OUTCOMES.get(outcome, outcome)),
        strings.index(row["answer"]) if with_text else -1,
        len(row["answer"]),
        int(row["finish"] == "length"),
    ]
    if with_text and (row.get("thought") or row.get("reasons")):
        fields.append(strings.index(row["thought"]) if row.get("thought") else -1)
        fields += [[strings.index(each["judge"]), strings.index(each["reason"])] for each in row.get("reasons") or ()]
    return fields


def _places(inputs: Inputs, strings: Strings) -> tuple[dict[str, list[int]], list[list[int]]]:
    """Return for each checkpoint the places it fills, and all places in the order of the design."""
    positions = positions_of(inputs.tree)
    arms = list(dict.fromkeys(cell.arm for cell in inputs.tree.cells))
    found: dict[tuple[int, int, int], str] = {}
    for cell in inputs.tree.cells:
        found[arms.index(cell.arm), positions.index(cell.position), seed_of(cell)] = cell.checkpoint
    order: dict[str, list[int]] = {}
    places: list[list[int]] = []
    for (arm, position, seed), checkpoint in sorted(found.items()):
        order.setdefault(checkpoint, []).append(len(places))
        places.append([strings.index(arms[arm]), strings.index(positions[position]), seed])
    return order, places


def _unknown(checkpoint: str, order: dict[str, list[int]], places: list[list[int]], strings: Strings) -> int:
    """Add a place for a checkpoint that the tree does not list."""
    order[checkpoint] = [len(places)]
    places.append([strings.index(checkpoint), strings.index(""), 0])
    return order[checkpoint][0]


def seed_of(cell: Cell) -> int:
    """Return the number that tells a cell's replicates apart."""
    return max((seed for _, seed in cell.seeds if isinstance(seed, int)), default=0)


def outcomes_of(rows: pa.Table | None) -> dict[str, str]:
    """Return each response's outcome under the judge that carries the claims; other judges fill gaps."""
    names = {"response", "outcome", "judge"}
    if rows is None or not names <= set(rows.column_names):
        return {}
    wanted = sorted(names) + (["judge_kind"] if "judge_kind" in rows.column_names else [])
    table = rows.select(wanted).group_by(wanted).aggregate([]).to_pylist()
    known = [row for row in table if row["response"] is not None and row["outcome"] is not None]
    found: dict[str, str] = {}
    for row in sorted(known, key=lambda row: (_judge_rank(row.get("judge_kind")), str(row["judge"]), row["outcome"])):
        found.setdefault(row["response"], row["outcome"])
    return found


def _judge_rank(kind: str | None) -> int:
    return JUDGE_ORDER.index(kind) if kind in JUDGE_ORDER else len(JUDGE_ORDER)  # as claims rank judges
