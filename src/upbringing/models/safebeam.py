"""SafeBeam's own part: the risk of every candidate, which of them are discarded, and a log of both."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from upbringing.models.decoding import Riskiest, SafeBeam
from upbringing.models.hypotheses import Candidate, Hypothesis
from upbringing.models.passes import numbers_at_once

ROWS_AT_ONCE = 16  # rows of logits made fp32 at once: they stay in the processor's cache
LOGGED_DIGITS = 4  # of a risk: enough to see why a candidate was kept
ROUNDING_DECIMALS = 9  # 10 % of 30 is 3, whatever binary fractions make of it


def tag_probability(logits: Any, tag: int) -> Any:
    """Return the probability of ``tag`` from logits (..., vocabulary), at temperature 1."""
    import torch

    vocabulary = logits.shape[-1]
    num_rows = max(1, numbers_at_once(logits.device, ROWS_AT_ONCE * vocabulary) // vocabulary)
    rows = logits.flatten(0, -2).split(num_rows)
    found = [(wide[:, tag] - wide.logsumexp(dim=-1)).double().exp() for wide in (each.float() for each in rows)]
    return torch.cat(found).view(logits.shape[:-1])


def num_discarded(pool: int, discard: Riskiest) -> int:
    """Return how many of ``pool`` candidates are discarded; one always stays."""
    wanted = round(discard.share * pool, ROUNDING_DECIMALS)
    return min(math.floor(wanted) if discard.rounding == "down" else math.ceil(wanted), pool - 1)


def discarded(pool: Sequence[Candidate], decoding: SafeBeam) -> set[int]:
    """Return the places of the candidates that are too risky."""
    rule = decoding.discard
    if isinstance(rule, Riskiest):
        by_likelihood = rule.ties == "likelier"
        order = sorted(pool, key=lambda each: (-each.risk, each.likelihood if by_likelihood else 0.0, -each.place))
        return {each.place for each in order[: num_discarded(len(pool), rule)]}
    above = {each.place for each in pool if each.risk > rule.risk}
    if len(above) == len(pool) and rule.none_left == "safest":
        above.remove(min(pool, key=lambda each: (each.risk, -each.likelihood, each.place)).place)
    return above


@dataclass
class RiskGuard:
    """Discards risky candidates of one prompt's search and keeps a log of the risks of each step."""

    decoding: SafeBeam
    steps: list[dict[str, list[float]]] = field(default_factory=list)

    def __call__(self, pool: Sequence[Candidate]) -> list[Candidate]:
        """Return the candidates that may stay, in order."""
        if not pool:
            return []
        gone = discarded(pool, self.decoding)
        kept = [each for each in pool if each.place not in gone]
        dropped = [each for each in pool if each.place in gone]
        self.steps.append({"kept": self._logged(kept), "dropped": self._logged(dropped)})
        return kept

    def _logged(self, found: Sequence[Candidate]) -> list[float]:
        """Return all risks in the order of the candidates, or the least and the greatest of them."""
        risks = [float(f"{each.risk:.{LOGGED_DIGITS}g}") for each in found]
        return risks if self.decoding.log == "candidates" or not risks else [min(risks), max(risks)]

    def details(self, answer: Hypothesis) -> str:
        """Return the log as JSON: the risks of kept and dropped candidates per step, and of the answer's tokens."""
        own = [float(f"{risk:.{LOGGED_DIGITS}g}") for risk in answer.risks]
        return json.dumps({"answer": own, "log": self.decoding.log, "steps": self.steps}, separators=(",", ":"))
