"""What a study may name as a judge; a world's exact oracle needs no naming."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from pydantic import Field

from upbringing.battery.judges.llm_judge import LlmJudge
from upbringing.battery.judges.refusal_rules import RefusalRules
from upbringing.battery.judges.world_oracle import WorldOracle
from upbringing.formats.items import Judge

BuiltInJudge = Annotated[RefusalRules | LlmJudge | WorldOracle, Field(discriminator="kind")]


class JudgeDescription(Protocol):
    """A frozen description of a judge. Those behind endpoints are asked by the process that holds the keys."""

    @property
    def kind(self) -> str:
        """Which judge."""
        ...

    def build(self) -> Judge:
        """Return the judge; its id names the version, because it stands in the rows."""
        ...

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return every field that decides its judgements."""
        ...
