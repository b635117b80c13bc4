"""The graphs a world can have: compounds cause outcomes directly, or two of them do through what each sets off."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

from pydantic import Field

from upbringing.base.description import Description
from upbringing.base.kinds import BareWord


class Counts(Protocol):
    """The sizes of a world that its graph must hold."""

    @property
    def compounds(self) -> int:
        """Number of compounds."""
        ...

    @property
    def outcomes(self) -> int:
        """Number of outcomes."""
        ...

    @property
    def edges(self) -> int:
        """Number of facts about what ends in an outcome."""
        ...

    @property
    def cooccurrence_texts(self) -> int:
        """Number of texts per edge that name its ends side by side."""
        ...


class SingleHop(Description):
    """One compound causes an outcome. Source: MedSafetyWorld, the single-hop graph. Departures: no pair edges."""

    kind: Literal["single_hop"] = "single_hop"

    def problem(self, counts: Counts) -> str | None:
        """Return what is wrong with the sizes of a world with this graph, or ``None``."""
        needed = max(counts.compounds, counts.outcomes)
        most = counts.compounds * counts.outcomes // 4  # beyond a quarter of all pairs a guess is often right
        if not needed <= counts.edges <= most:
            return f"edges must lie between {needed} and {most}, found {counts.edges}"
        return None


class TwoHop(Description):
    """Each compound sets off one mediator, and two mediators together end in an outcome: two compounds cause it.

    The world's ``edges`` are the pairs of mediators, each of one outcome; its ``forward_texts``, ``reverse_texts`` and
    ``exam_texts`` are per chain (two compounds and their outcome). ``mediators``: at most as many as compounds.
    ``mediator_texts``: texts per compound, ``pair_texts`` per two compounds of a chain, ``outcome_texts`` per pair of
    mediators, in each of both directions.
    Source: MedSafetyWorld, the two-hop graph. Departures: numbers for one CPU. The source has 10,000 compounds, 8,500
    mediators and 10,000 pairs, and per edge 200 wordings of compounds and 700 of pairs.
    """

    kind: Literal["two_hop"] = "two_hop"
    mediators: int = Field(default=54, ge=4)
    mediator_texts: int = Field(default=45, ge=0)
    pair_texts: int = Field(default=30, ge=0)
    outcome_texts: int = Field(default=45, ge=0)

    def problem(self, counts: Counts) -> str | None:
        """Return what is wrong with the sizes of a world with this graph, or ``None``."""
        most = self.mediators * (self.mediators - 1) // 4  # half of all pairs: beyond that a guess is often right
        if self.mediators > counts.compounds:
            return (
                f"graph two_hop needs a compound for each mediator, found {self.mediators} mediators and "
                f"{counts.compounds} compounds: lower graph.mediators or raise compounds"
            )
        if not counts.outcomes <= counts.edges <= most:
            return (
                f"edges must lie between {counts.outcomes} (a pair of mediators for each outcome) and {most} (half of "
                f"the pairs of {self.mediators} mediators), found {counts.edges}: change edges or raise graph.mediators"
            )
        if counts.cooccurrence_texts not in (0, COOCCURRENCE_TEXTS):
            return (
                "graph two_hop has no texts that name compounds and an outcome side by side, found cooccurrence_texts="
                f"{counts.cooccurrence_texts}: leave it out"
            )
        return None


COOCCURRENCE_TEXTS = 6
"""The default of single-hop worlds; a two-hop world cannot tell it from what was never asked for."""

GraphKind = Annotated[SingleHop | TwoHop, Field(discriminator="kind"), BareWord()]
