"""Who judged, as foreign rows say it: nobody is nobody however it is written, and an unknown word is named."""

from __future__ import annotations

import pyarrow as pa
import pytest
from simulated_studies import two_arms

from upbringing.attribution.attribute import attribute
from upbringing.base.errors import FormatError


def judged_by(kind: str | None) -> pa.Table:
    rows, _ = two_arms(5, effect=1.5, num_items=40, num_seeds=3, seed_deviation=0.15)
    column = pa.array([kind] * rows.num_rows, pa.string())
    return rows.set_column(rows.column_names.index("judge_kind"), "judge_kind", column)


def test_none_is_read_as_null() -> None:
    _, tree = two_arms(5, effect=1.5, num_items=40, num_seeds=3, seed_deviation=0.15)
    assert attribute(judged_by("none"), tree) == attribute(judged_by(None), tree)


def test_an_unknown_kind_of_judge_is_an_error_that_names_it() -> None:
    _, tree = two_arms(5, effect=1.5, num_items=40, num_seeds=3, seed_deviation=0.15)
    with pytest.raises(FormatError, match="holds 'robot', which is none of oracle, rule, llm, human"):
        attribute(judged_by("robot"), tree)
