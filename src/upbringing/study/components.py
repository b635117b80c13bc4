"""What a study expects of a measure's noise, so that its power is known before anything is measured."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from upbringing.base.description import Description

Deviation = Annotated[float, Field(ge=0)]


class Components(Description):
    """Standard deviations of the paired difference of two cells, in the measure's unit.

    ``prompt``: between prompts; ``seed``: between independent runs; ``cell``: of one prompt in one run beyond both;
    ``subseed``: between runs that branch off one run. Contrasts of other weights scale them by ``sqrt(sum w^2 / 2)``.
    """

    prompt: Deviation
    seed: Deviation
    cell: Deviation
    subseed: Deviation = 0.0

    @model_validator(mode="after")
    def _something_varies(self) -> Self:
        if not (self.prompt or self.seed or self.cell or self.subseed):
            raise ValueError("all components are 0: a measure without noise needs no planning; leave them out")
        return self
