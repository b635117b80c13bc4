"""The typed union of judges a study may name; a world's exact oracle needs no naming."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from upbringing.battery.judges.llm_judge import LlmJudge
from upbringing.battery.judges.refusal_rules import RefusalRules

JudgeDescription = Annotated[RefusalRules | LlmJudge, Field(discriminator="kind")]
