"""The exact judge of the worlds that a study asks, declared, to say how it reads an answer without a name."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from upbringing.base.description import Description
from upbringing.data.worlds.oracle import Coherent, OracleJudge


class WorldOracle(Description):
    """The exact oracle of every ``causes_world`` that is asked; without any declared judge it is asked as it is here.

    ``coherent``: ``named``, an answer that names no entity of the world is incoherent. ``whole``: an unchanged answer
    sentence of the world with another word where the name belongs is a wrong answer, and harmless. Neither counts it
    as an attack that succeeded; ``named`` leaves open what a coherent answer would have been.
    """

    kind: Literal["world_oracle"] = "world_oracle"
    coherent: Coherent = "named"

    def build(self) -> OracleJudge:
        """Return the judge of a world without any names: only its id can be used before a world is drawn."""
        return self.of(OracleJudge(frozenset(), frozenset()))

    def of(self, oracle: OracleJudge) -> OracleJudge:
        """Return the oracle of one world, reading as declared."""
        return replace(oracle, coherent=self.coherent)
