"""Measures that come to nothing: no item fits a checkpoint, or none has what is asked. A study says it once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from upbringing.battery.measure import Measure
from upbringing.battery.unasked import REFUSED
from upbringing.formats.items import Item

REASONS = {
    "longer-than-context": "longer than the context that it reads",
    "no-continuation": "continued by what has no token in its tokenizer",
    REFUSED: "refused by its chat template",
}
REMEDY = "shorten the items, or leave the measure out; it has no value there"


def unfitting_notes(rows: pa.Table, labels: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence per measure and checkpoint of which every row lacks a value for one of ``REASONS``.

    ``labels``: what people call a checkpoint, by its key in ``rows``.
    """
    found = rows.select(["checkpoint", "measure", "reason_code"]).unify_dictionaries()  # groups need one for all chunks
    found = found.append_column("fits", pc.invert(pc.is_in(found["reason_code"], pa.array(list(REASONS)))))
    totals = found.group_by(["checkpoint", "measure"]).aggregate([("fits", "any"), ("reason_code", "distinct")])
    for row in sorted(totals.to_pylist(), key=lambda row: (row["measure"], row["checkpoint"])):
        if not row["fits_any"]:
            name = labels.get(row["checkpoint"], row["checkpoint"])
            why = " or ".join(REASONS[reason] for reason in sorted(row["reason_code_distinct"]))
            yield f"No item of {row['measure']} fits {name}: all are {why}; {REMEDY}."


def idle_notes(battery: Sequence[Measure], items: Sequence[Item]) -> tuple[str, ...]:
    """Return a sentence per measure that asks nothing of ``items``: it has no rows, so findings do not mention it."""
    return tuple(
        f"{measure.id} asks nothing of these {len(items)} prompts, because none has all it needs: there will be no "
        "number and no claim of it. Give them the fields that it asks for (docs/formats.md), or leave it out"
        for measure in battery
        if items and not measure.needs(items)
    )
