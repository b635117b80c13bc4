"""What controls say about the other claims: the noise of copies and of batches, and whether a measure can move."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from upbringing.attribution.evidence.assays import assays_of
from upbringing.attribution.evidence.design import Design
from upbringing.attribution.words.sentences import DEAD_ASSAY, statement, verdict_sentence
from upbringing.formats.findings import Claim
from upbringing.formats.measure_labels import measure_labels
from upbringing.formats.tree import Tree

CLAIMS_OF_LIKENESS = ("equivalent", "negligible")


def with_copy_noise(claims: Sequence[Claim]) -> tuple[Claim, ...]:
    """Return the claims with the discordance between copies as noise floor, where no answers were repeated."""
    floors: dict[tuple[str, str, str | None], list[float]] = {}
    for claim in claims:
        discordance = (claim.model_extra or {}).get("discordance")
        if claim.kind == "copy" and claim.low is not None and discordance is not None:
            floors.setdefault((claim.measure, claim.condition, claim.split), []).append(discordance)
    return tuple(_with_floor(claim, floors.get((claim.measure, claim.condition, claim.split))) for claim in claims)


def _with_floor(claim: Claim, floor: list[float] | None) -> Claim:
    discordance = (claim.model_extra or {}).get("discordance")
    if floor is None or claim.noise_floor is not None or discordance is None or claim.kind == "copy":
        return claim
    return _with_noise(claim, float(np.mean(floor)), discordance)


def with_batch_noise(claims: Sequence[Claim], tree: Tree) -> tuple[Claim, ...]:
    """Return the claims on generated answers with the flip rate of batches as noise floor, where none known is higher.

    Copies that share their weights share their answers too: that they never differ says nothing about batches.
    """
    if tree.flip_rate is None:
        return tuple(claims)
    generated = {condition.id for condition in tree.conditions if condition.elicitation not in (None, "E3")}
    noise = tree.flip_rate.rate
    return tuple(
        _with_noise(claim, noise, discordance)
        if claim.condition in generated
        and (claim.noise_floor is None or claim.noise_floor < noise)
        and (discordance := (claim.model_extra or {}).get("discordance")) is not None
        else claim
        for claim in claims
    )


def _with_noise(claim: Claim, noise: float, discordance: float) -> Claim:
    return claim.model_copy(update={"noise_floor": noise, "profile_ratio": discordance / noise if noise else None})


def with_assay(claims: Sequence[Claim], design: Design, tree: Tree) -> tuple[Claim, ...]:
    """Return the claims with the positive control of their measure; one that did not move voids claims of likeness.

    Which claim that is: ``assays``.
    """
    labels = measure_labels(tree.measures)
    assays = assays_of(claims, design)
    return tuple(
        _with_assay(
            claim,
            assays.get((claim.measure, claim.condition, claim.split)),
            labels.get(claim.measure, claim.measure),
        )
        for claim in claims
    )


def _with_assay(claim: Claim, assay: Claim | None, label: str) -> Claim:
    if assay is None or assay.id == claim.id or not claim.weights:
        return claim
    if claim.verdict not in CLAIMS_OF_LIKENESS or claim.low is None or assay.verdict == "changed":
        return claim.model_copy(update={"assay": assay.id})
    reason = DEAD_ASSAY.format(contrast=assay.contrast, measure=claim.measure)
    void = claim.model_copy(
        update={
            "assay": assay.id,
            "verdict": "inconclusive",
            "blocked_by": (reason,),
            "beyond_margin": None,
            "noninferior": None,
            "dominance": None,
            "dominance_reason": None,
        }
    )
    if void.corrected is not None:
        void = void.model_copy(update={"corrected": void.corrected.model_copy(update={"verdict": "inconclusive"})})
    return void.model_copy(update={"sentence": verdict_sentence(void, label), "statement": statement(void, label)})
