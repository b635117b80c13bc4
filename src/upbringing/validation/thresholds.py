"""The thresholds of the gates, and the gates that stand in several experiments."""

from __future__ import annotations

from dataclasses import replace

from upbringing.validation.gates import Gate
from upbringing.validation.process import HIGH, LOW

NOMINAL_LOW, NOMINAL_HIGH, SMALL_LOW = 0.93, 0.97, 0.92
FALSE = 0.064  # 5% and two Monte Carlo errors of 1,000 studies
MANY = 4000  # studies where the estimators are called directly
NOISES = {"low": LOW, "high": HIGH}

COVERAGE = Gate(
    id="I1", claim="the 95% interval covers the truth", outcome="covered", at_least=NOMINAL_LOW, at_most=NOMINAL_HIGH
)
SMALL_COVERAGE = replace(COVERAGE, at_least=SMALL_LOW, at_most=None)
FALSE_ATTRIBUTION = Gate(id="I2", claim="a null stage is called changed", outcome="changed", at_most=FALSE)


def naive(name: str, claim: str, outcome: str) -> Gate:
    """Return the gate that a naive analysis has to fail: false findings in at most 6.4% of studies."""
    return Gate(id=name, claim=f"naive: {claim}", outcome=outcome, at_most=FALSE, must="fail")
