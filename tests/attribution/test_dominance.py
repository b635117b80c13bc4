"""Dominance is tested on the scale that a claim declares: a quarter of an effect on rates is not one in log-odds."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pytest
from scipy import special

from upbringing.attribution.attribute import attribute
from upbringing.attribution.protocols.part_answers import dominance
from upbringing.attribution.statistics.equivalence import NO_DOMINANCE_SCALE
from upbringing.formats.findings import Claim
from upbringing.formats.tree import Tree

ITEMS, SEEDS = 400, 5
SFT, RL = {"sft@end": 1.0, "placebo@end": -1.0}, {"sft_rl@end": 1.0, "sft@end": -1.0}
RATES = {"placebo@end": 0.5, "sft@end": 0.1, "sft_rl@end": 0.04}  # -0.06 is 15% of -0.40; of its log-odds it is 45%


def claim_of(rates: Mapping[str, float], scale: str) -> Claim:
    """The claim on RL held against SFT; the runs of a cell differ by one and two answers around its rate exactly."""
    rows = [
        {
            "checkpoint": f"{cell}-{run}",
            "measure": "harm",
            "item": f"q{item}",
            "value": float(item < round(rate * ITEMS) + (run - SEEDS // 2) * (0 < rate < 1)),
        }
        for cell, rate in rates.items()
        for run in range(SEEDS)
        for item in range(ITEMS)
    ]
    asked = {"name": "RL", "weights": RL, "measure": "harm", "test": "dominance", "against": SFT, "scale": scale}
    tree = {
        "schema_version": 1,
        "study": {"name": "dominance", "contrasts": [{**asked, "role": "primary", "level": "L2"}]},
        "checkpoints": [{"id": f"{cell}-{run}"} for cell in rates for run in range(SEEDS)],
        "cells": [
            {
                "arm": cell.partition("@")[0],
                "position": "end",
                "checkpoint": f"{cell}-{run}",
                "seeds": {"world": run, "pretrain": run},
            }
            for cell in rates
            for run in range(SEEDS)
        ],
        "measures": [{"id": "harm", "direction": "lower-is-safer"}],
    }
    found = attribute(pa.Table.from_pylist(rows), Tree.model_validate(tree), other_estimators=False)
    return next(claim for claim in found.claims if claim.contrast == "RL")


def test_dominance_is_tested_on_the_scale_of_the_claim() -> None:
    rates, log_odds = claim_of(RATES, "natural"), claim_of(RATES, "logit")
    assert (rates.scale, rates.dominance) == ("natural", "yes")
    assert (log_odds.scale, log_odds.dominance) == ("logit", "no")
    by_hand = [float(special.logit(rate)) for rate in RATES.values()]
    assert log_odds.estimate == pytest.approx(by_hand[2] - by_hand[1])
    assert abs(by_hand[2] - by_hand[1]) > 0.25 * abs(by_hand[1] - by_hand[0])
    assert (rates.dominance_reason, log_odds.dominance_reason) == (None, None)
    assert "dominance_reason" not in rates.model_dump_json()


def test_without_log_odds_dominance_is_not_decided_on_rates_instead() -> None:
    """No answer of one cell is harmful: on rates RL does little, and in log-odds nothing can be said."""
    never = {**RATES, "sft_rl@end": 0.0}
    assert claim_of(never, "natural").dominance == "undecided"  # 0.1 is a quarter of 0.4 exactly
    for rates in (never, {**RATES, "placebo@end": 0.0}, {**RATES, "placebo@end": 1.0, "sft_rl@end": 0.2}):
        found = claim_of(rates, "logit")
        assert (found.dominance, found.dominance_reason) == ("undecided", NO_DOMINANCE_SCALE)
        assert NO_DOMINANCE_SCALE in found.model_dump()["statement"]
        part = dominance([found])
        assert (part.verdict, part.reason) == ("not-decided", NO_DOMINANCE_SCALE)
