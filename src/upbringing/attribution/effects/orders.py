"""How far what a stage contributes depends on the order in which stages are switched on, or trained."""

from __future__ import annotations

from upbringing.attribution.contrasts.cell_tables import cell_tables
from upbringing.attribution.contrasts.estimates import over_units
from upbringing.attribution.evidence.cells import Evidence, Source
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.statistics.equivalence import excludes_zero, widened
from upbringing.attribution.validity.validity import Validity
from upbringing.formats.findings import OrderRange
from upbringing.formats.tree import ContrastSpec

WIDE_RANGE = 0.2  # of the total: from here on the order decides what a stage is said to contribute


def order_range(
    evidence: Evidence, design: Design, validity: Validity, source: Source, spec: ContrastSpec
) -> OrderRange | None:
    """Return the least and the greatest contribution over the orders that ``spec`` lists; ``None`` where it lists none.

    These are estimates: noise alone sets them apart, the more orders the further.
    """
    cells = tuple(dict.fromkeys(cell for weights in (*spec.orders, spec.share_of) for cell in weights))
    if not spec.orders or any(cell not in design.cells for cell in cells):
        return None
    if validity.reasons((cell, source) for cell in cells):
        return None
    tables = cell_tables(evidence, design, cells, source)
    if tables is None:
        return None
    found = [float(tables.vector(order) @ tables.means) for order in spec.orders]
    low, high = min(found), max(found)
    whole = tables.vector(spec.share_of)
    total = widened(over_units(tables.units, tables.contrast(whole)), *tables.bounds(whole))
    is_wide = high - low > WIDE_RANGE * abs(total.estimate) if excludes_zero(total) else None
    return OrderRange(low=low, high=high, is_wide=is_wide)
