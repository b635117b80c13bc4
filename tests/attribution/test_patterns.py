"""Overdetermined and needing others are said of a total only, and no sentence says more than its level allows."""

from __future__ import annotations

import pytest
from simulated_designs import crossed, planted

from upbringing.attribution.attribute import attribute
from upbringing.attribution.words.sentences import DIFFER, NEEDS_OTHERS, OVERDETERMINED, statement, verdict_sentence
from upbringing.formats.findings import Claim, OrderRange


def on(*names: str) -> frozenset[str]:
    return frozenset(names)


def necessities(rates: tuple[float, float, float, float], num_items: int = 300) -> dict[str, Claim]:
    """Claims on the necessity of a and b by the rates of none, a, b and both."""
    rate_of = dict(zip((on(), on("a"), on("b"), on("a", "b")), rates, strict=True))
    planted_rates, factors = crossed(("a", "b"), rate_of)
    findings = attribute(*planted(0, planted_rates, factors=factors, num_items=num_items, num_seeds=6))
    needed = [claim for claim in findings.claims if claim.kind == "necessity"]
    return dict(zip("ab", needed, strict=True))


def test_what_is_a_quarter_of_the_total_is_not_enough() -> None:
    """a alone: +0.2 of +0.8; after b: +0.02. That is less, but a was never enough."""
    claim = necessities((0.1, 0.3, 0.88, 0.9))["a"]
    assert claim.pattern == "differ"
    assert DIFFER in claim.sentence
    assert OVERDETERMINED not in claim.sentence


def test_what_does_half_alone_does_not_need_the_others() -> None:
    """b alone: +0.4 of +0.8, with a all of it; a alone: nothing, with b half."""
    for claim in necessities((0.1, 0.1, 0.5, 0.9)).values():
        assert claim.pattern in ("differ", None)
        assert NEEDS_OTHERS not in claim.sentence


def test_all_or_little_of_the_total_is_still_said() -> None:
    assert {claim.pattern for claim in necessities((0.2, 0.8, 0.8, 0.8)).values()} == {"overdetermined"}
    assert {claim.pattern for claim in necessities((0.2, 0.2, 0.2, 0.7)).values()} == {"needs-others"}


def claim_of(**fields: object) -> Claim:
    common = {"id": "x", "measure": "m", "contrast": "c", "level": "L2", "verdict": "changed", "estimate": 0.3}
    return Claim.model_validate({**common, **fields})


@pytest.mark.parametrize("pattern", ["overdetermined", "needs-others", "differ"])
def test_along_one_path_nothing_is_enough(pattern: str) -> None:
    sentence = verdict_sentence(claim_of(kind="necessity", level="L1", pattern=pattern), "m")
    assert sentence.endswith("rose during this stage (+0.30).")
    assert len(verdict_sentence(claim_of(kind="necessity", pattern=pattern), "m")) > len(sentence)


@pytest.mark.parametrize("kind", ["interaction", "higher-interaction"])
def test_along_one_path_no_effects_depend_on_each_other(kind: str) -> None:
    assert "comes out above zero (" in verdict_sentence(claim_of(kind=kind, level="L1"), "m")
    assert "comes out below zero (" in verdict_sentence(claim_of(kind=kind, level="L1", estimate=-0.3), "m")
    words = {"interaction": "higher than their single effects, added up", "higher-interaction": "depend on each other"}
    assert words[kind] in verdict_sentence(claim_of(kind=kind, level="L3"), "m")


def test_a_generic_effect_is_of_neutral_data() -> None:
    sentence = verdict_sentence(claim_of(kind="generic-effect"), "m")
    assert "training on neutral data raises it" in sentence
    assert "whatever" not in sentence


@pytest.mark.parametrize("is_wide", [True, False, None])
def test_two_trained_orders_are_not_all_orders(is_wide: bool | None) -> None:
    found = OrderRange(low=0.1, high=0.4, is_wide=is_wide)
    assert "over the orders known" in statement(claim_of(kind="path", level="L1", order_range=found), "m")
    assert "over all orders" in statement(claim_of(kind="shapley", level="L3", order_range=found), "m")
