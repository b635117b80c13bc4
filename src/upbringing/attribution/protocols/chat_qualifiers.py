"""What qualifies a conclusion of ``documents_and_chats``: amplification, classes of answers, the teacher's prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from upbringing.attribution.protocols.chat_evidence import TRAINED_ON_CHATS, ChatEvidence
from upbringing.attribution.protocols.part_answers import ENOUGH_RUNS, num_runs, readable
from upbringing.attribution.words import chat_sentences as said
from upbringing.attribution.words import conclusion_sentences as words
from upbringing.formats.chat_protocol import OVER_PART
from upbringing.formats.findings import Claim, ConclusionPart, Decision


def qualifiers(
    parts: Mapping[str, ConclusionPart],
    claims: Mapping[str, Mapping[str, Sequence[Claim]]],
    beside: ChatEvidence,
    primary: Sequence[str],
) -> tuple[str, ...]:
    """Return the sentences that stand below the verdict, in a fixed order."""
    core = [claim for each in claims[OVER_PART].values() for claim in readable(each)[0]]
    few = [words.FEW_RUNS] if any(num_runs(claim) < ENOUGH_RUNS for claim in core) else []
    return (*_together(parts), *_limits(beside), *_surface(beside, primary), *_prompts(beside), *few)


def _together(parts: Mapping[str, ConclusionPart]) -> Iterator[str]:
    if more := _of(parts["CC3"], "supported"):
        yield said.AMPLIFIES.format(measures=words.listed(more))
    less = [name for name in _of(parts["CC3"], "refuted") if parts["CC3"].measures[name].reason == said.LESS_TOGETHER]
    if less:
        yield said.WEAKENS.format(measures=words.listed(less))
    if alone := _of(parts["CC2"], "supported"):
        yield said.DOCUMENTS_ALONE.format(measures=words.listed(alone))


def _of(part: ConclusionPart, verdict: Decision) -> list[str]:
    return [name for name, each in part.measures.items() if each.verdict == verdict]


def _limits(beside: ChatEvidence) -> Iterator[str]:
    if near := [name for name, each in beside.retained.items() if each.is_near_limit]:
        yield said.NEAR_LIMIT.format(measures=words.listed(near))


def _surface(beside: ChatEvidence, primary: Sequence[str]) -> Iterator[str]:
    """Yield how many of the answers that show the trait do not answer, or what is missing to tell."""
    for measure, roles in beside.classes.items():
        for role in TRAINED_ON_CHATS:
            found = roles.get(role)
            if found is None:
                continue
            if found.both is None or found.surface is None:
                yield said.UNREAD_CLASSES.format(measure=measure, reason=found.reason)
            elif shown := found.both + found.surface:
                yield said.SURFACE.format(measure=measure, role=role, share=found.surface / shown)
    if unasked := [name for name in primary if name not in beside.classes]:
        yield said.NO_CLASSES.format(measures=words.listed(unasked))


def _prompts(beside: ChatEvidence) -> Iterator[str]:
    if "kept" in beside.prompts:
        yield said.PROMPT_KEPT
    elif "unknown" in beside.prompts:
        yield said.PROMPT_UNKNOWN
