"""Measures none of whose items fits a checkpoint: rows say it one by one, a study's warnings say it once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from upbringing.battery.unasked import REFUSED

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
