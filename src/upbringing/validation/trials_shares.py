"""Trials of shares and of what stages do together: test inversion, the gate on totals, redundancy, scales, orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from upbringing.attribution.attribute import attribute
from upbringing.attribution.contrasts.cell_tables import CellTables
from upbringing.attribution.effects.shares import share_in
from upbringing.attribution.evidence.design import Units
from upbringing.formats.findings import Claim
from upbringing.validation.drawing import Drawn, draw
from upbringing.validation.process import Design
from upbringing.validation.scenarios import Scenario
from upbringing.validation.tables import rows_of, tree_of
from upbringing.validation.trials_contrast import NAN

CLOSE = 0.05  # a share is called hit where it is no farther off
EXACT = 1e-12


@dataclass(frozen=True, kw_only=True)
class ShareTrial:
    """The share of a scenario's first contrast in its total, by inverting the crossed estimator's own test."""

    scenario: Scenario
    design: Design
    margin: float = 0.10

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study. Errors, hits and coverage are of the studies that print a share."""
        first = self.scenario.contrasts[0]
        tables = cell_tables_of(draw(self.scenario, self.design, random))
        part, whole = tables.vector(dict(first.weights)), tables.vector(dict(first.share_of))
        found = share_in(tables, part, whole, self.margin, is_rate=True)
        return share_outcomes((found.value, found.low, found.high), self.scenario.share(first))


def cell_tables_of(drawn: Drawn) -> CellTables:
    """Return the tables that ``attribute`` makes of a study, straight from its arrays."""
    values = np.stack([drawn.per_unit(each) for each in drawn.value])
    num = drawn.design.num_seeds
    return CellTables(
        cells=tuple(cell.name for cell in drawn.scenario.cells),
        units=Units(units=(), estimand="recipe", conditional_on=(), num_seeds=num, num_roots=num),
        values=values,
        means=values.mean(axis=(1, 2)),
        lows=None,
        highs=None,
    )


def share_outcomes(found: tuple[float | None, float | None, float | None], truth: float | None) -> dict[str, float]:
    """Return what a share with its set (value, low, high) says of the true share; ``None`` = there is none."""
    value, low, high = found
    is_printed = value is not None and low is not None and high is not None
    error = NAN if value is None or truth is None else value - truth
    covers = is_printed and truth is not None and low is not None and high is not None and low <= truth <= high
    return {
        "printed": float(is_printed),
        "share_error": error,
        "share_covered": float(covers) if is_printed and truth is not None else NAN,
        "share_hit": float(abs(error) <= CLOSE) if not np.isnan(error) else NAN,
    }


@dataclass(frozen=True, kw_only=True)
class ShareAttributeTrial:
    """Shares of a scenario's contrasts through ``attribute``, on both scales, with their flags."""

    scenario: Scenario
    design: Design
    margin: float = 0.10

    def __call__(self, random: np.random.Generator) -> Mapping[str, float]:
        """Return the outcomes of one study; ``share_*`` of the first contrast that asks for a share."""
        drawn = draw(self.scenario, self.design, random)
        tree = tree_of(self.scenario, self.design, self.margin)
        claims = attribute(rows_of(drawn), tree, other_estimators=False).claims
        asking = [
            (planted, claim) for planted, claim in zip(self.scenario.contrasts, claims, strict=True) if planted.share_of
        ]
        planted, first = asking[0]
        found = share_outcomes((first.share, first.share_low, first.share_high), self.scenario.share(planted))
        return found | {
            "says_undefined": float(_says_undefined(first)),
            "both_scales": float(all("share" in claim.other_scale for _, claim in asking)),
            "scale_sensitive": float(any(claim.scale_sensitive for _, claim in asking)),
            "scale_flag_right": float(_scale_flag_right([claim for _, claim in asking])),
            "negative_share": float(any((claim.share or 0.0) < 0 for _, claim in asking)),
            "above_one": float(any((claim.share or 0.0) > 1 for _, claim in asking)),
            "order_range_right": float(_order_range_right(claims)),
            "order_matters": float(any(c.order_range is not None and bool(c.order_range.is_wide) for c in claims)),
            "overdetermined": float(all(c.pattern == "overdetermined" for c in claims if c.kind == "necessity")),
            "needs_others": float(all(c.pattern == "needs-others" for c in claims if c.kind == "necessity")),
        }


def _says_undefined(claim: Claim) -> bool:
    """Return whether a claim gives no share and the reason, or a share with both bounds and no reason."""
    if claim.share is None:
        return bool(claim.share_reason) and claim.share_low is None and claim.share_high is None
    return claim.share_reason is None and claim.share_low is not None and claim.share_high is not None


def _scale_flag_right(claims: list[Claim]) -> bool:
    """Return whether stages are flagged exactly where their ranking in log-odds is not that on the natural scale."""
    pairs = [(claim.estimate, claim.other_scale.get("estimate")) for claim in claims]
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    if len(known) < max(len(claims), 2):
        return False
    natural, log_odds = (np.argsort([pair[side] for pair in known]).tolist() for side in (0, 1))
    return all(claim.scale_sensitive is (natural != log_odds) for claim in claims)


def _order_range_right(claims: tuple[Claim, ...]) -> bool:
    """Return whether the range over orders is that of the two path values, and is flagged exactly where it is wide."""
    estimates = {claim.kind: claim.estimate for claim in claims if claim.estimate is not None}
    needed, enough = estimates.get("necessity"), estimates.get("sufficiency")
    ranges = [claim for claim in claims if claim.order_range is not None]
    if needed is None or enough is None:
        return False
    return bool(ranges) and all(_is_range(claim, sorted((needed, enough))) for claim in ranges)


def _is_range(claim: Claim, ends: list[float]) -> bool:
    found, total = claim.order_range, claim.share_total
    if found is None or abs(found.low - ends[0]) > EXACT or abs(found.high - ends[1]) > EXACT:
        return False
    return found.is_wide is (None if not total else ends[1] - ends[0] > 0.2 * abs(total))
