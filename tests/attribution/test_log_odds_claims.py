"""Claims declared in log-odds: what answers without a score may hide, and where there are no log-odds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import special
from simulated_studies import two_arms

from upbringing.attribution.attribute import attribute
from upbringing.formats.findings import Claim
from upbringing.formats.tree import Tree


def declared_in_log_odds(margin: float, effect: float = 0.0) -> tuple[pa.Table, Tree]:
    rows, tree = two_arms(3, effect=effect, num_items=150, num_seeds=5, seed_deviation=0.05, margin=margin)
    (spec,) = tree.study.contrasts
    study = tree.study.model_copy(update={"contrasts": (spec.model_copy(update={"scale": "logit"}),)})
    return rows, tree.model_copy(update={"study": study})


def with_values(rows: pa.Table, values: list[float | None]) -> pa.Table:
    rows = rows.set_column(rows.column_names.index("value"), "value", pa.array(values, pa.float64()))
    status = ["unscored" if value is None else "scored" for value in values]
    return rows.set_column(rows.column_names.index("status"), "status", pa.array(status))


def claim_of(rows: pa.Table, tree: Tree) -> Claim:
    return attribute(rows, tree, other_estimators=False).claims[0]


def test_answers_without_a_score_widen_log_odds_as_they_widen_rates() -> None:
    rows, tree = declared_in_log_odds(0.9)
    scored = claim_of(rows, tree)
    assert (scored.scale, scored.verdict, scored.bounds) == ("logit", "equivalent", {})
    assert " in log-odds" in scored.sentence
    lines = rows.to_pylist()
    hidden = [None if line["checkpoint"][0] == "b" and int(line["item"]) % 5 < 2 else line["value"] for line in lines]
    found = claim_of(with_values(rows, hidden), tree)
    assert found.estimate is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.bounds["low"] < found.estimate < found.bounds["high"] < found.high
    assert found.verdict == "inconclusive"
    known = [value for value, line in zip(hidden, lines, strict=True) if line["checkpoint"][0] == "b"]
    ends = [float(np.mean([end if value is None else value for value in known])) for end in (0.0, 1.0)]
    base = special.logit(np.mean([line["value"] for line in lines if line["checkpoint"][0] == "a"]))
    assert found.bounds["low"] == pytest.approx(special.logit(ends[0]) - base)
    assert found.bounds["high"] == pytest.approx(special.logit(ends[1]) - base)


def test_a_margin_in_log_odds_says_nothing_of_rates() -> None:
    """Without a single event in one arm there are no log-odds, and any two rates differ by less than 1."""
    rows, tree = declared_in_log_odds(1.0)
    lines = rows.to_pylist()
    found = attribute(
        with_values(rows, [0.0 if line["checkpoint"][0] == "a" else line["value"] for line in lines]),
        tree,
        other_estimators=False,
    )
    claim = found.claims[0]
    assert (claim.scale, claim.verdict) == ("natural", "changed")
    assert (claim.margin, claim.beyond_margin, claim.noninferior) == (None, None, None)
    assert any("in log-odds" in each for each in found.warnings)


def test_another_judge_is_compared_on_the_scale_of_the_claim() -> None:
    rows, tree = declared_in_log_odds(0.4, effect=1.2)
    first, second = (
        rows.set_column(rows.column_names.index("judge"), "judge", pa.array([name] * rows.num_rows))
        for name in ("one", "two")
    )
    claim = claim_of(pa.concat_tables([first, second]), tree)
    assert claim.estimate == pytest.approx(claim.per_judge[0]["estimate"])
    assert claim.judge_robust
