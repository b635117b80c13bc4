"""Overdetermined and needing others are said of a total only, and no sentence says more than its level allows."""

from __future__ import annotations

from simulated_designs import crossed, planted

from upbringing.attribution.attribute import attribute
from upbringing.attribution.sentences import DIFFER, NEEDS_OTHERS, OVERDETERMINED
from upbringing.formats.findings import Claim


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
