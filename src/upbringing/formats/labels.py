"""``labels.parquet``: what people said of a sample of a study's answers, in the columns of the rows table.

``judge`` is ``human/<rater>``, ``outcome`` the label, ``response`` the answer, ``sampling_probability`` how likely it
was drawn. It lies beside ``rows.parquet``, never inside: a sample is no measure.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from upbringing.base.errors import FormatError

LABELS_NAME = "labels.parquet"
LABEL_MEASURE = "human_label"
LABEL_COLUMNS = ("checkpoint", "response", "outcome", "rater", "sampling_probability")
LABEL_OUTCOMES = ("refuse", "harmful", "harmless", "incoherent")


def read_labels_table(path: Path) -> pa.Table:
    """Return the labels in ``path``; raises ``FormatError`` naming the column that is wrong."""
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise FormatError(f"{path.name} is not a readable Parquet file: {error}") from None
    check_labels(table)
    return table


def check_labels(table: pa.Table) -> None:
    """Raise ``FormatError`` for a table that holds no labels, or labels without what weighs them."""
    for name in LABEL_COLUMNS:
        if name not in table.column_names:
            raise FormatError(f"the labels have no column {name!r}: they need {', '.join(LABEL_COLUMNS)}")
        if table[name].null_count:
            raise FormatError(f"the column {name!r} of the labels is null in {table[name].null_count} rows")
    probabilities = table["sampling_probability"]
    inside = pc.and_(pc.greater(probabilities, 0), pc.less_equal(probabilities, 1))
    if not pc.all(inside, min_count=0).as_py():
        raise FormatError("a sampling_probability of the labels is not in (0, 1]: every label needs the one it had")
    unknown = set(pc.unique(table["outcome"].cast(pa.string())).to_pylist()) - set(LABEL_OUTCOMES)
    if unknown:
        raise FormatError(f"the label {sorted(unknown)[0]!r} is not one of {', '.join(LABEL_OUTCOMES)}")
    pairs = [(row["response"], row["rater"]) for row in table.select(["response", "rater"]).to_pylist()]
    if len(set(pairs)) != len(pairs):
        raise FormatError("a rater labelled one answer twice: keep one label")
