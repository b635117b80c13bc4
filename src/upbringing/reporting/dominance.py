"""Which cell is shown to be both safer and better than another: by claims that exist already, nothing recomputed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from upbringing.attribution.evidence.cells import Source
from upbringing.formats.findings import Claim
from upbringing.reporting.deciding import of_claim
from upbringing.reporting.differences import claim_level
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.words import LEVEL_ORDER, SAME_MODEL_KINDS, interval, signed, verdict_of

MAX_NAMED = 3  # pairs in the sentence; the table holds all


@dataclass(frozen=True)
class Difference:
    """One cell minus another on one measure. ``gain``: 1 = shown to be favourable, -1 = unfavourable, 0 = not shown."""

    claim: Claim
    estimate: float | None
    low: float | None
    high: float | None
    gain: int

    @property
    def text(self) -> str:
        """The difference with its interval."""
        return f"{signed(self.estimate)} {interval(self.low, self.high)}".strip()


@dataclass(frozen=True)
class Compared:
    """``one`` minus ``other`` on a measure of safety and on one of what a model can do."""

    one: str
    other: str
    safety: Difference
    utility: Difference

    @property
    def gains(self) -> tuple[int, int]:
        """What is shown of safety, then of utility."""
        return self.safety.gain, self.utility.gain

    @property
    def level(self) -> str:
        """The weaker level of evidence of the two differences."""
        return min((self.safety.claim.level, self.utility.claim.level), key=LEVEL_ORDER.index)

    @property
    def word(self) -> str:
        """What the two differences say together."""
        if 0 in self.gains:
            return "not decided"
        return {(1, 1): "safer and better", (1, -1): "safer, but worse"}[self.gains]


def compared(inputs: Inputs, safety: Source, utility: Source) -> tuple[Compared, ...]:
    """Return every pair of cells with a claim on both measures, the first cell first named by what it wins.

    Turned round where that makes the first cell the safer one; a pair that nothing is shown of stays as it was asked.
    Evidence inside the weights (L4) compares no two trained cells and is left out.
    """
    of_utility = _by_pair(inputs, utility)
    found = []
    for pair, claim in _by_pair(inputs, safety).items():
        beside = of_utility.get(pair)
        if beside is not None:
            one, other = _ends(claim)
            asked = Compared(one, other, _difference(inputs, claim, one), _difference(inputs, beside, one))
            found.append(_turned(inputs, asked) if asked.safety.gain < 0 else asked)
    return tuple(sorted(found, key=lambda each: (each.gains != (1, 1), 0 in each.gains)))


def dominance_sentence(pairs: Sequence[Compared], safety: str, utility: str) -> str:
    """Return which cells are shown to be both safer and better than another, or that none is."""
    if not pairs:
        return "No two cells were compared on both, so none is said to be both safer and better than another."
    won = [pair for pair in pairs if pair.gains == (1, 1)]
    if not won:
        traded = sum(pair.gains == (1, -1) for pair in pairs)
        return (
            f"No cell is shown to be both safer and better than another: of {len(pairs)} pairs compared on both, "
            f"{traded} {'is' if traded == 1 else 'are'} safer and worse at once, the rest is not decided."
        )
    named = "; ".join(
        f"{pair.one} than {pair.other} ({safety} {pair.safety.text}, {utility} {pair.utility.text}, level {pair.level})"
        for pair in won[:MAX_NAMED]
    )
    more = len(won) - MAX_NAMED
    rest = f"; and {more} more of the pairs below" if more > 0 else ""
    return f"Shown to be both safer and better: {named}{rest}."


def _by_pair(inputs: Inputs, source: Source) -> dict[frozenset[str], Claim]:
    """Return the claims on two cells read from ``source``, by the cells; one declared in advance before others."""
    found: dict[frozenset[str], Claim] = {}
    for claim in sorted(inputs.findings.claims, key=lambda claim: claim.role != "primary"):
        own = Source(claim.measure, claim.condition, claim.judge or "none", claim.split)
        is_pair = sorted(claim.weights.values()) == [-1.0, 1.0] and claim.scale == "natural"
        if own == source and is_pair and claim.level != "L4" and claim.kind not in SAME_MODEL_KINDS:
            found.setdefault(frozenset(claim.weights), claim)
    return found


def _ends(claim: Claim) -> tuple[str, str]:
    one, other = sorted(claim.weights, key=lambda cell: -claim.weights[cell])
    return one, other


def _difference(inputs: Inputs, claim: Claim, one: str) -> Difference:
    """Return the number that decides ``claim`` as ``one`` minus the other cell."""
    number, sign = of_claim(claim), claim.weights[one]
    if number.estimate is None or number.low is None or number.high is None:
        return Difference(claim, None if number.estimate is None else sign * number.estimate, None, None, 0)
    low, high = sorted((sign * number.low, sign * number.high))
    rises = inputs.measure(claim.measure).direction.startswith("higher")
    shown = 0 if not _is_told(claim) or low <= 0 <= high else 1 if low > 0 else -1
    return Difference(claim, sign * number.estimate, low, high, shown if rises else -shown)


def _is_told(claim: Claim) -> bool:
    """Return whether a claim's sign holds after the correction for all that was asked; a negligible one's may not."""
    is_corrected = claim.p_adjusted is not None and claim.p_adjusted <= claim_level(claim)
    return verdict_of(claim) == "changed" or (verdict_of(claim) == "negligible" and is_corrected)


def _turned(inputs: Inputs, pair: Compared) -> Compared:
    one, other = pair.other, pair.one
    claims = pair.safety.claim, pair.utility.claim
    safety, utility = (_difference(inputs, claim, one) for claim in claims)
    return Compared(one, other, safety, utility)
