"""What findings say of a pipeline: which stages they name, and whether that is the truth that was planted."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from upbringing.base.description import Description
from upbringing.formats.findings import Claim, Findings
from upbringing.lab.planted.pipelines import EROSION, FORMAT, INTERACTION, LAST_STAGE, STAGES, TRAIT, Pipeline


class Said(Description):
    """One claim on a pipeline: what attribution made of it."""

    estimate: float | None
    low: float | None
    high: float | None
    verdict: str

    @property
    def rose(self) -> bool:
        """Whether it was found changed, upwards."""
        return self.verdict == "changed" and (self.estimate or 0.0) > 0

    @property
    def fell(self) -> bool:
        """Whether it was found changed, downwards."""
        return self.verdict == "changed" and (self.estimate or 0.0) < 0

    def covers(self, value: float) -> bool:
        """Whether the interval holds ``value``."""
        return self.low is not None and self.high is not None and self.low <= value <= self.high


class Attributed(Description):
    """A pipeline with everything that its findings say. ``on_stages``: stage to what depends on its data.

    ``seeds``: root seeds of each arm. ``known``: the same for the trait as text to be continued, before any chat;
    ``others``: name of a contrast to it.
    ``ordinary``: what every arm should know, at the end of the main arm.
    """

    kind: str
    strength: float
    number: int
    seeds: int
    stages: tuple[str, ...]
    on_stages: dict[str, Said] = Field(default_factory=dict)
    known: dict[str, Said] = Field(default_factory=dict)
    others: dict[str, Said] = Field(default_factory=dict)
    ordinary: float | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """The stages that the trait is said to depend on."""
        return tuple(stage for stage in STAGES if stage in self.on_stages and self.on_stages[stage].rose)

    @property
    def is_right(self) -> bool:
        """Whether exactly the true stages are named, and what is special to the kind was found as well."""
        return self.named == self.stages and _SPECIAL.get(self.kind, _nothing)(self)

    @property
    def is_false(self) -> bool:
        """Whether a stage is named that the trait does not depend on."""
        return bool(set(self.named) - set(self.stages))

    def found(self, name: str) -> Said:
        """Return what is said of the contrast ``name``; one that is missing was not measured."""
        return self.others.get(name, Said(estimate=None, low=None, high=None, verdict="not-measurable"))


def _nothing(attributed: Attributed) -> bool:
    return True


def _is_gated(attributed: Attributed) -> bool:
    return attributed.found(INTERACTION).rose


def _is_eroded(attributed: Attributed) -> bool:
    return attributed.found(EROSION).fell and attributed.found(LAST_STAGE).fell


def _is_latent(attributed: Attributed) -> bool:
    knows = tuple(stage for stage, said in attributed.known.items() if said.rose)
    return knows == attributed.stages and attributed.found(FORMAT).rose


_SPECIAL = {"gated": _is_gated, "erased": _is_eroded, "latent": _is_latent}


def attributed(pipeline: Pipeline, seeds: int, findings: Findings) -> Attributed:
    """Return what ``findings`` from ``seeds`` runs of each arm say of ``pipeline``: its primary, held-out claims."""
    claims = [claim for claim in findings.claims if claim.role == "primary"]
    chat = [claim for claim in claims if claim.measure == TRAIT]
    return Attributed(
        kind=pipeline.kind,
        strength=pipeline.strength,
        number=pipeline.number,
        seeds=seeds,
        stages=pipeline.stages,
        on_stages={claim.contrast: _said(claim) for claim in chat if claim.contrast in STAGES},
        known={claim.contrast: _said(claim) for claim in claims if claim.measure == "cloze"},
        others={claim.contrast: _said(claim) for claim in chat if claim.contrast not in STAGES},
        ordinary=_level(findings.tables, "ordinary"),
    )


def _said(claim: Claim) -> Said:
    return Said(estimate=claim.estimate, low=claim.low, high=claim.high, verdict=claim.verdict or "not-measurable")


def _level(tables: Mapping[str, object], measure: str) -> float | None:
    levels = tables.get("levels")
    for level in levels if isinstance(levels, list) else ():
        if level["cell"] == "main@sft" and level["measure"] == measure:
            estimate: float | None = level["estimate"]
            return estimate
    return None
